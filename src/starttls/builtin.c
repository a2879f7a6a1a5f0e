/* SPDX-License-Identifier: Apache-2.0 */
/* The protocols that are built in: the texts of src/starttls/protocols, read once. */
#include <pthread.h>
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

static struct starttls *protocols[ARRAY_LEN(texts)];
static const char *names[ARRAY_LEN(texts) + 1];

static void read_all(void)
{
    struct err err;
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        names[i] = texts[i].name;
        protocols[i] = starttls_parse(texts[i].name, texts[i].text, strlen(texts[i].text), &err);
        CHECK(protocols[i] != NULL);
    }
}

static void read_once(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    CHECK(pthread_once(&once, read_all) == 0);
}

const struct starttls *starttls_builtin(const char *name)
{
    read_once();
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
