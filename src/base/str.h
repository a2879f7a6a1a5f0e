/* SPDX-License-Identifier: Apache-2.0 */
/* Text helpers: bytes with a length, names in lower case, "did you mean", numbers, JSON escaping. */
#ifndef CARDEA_BASE_STR_H
#define CARDEA_BASE_STR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct buf;

/* Bytes that live elsewhere; not NUL-terminated. */
struct str {
    const char *p;
    size_t len;
};

/* Compare bytes with a NUL-terminated text. */
bool str_is(struct str s, const char *text);

/* Do two texts say the same, or are both NULL? */
bool str_same(const char *a, const char *b);

/* Copy at most cap-1 bytes and NUL-terminate; returns false when something was cut off. cap >= 1. */
bool str_copy(char *ret, size_t cap, const char *p, size_t len);

/* Take the first item off a list apart by ','; false at its end. */
bool str_item(struct str *list, struct str *ret);

/* A copy that the caller frees; NULL of NULL. Never NULL else. */
char *str_dup(const char *text);

/* ASCII lower case in place (DNS names compare without case, RFC 4343). */
void str_lower(char *p, size_t len);

/* Match with `*` standing for any run of characters (also none). Case-sensitive. */
bool str_glob(const char *pattern, const char *text);

/* Same on bytes with lengths, without case: for DNS names. */
bool str_glob_nocase(const char *pattern, const char *text);

/* Is there a text that both patterns match, without case? Patterns of more than 255 bytes always meet. */
bool str_globs_meet(const char *a, const char *b);

/* Size of what str_hint() tells: names of up to 255 bytes are told whole. */
#define STR_HINT_MAX 288

/* "; did you mean 'NAME'?": the name (of a NULL-terminated list) that is nearest to `word` or that it
 * abbreviates; "" when none is near enough to suggest. Returns `ret`. */
const char *str_hint(const char *word, const char *const *names, char ret[STR_HINT_MAX]);

/* Read a decimal number that fills the whole text; false when it is not one or is over `max`. */
bool str_u64(const char *text, uint64_t max, uint64_t *ret);

/* Append a number in decimal, without the cost of buf_printf(). */
bool str_put_u64(struct buf *b, uint64_t v);

/* Append `p` as a JSON string with its quotes. Bytes that are not UTF-8 become U+FFFD (RFC 8259, 8.1); what
 * a terminal would obey (C1 controls, bidirectional overrides) is escaped as control characters are. */
bool str_json(struct buf *b, const char *p, size_t len);

#endif
