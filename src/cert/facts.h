/* SPDX-License-Identifier: Apache-2.0 */
/* What a certificate says of itself, for people who look at a server: believed or not, so nothing may be
 * decided by it. Who has proven to be somebody is in cert/identity.h. */
#ifndef CARDEA_CERT_FACTS_H
#define CARDEA_CERT_FACTS_H

#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "cert/key.h"
#include "cert/pem.h"

/* AWS-LC's STACK_OF(CRYPTO_BUFFER), what SSL_get0_peer_certificates() returns. */
struct stack_st_CRYPTO_BUFFER;
struct cert;

#define CERT_FACTS_NAMES_MAX 100 /* names that are kept; more are only counted */
#define CERT_FACTS_NAME_MAX 256  /* bytes of one, its NUL included; what is longer is cut off */

/* All text is printable ASCII; what a certificate has of something else stands as '?'. */
struct cert_facts {
    char subject[PEM_NAME_MAX]; /* the CN, else the whole name */
    char issuer[PEM_NAME_MAX];
    struct buf names; /* of the SAN: DNS names, addresses, URIs and mail addresses, a NUL behind each */
    size_t names_len; /* how many of them `names` has */
    size_t names_more;
    int64_t not_before; /* seconds since 1970; INT64_MIN: cannot be read */
    int64_t not_after;
    char key[KEY_TEXT_MAX]; /* see key_describe() */
    const char *signature;  /* the algorithm that it is signed with, as X.509 calls it; static */
    size_t chain_len;       /* certificates that were sent */
};

/* Read the leaf of a chain; `ret` is to be given to cert_facts_free(). -1 with `err` when nothing was sent or
 * it is no certificate. */
int cert_facts_read(const struct stack_st_CRYPTO_BUFFER *chain, struct cert_facts *ret, struct err *err);

/* The CN of who has issued a certificate of our own, or else the whole name, as pem_name_text() makes it. */
const char *cert_issuer_text(const struct cert *cert, char text[PEM_NAME_MAX]);

/* One that is zeroed is allowed. */
void cert_facts_free(struct cert_facts *facts);

#endif
