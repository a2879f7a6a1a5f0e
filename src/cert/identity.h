/* SPDX-License-Identifier: Apache-2.0 */
/* Who the peer has proven to be: facts read from the leaf of a chain that was verified, and from nothing
 * else. */
#ifndef CARDEA_CERT_IDENTITY_H
#define CARDEA_CERT_IDENTITY_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

/* The kinds of fact; the order is that of identity_kind_name(). */
enum identity_kind {
    IDENTITY_NAME,   /* subject CN */
    IDENTITY_DNS,    /* SAN dNSName */
    IDENTITY_URI,    /* SAN uniformResourceIdentifier, SPIFFE IDs among them */
    IDENTITY_EMAIL,  /* SAN rfc822Name */
    IDENTITY_ISSUER, /* CN of the leaf's issuer */
    IDENTITY_GROUP,  /* each OU of the subject, each path segment prefix of a SPIFFE ID's path */
    IDENTITY_KINDS
};

struct identity_fact {
    enum identity_kind kind;
    const char *value; /* NUL-terminated UTF-8, inside the identity's own block */
};

/* One heap block, immutable; free it with identity_free(). */
struct identity {
    uint32_t magic;
    uint32_t count;
    struct identity_fact facts[];
};

#define IDENTITY_MAGIC 0x1de47174u
#define IDENTITY_FACTS_MAX 64 /* a leaf with more is refused */

/* The facts of a leaf certificate in DER. The caller has verified its chain. Owned by the caller; NULL with
 * `err` set when it cannot be read, has embedded NULs in a name, or has too many names. */
struct identity *identity_from_der(const uint8_t *der, size_t len, struct err *err);

/* A URI that begins so tells of one login (login/login.h), not of whoever has logged in. */
#define IDENTITY_LOGIN_URI "cardea://login/"

/* A digest of all that an identity says of its holder: the same for two certificates that prove the same, be
 * they of one login or of two. */
#define IDENTITY_DIGEST 32
void identity_digest(const struct identity *id, uint8_t ret[IDENTITY_DIGEST]);

/* An identity made of given facts (they are copied). For tests and for identities that come by other proofs.
 */
struct identity *identity_make(const struct identity_fact *facts, size_t count);

void identity_free(struct identity *id);

/* What people call it: the name, else the first URI, email or DNS name, else "unnamed". */
const char *identity_label(const struct identity *id);

/* "name", "dns", "uri", "email", "issuer", "group": the keys of a policy row's `who`. */
const char *identity_kind_name(enum identity_kind kind);

#endif
