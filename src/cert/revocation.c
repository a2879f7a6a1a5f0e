/* SPDX-License-Identifier: Apache-2.0 */
/* Has somebody on a proven path been revoked? By the CRLs of the bundle, and by the book of a CA. */
#include <openssl/x509.h>

#include "base/check.h"
#include "cert/pem.h"
#include "cert/revoked.h"
#include "cert/trust_internal.h"

struct chain {
    X509 *certs[PATH_DEPTH_MAX]; /* leaf first */
    size_t len;
};

/* Why a CRL does not help; goes on "issuer 'X' of certificate 'Y' ". */
static const char *const crl_faults[] = {
    [CRL_NONE] = "has no CRL",
    [CRL_OTHER_KEY] = "has only a CRL of another key of its name",
    [CRL_UNREADABLE] = "has only a CRL with extensions or dates that cannot be read",
    [CRL_UNKNOWN_CRITICAL] = "has only a CRL with a critical extension that is not known here",
    [CRL_DELTA] = "has only a delta CRL",
    [CRL_INDIRECT] = "has only an indirect CRL",
    [CRL_SOME_REASONS] = "has only a CRL for some of the reasons to revoke",
    [CRL_OTHER_SCOPE] = "has only a CRL for other certificates (issuing distribution point)",
    [CRL_EXPIRED] = "has only a CRL that has expired",
    [CRL_NOT_YET_VALID] = "has only a CRL that is not valid yet",
    [CRL_MAY_NOT_SIGN] = "has only a CRL that it may not sign (keyUsage)",
    [CRL_NOT_SIGNED] = "has only a CRL that it did not sign",
};

static int refuse_crl(struct verdict *v, const X509 *cert, enum crl_fault fault)
{
    char issuer[PEM_NAME_MAX], subject[PEM_NAME_MAX];
    CHECK(fault < CRL_GOOD);
    pem_name_text(X509_get_issuer_name(cert), issuer);
    return REFUSE(v, ALERT_CERTIFICATE_UNKNOWN,
                  "issuer '%s' of certificate '%s' %s in trust bundle %s, so it may be revoked", issuer,
                  pem_subject_text(cert, subject), crl_faults[fault], v->trust->name);
}

static int refuse_revoked(struct verdict *v, const X509 *cert, int64_t when)
{
    char subject[PEM_NAME_MAX], text[PEM_TIME_MAX];
    pem_subject_text(cert, subject);
    if (when == CRL_NO_DATE)
        return REFUSE(v, ALERT_CERTIFICATE_REVOKED, "certificate '%s' was revoked", subject);
    return REFUSE(v, ALERT_CERTIFICATE_REVOKED, "certificate '%s' was revoked on %s", subject,
                  pem_time_text(when, text));
}

/* The newest CRL that tells about `cert`, or NULL with the reason. The issuer itself comes first; another key
 * of its name counts, where it stands above in the same chain, when the issuer has no CRL of its own. */
static const struct crl *find_crl(const struct trust *trust, const struct chain *chain, size_t at,
                                  int64_t now, enum crl_fault *ret_fault)
{
    X509 *cert = chain->certs[at];
    const struct crl *best = NULL;
    size_t n = chain->len;
    *ret_fault = CRL_NONE;
    for (size_t i = MIN(at + 1, n - 1); i < n && *ret_fault <= CRL_OTHER_KEY; i++) {
        X509 *issuer = chain->certs[i];
        if (X509_NAME_cmp(X509_get_issuer_name(cert), X509_get_subject_name(issuer)) != 0)
            continue;
        for (size_t k = 0; k < trust->crls_len; k++) {
            struct crl *crl = trust->crls[k];
            if (!crl_names(crl, issuer))
                continue;
            enum crl_fault fault = crl_judge(crl, cert, issuer, now);
            if (fault == CRL_GOOD && (best == NULL || crl_is_older(best, crl)))
                best = crl;
            *ret_fault = MAX(*ret_fault, fault);
        }
    }
    return best;
}

/* Does the issuer say anywhere that `cert` is revoked? A CRL that cannot clear it (expired, not valid yet, of
 * a kind that we do not take) can still accuse it, unless the best one is newer. */
static bool is_listed(const struct trust *trust, const struct chain *chain, size_t at, const struct crl *best,
                      int64_t *ret_when)
{
    X509 *cert = chain->certs[at];
    size_t n = chain->len;
    for (size_t k = 0; k < trust->crls_len; k++) {
        struct crl *crl = trust->crls[k];
        if (!crl_has(crl, cert, ret_when) || (best != NULL && crl_is_older(crl, best)))
            continue;
        for (size_t i = MIN(at + 1, n - 1); i < n; i++) {
            X509 *issuer = chain->certs[i];
            if (X509_NAME_cmp(X509_get_issuer_name(cert), X509_get_subject_name(issuer)) == 0 &&
                crl_is_from(crl, issuer) && crl_is_signed_by(crl, issuer))
                return true;
        }
    }
    return false;
}

/* By the book of a CA that stands in the chain. */
static int check_book(struct verdict *v, const struct chain *chain, bool *ret_leaf)
{
    for (size_t i = 0; v->trust->revoked != NULL && i + 1 < chain->len; i++) {
        int64_t when;
        if (revoked_has(v->trust->revoked, chain->certs[i], chain->certs[i + 1], &when)) {
            *ret_leaf = i == 0;
            return refuse_revoked(v, chain->certs[i], when);
        }
    }
    return 0;
}

/* No CRL at all of its issuer's name may be there for all but the leaf. Has an anchor a CRL to answer to? No:
 * we trust it because the bundle says so, not because somebody signed it. */
static int check_crls(struct verdict *v, const struct chain *chain, bool *ret_leaf)
{
    for (size_t i = 0; v->trust->crl_len > 0 && (i == 0 || i + 1 < chain->len); i++) {
        const X509 *cert = chain->certs[i];
        enum crl_fault fault;
        int64_t when;
        const struct crl *crl = find_crl(v->trust, chain, i, v->now, &fault);
        if (is_listed(v->trust, chain, i, crl, &when)) {
            *ret_leaf = i == 0;
            return refuse_revoked(v, cert, when);
        }
        if (crl == NULL && (i == 0 || fault != CRL_NONE))
            return refuse_crl(v, cert, fault);
    }
    return 0;
}

int trust_check_revocation(struct verdict *v, struct path_cert *const *path, size_t len, bool *ret_leaf)
{
    struct chain chain = {.len = len};
    *ret_leaf = false;
    if (v->trust->crl_len == 0 && v->trust->revoked == NULL)
        return 0;
    for (size_t i = 0; i < len; i++) {
        chain.certs[i] = path_cert_x509(path[i]);
        if (chain.certs[i] == NULL)
            return REFUSE(v, ALERT_BAD_CERTIFICATE, "certificate %zu of the chain cannot be read", i + 1);
    }
    return check_book(v, &chain, ret_leaf) < 0 ? -1 : check_crls(v, &chain, ret_leaf);
}
