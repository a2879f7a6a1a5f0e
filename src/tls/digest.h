/* SPDX-License-Identifier: Apache-2.0 */
/* The TLS library's hashes, for those who must not include it. */
#ifndef CARDEA_TLS_DIGEST_H
#define CARDEA_TLS_DIGEST_H

#include <stddef.h>
#include <stdint.h>

/* SHA-256 of `len` bytes (FIPS 180-4). */
void tls_sha256(const void *data, size_t len, uint8_t ret_digest[32]);

/* MD5 of `len` bytes (RFC 1321). It proves nothing any more: for JA3 (hello/ja3.h) alone. */
void tls_md5(const void *data, size_t len, uint8_t ret_digest[16]);

#endif
