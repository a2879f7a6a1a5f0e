/* SPDX-License-Identifier: Apache-2.0 */
/* JA4, the fingerprint of a TLS client (FoxIO, BSD 3-clause; JA4+ beyond it is licensed otherwise and not
 * here). */
#ifndef CARDEA_HELLO_JA4_H
#define CARDEA_HELLO_JA4_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "hello/hello.h"

#define JA4_TEXT_MAX 37 /* "t13d1516h2_8daaf6152771_e5627efa2ab1" and its NUL */

/* More cipher suites or signature algorithms than this have no fingerprint: IANA has registered fewer. */
#define JA4_LIST_MAX 512

/* The letter that a fingerprint begins with. */
enum ja4_transport { JA4_TCP = 't', JA4_QUIC = 'q' };

/* SHA-256 of `len` bytes; hello/ stays free of the TLS library that brings one. */
typedef void ja4_sha256(const void *data, size_t len, uint8_t ret_digest[32]);

/* Write the fingerprint of a hello that came over `transport`, NUL-terminated. `h` must still have its
 * message. False, and an empty text, when a list is longer than JA4_LIST_MAX. Costs two hashes: ask for it
 * only where it is used. */
bool ja4_compute(const struct hello *h, enum ja4_transport transport, ja4_sha256 *sha256,
                 char ret[JA4_TEXT_MAX]);

#endif
