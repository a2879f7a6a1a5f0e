/* SPDX-License-Identifier: Apache-2.0 */
/* Words for what was wrong with a peer's chain, and the alert that goes with it. */
#include <openssl/x509.h>

#include "base/check.h"
#include "cert/pem.h"
#include "cert/trust_internal.h"

static const char *subject_of(struct path_cert *cert, char text[PEM_NAME_MAX])
{
    const X509 *x509 = path_cert_x509(cert);
    return x509 == NULL ? "?" : pem_subject_text(x509, text);
}

static int refuse_dates(struct verdict *v, const struct path_cert *cert, const char *subject, bool expired)
{
    char text[PEM_TIME_MAX];
    /* Not valid yet has no alert of its own; expired is what peers send (RFC 8446: "has expired or is not
     * currently valid"). */
    return REFUSE(v, ALERT_CERTIFICATE_EXPIRED, "certificate '%s' %s %s", subject,
                  expired ? "has expired on" : "is not valid before",
                  pem_time_text(expired ? cert->not_after : cert->not_before, text));
}

static int refuse_issuer(struct verdict *v, struct path_cert *cert, const char *subject)
{
    char issuer[PEM_NAME_MAX] = "?";
    v->refusal.fault = FAULT_UNKNOWN_ISSUER;
    if (path_cert_x509(cert) != NULL)
        pem_name_text(X509_get_issuer_name(path_cert_x509(cert)), issuer);
    if (cert->self_issued)
        return REFUSE(v, ALERT_UNKNOWN_CA, "certificate '%s' is self-signed and not in trust bundle %s",
                      subject, v->trust->name);
    return REFUSE(v, ALERT_UNKNOWN_CA,
                  "issuer '%s' of certificate '%s' is not in trust bundle %s, nor was it sent with the chain",
                  issuer, subject, v->trust->name);
}

static int refuse_name(struct verdict *v, const struct path_step *step, const char *ca)
{
    char named[PEM_NAME_MAX];
    return REFUSE(v, ALERT_BAD_CERTIFICATE,
                  "certificate '%s' has the name %s, which the name constraints of '%s' do not allow (%s)",
                  subject_of(step->named, named), step->name, ca, name_constraints_text(step->names));
}

/* What is wrong with one certificate, whatever stands around it. */
static int refuse_certificate(struct verdict *v, const struct path_cert *cert, const char *subject,
                              enum path_fault fault)
{
    switch (fault) {
    case PATH_ODD_EXTENSIONS:
        return REFUSE(v, ALERT_BAD_CERTIFICATE,
                      "certificate '%s' has an extension that cannot be read, or the same twice", subject);
    case PATH_UNKNOWN_CRITICAL:
        return REFUSE(v, ALERT_BAD_CERTIFICATE,
                      "certificate '%s' has a critical extension that is not known here", subject);
    case PATH_WEAK_KEY:
        return REFUSE(v, ALERT_BAD_CERTIFICATE, "certificate '%s' has an RSA key of only %d bits", subject,
                      cert->rsa_bits);
    case PATH_HUGE_KEY:
        return REFUSE(v, ALERT_BAD_CERTIFICATE,
                      "certificate '%s' has an RSA key of %d bits, and none of more than %d is used", subject,
                      cert->rsa_bits, RSA_BITS_MAX);
    case PATH_WEAK_SIGNATURE:
        return REFUSE(v, ALERT_BAD_CERTIFICATE, "certificate '%s' is signed with %s, which can be forged",
                      subject, cert->weak_digest);
    case PATH_NOT_A_CA:
        return REFUSE(v, ALERT_UNKNOWN_CA, "certificate '%s' signed another but is not a CA", subject);
    case PATH_NO_CERT_SIGN:
        return REFUSE(v, ALERT_UNKNOWN_CA,
                      "certificate '%s' signed another, which its keyUsage does not allow", subject);
    case PATH_WRONG_PURPOSE:
        return REFUSE(v, ALERT_UNSUPPORTED_CERTIFICATE,
                      "certificate '%s' may not be used to prove a %s (extendedKeyUsage, keyUsage)", subject,
                      v->purpose == TRUST_CLIENT ? "client" : "server");
    default:
        return REFUSE(v, ALERT_BAD_CERTIFICATE, "certificate '%s' cannot be read", subject);
    }
}

int trust_refuse_step(struct verdict *v, const struct path_step *step, const char *limit, size_t limit_value)
{
    char below[PEM_NAME_MAX], subject[PEM_NAME_MAX];
    struct path_cert *about = step->issuer != NULL ? step->issuer : step->cert;
    const char *cert = subject_of(step->cert, below), *ca = subject_of(about, subject);
    v->refusal = (struct trust_refusal){ALERT_BAD_CERTIFICATE, FAULT_OTHER};
    switch (step->fault) {
    case PATH_NOT_YET_VALID:
    case PATH_EXPIRED:
        return refuse_dates(v, about, ca, step->fault == PATH_EXPIRED);
    case PATH_NO_ISSUER:
    case PATH_OTHER_KEY:
        return refuse_issuer(v, step->cert, cert);
    case PATH_CIRCLE:
        v->refusal.fault = FAULT_UNKNOWN_ISSUER;
        return REFUSE(
            v, ALERT_UNKNOWN_CA,
            "the issuers of certificate '%s' have signed each other in a circle, and are not in trust "
            "bundle %s",
            cert, v->trust->name);
    case PATH_BAD_SIGNATURE:
        return REFUSE(v, ALERT_BAD_CERTIFICATE, "certificate '%s' was not signed by the key of its issuer",
                      cert);
    case PATH_TOO_MANY_BELOW:
        return REFUSE(v, ALERT_BAD_CERTIFICATE,
                      "certificate '%s' allows only %lld CAs below it (path length constraint)", ca,
                      (long long)about->path_len);
    case PATH_NAME:
        return refuse_name(v, step, ca);
    case PATH_LOOP:
        return REFUSE(v, ALERT_BAD_CERTIFICATE, "certificate '%s' stands in the path already", ca);
    case PATH_TOO_LONG:
        return REFUSE(v, ALERT_BAD_CERTIFICATE, "the path up to '%s' has %zu certificates without an anchor",
                      cert, step->depth);
    case PATH_GAVE_UP:
        return REFUSE(
            v, ALERT_BAD_CERTIFICATE,
            "gave up after %zu %s: no path to trust bundle %s was found by then, at certificate '%s'",
            limit_value, limit, v->trust->name, cert);
    default:
        return refuse_certificate(v, about, ca, step->fault);
    }
}
