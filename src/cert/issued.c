/* SPDX-License-Identifier: Apache-2.0 */
#include "cert/issued.h"

#include <string.h>

#include <openssl/bytestring.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include "base/err.h"
#include "cert/tls_feature.h"

/* ---- what it names ---- */

/* A URL that we could fetch. */
static bool put_url(char ret[ISSUED_URL_MAX], const void *p, size_t len)
{
    static const char http[] = "http://";
    bool good = len > sizeof(http) - 1 && len < ISSUED_URL_MAX && memcmp(p, http, sizeof(http) - 1) == 0;
    for (size_t i = 0; i < len && good; i++)
        good = ((const uint8_t *)p)[i] > ' ' && ((const uint8_t *)p)[i] < 0x7f;
    return good && str_copy(ret, ISSUED_URL_MAX, p, len);
}

static void read_ocsp(const X509 *leaf, char ret[ISSUED_URL_MAX])
{
    STACK_OF(OPENSSL_STRING) *urls = X509_get1_ocsp(leaf);
    for (size_t i = 0; urls != NULL && i < sk_OPENSSL_STRING_num(urls) && *ret == '\0'; i++) {
        const char *url = sk_OPENSSL_STRING_value(urls, i);
        put_url(ret, url, strlen(url));
    }
    X509_email_free(urls);
}

static bool read_point(const DIST_POINT *point, char ret[ISSUED_URL_MAX])
{
    if (point->distpoint == NULL || point->distpoint->type != 0)
        return false;
    const GENERAL_NAMES *names = point->distpoint->name.fullname;
    for (size_t i = 0; i < sk_GENERAL_NAME_num(names); i++) {
        const GENERAL_NAME *name = sk_GENERAL_NAME_value(names, i);
        if (name->type != GEN_URI)
            continue;
        const ASN1_STRING *uri = name->d.uniformResourceIdentifier;
        if (put_url(ret, ASN1_STRING_get0_data(uri), (size_t)ASN1_STRING_length(uri)))
            return true;
    }
    return false;
}

static void read_crl(const X509 *leaf, char ret[ISSUED_URL_MAX])
{
    CRL_DIST_POINTS *points = X509_get_ext_d2i(leaf, NID_crl_distribution_points, NULL, NULL);
    for (size_t i = 0; points != NULL && i < sk_DIST_POINT_num(points); i++)
        if (read_point(sk_DIST_POINT_value(points, i), ret))
            break;
    CRL_DIST_POINTS_free(points);
}

static int read_serial(const X509 *leaf, char ret[ISSUED_SERIAL_MAX], struct err *err)
{
    static const char digits[] = "0123456789abcdef";
    const ASN1_INTEGER *serial = X509_get0_serialNumber(leaf);
    const uint8_t *bytes = ASN1_STRING_get0_data(serial);
    int len = ASN1_STRING_length(serial);
    if (len > (ISSUED_SERIAL_MAX - 1) / 2)
        return err_set(err, "a serial number of %d bytes, expected 20 at most (RFC 5280, 4.1.2.2)", len);
    for (int i = 0; i < len; i++) {
        ret[2 * i] = digits[bytes[i] >> 4];
        ret[2 * i + 1] = digits[bytes[i] & 15];
    }
    ret[2 * len] = '\0';
    return 0;
}

/* ---- reading ---- */

static int read_leaf(const X509 *leaf, struct issued *ret, struct err *err)
{
    if (!ASN1_TIME_to_posix(X509_get0_notBefore(leaf), &ret->not_before) ||
        !ASN1_TIME_to_posix(X509_get0_notAfter(leaf), &ret->not_after) || ret->not_after <= ret->not_before)
        return err_set(err, "the certificate's validity cannot be read, or ends before it begins");
    if (!pem_pin(leaf, ret->pin))
        return err_set(err, "the certificate's public key cannot be read");
    read_ocsp(leaf, ret->ocsp);
    read_crl(leaf, ret->crl);
    ret->must_staple = tls_feature_has(leaf);
    return read_serial(leaf, ret->serial, err);
}

static bool is_key_of(const X509 *leaf, struct str der)
{
    CBS in;
    CBS_init(&in, (const uint8_t *)der.p, der.len);
    EVP_PKEY *key = EVP_parse_private_key(&in);
    bool is = key != NULL && CBS_len(&in) == 0 && X509_check_private_key(leaf, key) == 1;
    EVP_PKEY_free(key);
    return is;
}

int issued_read(struct str chain, struct str key, struct issued *ret, struct err *err)
{
    *ret = (struct issued){0};
    BIO *bio = BIO_new_mem_buf(chain.p, (ossl_ssize_t)chain.len);
    X509 *leaf = bio == NULL ? NULL : PEM_read_bio_X509(bio, NULL, NULL, NULL);
    int done;
    if (leaf == NULL)
        done = err_set(err, "no certificate in PEM in what the CA has sent");
    else if (!is_key_of(leaf, key))
        done = err_set(err, "the certificate is for another key than the one that was made for it");
    else
        done = read_leaf(leaf, ret, err);
    X509_free(leaf);
    BIO_free(bio);
    ERR_clear_error();
    return done;
}

int issued_read_leaf(struct str der, struct issued *ret, struct err *err)
{
    const uint8_t *p = (const uint8_t *)der.p;
    *ret = (struct issued){0};
    X509 *leaf = d2i_X509(NULL, &p, (long)der.len);
    int done = leaf != NULL ? read_leaf(leaf, ret, err) : err_set(err, "the certificate cannot be read");
    X509_free(leaf);
    ERR_clear_error();
    return done;
}
