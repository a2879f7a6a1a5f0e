/* SPDX-License-Identifier: Apache-2.0 */
/* A certificate as path building sees it (RFC 5280): read once, without copies but of its names, and only as
 * far as rules ask. Most of what a peer sends with a large graph never comes into a path; only what does is
 * read in full. Private to cert/. */
#ifndef CARDEA_CERT_PATH_CERT_H
#define CARDEA_CERT_PATH_CERT_H

#include <stdbool.h>
#include <stdint.h>

#include <openssl/bytestring.h>
#include <openssl/x509.h>

#include "base/buf.h"
#include "cert/name_constraints.h"
#include "cert/trust.h"

/* Bits of keyUsage, as the first two bytes of the BIT STRING have them. */
#define KEY_USAGE_SIGNATURE 0x8000u
#define KEY_USAGE_ENCIPHERMENT 0x2000u
#define KEY_USAGE_AGREEMENT 0x0800u
#define KEY_USAGE_CERT_SIGN 0x0400u

/* Bits of extendedKeyUsage. */
#define EXTENDED_SERVER 1u
#define EXTENDED_CLIENT 2u
#define EXTENDED_ANY 4u

#define PATH_LEN_NONE (-1)
#define RSA_BITS_MIN 2048 /* RFC 9325, 4.5 */
#define RSA_BITS_MAX 8192 /* of what was sent: a larger one is there to cost time (CVE-2023-29409) */

struct path_cert {
    CBS der;                         /* borrowed, as all CBS here are but the canonical names */
    struct buf names;                /* the canonical names, subject before issuer */
    CBS subject, issuer;             /* within `names`: see cert/dn.h */
    struct constrained_names called; /* the names as they stand */
    CBS key;                         /* SubjectPublicKeyInfo, whole */
    CBS key_id, authority_key_id;    /* empty: it does not say */
    CBS constraints;                 /* the value of nameConstraints; empty: none */
    int64_t not_before, not_after;   /* seconds since 1970; from the second of not_after on it has expired */
    int64_t path_len;                /* PATH_LEN_NONE: without end */
    unsigned key_usage;              /* all bits where it does not say */
    unsigned extended;               /* all bits where it does not say */
    int rsa_bits;                    /* 0: not RSA */
    const char *weak_digest;         /* it is signed with, such as "SHA-1"; NULL: with none that is weak */
    bool version1;
    bool is_ca; /* as basicConstraints have it */
    bool self_issued;
    bool constraints_critical;
    bool asks_for_policies; /* requireExplicitPolicy (RFC 5280, 4.2.1.11) */
    bool odd_extensions;    /* some that matter cannot be read, or are there twice */
    bool unknown_critical;
    bool is_anchor; /* of the bundle; not read from it */

    X509 *x509;          /* owned; NULL until path_cert_x509() */
    EVP_PKEY *read_key;  /* owned; NULL until path_cert_key() */
    bool x509_is_broken; /* it was tried */
    bool key_is_broken;
};

/* Read one. `ret` is filled also where that fails, and goes to path_cert_close(); `der` must outlive it.
 * False when it is no certificate; one whose extensions are wrong is read, and says so. */
bool path_cert_read(CBS der, struct path_cert *ret);

void path_cert_close(struct path_cert *cert);

/* In full, on demand and then kept; NULL where AWS-LC does not take it. Not for several threads, unless it
 * was called before. */
X509 *path_cert_x509(struct path_cert *cert);
EVP_PKEY *path_cert_key(struct path_cert *cert);

/* Same bytes? */
bool path_cert_is(const struct path_cert *a, const struct path_cert *b);

static inline bool cbs_equal(CBS a, CBS b)
{
    return CBS_mem_equal(&a, CBS_data(&b), CBS_len(&b));
}

/* Is its extendedKeyUsage good for this? That of a CA is a bound for all below it, as the web has it. */
bool path_cert_serves(const struct path_cert *cert, enum trust_purpose purpose);

#endif
