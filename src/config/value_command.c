/* SPDX-License-Identifier: Apache-2.0 */
/* Programs of backends, and the rights of sockets. */
#include <string.h>

#include "base/check.h"
#include "base/err.h"
#include "base/str.h"
#include "config/value.h"

#define WORDS_MAX 128

/* Where a command line is being read. */
struct command {
    const char *at;
    char *to; /* what has been read goes here; it is never longer than the text */
    const char *fault;
};

/* One character that is meant as it is, after a backslash. */
static void take_escaped(struct command *c)
{
    c->at++;
    if (*c->at == '\0')
        c->fault = "there is nothing behind the last backslash";
    else
        *c->to++ = *c->at++;
}

static void take_quoted(struct command *c)
{
    char quote = *c->at++;
    while (*c->at != '\0' && *c->at != quote && c->fault == NULL) {
        if (*c->at == '\\' && quote == '"')
            take_escaped(c);
        else
            *c->to++ = *c->at++;
    }
    if (*c->at == quote)
        c->at++;
    else if (c->fault == NULL)
        c->fault = "a quote is not closed";
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

/* The next word, which ends with a NUL at c->to; NULL: there is none. */
static char *next_word(struct command *c)
{
    while (is_blank(*c->at))
        c->at++;
    if (*c->at == '\0')
        return NULL;
    char *word = c->to;
    while (*c->at != '\0' && !is_blank(*c->at) && c->fault == NULL) {
        if (*c->at == '"' || *c->at == '\'')
            take_quoted(c);
        else if (*c->at == '\\')
            take_escaped(c);
        else
            *c->to++ = *c->at++;
    }
    *c->to++ = '\0';
    return word;
}

static const char *program_fault(const char *const *words)
{
    if (words[0] == NULL || words[0][0] == '\0')
        return "there is no program";
    if (strchr(words[0], '/') == NULL)
        return "PROGRAM is a path, such as /usr/bin/cat: it is looked for nowhere";
    return NULL;
}

char **value_command(const struct schema_value *v, const char *text, const char *expected, struct err *err)
{
    struct command c = {.at = text, .to = store_alloc(v->store, strlen(text) + 1, 1)};
    char *word, **words = store_alloc(v->store, WORDS_MAX + 1, sizeof(char *));
    size_t n = 0;
    if (c.to == NULL || words == NULL) {
        err_set(err, "out of memory");
        return NULL;
    }
    while (c.fault == NULL && (word = next_word(&c)) != NULL) {
        if (n == WORDS_MAX)
            c.fault = "there are more than 128 words";
        else
            words[n++] = word;
    }
    _Static_assert(WORDS_MAX == 128, "as the error says");
    if (c.fault == NULL)
        c.fault = program_fault((const char *const *)words);
    if (c.fault != NULL) {
        value_refuse(v, err, "expected %s: %s", expected, c.fault);
        return NULL;
    }
    const char *path = value_join(v, words[0]);
    if (path != NULL && (words[0] = store_text(v->store, path, strlen(path))) != NULL)
        return words;
    err_set(err, "out of memory");
    return NULL;
}

/* Who may connect is for the file to say, but there has to be somebody. */
static int read_mode(const struct schema_value *v, void *ret, struct err *err)
{
    unsigned mode = 0;
    size_t len = strlen(v->text);
    bool octal = len == 3 || (len == 4 && v->text[0] == '0');
    for (size_t i = 0; i < len && octal; i++) {
        octal = v->text[i] >= '0' && v->text[i] <= '7';
        mode = mode * 8 + (unsigned)(v->text[i] - '0');
    }
    if (!octal)
        return value_refuse(v, err, "expected permission bits in octal, such as 0660");
    if ((mode & 0222) == 0)
        return value_refuse(
            v, err, "expected permission bits such as 0660: nobody may write to it, so nobody could connect");
    memcpy(ret, &mode, sizeof(mode));
    return 0;
}

const struct schema_type value_mode = {"mode", sizeof(unsigned), read_mode};
