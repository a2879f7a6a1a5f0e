/* SPDX-License-Identifier: Apache-2.0 */
/* JWS in its flattened JSON form (RFC 7515, 7.2.2), as ACME uses it (RFC 8555, 6.2): one signature, and all
 * that is said of it is signed too. */
#ifndef CARDEA_JOSE_JWS_H
#define CARDEA_JOSE_JWS_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"

struct evp_pkey_st;

/* Algorithms by their names in RFC 7518, 3.1 and RFC 8037. There is no `none`. */
enum jws_algorithm { JWS_ES256, JWS_ES384, JWS_RS256, JWS_EDDSA, JWS_HS256, JWS_ALGORITHMS };

#define JWS_NAMES_SIGNATURE "ES256, ES384, RS256, EdDSA" /* of keys with a public part, for error texts */

const char *jws_algorithm_name(enum jws_algorithm a);

/* A JWS that was read, and is not believed yet. */
struct jws {
    json_t *object;   /* the whole of it; the texts below stand in it */
    json_t *header;   /* the protected header */
    struct str input; /* what is signed: BASE64URL(header) "." BASE64URL(payload) */
    struct buf text;  /* holds `input` */
    struct buf payload;
    struct buf signature;
    enum jws_algorithm algorithm;
    const char *kid;   /* NULL: not given */
    const json_t *jwk; /* NULL: not given */
    const char *nonce; /* NULL: not given */
    const char *url;   /* NULL: not given */
};

enum jws_result {
    JWS_OK,
    JWS_MALFORMED,     /* no flattened JWS, or one that must not be so (RFC 8555, 6.2) */
    JWS_BAD_ALGORITHM, /* `alg` is none that is taken here */
};

/* Read a JWS: `protected`, `payload` and `signature` and nothing that is not signed; `alg`; not both `jwk`
 * and `kid`; no `crit` and no `b64`, since we know no extension. `object` is taken over in any case, NULL is
 * no JWS. Other members of the header are let be. Free with jws_free() whatever the result is. */
enum jws_result jws_read(json_t *object, struct jws *ret, struct err *err);

/* The same from text: strict JSON, no key twice, nothing behind it. */
enum jws_result jws_load(struct str text, struct jws *ret, struct err *err);

/* Zeroed is allowed. */
void jws_free(struct jws *j);

/* Does the signature hold under this key? False also where the algorithm is not the key's: a key signs by one
 * only (RS256, ES256 with P-256, ES384 with P-384, EdDSA with Ed25519). */
bool jws_verify(const struct jws *j, struct evp_pkey_st *key);

/* Does its HS256 hold under this secret? In constant time. */
bool jws_verify_mac(const struct jws *j, const uint8_t *secret, size_t len);

/* What to put into the protected header; NULL is left out. */
struct jws_header {
    const char *kid; /* NULL: the key's JWK stands there instead */
    const char *nonce;
    const char *url;
};

/* Append a JWS by a private key (P-256, P-384, RSA, Ed25519) in JSON. -1 with `err`. */
int jws_sign(struct evp_pkey_st *key, const struct jws_header *header, struct str payload, struct buf *out,
             struct err *err);

/* The same with HS256 and a shared secret; header->kid must be given (RFC 8555, 7.3.4). */
int jws_sign_mac(const uint8_t *secret, size_t len, const struct jws_header *header, struct str payload,
                 struct buf *out, struct err *err);

/* A challenge's key authorization (RFC 8555, 8.1): TOKEN "." THUMBPRINT. Appended; -1 with `err`. */
int jws_key_authorization(const char *token, const struct evp_pkey_st *key, struct buf *out, struct err *err);

#endif
