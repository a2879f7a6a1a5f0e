/* SPDX-License-Identifier: Apache-2.0 */
/* Certificate revocation lists (RFC 5280, 5). */
#include <openssl/asn1.h>
#include <openssl/bio.h>
#include <openssl/bn.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include "base/check.h"
#include "ca/ca_internal.h"

static bool add_revoked(X509_CRL *crl, const struct ca_serial *serial, const ASN1_TIME *when)
{
    CHECK(serial->len <= sizeof(serial->bytes));
    X509_REVOKED *entry = X509_REVOKED_new();
    BIGNUM *number = BN_bin2bn(serial->bytes, serial->len, NULL);
    ASN1_INTEGER *value = number == NULL ? NULL : BN_to_ASN1_INTEGER(number, NULL);
    bool ok = entry != NULL && value != NULL && X509_REVOKED_set_serialNumber(entry, value) &&
              X509_REVOKED_set_revocationDate(entry, when) && X509_CRL_add0_revoked(crl, entry);
    if (!ok)
        X509_REVOKED_free(entry);
    ASN1_INTEGER_free(value);
    BN_free(number);
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

static bool fill(X509_CRL *crl, const struct ca *issuer, const struct ca_serial *serials, size_t count,
                 uint64_t number, int64_t now, int64_t lifetime)
{
    ASN1_TIME *from = ASN1_TIME_set_posix(NULL, now), *until = ASN1_TIME_set_posix(NULL, now + lifetime);
    bool ok = from != NULL && until != NULL && X509_CRL_set_version(crl, X509_CRL_VERSION_2) &&
              X509_CRL_set_issuer_name(crl, X509_get_subject_name(issuer->chain[0])) &&
              X509_CRL_set1_lastUpdate(crl, from) && X509_CRL_set1_nextUpdate(crl, until) &&
              add_extensions(crl, issuer->chain[0], number);
    for (size_t i = 0; i < count && ok; i++)
        ok = add_revoked(crl, &serials[i], from);
    ok = ok && X509_CRL_sort(crl) && X509_CRL_sign(crl, issuer->key, ca_digest(issuer->key)) > 0;
    ASN1_TIME_free(from);
    ASN1_TIME_free(until);
    return ok;
}

int ca_make_crl(const struct ca *issuer, const struct ca_serial *serials, size_t count, uint64_t number,
                int64_t now, int64_t lifetime, struct buf *ret, struct err *err)
{
    CHECK_MAGIC(issuer, CA_MAGIC);
    if (lifetime <= 0)
        return err_set(err, "a CRL lifetime of %lld seconds is not possible", (long long)lifetime);
    X509_CRL *crl = X509_CRL_new();
    BIO *bio = BIO_new(BIO_s_mem());
    const uint8_t *pem = NULL;
    size_t len = 0;
    bool ok = crl != NULL && bio != NULL && fill(crl, issuer, serials, count, number, now, lifetime) &&
              PEM_write_bio_X509_CRL(bio, crl) && BIO_mem_contents(bio, &pem, &len) &&
              buf_append(ret, pem, len);
    BIO_free(bio);
    X509_CRL_free(crl);
    ERR_clear_error();
    return ok ? 0 : err_set(err, "the CRL could not be made");
}
