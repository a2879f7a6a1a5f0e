/* SPDX-License-Identifier: Apache-2.0 */
/* What trust.c (life) and verify.c (verdict) share. */
#ifndef CARDEA_CERT_TRUST_INTERNAL_H
#define CARDEA_CERT_TRUST_INTERNAL_H

#include <sys/types.h>
#include <time.h>

#include <openssl/x509.h>

#include "cert/crl.h"
#include "cert/trust.h"

/* What tells one version of a file from the next. */
struct trust_stamp {
    dev_t dev;
    ino_t ino;
    off_t size;
    struct timespec written;
    struct timespec changed; /* tells a rewrite in place that has set `written` back */
};

struct trust {
    uint32_t magic;
    uint32_t refs; /* atomic */
    char *name;
    /* Never written to once trust_load() is done; shared with what trust_reload() made of it. Verifying
     * threads share it: AWS-LC takes its (write) lock while it looks for an issuer, not while it checks
     * signatures. */
    X509_STORE *store;
    struct crl **crls; /* of all CRL files */
    size_t crls_len;
    char **crl;
    size_t crl_len;
    struct trust_stamp *stamps; /* one a CRL file */
    size_t *ends;               /* one a CRL file: so many of `crls` are in it and those before */
    char **unlisted; /* names of anchors without a CRL where there are CRLs: all of theirs are refused */
    size_t unlisted_len;
    struct revoked *revoked; /* or NULL */
    struct trust *lender;    /* whose everything but `revoked` is, see trust_with_revoked(); NULL: its own */
};

#define TRUST_MAGIC 0x72057b0du

/* All zero when the file cannot be looked at. */
struct trust_stamp trust_stamp_of(const char *path);

/* ---- lockout.c ---- */

/* Once all is read: fill in `unlisted`. Not while others verify with the bundle. */
void trust_find_unlisted(struct trust *trust);

#endif
