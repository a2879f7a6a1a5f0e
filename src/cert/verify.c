/* SPDX-License-Identifier: Apache-2.0 */
/* The verdict on a peer's chain: AWS-LC's path validation (RFC 5280, 6.1), then CRLs and weak keys by our own
 * rules, and words for what was wrong. */
#include <string.h>

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pool.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include "base/check.h"
#include "base/hostname.h"
#include "cert/crl.h"
#include "cert/pem.h"
#include "cert/revoked.h"
#include "cert/trust_internal.h"

/* One verification under way, and where it tells what it found. */
struct verdict {
    const struct trust *trust;
    const char *host;
    enum trust_purpose purpose;
    struct trust_refusal refusal;
    struct err *err;
};

/* Record a refusal; returns -1. */
#define REFUSE(verdict, code, ...) ((verdict)->refusal.alert = (code), err_set((verdict)->err, __VA_ARGS__))

/* Words
 * ----------------------------------------------------------------------------------------------------------
 */

static int refuse_dates(struct verdict *v, const X509 *cert, const char *subject, bool expired)
{
    int64_t when = 0;
    char text[PEM_TIME_MAX];
    if (!ASN1_TIME_to_posix(expired ? X509_get0_notAfter(cert) : X509_get0_notBefore(cert), &when))
        return REFUSE(v, ALERT_BAD_CERTIFICATE, "certificate '%s' has dates that cannot be read", subject);
    /* Not valid yet has no alert of its own; expired is what peers send (RFC 8446: "has expired or is not
     * currently valid"). */
    return REFUSE(v, ALERT_CERTIFICATE_EXPIRED, "certificate '%s' %s %s", subject,
                  expired ? "has expired on" : "is not valid before", pem_time_text(when, text));
}

static int refuse_issuer(struct verdict *v, const X509 *cert, const char *subject)
{
    char issuer[PEM_NAME_MAX];
    pem_name_text(X509_get_issuer_name(cert), issuer);
    if (X509_NAME_cmp(X509_get_subject_name(cert), X509_get_issuer_name(cert)) == 0)
        return REFUSE(v, ALERT_UNKNOWN_CA, "certificate '%s' is self-signed and not in trust bundle %s",
                      subject, v->trust->name);
    return REFUSE(v, ALERT_UNKNOWN_CA,
                  "issuer '%s' of certificate '%s' is not in trust bundle %s, nor was it sent with the chain",
                  issuer, subject, v->trust->name);
}

static int explain(struct verdict *v, X509_STORE_CTX *ctx)
{
    int code = X509_STORE_CTX_get_error(ctx);
    const X509 *cert = X509_STORE_CTX_get_current_cert(ctx);
    char subject[PEM_NAME_MAX] = "?";
    if (cert == NULL)
        cert = X509_STORE_CTX_get0_cert(ctx);
    pem_subject_text(cert, subject);
    switch (code) {
    case X509_V_ERR_CERT_HAS_EXPIRED:
    case X509_V_ERR_CERT_NOT_YET_VALID:
        return refuse_dates(v, cert, subject, code == X509_V_ERR_CERT_HAS_EXPIRED);
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
    case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
    case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
    case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
        v->refusal.fault = FAULT_UNKNOWN_ISSUER;
        return refuse_issuer(v, cert, subject);
    case X509_V_ERR_CERT_SIGNATURE_FAILURE:
        return REFUSE(v, ALERT_BAD_CERTIFICATE, "certificate '%s' was not signed by the key of its issuer",
                      subject);
    case X509_V_ERR_HOSTNAME_MISMATCH:
    case X509_V_ERR_IP_ADDRESS_MISMATCH:
        v->refusal.fault = FAULT_OTHER_NAME;
        return REFUSE(v, ALERT_BAD_CERTIFICATE,
                      "certificate '%s' is not for %s (none of its subject alternative names is)", subject,
                      v->host);
    case X509_V_ERR_INVALID_PURPOSE:
        return REFUSE(v, ALERT_UNSUPPORTED_CERTIFICATE,
                      "certificate '%s' may not be used to prove a %s (extendedKeyUsage, keyUsage)", subject,
                      v->purpose == TRUST_CLIENT ? "client" : "server");
    case X509_V_ERR_INVALID_CA:
        return REFUSE(v, ALERT_UNKNOWN_CA, "certificate '%s' signed another but is not a CA", subject);
    case X509_V_ERR_OUT_OF_MEM:
        return REFUSE(v, ALERT_INTERNAL_ERROR, "out of memory");
    default:
        return REFUSE(v, ALERT_BAD_CERTIFICATE, "certificate '%s': %s", subject,
                      X509_verify_cert_error_string(code));
    }
}

/* Checks
 * ---------------------------------------------------------------------------------------------------------
 */

/* Beyond path validation: RSA keys under 2048 bits (RFC 9325, 4.5), MD5 and SHA-1 signatures (RFC
 * 8446, 4.4.2.4). The anchor's own signature proves nothing and is not looked at. */
static int check_strength(struct verdict *v, X509_STORE_CTX *ctx)
{
    const STACK_OF(X509) *chain = X509_STORE_CTX_get0_chain(ctx);
    size_t n = sk_X509_num(chain);
    for (size_t i = 0; i < n; i++) {
        const X509 *cert = sk_X509_value(chain, i);
        const EVP_PKEY *key = X509_get0_pubkey(cert);
        char subject[PEM_NAME_MAX];
        int digest = NID_undef;
        (void)OBJ_find_sigid_algs(X509_get_signature_nid(cert), &digest, NULL);
        if (key != NULL && EVP_PKEY_id(key) == EVP_PKEY_RSA && EVP_PKEY_bits(key) < 2048)
            return REFUSE(v, ALERT_BAD_CERTIFICATE, "certificate '%s' has an RSA key of only %d bits",
                          pem_subject_text(cert, subject), EVP_PKEY_bits(key));
        if (i + 1 < n && (digest == NID_md5 || digest == NID_sha1))
            return REFUSE(v, ALERT_BAD_CERTIFICATE, "certificate '%s' is signed with %s, which can be forged",
                          pem_subject_text(cert, subject), digest == NID_md5 ? "MD5" : "SHA-1");
    }
    return 0;
}

/* Revocation
 * ------------------------------------------------------------------------------------------------------ */

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
static const struct crl *find_crl(const struct trust *trust, const STACK_OF(X509) * chain, size_t at,
                                  int64_t now, enum crl_fault *ret_fault)
{
    X509 *cert = sk_X509_value(chain, at);
    const struct crl *best = NULL;
    size_t n = sk_X509_num(chain);
    *ret_fault = CRL_NONE;
    for (size_t i = MIN(at + 1, n - 1); i < n && *ret_fault <= CRL_OTHER_KEY; i++) {
        X509 *issuer = sk_X509_value(chain, i);
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
static bool is_listed(const struct trust *trust, const STACK_OF(X509) * chain, size_t at,
                      const struct crl *best, int64_t *ret_when)
{
    X509 *cert = sk_X509_value(chain, at);
    size_t n = sk_X509_num(chain);
    for (size_t k = 0; k < trust->crls_len; k++) {
        struct crl *crl = trust->crls[k];
        if (!crl_has(crl, cert, ret_when) || (best != NULL && crl_is_older(crl, best)))
            continue;
        for (size_t i = MIN(at + 1, n - 1); i < n; i++) {
            X509 *issuer = sk_X509_value(chain, i);
            if (X509_NAME_cmp(X509_get_issuer_name(cert), X509_get_subject_name(issuer)) == 0 &&
                crl_is_from(crl, issuer) && crl_is_signed_by(crl, issuer))
                return true;
        }
    }
    return false;
}

/* By the book of a CA that stands in the chain. */
static int check_book(struct verdict *v, const STACK_OF(X509) * chain)
{
    for (size_t i = 0; v->trust->revoked != NULL && i + 1 < sk_X509_num(chain); i++) {
        const X509 *cert = sk_X509_value(chain, i);
        int64_t when;
        if (revoked_has(v->trust->revoked, cert, sk_X509_value(chain, i + 1), &when))
            return refuse_revoked(v, cert, when);
    }
    return 0;
}

/* RFC 5280, 6.3, on a chain that is proven. No CRL at all of its issuer's name
 * may be there for all but the leaf. Has an anchor
 * a CRL to answer to? No: we trust it because the bundle says so, not because somebody signed it. */
static int check_revocation(struct verdict *v, X509_STORE_CTX *ctx, int64_t now)
{
    const STACK_OF(X509) *chain = X509_STORE_CTX_get0_chain(ctx);
    size_t n = sk_X509_num(chain);
    if (check_book(v, chain) < 0)
        return -1;
    if (v->trust->crl_len == 0)
        return 0;
    for (size_t i = 0; i == 0 || i + 1 < n; i++) {
        const X509 *cert = sk_X509_value(chain, i);
        enum crl_fault fault;
        int64_t when;
        const struct crl *crl = find_crl(v->trust, chain, i, now, &fault);
        if (is_listed(v->trust, chain, i, crl, &when))
            return refuse_revoked(v, cert, when);
        if (crl == NULL && (i == 0 || fault != CRL_NONE))
            return refuse_crl(v, cert, fault);
    }
    return 0;
}

/* Ask for a name (RFC 9525) or an address. False when `host` is neither. */
static bool set_host(X509_VERIFY_PARAM *param, const char *host)
{
    uint8_t ip[16];
    size_t len = strlen(host), ip_len = hostname_address(host, ip);
    if (ip_len > 0)
        return X509_VERIFY_PARAM_set1_ip(param, ip, ip_len);
    if (len > 1 && host[len - 1] == '.') /* "example.com." is the same name, fully qualified */
        len--;
    if (len == 0 || len > HOSTNAME_MAX || host[0] == '.' || host[0] == '*')
        return false;
    X509_VERIFY_PARAM_set_hostflags(param, X509_CHECK_FLAG_NEVER_CHECK_SUBJECT |
                                               X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    return X509_VERIFY_PARAM_set1_host(param, host, len);
}

static int run(struct verdict *v, X509_STORE_CTX *ctx, int64_t now)
{
    X509_VERIFY_PARAM *param = X509_STORE_CTX_get0_param(ctx);
    int purpose = v->purpose == TRUST_CLIENT ? X509_PURPOSE_SSL_CLIENT : X509_PURPOSE_SSL_SERVER;
    if (!X509_STORE_CTX_set_purpose(ctx, purpose))
        return REFUSE(v, ALERT_INTERNAL_ERROR, "out of memory");
    if (v->host != NULL && !set_host(param, v->host))
        return REFUSE(v, ALERT_INTERNAL_ERROR, "'%s' is not a name that a certificate can be checked for",
                      v->host);
    X509_VERIFY_PARAM_set_depth(param, TRUST_CHAIN_MAX);
    X509_STORE_CTX_set_time_posix(ctx, 0, now);
    if (X509_verify_cert(ctx) != 1)
        return explain(v, ctx);
    return check_strength(v, ctx) == 0 ? check_revocation(v, ctx, now) : -1;
}

static int verify_parsed(struct verdict *v, X509 *leaf, STACK_OF(X509) * others, int64_t now)
{
    X509_STORE_CTX *ctx = X509_STORE_CTX_new();
    int rc;
    if (ctx == NULL || !X509_STORE_CTX_init(ctx, v->trust->store, leaf, others))
        rc = REFUSE(v, ALERT_INTERNAL_ERROR, "out of memory");
    else
        rc = run(v, ctx, now);
    X509_STORE_CTX_free(ctx);
    return rc;
}

/* Parse what the peer sent; the leaf stays at the front. */
static int parse_chain(struct verdict *v, const STACK_OF(CRYPTO_BUFFER) * chain, STACK_OF(X509) * ret)
{
    size_t n = chain == NULL ? 0 : sk_CRYPTO_BUFFER_num(chain);
    if (n == 0)
        return REFUSE(v, ALERT_BAD_CERTIFICATE, "no certificate was sent");
    if (n > TRUST_CHAIN_MAX)
        return REFUSE(v, ALERT_BAD_CERTIFICATE, "%zu certificates were sent; at most %d are looked at", n,
                      TRUST_CHAIN_MAX);
    for (size_t i = 0; i < n; i++) {
        X509 *cert = X509_parse_from_buffer(sk_CRYPTO_BUFFER_value(chain, i));
        if (cert == NULL)
            return REFUSE(v, ALERT_BAD_CERTIFICATE, "certificate %zu that was sent cannot be read", i + 1);
        if (!sk_X509_push(ret, cert)) {
            X509_free(cert);
            return REFUSE(v, ALERT_INTERNAL_ERROR, "out of memory");
        }
    }
    return 0;
}

int trust_verify(const struct trust *trust, const STACK_OF(CRYPTO_BUFFER) * chain, enum trust_purpose purpose,
                 const char *host, int64_t now, struct trust_refusal *ret, struct err *err)
{
    CHECK_MAGIC(trust, TRUST_MAGIC);
    CHECK(purpose == TRUST_CLIENT || purpose == TRUST_SERVER);
    struct verdict v = {trust, host, purpose, {ALERT_BAD_CERTIFICATE, FAULT_OTHER}, err};
    STACK_OF(X509) *certs = sk_X509_new_null();
    int rc;
    if (certs == NULL) {
        rc = REFUSE(&v, ALERT_INTERNAL_ERROR, "out of memory");
    } else {
        rc = parse_chain(&v, chain, certs);
        if (rc == 0)
            rc = verify_parsed(&v, sk_X509_value(certs, 0), certs, now);
    }
    sk_X509_pop_free(certs, X509_free);
    ERR_clear_error();
    if (rc < 0 && ret != NULL)
        *ret = v.refusal;
    return rc;
}

int64_t trust_expires(const STACK_OF(CRYPTO_BUFFER) * chain)
{
    int64_t when = INT64_MIN;
    X509 *leaf = X509_parse_from_buffer(sk_CRYPTO_BUFFER_value(chain, 0));
    if (leaf != NULL && !ASN1_TIME_to_posix(X509_get0_notAfter(leaf), &when))
        when = INT64_MIN;
    X509_free(leaf);
    ERR_clear_error();
    return when;
}
