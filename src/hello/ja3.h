/* SPDX-License-Identifier: Apache-2.0 */
/* JA3, the older fingerprint of a TLS client (Salesforce, BSD 3-clause): in the client's own order, so a
 * client that shuffles its extensions has many. Still what many lists go by. */
#ifndef CARDEA_HELLO_JA3_H
#define CARDEA_HELLO_JA3_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "hello/hello.h"

#define JA3_TEXT_MAX 33 /* an MD5 in hexadecimal, and its NUL */

/* MD5 of `len` bytes. */
typedef void ja3_md5(const void *data, size_t len, uint8_t ret_digest[16]);

/* Append the text that is hashed: "771,4865-4866,0-11-10,29-23,0". `h` must still have its message. False
 * when memory is out. */
bool ja3_text(const struct hello *h, struct buf *ret);

/* Write the fingerprint; false, and an empty text, when memory is out. */
bool ja3_compute(const struct hello *h, ja3_md5 *md5, char ret[JA3_TEXT_MAX]);

#endif
