/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CARDEA_BASE_UTF8_H
#define CARDEA_BASE_UTF8_H

#include <stddef.h>

/* Bytes of the character at `text`, 1 to 4 and at most `left` (>= 1); 0 when there is no valid one: a byte
 * that begins none, one cut short, an overlong form, a surrogate, or more than U+10FFFF (RFC 3629, 4). */
size_t utf8_length(const void *text, size_t left);

/* Make a text valid, NUL-terminated and in place: each byte that begins no character becomes '?'. */
void utf8_mend(char *text);

/* How many columns of a terminal a text takes, NUL-terminated and without control characters: two for the
 * wide characters of East Asia and for emoji (UAX #11), none for those that combine with the one before, one
 * for others and for each byte that begins no character. By ranges, so that rare ones may be off. */
size_t utf8_columns(const char *text);

#endif
