/* SPDX-License-Identifier: Apache-2.0 */
/* What a server must prove besides the chain to a trust bundle and the name in it, or instead of them. */
#ifndef CARDEA_CERT_EXPECT_H
#define CARDEA_CERT_EXPECT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "cert/pem.h"
#include "cert/trust.h"

struct identity;

#define EXPECT_PIN_LEN PEM_PIN_LEN

/* Texts and pins are borrowed. What is NULL or 0 is not asked for. */
struct expect {
    const char
        *uri; /* a URI-ID of the leaf (RFC 9525, 6.5): one of its URIs is this one to the letter; or,
               * where this ends in "/" and an asterisk, begins with all before the asterisk and goes on */
    const char *issuer;                    /* the common name of the leaf's issuer, to the letter */
    const uint8_t (*pins)[EXPECT_PIN_LEN]; /* one of them is that of the leaf's key */
    size_t pins_len;
    bool anyone; /* there is nothing that the peer must prove; without this a peer without a trust bundle must
                  * have one of the pins */
};

/* Is that enough to tell the peer by, without a trust bundle? `e` may be NULL: no. */
static inline bool expect_suffices(const struct expect *e)
{
    return e != NULL && (e->anyone || e->pins_len > 0);
}

/* Does this URI of a certificate answer to what `uri` of an expect asks for? */
bool expect_uri_matches(const char *expected, const char *uri);

/* Hold the leaf of a chain against the pins. -1 with the reason, which says what was found. */
int expect_pin(const struct expect *e, const struct stack_st_CRYPTO_BUFFER *chain, struct trust_refusal *ret,
               struct err *err);

/* Hold the identity of a leaf, whose chain has been proven, against URI and issuer. -1 with the reason. */
int expect_identity(const struct expect *e, const struct identity *id, struct trust_refusal *ret,
                    struct err *err);

#endif
