/* SPDX-License-Identifier: Apache-2.0 */
/* Base64 (RFC 4648, 4) and base64url without padding (RFC 4648, 5; RFC 7515, 2), strictly: one text for each
 * sequence of bytes. */
#ifndef CARDEA_BASE_BASE64_H
#define CARDEA_BASE_BASE64_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/str.h"

/* Read a text that stands for exactly `len` bytes, padding included. False, and what `ret` holds is
 * undefined, where it is longer, shorter, of other characters, or has bits set that stand for nothing (RFC
 * 4648, 3.5). */
bool base64_read(const char *text, uint8_t *ret, size_t len);

/* Read a text in lines of any length, as a person may have pasted it. `ret` must be empty, and is again where
 * it returns false: as base64_read(), or there is nothing. */
bool base64_read_lines(struct str text, struct buf *ret);

/* Append bytes in base64 (RFC 4648, 4). Not for secrets: how long it takes depends on them. False when memory
 * is out, or the bound of `b`. */
bool base64_put(struct buf *b, const void *data, size_t len);

/* Append the bytes that a text in base64url stands for. False, and nothing appended, where it has padding,
 * other characters, a length that none has, or bits that stand for nothing; or it does not fit. */
bool base64url_read(struct str text, struct buf *ret);

/* Append bytes in base64url without padding. As base64_put() otherwise. */
bool base64url_put(struct buf *b, const void *data, size_t len);

#endif
