/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CARDEA_BASE_UTF8_H
#define CARDEA_BASE_UTF8_H

#include <stddef.h>

/* Bytes of the character at `text`, 1 to 4 and at most `left` (>= 1); 0 when there is no valid one: a byte
 * that begins none, one cut short, an overlong form, a surrogate, or more than U+10FFFF (RFC 3629, 4). */
size_t utf8_length(const void *text, size_t left);

#endif
