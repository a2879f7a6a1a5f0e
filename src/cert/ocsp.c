/* SPDX-License-Identifier: Apache-2.0 */
#include "cert/ocsp.h"

#include <string.h>

#include <openssl/digest.h>
#include <openssl/err.h>
#include <openssl/mem.h>
#include <openssl/ocsp.h>
#include <openssl/x509.h>

#include "base/base64.h"
#include "base/check.h"

/* A certificate, its issuer, and how OCSP calls the two. */
struct subject {
    X509 *leaf, *issuer;
    OCSP_CERTID *id;
};

static X509 *parse(struct str der)
{
    const uint8_t *p = (const uint8_t *)der.p;
    X509 *x = d2i_X509(NULL, &p, (long)der.len);
    if (x != NULL && p != (const uint8_t *)der.p + der.len) {
        X509_free(x);
        x = NULL;
    }
    return x;
}

static void subject_free(struct subject *s)
{
    OCSP_CERTID_free(s->id);
    X509_free(s->leaf);
    X509_free(s->issuer);
    ERR_clear_error();
}

/* By SHA-1, the one hash that each responder knows (RFC 5019, 2.1.1); nothing hangs on it, for the issuer is
 * known. To be given to subject_free(). */
static int subject_read(struct str leaf, struct str issuer, struct subject *ret, struct err *err)
{
    *ret = (struct subject){.leaf = parse(leaf), .issuer = parse(issuer)};
    if (ret->leaf == NULL || ret->issuer == NULL)
        return err_set(err, "the certificate, or that of its issuer, cannot be read");
    if (X509_check_issued(ret->issuer, ret->leaf) != X509_V_OK)
        return err_set(err, "the certificate is not by the issuer that was given with it");
    ret->id = OCSP_cert_to_id(EVP_sha1(), ret->leaf, ret->issuer);
    return ret->id != NULL ? 0 : err_set(err, "out of memory");
}

/* ---- asking ---- */

static bool put_request(OCSP_CERTID *id, struct buf *ret)
{
    OCSP_REQUEST *request = OCSP_REQUEST_new();
    OCSP_CERTID *own = OCSP_CERTID_dup(id);
    uint8_t *der = NULL;
    bool taken = request != NULL && own != NULL && OCSP_request_add0_id(request, own) != NULL;
    int len = taken ? i2d_OCSP_REQUEST(request, &der) : -1;
    bool ok = len > 0 && buf_append(ret, der, (size_t)len);
    if (!taken)
        OCSP_CERTID_free(own);
    OCSP_REQUEST_free(request);
    OPENSSL_free(der);
    return ok;
}

int ocsp_question(struct str leaf, struct str issuer, struct buf *ret, struct err *err)
{
    struct subject s;
    int rc = subject_read(leaf, issuer, &s, err);
    if (rc == 0 && !put_request(s.id, ret))
        rc = err_set(err, "out of memory");
    subject_free(&s);
    return rc;
}

/* Base64 has three characters that mean something else in a path. */
static bool put_escaped(struct buf *ret, struct str text)
{
    bool ok = true;
    for (size_t i = 0; i < text.len && ok; i++)
        ok = memchr("+/=", text.p[i], 3) != NULL ? buf_printf(ret, "%%%02X", (unsigned)(uint8_t)text.p[i])
                                                 : buf_append(ret, &text.p[i], 1);
    return ok;
}

bool ocsp_url(const char *responder, struct str question, struct buf *ret)
{
    struct buf text = {0};
    size_t len = strlen(responder), before = ret->len;
    bool slash = len > 0 && responder[len - 1] == '/';
    bool ok = base64_put(&text, question.p, question.len) && buf_append(ret, responder, len) &&
              buf_append(ret, "/", slash ? 0 : 1) &&
              put_escaped(ret, (struct str){(const char *)text.data, text.len}) &&
              ret->len - before <= OCSP_GET_MAX;
    buf_free(&text);
    return ok;
}

/* ---- what was answered ---- */

/* The one answer within, where there is one. */
static OCSP_BASICRESP *open_response(struct str der, struct err *err)
{
    const uint8_t *p = (const uint8_t *)der.p;
    if (der.len > OCSP_ANSWER_MAX) {
        err_set(err, "found %zu bytes, expected an OCSP response of %d at most", der.len, OCSP_ANSWER_MAX);
        return NULL;
    }
    OCSP_RESPONSE *response = d2i_OCSP_RESPONSE(NULL, &p, (long)der.len);
    OCSP_BASICRESP *basic = NULL;
    if (response == NULL || p != (const uint8_t *)der.p + der.len) {
        err_set(err, "what came is no OCSP response (RFC 6960, 4.2.1)");
    } else if (OCSP_response_status(response) != OCSP_RESPONSE_STATUS_SUCCESSFUL) {
        err_set(err, "the responder refuses to say: %s",
                OCSP_response_status_str(OCSP_response_status(response)));
    } else {
        basic = OCSP_response_get1_basic(response);
        if (basic == NULL)
            err_set(err, "the OCSP response is of a kind that is not known (expected id-pkix-ocsp-basic)");
    }
    OCSP_RESPONSE_free(response);
    return basic;
}

/* The issuer is the one anchor, so that it, and whom it has certified for this itself, can have signed. */
static bool is_signed(OCSP_BASICRESP *basic, X509 *issuer, int64_t now)
{
    X509_STORE *store = X509_STORE_new();
    STACK_OF(X509) *known = sk_X509_new_null();
    bool ok = store != NULL && known != NULL && X509_STORE_add_cert(store, issuer) == 1 &&
              sk_X509_push(known, issuer) > 0;
    if (ok) {
        X509_VERIFY_PARAM *how = X509_STORE_get0_param(store);
        X509_VERIFY_PARAM_set_time_posix(how, now);
        X509_VERIFY_PARAM_set_flags(how, X509_V_FLAG_PARTIAL_CHAIN);
        ok = OCSP_basic_verify(basic, known, store, OCSP_NOEXPLICIT) == 1;
    }
    sk_X509_free(known);
    X509_STORE_free(store);
    return ok;
}

/* The texts have no dates in them: whoever asks again and again is to see that it is the same trouble. */
static int read_times(const ASN1_GENERALIZEDTIME *this_update, const ASN1_GENERALIZEDTIME *next_update,
                      int64_t now, struct cert_status *ret, struct err *err)
{
    if (this_update == NULL || !ASN1_TIME_to_posix(this_update, &ret->this_update) ||
        (next_update != NULL && !ASN1_TIME_to_posix(next_update, &ret->next_update)))
        return err_set(err, "the dates of the OCSP response cannot be read");
    if (next_update == NULL)
        ret->next_update = ret->this_update + CERT_STATUS_USUAL;
    if (ret->this_update > now + OCSP_SKEW)
        return err_set(err, "the OCSP response is from the future (thisUpdate): is the clock right?");
    if (ret->next_update <= now || ret->next_update <= ret->this_update)
        return err_set(err, "the OCSP response is stale (nextUpdate has passed)");
    return 0;
}

/* Of several answers about the certificate the worst counts. */
static int read_single(OCSP_BASICRESP *basic, OCSP_CERTID *id, int64_t now, struct cert_status *ret,
                       struct err *err)
{
    static const enum cert_verdict verdicts[] = {[V_OCSP_CERTSTATUS_GOOD] = CERT_NOT_REVOKED,
                                                 [V_OCSP_CERTSTATUS_REVOKED] = CERT_REVOKED,
                                                 [V_OCSP_CERTSTATUS_UNKNOWN] = CERT_UNKNOWN};
    bool found = false;
    for (int i = -1; (i = OCSP_resp_find(basic, id, i)) >= 0;) {
        struct cert_status one = {0};
        ASN1_GENERALIZEDTIME *this_update = NULL, *next_update = NULL;
        int status =
            OCSP_single_get0_status(OCSP_resp_get0(basic, (size_t)i), NULL, NULL, &this_update, &next_update);
        if (status < 0 || status >= (int)ARRAY_LEN(verdicts))
            return err_set(err, "the OCSP response has a status that is not known: %d", status);
        if (read_times(this_update, next_update, now, &one, err) < 0)
            return -1;
        one.verdict = verdicts[status];
        if (!found || one.verdict == CERT_REVOKED || ret->verdict == CERT_NOT_REVOKED)
            *ret = one;
        found = true;
    }
    return found ? 0 : err_set(err, "the OCSP response is about another certificate");
}

int ocsp_answer(struct str response, struct str leaf, struct str issuer, int64_t now, struct cert_status *ret,
                struct err *err)
{
    struct subject s;
    *ret = (struct cert_status){.verdict = CERT_UNKNOWN};
    int rc = subject_read(leaf, issuer, &s, err);
    OCSP_BASICRESP *basic = rc == 0 ? open_response(response, err) : NULL;
    if (basic == NULL)
        rc = -1;
    if (rc == 0 && !is_signed(basic, s.issuer, now))
        rc = err_set(err,
                     "the OCSP response is not signed by the certificate's issuer, nor by a responder that "
                     "it has certified (RFC 6960, 4.2.2.2)");
    if (rc == 0)
        rc = read_single(basic, s.id, now, ret, err);
    OCSP_BASICRESP_free(basic);
    subject_free(&s);
    return rc;
}
