/* SPDX-License-Identifier: Apache-2.0 */
#include "cert/status.h"

#include <openssl/err.h>
#include <openssl/x509.h>

#include "base/check.h"
#include "cert/crl.h"

struct crl *cert_crl_read(struct str der, struct err *err)
{
    struct crl *crl = crl_read((const uint8_t *)der.p, der.len, err);
    ERR_clear_error();
    return crl;
}

void cert_crl_free(struct crl *crl)
{
    crl_free(crl);
}

static X509 *parse(struct str der)
{
    const uint8_t *p = (const uint8_t *)der.p;
    return d2i_X509(NULL, &p, (long)der.len);
}

static int judge(struct crl *crl, X509 *leaf, X509 *issuer, int64_t now, struct cert_status *ret,
                 struct err *err)
{
    static const char *const words[] = {[CRL_OTHER_KEY] = "it is from another key of the CA",
                                        [CRL_UNREADABLE] = "its dates cannot be read",
                                        [CRL_UNKNOWN_CRITICAL] =
                                            "it has a critical extension that is not known",
                                        [CRL_DELTA] = "it is a delta CRL",
                                        [CRL_INDIRECT] = "it is an indirect CRL",
                                        [CRL_SOME_REASONS] = "it is for some reasons only",
                                        [CRL_OTHER_SCOPE] = "it is for other certificates",
                                        [CRL_EXPIRED] = "it is stale: its nextUpdate has passed",
                                        [CRL_NOT_YET_VALID] = "it is from the future: is the clock right?",
                                        [CRL_MAY_NOT_SIGN] = "the issuer may not sign CRLs",
                                        [CRL_NOT_SIGNED] = "it is not signed by the certificate's issuer"};
    int64_t ignored;
    if (!crl_names(crl, issuer))
        return err_set(err, "the CRL is of another issuer than the certificate's");
    enum crl_fault fault = crl_judge(crl, leaf, issuer, now);
    if (fault != CRL_GOOD)
        return err_set(err, "the CRL tells nothing of the certificate: %s",
                       (size_t)fault < ARRAY_LEN(words) && words[fault] != NULL ? words[fault]
                                                                                : "it is not usable");
    ret->verdict = crl_has(crl, leaf, &ignored) ? CERT_REVOKED : CERT_NOT_REVOKED;
    crl_updates(crl, &ret->this_update, &ret->next_update);
    if (ret->next_update == INT64_MAX)
        ret->next_update = now + CERT_STATUS_USUAL;
    return 0;
}

int cert_crl_status(struct crl *crl, struct str leaf, struct str issuer, int64_t now, struct cert_status *ret,
                    struct err *err)
{
    X509 *subject = parse(leaf), *by = parse(issuer);
    *ret = (struct cert_status){.verdict = CERT_UNKNOWN};
    int rc;
    if (subject == NULL || by == NULL)
        rc = err_set(err, "the certificate, or that of its issuer, cannot be read");
    else if (X509_check_issued(by, subject) != X509_V_OK)
        rc = err_set(err, "the certificate is not by the issuer that was given with it");
    else
        rc = judge(crl, subject, by, now, ret, err);
    X509_free(subject);
    X509_free(by);
    ERR_clear_error();
    return rc;
}
