/* SPDX-License-Identifier: Apache-2.0 */
/* What servers and clients have in common: versions, cipher suites, groups, ALPN in wire form. */
#ifndef CARDEA_TLS_PARAMS_H
#define CARDEA_TLS_PARAMS_H

#include <openssl/ssl.h>

#include "base/buf.h"
#include "base/err.h"
#include "tls/groups.h"

/* What may sign, ours and theirs (RFC 8446, 4.2.3), the most wanted first: no SHA-1; and no PKCS #1 v1.5 but
 * for certificates of TLS 1.2, which come last. */
#define TLS_PARAMS_SCHEMES_13 10 /* those that sign in TLS 1.3 */
#define TLS_PARAMS_SCHEMES 13
extern const uint16_t tls_params_schemes[TLS_PARAMS_SCHEMES];

/* A context with our cipher suites and signature algorithms (RFC 9325, 4.2) and the given versions and
 * groups; with TLS_PQ_REQUIRE TLS 1.3 only. No session is cached in it. NULL with `err`. */
SSL_CTX *tls_params_ctx(uint16_t min_version, uint16_t max_version, const struct tls_groups *groups,
                        struct err *err);

/* Of our cipher suites take these only, in this order (IANA codepoints). Those of a version of which none is
 * named stay as they are. False with `err`. */
bool tls_params_ciphers(SSL_CTX *ctx, const int *ciphers, size_t count, struct err *err);

/* Append protocol names as a ProtocolNameList without its outer length (RFC 7301, 3.1). False with `err` when
 * one has not 1 to 255 bytes. */
bool tls_params_alpn(const char *const *names, size_t count, struct buf *ret, struct err *err);

#endif
