/* SPDX-License-Identifier: Apache-2.0 */
/* What trust.c (life), verify.c (verdict) and those around them share. */
#ifndef CARDEA_CERT_TRUST_INTERNAL_H
#define CARDEA_CERT_TRUST_INTERNAL_H

#include <sys/types.h>
#include <time.h>

#include <openssl/x509.h>

#include "cert/anchors.h"
#include "cert/crl.h"
#include "cert/path.h"
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
    /* Every certificate in the CA files. Never written to once trust_load() is done; shared with what
     * trust_reload() made of it, and by verifying threads, without a lock. */
    struct anchors *anchors;
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

/* ---- verify.c ---- */

/* A verification under way, and where it tells what it found. */
struct verdict {
    const struct trust *trust;
    const char *host; /* may be NULL */
    enum trust_purpose purpose;
    int64_t now;
    struct trust_refusal refusal;
    struct err *err;
};

/* Record a refusal; returns -1. */
#define REFUSE(verdict, code, ...) ((verdict)->refusal.alert = (code), err_set((verdict)->err, __VA_ARGS__))

/* trust_verify() for certificates that were read (leaf first), within these limits. `trace` may be NULL;
 * where it is not it is told of all branches: see struct path_question. What was found goes to `ret`. */
int trust_judge(struct verdict *v, struct path_cert *certs, size_t len, const struct path_limits *limits,
                void (*trace)(void *arg, const struct path_step *step), void *arg, struct path_answer *ret);

/* ---- verify_pem.c ---- */

/* Append the certificates of a PEM text, at most `max`. -1 with `err`. */
int trust_read_pem(const struct buf *pem, size_t max, struct stack_st_CRYPTO_BUFFER *ret, struct err *err);

/* ---- refusal.c ---- */

/* Put a step that failed into words. Returns -1. */
int trust_refuse_step(struct verdict *v, const struct path_step *step, const char *limit, size_t limit_value);

/* ---- revocation.c ---- */

/* RFC 5280, 6.3, on a path that is proven: trust.h says by which rules. 0; -1 with the reason. `ret_leaf`:
 * the leaf itself is revoked, which no other path would change. */
int trust_check_revocation(struct verdict *v, struct path_cert *const *path, size_t len, bool *ret_leaf);

/* ---- lockout.c ---- */

/* Once all is read: fill in `unlisted`. Not while others verify with the bundle. */
void trust_find_unlisted(struct trust *trust);

#endif
