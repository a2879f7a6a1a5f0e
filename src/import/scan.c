/* SPDX-License-Identifier: Apache-2.0 */
#include "import/scan.h"

#include <ctype.h>
#include <string.h>

#include "base/hex.h"
#include "base/str.h"

#define WORD_SHOWN_MAX 40

static bool is_word(char c)
{
    return isalnum((unsigned char)c) || (c != '\0' && strchr("_-.+*", c) != NULL);
}

/* One byte on. */
static void step(struct scan *s)
{
    if (*s->p++ == '\n') {
        s->at.line++;
        s->at.column = 1;
    } else {
        s->at.column++;
    }
}

static bool begins(const struct scan *s, const char *text)
{
    size_t len = strlen(text);
    return (size_t)(s->end - s->p) >= len && memcmp(s->p, text, len) == 0;
}

static int skip_block_comment(struct scan *s)
{
    struct place from = s->at;
    while (s->p < s->end && !begins(s, "*/"))
        step(s);
    if (s->p == s->end)
        return import_fail(s->im, from, "found a comment without its end, expected */");
    step(s);
    step(s);
    return 0;
}

static void take_comment(struct scan *s)
{
    const char *from = s->p;
    while (s->p < s->end && *s->p != '\n')
        step(s);
    remember_add(&s->comments, &s->im->pool, from + 1, (size_t)(s->p - from) - 1);
}

/* Spaces and comments. An empty line parts comments from what follows. */
static int skip(struct scan *s)
{
    unsigned lines = 0;
    while (s->p < s->end) {
        if (*s->p == '#' || (s->libconfig && begins(s, "//"))) {
            take_comment(s);
            lines = 0;
        } else if (s->libconfig && begins(s, "/*")) {
            if (skip_block_comment(s) < 0)
                return -1;
        } else if (isspace((unsigned char)*s->p)) {
            if (*s->p == '\n' && ++lines > 1)
                remember_forget(&s->comments);
            step(s);
        } else {
            break;
        }
    }
    return 0;
}

/* What stands behind a backslash; -1 when it is none of libconfig's escapes. */
static int escaped(struct scan *s)
{
    static const char names[] = "nrtfabv\\\"", values[] = "\n\r\t\f\a\b\v\\\"";
    const char *at = s->p < s->end && *s->p != '\0' ? strchr(names, *s->p) : NULL;
    if (at != NULL) {
        step(s);
        return (unsigned char)values[at - names];
    }
    if (s->end - s->p < 3 || *s->p != 'x' || hex_digit(s->p[1]) < 0 || hex_digit(s->p[2]) < 0)
        return -1;
    int value = hex_digit(s->p[1]) * 16 + hex_digit(s->p[2]);
    s->p += 3;
    s->at.column += 3;
    return value;
}

static int take_string(struct scan *s)
{
    struct buf text = {.max = IMPORT_FILE_MAX};
    int c = 0;
    step(s);
    while (c >= 0 && s->p < s->end && *s->p != '"' && *s->p != '\n' && *s->p != '\0') {
        c = (unsigned char)*s->p;
        step(s);
        if (c == '\\' && s->libconfig)
            c = escaped(s);
        if (c == 0) /* \x00: only regular expressions have it, and those are not taken over */
            c = '?';
        if (c > 0)
            buf_append(&text, &(char){(char)c}, 1);
    }
    s->kind = SCAN_STRING;
    s->text = pool_copy(&s->im->pool, (const char *)text.data, text.len);
    buf_free(&text);
    if (c < 0)
        return import_fail(s->im, s->at,
                           "found an escape in a string that is none of libconfig's, expected \\\\, "
                           "\\\", \\n, \\r, \\t, \\f or \\xHH");
    if (s->p == s->end || *s->p != '"')
        return import_fail(s->im, s->where, "found a string without its end, expected '\"' on the same line");
    step(s);
    return 0;
}

int scan_next(struct scan *s)
{
    remember_forget(&s->comments);
    if (skip(s) < 0)
        return -1;
    s->where = s->at;
    s->text = "";
    if (s->p == s->end) {
        s->kind = SCAN_END;
        return 0;
    }
    if (*s->p == '"')
        return take_string(s);
    if (!isprint((unsigned char)*s->p))
        return import_fail(s->im, s->at, "found byte 0x%02x, expected text", (unsigned char)*s->p);
    const char *from = s->p;
    s->kind = is_word(*s->p) ? SCAN_WORD : SCAN_SIGN;
    do
        step(s);
    while (s->kind == SCAN_WORD && s->p < s->end && is_word(*s->p));
    s->text = pool_copy(&s->im->pool, from, (size_t)(s->p - from));
    return 0;
}

int scan_begin(struct scan *s, struct import *im, const char *file, const char *text, size_t len,
               bool libconfig)
{
    *s = (struct scan){.im = im, .p = text, .end = text + len, .at = {file, 1, 1}, .libconfig = libconfig};
    if (len == 0)
        s->p = s->end = "";
    return scan_next(s);
}

bool scan_is(const struct scan *s, char sign)
{
    return s->kind == SCAN_SIGN && *s->text == sign;
}

int scan_expected(struct scan *s, const char *what)
{
    static const char *const kinds[] = {"the end", NULL, "a string", NULL};
    char shown[WORD_SHOWN_MAX];
    if (kinds[s->kind] != NULL)
        return import_fail(s->im, s->where, "found %s, expected %s", kinds[s->kind], what);
    str_copy(shown, sizeof(shown), s->text, strlen(s->text));
    return import_fail(s->im, s->where, "found '%s', expected %s", shown, what);
}

int scan_take(struct scan *s, char sign)
{
    char what[] = {'\'', sign, '\'', '\0'};
    return scan_is(s, sign) ? scan_next(s) : scan_expected(s, what);
}
