/* SPDX-License-Identifier: Apache-2.0 */
/* Public keys as JSON (JWK, RFC 7517 and 7518, 6; Ed25519: RFC 8037), and their thumbprints (RFC 7638). */
#ifndef CARDEA_JOSE_JWK_H
#define CARDEA_JOSE_JWK_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "base/err.h"

struct evp_pkey_st;

#define JWK_RSA_BITS_MIN 2048
#define JWK_RSA_BITS_MAX 8192 /* more would only cost us time */

/* Bytes of a thumbprint in base64url, without and with its NUL. */
#define JWK_THUMBPRINT_LEN 43
#define JWK_THUMBPRINT_MAX (JWK_THUMBPRINT_LEN + 1)

/* Read a public key: EC with P-256 or P-384, RSA of 2048 to 8192 bits, OKP with Ed25519. One that holds a
 * private part is refused: somebody has given away what nobody else may know. Members that it need not have
 * are let be. The caller owns it (EVP_PKEY_free()); NULL with `err`, which quotes nothing of the key. */
struct evp_pkey_st *jwk_read(const json_t *jwk, struct err *err);

/* Append the public part of a key in its one canonical form (RFC 7638, 3.2): the members that it must have,
 * in order, without spaces. False for a key of another kind, or when it does not fit. */
bool jwk_put(const struct evp_pkey_st *key, struct buf *out);

/* SHA-256 of that, in base64url (RFC 7638, 3). False as jwk_put(). */
bool jwk_thumbprint(const struct evp_pkey_st *key, char ret[JWK_THUMBPRINT_MAX]);

#endif
