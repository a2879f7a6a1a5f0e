/* SPDX-License-Identifier: Apache-2.0 */
/* Certificates (RFC 5280). */
#include <stdlib.h>
#include <string.h>

#include <openssl/asn1.h>
#include <openssl/bn.h>
#include <openssl/err.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>

#include "base/check.h"
#include "base/clock.h"
#include "ca/ca_internal.h"
#include "cert/key.h"

#define SERIAL_BYTES 16
#define BACKDATE (5 * 60)               /* seconds, for clocks that are behind */
#define LAST_TIME INT64_C(253402300799) /* 9999-12-31T23:59:59Z, the end of GeneralizedTime */

static int out_of_memory(struct err *err)
{
    return err_set(err, "out of memory");
}

/* 128 random bits with the top one clear and the next one set: positive, and always 16 bytes (RFC
 * 5280, 4.1.2.2). */
static bool set_serial(X509 *cert)
{
    uint8_t bytes[SERIAL_BYTES];
    if (RAND_bytes(bytes, sizeof(bytes)) != 1)
        return false;
    bytes[0] = (bytes[0] & 0x3f) | 0x40;
    BIGNUM *number = BN_bin2bn(bytes, sizeof(bytes), NULL);
    bool ok = number != NULL && BN_to_ASN1_INTEGER(number, X509_get_serialNumber(cert)) != NULL;
    BN_free(number);
    return ok;
}

static int set_validity(X509 *cert, const struct ca_request *request, const X509 *issuer, struct err *err)
{
    int64_t now = request->now != 0 ? request->now : clock_wall() / NSEC_PER_SEC, issuer_end = LAST_TIME;
    int64_t from = request->not_before != 0 ? request->not_before : now;
    if (request->lifetime <= 0 || request->lifetime > LAST_TIME || from > LAST_TIME - request->lifetime)
        return err_set(err, "a lifetime of %lld seconds is not possible", (long long)request->lifetime);
    if (issuer != NULL && !ASN1_TIME_to_posix(X509_get0_notAfter(issuer), &issuer_end))
        return err_set(err, "the issuer has no end that can be read");
    int64_t end = MIN(from + request->lifetime, issuer_end);
    if (request->not_before == 0)
        from -= BACKDATE;
    if (end <= from || (request->not_before == 0 && end <= now))
        return err_set(err, "the issuer has expired");
    if (!ASN1_TIME_set_posix(X509_getm_notBefore(cert), from) ||
        !ASN1_TIME_set_posix(X509_getm_notAfter(cert), end))
        return out_of_memory(err);
    return 0;
}

/* The whole of what is signed. `issuer` is NULL for a root. */
static int fill(X509 *cert, EVP_PKEY *key, const X509 *issuer, enum ca_profile profile,
                const struct ca_request *request, struct err *err)
{
    bool ca = issuer != NULL && profile == CA_PROFILE_INTERMEDIATE;
    if (!X509_set_version(cert, X509_VERSION_3) || !set_serial(cert) || !X509_set_pubkey(cert, key))
        return out_of_memory(err);
    if (ca_set_subject(cert, request, err) < 0 || set_validity(cert, request, issuer, err) < 0)
        return -1;
    if (!X509_set_issuer_name(cert, X509_get_subject_name(issuer != NULL ? issuer : cert)))
        return out_of_memory(err);
    if (!ca_add_extensions(cert, issuer, profile, request))
        return out_of_memory(err);
    return ca && ca_add_constraints(cert, request, err) < 0 ? -1 : ca_add_sans(cert, request, err);
}

/* The certificate of a public key. `issuer` is NULL for a root, whose key signs itself. */
static X509 *make(const struct ca *issuer, EVP_PKEY *key, enum ca_profile profile,
                  const struct ca_request *request, struct err *err)
{
    const X509 *above = issuer == NULL ? NULL : issuer->chain[0];
    EVP_PKEY *signer = issuer == NULL ? key : issuer->key;
    X509 *cert = X509_new();
    int rc = cert == NULL ? out_of_memory(err) : fill(cert, key, above, profile, request, err);
    if (rc == 0 && X509_sign(cert, signer, key_digest(signer)) <= 0)
        rc = err_set(err, "the certificate could not be signed");
    if (rc == 0 && above != NULL)
        rc = ca_check_constraints(above, cert, err);
    ERR_clear_error();
    if (rc < 0) {
        X509_free(cert);
        return NULL;
    }
    return cert;
}

static int fill_cross(X509 *cert, const X509 *issuer, X509 *root, int64_t now, struct err *err)
{
    int64_t end;
    if (!ASN1_TIME_to_posix(X509_get0_notAfter(root), &end) || end <= now)
        return err_set(err, "the root before has expired, so that nobody goes on with it");
    const struct ca_request request = {.now = now, .lifetime = end - now};
    if (!X509_set_version(cert, X509_VERSION_3) || !set_serial(cert) ||
        !X509_set_pubkey(cert, X509_get0_pubkey(root)) ||
        !X509_set_subject_name(cert, X509_get_subject_name(root)) ||
        !X509_set_issuer_name(cert, X509_get_subject_name(issuer)))
        return out_of_memory(err);
    if (set_validity(cert, &request, issuer, err) < 0)
        return -1;
    return ca_add_cross_extensions(cert, issuer) ? 0 : out_of_memory(err);
}

X509 *ca_cross(const struct ca *issuer, X509 *root, int64_t now, struct err *err)
{
    CHECK_MAGIC(issuer, CA_MAGIC);
    X509 *cert = X509_new();
    int rc = cert == NULL ? out_of_memory(err) : fill_cross(cert, issuer->chain[0], root, now, err);
    if (rc == 0 && X509_sign(cert, issuer->key, key_digest(issuer->key)) <= 0)
        rc = err_set(err, "the certificate could not be signed");
    ERR_clear_error();
    if (rc == 0)
        return cert;
    X509_free(cert);
    return NULL;
}

static int check_may_issue(const struct ca *issuer, enum ca_profile profile, const struct ca_request *request,
                           struct err *err)
{
    if (profile == CA_PROFILE_INTERMEDIATE && request->name == NULL)
        return err_set(err, "a CA needs a name");
    if (issuer == NULL)
        return 0;
    X509 *cert = issuer->chain[0];
    if (!X509_check_ca(cert))
        return err_set(err, "the issuer's certificate is not that of a CA");
    if (profile == CA_PROFILE_INTERMEDIATE && X509_get_pathlen(cert) == 0)
        return err_set(err, "the issuer may not make other CAs (its path length is 0)");
    if (profile == CA_PROFILE_SERVER && request->sans_len == 0)
        return err_set(err, "a server certificate needs a DNS name or an IP address");
    if (request->name == NULL && request->sans_len == 0)
        return err_set(err, "a certificate needs a name");
    if (issuer->chain_len >= CA_CHAIN_MAX)
        return err_set(err, "the issuer's chain is too long");
    return 0;
}

X509 *ca_certify(const struct ca *issuer, EVP_PKEY *key, enum ca_profile profile,
                 const struct ca_request *request, struct err *err)
{
    CHECK_MAGIC(issuer, CA_MAGIC);
    return check_may_issue(issuer, profile, request, err) < 0 ? NULL
                                                              : make(issuer, key, profile, request, err);
}

int ca_check_names(const struct ca *issuer, const struct ca_request *request, struct err *err)
{
    CHECK_MAGIC(issuer, CA_MAGIC);
    X509 *cert = X509_new();
    int rc = cert == NULL ? out_of_memory(err) : ca_set_subject(cert, request, err);
    if (rc == 0)
        rc = ca_add_sans(cert, request, err);
    if (rc == 0)
        rc = ca_check_constraints(issuer->chain[0], cert, err);
    X509_free(cert);
    ERR_clear_error();
    return rc;
}

void ca_put_above(struct ca *made, const struct ca *issuer)
{
    bool root =
        X509_NAME_cmp(X509_get_subject_name(issuer->chain[0]), X509_get_issuer_name(issuer->chain[0])) == 0;
    for (size_t i = 0; !root && i < issuer->chain_len; i++) {
        CHECK(made->chain_len < CA_CHAIN_MAX);
        X509_up_ref(issuer->chain[i]);
        made->chain[made->chain_len++] = issuer->chain[i];
    }
}

struct ca *ca_make(const struct ca *issuer, EVP_PKEY *key, enum ca_profile profile,
                   const struct ca_request *request, struct err *err)
{
    struct ca *made = ca_new();
    X509 *cert = NULL;
    if (made == NULL || key == NULL)
        err_set(err, "no key could be made");
    else if (check_may_issue(issuer, profile, request, err) == 0)
        cert = make(issuer, key, profile, request, err);
    if (cert == NULL) {
        EVP_PKEY_free(key);
        ca_free(made);
        return NULL;
    }
    made->chain[made->chain_len++] = cert;
    made->key = key;
    if (issuer != NULL)
        ca_put_above(made, issuer);
    return made;
}

struct ca *ca_create_root(const struct ca_request *request, struct err *err)
{
    return ca_make(NULL, key_make(request->key), CA_PROFILE_INTERMEDIATE, request, err);
}

struct ca *ca_issue(const struct ca *issuer, enum ca_profile profile, const struct ca_request *request,
                    struct err *err)
{
    CHECK_MAGIC(issuer, CA_MAGIC);
    return ca_make(issuer, key_make(request->key), profile, request, err);
}
