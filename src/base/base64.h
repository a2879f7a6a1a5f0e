/* SPDX-License-Identifier: Apache-2.0 */
/* Base64 (RFC 4648, 4), strictly: one text for each sequence of bytes. */
#ifndef CARDEA_BASE_BASE64_H
#define CARDEA_BASE_BASE64_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

/* Read a text that stands for exactly `len` bytes, padding included. False, and what `ret` holds is
 * undefined, where it is longer, shorter, of other characters, or has bits set that stand for nothing (RFC
 * 4648, 3.5). */
bool base64_read(const char *text, uint8_t *ret, size_t len);

/* Append bytes in base64 (RFC 4648, 4). Not for secrets: how long it takes depends on them. False when memory
 * is out, or the bound of `b`. */
bool base64_put(struct buf *b, const void *data, size_t len);

#endif
