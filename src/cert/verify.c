/* SPDX-License-Identifier: Apache-2.0 */
/* The verdict on a peer's chain: a path to an anchor (cert/path.h), and then what holds of a whole path: the
 * host, policies, revocation. */
#include <stdlib.h>
#include <string.h>

#include <openssl/err.h>
#include <openssl/pool.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include "base/check.h"
#include "base/hostname.h"
#include "cert/pem.h"
#include "cert/trust_internal.h"

/* One search, and what was said of the first path that was complete and then refused. */
struct judging {
    struct verdict *v;
    struct err err;
    struct trust_refusal refusal;
    bool refused;
    void (*trace)(void *arg, const struct path_step *step);
    void *arg;
};

/* Rules of a whole path
 * ---------------------------------------------------------------------------------------------------------
 */

/* Is `host` a name (RFC 9525) or an address of the leaf? */
static int check_host(struct verdict *v, struct path_cert *leaf)
{
    const unsigned flags = X509_CHECK_FLAG_NEVER_CHECK_SUBJECT | X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS;
    char subject[PEM_NAME_MAX];
    uint8_t ip[16];
    X509 *cert = path_cert_x509(leaf);
    if (v->host == NULL)
        return 0;
    size_t len = strlen(v->host), ip_len = hostname_address(v->host, ip);
    if (len > 1 && v->host[len - 1] == '.') /* "example.com." is the same name, fully qualified */
        len--;
    if (ip_len == 0 && (len == 0 || len > HOSTNAME_MAX || v->host[0] == '.' || v->host[0] == '*'))
        return REFUSE(v, ALERT_INTERNAL_ERROR, "'%s' is not a name that a certificate can be checked for",
                      v->host);
    if (cert == NULL)
        return REFUSE(v, ALERT_BAD_CERTIFICATE, "certificate 1 that was sent cannot be read");
    if (ip_len > 0 ? X509_check_ip(cert, ip, ip_len, flags) == 1
                   : X509_check_host(cert, v->host, len, flags, NULL) == 1)
        return 0;
    v->refusal.fault = FAULT_OTHER_NAME;
    return REFUSE(v, ALERT_BAD_CERTIFICATE,
                  "certificate '%s' is not for %s (none of its subject alternative names is)",
                  pem_subject_text(cert, subject), v->host);
}

/* Let AWS-LC walk this very path. Returns what X509_STORE_CTX_get_error() says. */
static int verify_again(struct path_cert *const *path, size_t len, int64_t now)
{
    X509_STORE *store = X509_STORE_new();
    X509_STORE_CTX *ctx = X509_STORE_CTX_new();
    STACK_OF(X509) *between = sk_X509_new_null();
    int code = X509_V_ERR_OUT_OF_MEM;
    bool ok = store != NULL && ctx != NULL && between != NULL &&
              X509_STORE_add_cert(store, path_cert_x509(path[len - 1]));
    for (size_t i = 1; ok && i + 1 < len; i++)
        ok = sk_X509_push(between, path_cert_x509(path[i])) > 0;
    if (ok && X509_STORE_CTX_init(ctx, store, path_cert_x509(path[0]), between)) {
        X509_STORE_CTX_set_flags(ctx, X509_V_FLAG_PARTIAL_CHAIN | X509_V_FLAG_POLICY_CHECK);
        X509_STORE_CTX_set_time_posix(ctx, 0, now);
        /* Any policy will do (user-initial-policy-set; the object is static). */
        (void)X509_VERIFY_PARAM_add0_policy(X509_STORE_CTX_get0_param(ctx), OBJ_nid2obj(NID_any_policy));
        (void)X509_verify_cert(ctx);
        code = X509_STORE_CTX_get_error(ctx);
    }
    sk_X509_free(between);
    X509_STORE_CTX_free(ctx);
    X509_STORE_free(store);
    ERR_clear_error();
    return code;
}

/* Certificate policies matter only where a CA asks for them (RFC 5280, 4.2.1.11), which is rare. AWS-LC knows
 * their rules (6.1.2 to 6.1.5, RFC 9618), and is asked then. */
static int check_policies(struct verdict *v, struct path_cert *const *path, size_t len)
{
    char subject[PEM_NAME_MAX];
    bool asked = false;
    for (size_t i = 0; i < len; i++)
        asked |= path[i]->asks_for_policies;
    if (!asked || len < 2)
        return 0;
    for (size_t i = 0; i < len; i++)
        if (path_cert_x509(path[i]) == NULL)
            return REFUSE(v, ALERT_BAD_CERTIFICATE, "certificate %zu of the chain cannot be read", i + 1);
    int code = verify_again(path, len, v->now);
    if (code == X509_V_OK)
        return 0;
    return REFUSE(v, ALERT_BAD_CERTIFICATE, "certificate '%s': %s",
                  pem_subject_text(path_cert_x509(path[0]), subject), X509_verify_cert_error_string(code));
}

static enum path_verdict accept_path(void *arg, struct path_cert *const *path, size_t len)
{
    struct judging *j = arg;
    bool is_final = false; /* no other path would change it */
    j->v->refusal = (struct trust_refusal){ALERT_BAD_CERTIFICATE, FAULT_OTHER};
    if (check_host(j->v, path[0]) == -1)
        is_final = true;
    else if (check_policies(j->v, path, len) == 0 && trust_check_revocation(j->v, path, len, &is_final) == 0)
        return PATH_TAKE;
    if (!j->refused || is_final) {
        j->refusal = j->v->refusal;
        if (j->v->err != NULL)
            j->err = *j->v->err;
    }
    j->refused = true;
    return is_final ? PATH_STOP : PATH_TRY_ANOTHER;
}

static void pass_on(void *arg, const struct path_step *step)
{
    struct judging *j = arg;
    j->trace(j->arg, step);
}

int trust_judge(struct verdict *v, struct path_cert *certs, size_t len, const struct path_limits *limits,
                void (*trace)(void *arg, const struct path_step *step), void *arg, struct path_answer *ret)
{
    struct judging j = {.v = v, .trace = trace, .arg = arg};
    struct path_question question = {.certs = certs,
                                     .len = len,
                                     .anchors = v->trust->anchors,
                                     .purpose = v->purpose,
                                     .now = v->now,
                                     .limits = *limits,
                                     .accept = accept_path,
                                     .trace = trace != NULL ? pass_on : NULL,
                                     .tell_all = trace != NULL,
                                     .arg = &j};
    if (path_build(&question, ret))
        return 0;
    if (ret->why.fault != PATH_REFUSED)
        return trust_refuse_step(v, &ret->why, ret->limit, ret->limit_value);
    v->refusal = j.refusal;
    if (v->err != NULL)
        *v->err = j.err;
    return -1;
}

/* What the peer sent
 * ---------------------------------------------------------------------------------------------------------
 */

/* The leaf stays at the front. */
static int read_chain(struct verdict *v, const STACK_OF(CRYPTO_BUFFER) * chain, struct path_cert *ret,
                      size_t len)
{
    for (size_t i = 0; i < len; i++) {
        CBS der;
        CRYPTO_BUFFER_init_CBS(sk_CRYPTO_BUFFER_value(chain, i), &der);
        if (!path_cert_read(der, &ret[i]))
            return REFUSE(v, ALERT_BAD_CERTIFICATE, "certificate %zu that was sent cannot be read", i + 1);
    }
    return 0;
}

static int verify_chain(struct verdict *v, const STACK_OF(CRYPTO_BUFFER) * chain)
{
    size_t n = chain == NULL ? 0 : sk_CRYPTO_BUFFER_num(chain);
    struct path_answer answer;
    if (n == 0)
        return REFUSE(v, ALERT_BAD_CERTIFICATE, "no certificate was sent");
    if (n > TRUST_CHAIN_MAX)
        return REFUSE(v, ALERT_BAD_CERTIFICATE, "%zu certificates were sent; at most %d are looked at", n,
                      TRUST_CHAIN_MAX);
    struct path_cert *certs = calloc(n, sizeof(*certs));
    CHECK(certs != NULL);
    int rc = read_chain(v, chain, certs, n);
    if (rc == 0)
        rc = trust_judge(v, certs, n, &path_limits_default, NULL, NULL, &answer);
    for (size_t i = 0; i < n; i++)
        path_cert_close(&certs[i]);
    free(certs);
    return rc;
}

int trust_verify(const struct trust *trust, const STACK_OF(CRYPTO_BUFFER) * chain, enum trust_purpose purpose,
                 const char *host, int64_t now, struct trust_refusal *ret, struct err *err)
{
    CHECK_MAGIC(trust, TRUST_MAGIC);
    CHECK(purpose == TRUST_CLIENT || purpose == TRUST_SERVER);
    struct verdict v = {trust, host, purpose, now, {ALERT_BAD_CERTIFICATE, FAULT_OTHER}, err};
    int rc = verify_chain(&v, chain);
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
