/* SPDX-License-Identifier: Apache-2.0 */
#include "base/str.h"

#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/check.h"
#include "base/utf8.h"

bool str_is(struct str s, const char *text)
{
    return strlen(text) == s.len && (s.len == 0 || memcmp(s.p, text, s.len) == 0);
}

bool str_copy(char *ret, size_t cap, const char *p, size_t len)
{
    CHECK(cap >= 1);
    size_t n = MIN(len, cap - 1);
    if (n > 0)
        memcpy(ret, p, n);
    ret[n] = '\0';
    return n == len;
}

bool str_item(struct str *list, struct str *ret)
{
    if (list->len == 0)
        return false;
    const char *comma = memchr(list->p, ',', list->len);
    *ret = (struct str){list->p, comma == NULL ? list->len : (size_t)(comma - list->p)};
    size_t taken = MIN(ret->len + 1, list->len);
    *list = (struct str){list->p + taken, list->len - taken};
    return true;
}

bool str_same(const char *a, const char *b)
{
    return a == NULL || b == NULL ? a == b : strcmp(a, b) == 0;
}

char *str_dup(const char *text)
{
    char *fresh = text == NULL ? NULL : strdup(text);
    CHECK((fresh == NULL) == (text == NULL));
    return fresh;
}

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c + 32) : c;
}

void str_lower(char *p, size_t len)
{
    for (size_t i = 0; i < len; i++)
        p[i] = lower(p[i]);
}

/* Greedy with one point to come back to: linear in practice, never exponential. */
static bool glob(const char *pattern, const char *text, bool nocase)
{
    const char *star = NULL, *resume = NULL;
    while (*text != '\0') {
        if (*pattern == '*') {
            star = pattern++;
            resume = text;
        } else if (*pattern == *text || (nocase && lower(*pattern) == lower(*text))) {
            pattern++;
            text++;
        } else if (star != NULL) {
            pattern = star + 1;
            text = ++resume;
        } else {
            return false;
        }
    }
    while (*pattern == '*')
        pattern++;
    return *pattern == '\0';
}

bool str_glob(const char *pattern, const char *text)
{
    return glob(pattern, text, false);
}

bool str_glob_nocase(const char *pattern, const char *text)
{
    return glob(pattern, text, true);
}

#define MEET_MAX 255

/* may[j]: what has been read of `a` and j bytes of `b` match a common text. A star stands for nothing, or for
 * one more byte of the other pattern. */
bool str_globs_meet(const char *a, const char *b)
{
    size_t len = strnlen(b, MEET_MAX + 1);
    bool may[MEET_MAX + 1] = {true};
    if (len > MEET_MAX || strnlen(a, MEET_MAX + 1) > MEET_MAX)
        return true;
    for (size_t j = 0; j < len && b[j] == '*'; j++)
        may[j + 1] = true;
    for (; *a != '\0'; a++) {
        bool before = may[0];
        may[0] = before && *a == '*';
        for (size_t j = 0; j < len; j++) {
            bool above = may[j + 1], both = before && lower(*a) == lower(b[j]);
            may[j + 1] = both || (*a == '*' && (above || may[j])) || (b[j] == '*' && (above || may[j]));
            before = above;
        }
    }
    return may[len];
}

#define NEAREST_MAX 48

/* Levenshtein distance of two short words. */
static size_t distance(const char *a, const char *b)
{
    size_t la = strlen(a), lb = strlen(b), row[NEAREST_MAX + 1];
    if (la > NEAREST_MAX || lb > NEAREST_MAX)
        return SIZE_MAX;
    for (size_t j = 0; j <= lb; j++)
        row[j] = j;
    for (size_t i = 1; i <= la; i++) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t j = 1; j <= lb; j++) {
            size_t change = diagonal + (lower(a[i - 1]) != lower(b[j - 1]));
            diagonal = row[j];
            row[j] = MIN(change, MIN(row[j], row[j - 1]) + 1);
        }
    }
    return row[lb];
}

/* Does `word` keep the first letter of the other and some of the rest, in order, as "grp" does of "group"? */
static bool is_abbreviation(const char *word, const char *of)
{
    if (strlen(word) < 3 || lower(*word) != lower(*of))
        return false;
    for (; *of != '\0' && *word != '\0'; of++)
        word += lower(*word) == lower(*of);
    return *word == '\0';
}

static const char *nearest(const char *word, const char *const *candidates)
{
    const char *best = NULL;
    size_t best_distance = strlen(word) / 2 + 1; /* farther than half the word is no help */
    for (; *candidates != NULL; candidates++) {
        size_t d = distance(word, *candidates);
        if (d > 1 && is_abbreviation(word, *candidates))
            d = 1;
        if (d < best_distance) {
            best_distance = d;
            best = *candidates;
        }
    }
    return best;
}

const char *str_hint(const char *word, const char *const *names, char ret[STR_HINT_MAX])
{
    const char *near = nearest(word, names);
    *ret = '\0';
    if (near != NULL)
        snprintf(ret, STR_HINT_MAX, "; did you mean '%s'?", near);
    return ret;
}

bool str_u64(const char *text, uint64_t max, uint64_t *ret)
{
    uint64_t v = 0;
    if (*text == '\0')
        return false;
    for (; *text != '\0'; text++) {
        if (*text < '0' || *text > '9')
            return false;
        uint64_t digit = (uint64_t)(*text - '0');
        if (v > (UINT64_MAX - digit) / 10)
            return false;
        v = v * 10 + digit;
    }
    if (v > max)
        return false;
    *ret = v;
    return true;
}

bool str_put_u64(struct buf *b, uint64_t v)
{
    char digits[20];
    size_t at = sizeof(digits);
    do
        digits[--at] = (char)('0' + v % 10);
    while ((v /= 10) > 0);
    return buf_append(b, digits + at, sizeof(digits) - at);
}

/* Bytes from `p` on that stand for themselves in a JSON string. */
static size_t plain_run(const uint8_t *p, size_t left)
{
    size_t n = 0;
    while (n < left && p[n] >= 0x20 && p[n] < 0x7f && p[n] != '"' && p[n] != '\\')
        n++;
    return n;
}

/* A character of several bytes that terminals and editors obey rather than show: C1 controls, line and
 * paragraph separators, and what turns the direction of text. Returns its code point, or 0 for any other. */
static unsigned invisible(const uint8_t *p, size_t n)
{
    unsigned code = 0;
    if (n == 2)
        code = (p[0] & 0x1fu) << 6 | (p[1] & 0x3fu);
    else if (n == 3)
        code = (p[0] & 0x0fu) << 12 | (p[1] & 0x3fu) << 6 | (p[2] & 0x3fu);
    bool found = (code >= 0x80 && code <= 0x9f) || (code >= 0x2028 && code <= 0x202e) ||
                 (code >= 0x2066 && code <= 0x2069);
    return found ? code : 0;
}

/* One character that does not, and how many bytes it took. */
static bool json_escape(struct buf *b, const uint8_t *p, size_t left, size_t *ret_taken)
{
    size_t n = utf8_length(p, left);
    *ret_taken = MAX(n, (size_t)1);
    if (n == 0)
        return buf_append(b, "\xef\xbf\xbd", 3);
    if (*p == '"' || *p == '\\')
        return buf_printf(b, "\\%c", *p);
    if (*p < 0x20 || *p == 0x7f)
        return buf_printf(b, "\\u%04x", *p);
    unsigned code = invisible(p, n);
    if (code != 0)
        return buf_printf(b, "\\u%04x", code);
    return buf_append(b, p, n);
}

bool str_json(struct buf *b, const char *p, size_t len)
{
    const uint8_t *s = (const uint8_t *)p;
    bool ok = buf_append(b, "\"", 1);
    for (size_t i = 0; i < len && ok;) {
        size_t n = plain_run(s + i, len - i);
        ok = buf_append(b, s + i, n);
        i += n;
        if (i < len && ok) {
            ok = json_escape(b, s + i, len - i, &n);
            i += n;
        }
    }
    return ok && buf_append(b, "\"", 1);
}
