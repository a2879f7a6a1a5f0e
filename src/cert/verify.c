/* SPDX-License-Identifier: Apache-2.0 */
/* The verdict on a peer's chain: AWS-LC's path validation (RFC 5280, 6), our policy on CRLs and weak keys,
 * and words for what was wrong. */
#include <string.h>

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pool.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include "base/check.h"
#include "base/hostname.h"
#include "cert/pem.h"
#include "cert/trust_internal.h"

/* One verification under way, and where it tells what it found. */
struct verdict {
    const struct trust *trust;
    const char *host;
    enum trust_purpose purpose;
    enum trust_alert alert;
    struct err *err;
};

/* Record a refusal; returns -1. */
#define REFUSE(verdict, code, ...) ((verdict)->alert = (code), err_set((verdict)->err, __VA_ARGS__))

/* CRL policy
 * ----------------------------------------------------------------------------------------------------- */

static void describe_revoked(struct verdict *v, X509_STORE_CTX *ctx, const char *subject)
{
    X509_REVOKED *entry = NULL;
    X509_CRL *crl = X509_STORE_CTX_get0_current_crl(ctx);
    int64_t when = 0;
    char text[PEM_TIME_MAX];
    if (crl != NULL && X509_CRL_get0_by_cert(crl, &entry, X509_STORE_CTX_get_current_cert(ctx)) &&
        ASN1_TIME_to_posix(X509_REVOKED_get0_revocationDate(entry), &when))
        REFUSE(v, TRUST_ALERT_CERTIFICATE_REVOKED, "certificate '%s' was revoked on %s", subject,
               pem_time_text(when, text));
    else
        REFUSE(v, TRUST_ALERT_CERTIFICATE_REVOKED, "certificate '%s' was revoked", subject);
}

/* Has an anchor a CRL to answer to? No: we trust it because the bundle says so, not because somebody signed
 * it. */
static bool is_anchor(X509_STORE_CTX *ctx)
{
    int depth = X509_STORE_CTX_get_error_depth(ctx);
    return depth > 0 && (size_t)depth + 1 == sk_X509_num(X509_STORE_CTX_get0_chain(ctx));
}

/* Called by AWS-LC for each certificate and each problem; 1 goes on. A CRL may be missing for all but the
 * leaf's issuer. The revoked one's date is only to be had from here. */
static int on_problem(int ok, X509_STORE_CTX *ctx)
{
    struct verdict *v = X509_STORE_CTX_get_app_data(ctx);
    if (ok)
        return 1;
    char subject[PEM_NAME_MAX];
    switch (X509_STORE_CTX_get_error(ctx)) {
    case X509_V_ERR_UNABLE_TO_GET_CRL:
        return X509_STORE_CTX_get_error_depth(ctx) > 0;
    case X509_V_ERR_CRL_HAS_EXPIRED:
    case X509_V_ERR_CRL_NOT_YET_VALID:
    case X509_V_ERR_CRL_SIGNATURE_FAILURE:
    case X509_V_ERR_UNABLE_TO_GET_CRL_ISSUER:
    case X509_V_ERR_KEYUSAGE_NO_CRL_SIGN:
    case X509_V_ERR_DIFFERENT_CRL_SCOPE:
    case X509_V_ERR_UNHANDLED_CRITICAL_CRL_EXTENSION:
        return is_anchor(ctx);
    case X509_V_ERR_CERT_REVOKED:
        if (is_anchor(ctx))
            return 1;
        describe_revoked(v, ctx, pem_subject_text(X509_STORE_CTX_get_current_cert(ctx), subject));
        return 0;
    default:
        return 0;
    }
}

/* Words
 * ----------------------------------------------------------------------------------------------------------
 */

static int refuse_dates(struct verdict *v, const X509 *cert, const char *subject, bool expired)
{
    int64_t when = 0;
    char text[PEM_TIME_MAX];
    if (!ASN1_TIME_to_posix(expired ? X509_get0_notAfter(cert) : X509_get0_notBefore(cert), &when))
        return REFUSE(v, TRUST_ALERT_BAD_CERTIFICATE, "certificate '%s' has dates that cannot be read",
                      subject);
    /* Not valid yet has no alert of its own; expired is what peers send (RFC 8446: "has expired or is not
     * currently valid"). */
    return REFUSE(v, TRUST_ALERT_CERTIFICATE_EXPIRED, "certificate '%s' %s %s", subject,
                  expired ? "has expired on" : "is not valid before", pem_time_text(when, text));
}

static int refuse_issuer(struct verdict *v, const X509 *cert, const char *subject)
{
    char issuer[PEM_NAME_MAX];
    pem_name_text(X509_get_issuer_name(cert), issuer);
    if (X509_NAME_cmp(X509_get_subject_name(cert), X509_get_issuer_name(cert)) == 0)
        return REFUSE(v, TRUST_ALERT_UNKNOWN_CA, "certificate '%s' is self-signed and not in trust bundle %s",
                      subject, v->trust->name);
    return REFUSE(v, TRUST_ALERT_UNKNOWN_CA,
                  "issuer '%s' of certificate '%s' is not in trust bundle %s, nor was it sent with the chain",
                  issuer, subject, v->trust->name);
}

/* Problems with a CRL: the certificate may be good, but we cannot know. */
static int refuse_crl(struct verdict *v, int code, const X509 *cert, const char *subject)
{
    char issuer[PEM_NAME_MAX];
    const char *what = code == X509_V_ERR_UNABLE_TO_GET_CRL       ? "has no CRL"
                       : code == X509_V_ERR_CRL_HAS_EXPIRED       ? "has only a CRL that has expired"
                       : code == X509_V_ERR_CRL_NOT_YET_VALID     ? "has only a CRL that is not valid yet"
                       : code == X509_V_ERR_CRL_SIGNATURE_FAILURE ? "has a CRL that it did not sign"
                                                                  : "has a CRL that cannot be used";
    if (cert != NULL)
        pem_name_text(X509_get_issuer_name(cert), issuer);
    return REFUSE(v, TRUST_ALERT_CERTIFICATE_UNKNOWN,
                  "issuer '%s' of certificate '%s' %s in trust bundle %s, so it may be revoked (%s)",
                  cert != NULL ? issuer : "?", subject, what, v->trust->name,
                  X509_verify_cert_error_string(code));
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
        return refuse_issuer(v, cert, subject);
    case X509_V_ERR_CERT_SIGNATURE_FAILURE:
        return REFUSE(v, TRUST_ALERT_BAD_CERTIFICATE,
                      "certificate '%s' was not signed by the key of its issuer", subject);
    case X509_V_ERR_CERT_REVOKED:
        return -1; /* described when it was found */
    case X509_V_ERR_HOSTNAME_MISMATCH:
    case X509_V_ERR_IP_ADDRESS_MISMATCH:
        return REFUSE(v, TRUST_ALERT_BAD_CERTIFICATE,
                      "certificate '%s' is not for %s (none of its subject alternative names is)", subject,
                      v->host);
    case X509_V_ERR_INVALID_PURPOSE:
        return REFUSE(v, TRUST_ALERT_UNSUPPORTED_CERTIFICATE,
                      "certificate '%s' may not be used to prove a %s (extendedKeyUsage, keyUsage)", subject,
                      v->purpose == TRUST_CLIENT ? "client" : "server");
    case X509_V_ERR_INVALID_CA:
        return REFUSE(v, TRUST_ALERT_UNKNOWN_CA, "certificate '%s' signed another but is not a CA", subject);
    case X509_V_ERR_UNABLE_TO_GET_CRL:
    case X509_V_ERR_CRL_HAS_EXPIRED:
    case X509_V_ERR_CRL_NOT_YET_VALID:
    case X509_V_ERR_CRL_SIGNATURE_FAILURE:
    case X509_V_ERR_UNABLE_TO_GET_CRL_ISSUER:
    case X509_V_ERR_KEYUSAGE_NO_CRL_SIGN:
    case X509_V_ERR_DIFFERENT_CRL_SCOPE:
    case X509_V_ERR_UNHANDLED_CRITICAL_CRL_EXTENSION:
        return refuse_crl(v, code, cert, subject);
    case X509_V_ERR_OUT_OF_MEM:
        return REFUSE(v, TRUST_ALERT_INTERNAL_ERROR, "out of memory");
    default:
        return REFUSE(v, TRUST_ALERT_BAD_CERTIFICATE, "certificate '%s': %s", subject,
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
            return REFUSE(v, TRUST_ALERT_BAD_CERTIFICATE, "certificate '%s' has an RSA key of only %d bits",
                          pem_subject_text(cert, subject), EVP_PKEY_bits(key));
        if (i + 1 < n && (digest == NID_md5 || digest == NID_sha1))
            return REFUSE(v, TRUST_ALERT_BAD_CERTIFICATE,
                          "certificate '%s' is signed with %s, which can be forged",
                          pem_subject_text(cert, subject), digest == NID_md5 ? "MD5" : "SHA-1");
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
    if (!X509_STORE_CTX_set_purpose(ctx, purpose) || !X509_STORE_CTX_set_app_data(ctx, v))
        return REFUSE(v, TRUST_ALERT_INTERNAL_ERROR, "out of memory");
    if (v->host != NULL && !set_host(param, v->host))
        return REFUSE(v, TRUST_ALERT_INTERNAL_ERROR,
                      "'%s' is not a name that a certificate can be checked for", v->host);
    X509_VERIFY_PARAM_set_depth(param, TRUST_CHAIN_MAX);
    X509_STORE_CTX_set_time_posix(ctx, 0, now);
    X509_STORE_CTX_set_verify_cb(ctx, on_problem);
    if (X509_verify_cert(ctx) != 1)
        return explain(v, ctx);
    return check_strength(v, ctx);
}

static int verify_parsed(struct verdict *v, X509 *leaf, STACK_OF(X509) * others, int64_t now)
{
    X509_STORE_CTX *ctx = X509_STORE_CTX_new();
    int rc;
    if (ctx == NULL || !X509_STORE_CTX_init(ctx, v->trust->store, leaf, others))
        rc = REFUSE(v, TRUST_ALERT_INTERNAL_ERROR, "out of memory");
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
        return REFUSE(v, TRUST_ALERT_BAD_CERTIFICATE, "no certificate was sent");
    if (n > TRUST_CHAIN_MAX)
        return REFUSE(v, TRUST_ALERT_BAD_CERTIFICATE, "%zu certificates were sent; at most %d are looked at",
                      n, TRUST_CHAIN_MAX);
    for (size_t i = 0; i < n; i++) {
        X509 *cert = X509_parse_from_buffer(sk_CRYPTO_BUFFER_value(chain, i));
        if (cert == NULL)
            return REFUSE(v, TRUST_ALERT_BAD_CERTIFICATE, "certificate %zu that was sent cannot be read",
                          i + 1);
        if (!sk_X509_push(ret, cert)) {
            X509_free(cert);
            return REFUSE(v, TRUST_ALERT_INTERNAL_ERROR, "out of memory");
        }
    }
    return 0;
}

int trust_verify(const struct trust *trust, const STACK_OF(CRYPTO_BUFFER) * chain, enum trust_purpose purpose,
                 const char *host, int64_t now, enum trust_alert *ret_alert, struct err *err)
{
    CHECK_MAGIC(trust, TRUST_MAGIC);
    CHECK(purpose == TRUST_CLIENT || purpose == TRUST_SERVER);
    struct verdict v = {trust, host, purpose, TRUST_ALERT_BAD_CERTIFICATE, err};
    STACK_OF(X509) *certs = sk_X509_new_null();
    int rc;
    if (certs == NULL) {
        rc = REFUSE(&v, TRUST_ALERT_INTERNAL_ERROR, "out of memory");
    } else {
        rc = parse_chain(&v, chain, certs);
        if (rc == 0)
            rc = verify_parsed(&v, sk_X509_value(certs, 0), certs, now);
    }
    sk_X509_pop_free(certs, X509_free);
    ERR_clear_error();
    if (rc < 0 && ret_alert != NULL)
        *ret_alert = v.alert;
    return rc;
}
