/* SPDX-License-Identifier: Apache-2.0 */
/* Certificate revocation lists (RFC 5280, 5). */
#include <openssl/asn1.h>
#include <openssl/bn.h>
#include <openssl/err.h>
#include <openssl/mem.h>
#include <openssl/x509v3.h>

#include "base/check.h"
#include "ca/ca_internal.h"
#include "cert/key.h"

static ASN1_INTEGER *integer_of(const struct ca_serial *serial)
{
    CHECK(serial->len <= sizeof(serial->bytes));
    BIGNUM *number = BN_bin2bn(serial->bytes, serial->len, NULL);
    ASN1_INTEGER *value = number == NULL ? NULL : BN_to_ASN1_INTEGER(number, NULL);
    BN_free(number);
    return value;
}

/* A reason that says nothing should not be there (RFC 5280, 5.3.1). */
static bool add_reason(X509_REVOKED *entry, int reason)
{
    if (reason == 0)
        return true;
    ASN1_ENUMERATED *value = ASN1_ENUMERATED_new();
    bool ok = value != NULL && ASN1_ENUMERATED_set_int64(value, reason) &&
              X509_REVOKED_add1_ext_i2d(entry, NID_crl_reason, value, 0, 0) == 1;
    ASN1_ENUMERATED_free(value);
    return ok;
}

static bool add_revoked(X509_CRL *crl, const struct ca_revoked *revoked)
{
    X509_REVOKED *entry = X509_REVOKED_new();
    ASN1_INTEGER *serial = integer_of(&revoked->serial);
    ASN1_TIME *at = ASN1_TIME_set_posix(NULL, revoked->at);
    bool ok = entry != NULL && serial != NULL && at != NULL && X509_REVOKED_set_serialNumber(entry, serial) &&
              X509_REVOKED_set_revocationDate(entry, at) && add_reason(entry, revoked->reason) &&
              X509_CRL_add0_revoked(crl, entry);
    if (!ok)
        X509_REVOKED_free(entry);
    ASN1_INTEGER_free(serial);
    ASN1_TIME_free(at);
    return ok;
}

/* The two extensions that every CRL must have (RFC 5280, 5.2.1 and 5.2.3). */
static bool add_extensions(X509_CRL *crl, const X509 *issuer, uint64_t number)
{
    AUTHORITY_KEYID *authority = ca_authority_key_id(issuer);
    ASN1_INTEGER *value = ASN1_INTEGER_new();
    bool ok = authority != NULL && value != NULL && ASN1_INTEGER_set_uint64(value, number) &&
              X509_CRL_add1_ext_i2d(crl, NID_authority_key_identifier, authority, 0, 0) == 1 &&
              X509_CRL_add1_ext_i2d(crl, NID_crl_number, value, 0, 0) == 1;
    AUTHORITY_KEYID_free(authority);
    ASN1_INTEGER_free(value);
    return ok;
}

static bool fill(X509_CRL *crl, const struct ca *issuer, const struct ca_revoked *revoked, size_t count,
                 uint64_t number, int64_t now, int64_t lifetime)
{
    ASN1_TIME *from = ASN1_TIME_set_posix(NULL, now), *until = ASN1_TIME_set_posix(NULL, now + lifetime);
    bool ok = from != NULL && until != NULL && X509_CRL_set_version(crl, X509_CRL_VERSION_2) &&
              X509_CRL_set_issuer_name(crl, X509_get_subject_name(issuer->chain[0])) &&
              X509_CRL_set1_lastUpdate(crl, from) && X509_CRL_set1_nextUpdate(crl, until) &&
              add_extensions(crl, issuer->chain[0], number);
    for (size_t i = 0; i < count && ok; i++)
        ok = add_revoked(crl, &revoked[i]);
    ok = ok && X509_CRL_sort(crl) && X509_CRL_sign(crl, issuer->key, key_digest(issuer->key)) > 0;
    ASN1_TIME_free(from);
    ASN1_TIME_free(until);
    return ok;
}

int ca_make_crl(const struct ca *issuer, const struct ca_revoked *revoked, size_t count, uint64_t number,
                int64_t now, int64_t lifetime, struct buf *ret, struct err *err)
{
    CHECK_MAGIC(issuer, CA_MAGIC);
    if (lifetime <= 0)
        return err_set(err, "a CRL lifetime of %lld seconds is not possible", (long long)lifetime);
    X509_CRL *crl = X509_CRL_new();
    uint8_t *der = NULL;
    int len = -1;
    if (crl != NULL && fill(crl, issuer, revoked, count, number, now, lifetime))
        len = i2d_X509_CRL(crl, &der);
    bool ok = len > 0 && buf_append(ret, der, (size_t)len);
    OPENSSL_free(der);
    X509_CRL_free(crl);
    ERR_clear_error();
    return ok ? 0 : err_set(err, "the CRL could not be made");
}
