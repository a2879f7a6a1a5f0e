/* SPDX-License-Identifier: Apache-2.0 */
/* The protocols that are built in: the texts of src/starttls/protocols, read once. */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "starttls/starttls.h"

/* Sorted by name. */
static const struct {
    const char *name;
    const char *text;
} texts[] = {
#include "starttls_protocols.inc"
};

/* Other names, under which people look for them. */
static const struct {
    const char *name;
    const char *script;
} aliases[] = {{"submission", "smtp"}}; /* RFC 6409, section 1 */

static struct starttls *protocols[ARRAY_LEN(texts)];
static const char *names[ARRAY_LEN(texts) + 1];
static const char *words[ARRAY_LEN(texts) + ARRAY_LEN(aliases) + 1];

static int by_name(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static void read_all(void)
{
    struct err err;
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        names[i] = texts[i].name;
        protocols[i] = starttls_parse(texts[i].name, texts[i].text, strlen(texts[i].text), &err);
        CHECK(protocols[i] != NULL);
        words[i] = names[i];
    }
    for (size_t i = 0; i < ARRAY_LEN(aliases); i++)
        words[ARRAY_LEN(texts) + i] = aliases[i].name;
    qsort(words, ARRAY_LEN(words) - 1, sizeof(words[0]), by_name);
}

static void read_once(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    CHECK(pthread_once(&once, read_all) == 0);
}

const struct starttls *starttls_builtin(const char *name)
{
    read_once();
    for (size_t i = 0; i < ARRAY_LEN(aliases); i++)
        if (strcmp(aliases[i].name, name) == 0)
            name = aliases[i].script;
    for (size_t i = 0; i < ARRAY_LEN(texts); i++)
        if (strcmp(texts[i].name, name) == 0)
            return protocols[i];
    return NULL;
}

const char *const *starttls_builtin_names(void)
{
    read_once();
    return names;
}

const char *const *starttls_builtin_words(void)
{
    read_once();
    return words;
}
