/* SPDX-License-Identifier: Apache-2.0 */
#include "ca/csr.h"

#include <stdlib.h>
#include <string.h>

#include <arpa/inet.h>

#include <openssl/asn1.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/mem.h>
#include <openssl/nid.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include "base/check.h"
#include "ca/ca_internal.h"
#include "cert/cert.h"
#include "cert/pem.h"
#include "cert/tls_feature.h"

#define RSA_BITS_MIN 2048
#define RSA_BITS_MAX 8192
#define NAME_TEXT_MAX 64 /* ub-common-name (RFC 5280, A.1) */
#define URI_MAX 2048     /* bytes of a URI or an e-mail address */

/* ---- the key ---- */

int ca_check_key(const EVP_PKEY *key, struct err *err)
{
    int bits = EVP_PKEY_bits(key), curve;
    switch (EVP_PKEY_id(key)) {
    case EVP_PKEY_RSA:
        if (bits >= RSA_BITS_MIN && bits <= RSA_BITS_MAX)
            return 0;
        return err_set(err, "an RSA key of %d bits, expected %d to %d", bits, RSA_BITS_MIN, RSA_BITS_MAX);
    case EVP_PKEY_EC:
        curve = EC_GROUP_get_curve_name(EC_KEY_get0_group(EVP_PKEY_get0_EC_KEY(key)));
        if (curve == NID_X9_62_prime256v1 || curve == NID_secp384r1 || curve == NID_secp521r1)
            return 0;
        return err_set(err, "an elliptic curve other than P-256, P-384 and P-521");
    case EVP_PKEY_ED25519:
    case EVP_PKEY_PQDSA:
        return 0;
    default:
        return err_set(err,
                       "a kind of key that is not certified here (expected ECDSA, Ed25519, RSA or ML-DSA)");
    }
}

static int take_key(X509_REQ *req, struct csr *ret, struct err *err)
{
    ret->key = X509_REQ_get_pubkey(req);
    if (ret->key == NULL)
        return err_set(err, "its public key cannot be read");
    if (ca_check_key(ret->key, err) < 0)
        return -1;
    if (X509_REQ_verify(req, ret->key) != 1)
        return err_set(err, "its signature is not by the key that it holds");
    return 0;
}

/* ---- names ---- */

static bool printable(const uint8_t *p, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (p[i] <= ' ' || p[i] > '~')
            return false;
    return true;
}

/* Text of a name as ca_request has them; NULL: not one that could be certified. */
static char *name_text(const GENERAL_NAME *name)
{
    int type;
    const ASN1_STRING *value = GENERAL_NAME_get0_value(name, &type);
    char text[INET6_ADDRSTRLEN];
    if (type != GEN_DNS && type != GEN_IPADD && type != GEN_URI && type != GEN_EMAIL)
        return NULL;
    const uint8_t *p = ASN1_STRING_get0_data(value);
    size_t len = (size_t)ASN1_STRING_length(value);
    if (type == GEN_IPADD) {
        bool address =
            (len == 4 || len == 16) && inet_ntop(len == 4 ? AF_INET : AF_INET6, p, text, sizeof(text));
        return address ? strdup(text) : NULL;
    }
    if (len == 0 || len > URI_MAX || !printable(p, len))
        return NULL;
    char *copy = strndup((const char *)p, len);
    if (copy != NULL && type == GEN_DNS)
        str_lower(copy, len);
    if (copy != NULL && ca_san_type(copy) == type)
        return copy;
    free(copy); /* one that says it is a URI, and would be taken for a DNS name, is neither */
    return NULL;
}

static int take_names(const GENERAL_NAMES *names, struct csr *ret, struct err *err)
{
    size_t count = sk_GENERAL_NAME_num(names);
    if (count > CSR_NAMES_MAX)
        return err_set(err, "%zu names; at most %d are taken", count, CSR_NAMES_MAX);
    ret->sans = calloc(count + 1, sizeof(*ret->sans));
    CHECK(ret->sans != NULL);
    for (size_t i = 0; i < count; i++) {
        char *text = name_text(sk_GENERAL_NAME_value(names, i));
        if (text == NULL)
            return err_set(err,
                           "name %zu of its subjectAltName: expected a DNS name, an IP address, a URI or an "
                           "e-mail address that is well-formed",
                           i + 1);
        ret->sans[ret->sans_len++] = text;
    }
    return 0;
}

/* The one common name; others are not looked at. */
static int take_subject(X509_REQ *req, struct csr *ret, struct err *err)
{
    const X509_NAME *subject = X509_REQ_get_subject_name(req);
    int at = X509_NAME_get_index_by_NID(subject, NID_commonName, -1);
    if (at < 0)
        return 0;
    if (X509_NAME_get_index_by_NID(subject, NID_commonName, at) >= 0)
        return err_set(err, "more than one common name");
    uint8_t *text = NULL;
    int len = ASN1_STRING_to_UTF8(&text, X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, at)));
    bool ok = len >= 0 && len <= NAME_TEXT_MAX;
    for (int i = 0; ok && i < len; i++)
        ok = text[i] >= ' ' && text[i] != 0x7f;
    if (ok && len > 0)
        ret->name = strndup((const char *)text, (size_t)len);
    OPENSSL_free(text);
    return ok ? 0
              : err_set(err, "its common name has control characters, or more than %d bytes", NAME_TEXT_MAX);
}

/* ---- extensions ---- */

static int take_extension(X509_EXTENSION *extension, struct csr *ret, struct err *err)
{
    int nid = OBJ_obj2nid(X509_EXTENSION_get_object(extension)), rc = 0;
    if (nid == NID_subject_alt_name) {
        GENERAL_NAMES *names = X509V3_EXT_d2i(extension);
        rc = names == NULL       ? err_set(err, "its subjectAltName cannot be read")
             : ret->sans != NULL ? err_set(err, "more than one subjectAltName")
                                 : take_names(names, ret, err);
        GENERAL_NAMES_free(names);
    } else if (nid == NID_basic_constraints) {
        BASIC_CONSTRAINTS *constraints = X509V3_EXT_d2i(extension);
        if (constraints == NULL || constraints->ca)
            rc = err_set(err, "it asks to be a CA; only certificates of servers and clients are issued");
        BASIC_CONSTRAINTS_free(constraints);
    } else if (tls_feature_is(extension)) {
        ret->must_staple = true;
    }
    return rc;
}

static int take_extensions(X509_REQ *req, struct csr *ret, struct err *err)
{
    STACK_OF(X509_EXTENSION) *all = X509_REQ_get_extensions(req);
    int rc = 0;
    for (size_t i = 0; i < sk_X509_EXTENSION_num(all) && rc == 0; i++)
        rc = take_extension(sk_X509_EXTENSION_value(all, i), ret, err);
    sk_X509_EXTENSION_pop_free(all, X509_EXTENSION_free);
    return rc;
}

/* ---- all of it ---- */

int csr_read(struct str der, struct csr *ret, struct err *err)
{
    *ret = (struct csr){0};
    if (der.len > CSR_BYTES_MAX)
        return err_set(err, "a certification request of %zu bytes, expected %d at most", der.len,
                       CSR_BYTES_MAX);
    const uint8_t *p = (const uint8_t *)der.p;
    X509_REQ *req = d2i_X509_REQ(NULL, &p, (long)der.len);
    int rc;
    if (req == NULL || p != (const uint8_t *)der.p + der.len)
        rc = err_set(err, "no certification request (PKCS #10) that can be read");
    else if (take_key(req, ret, err) < 0 || take_subject(req, ret, err) < 0 ||
             take_extensions(req, ret, err) < 0)
        rc = err_prefix(err, "the certification request is refused");
    else
        rc = 0;
    X509_REQ_free(req);
    ERR_clear_error();
    if (rc < 0)
        csr_free(ret);
    return rc;
}

struct found {
    struct csr *csr;
    size_t count;
};

static int take_block(void *arg, const char *type, const uint8_t *der, size_t len, struct err *err)
{
    struct found *found = arg;
    if (strcmp(type, PEM_STRING_X509_REQ) != 0 && strcmp(type, PEM_STRING_X509_REQ_OLD) != 0)
        return 0;
    if (found->count++ > 0)
        return err_set(err, "more than one certification request");
    return csr_read((struct str){(const char *)der, len}, found->csr, err);
}

int csr_read_any(const struct buf *file, struct csr *ret, struct err *err)
{
    struct found found = {.csr = ret};
    *ret = (struct csr){0};
    if (file->len > 0 && file->data[0] == 0x30) /* a SEQUENCE, and no text */
        return csr_read((struct str){(const char *)file->data, file->len}, ret, err);
    int rc = pem_each(file, take_block, &found, err);
    if (rc == 0 && found.count == 0)
        rc = err_set(err, "no certification request (expected -----BEGIN CERTIFICATE REQUEST-----)");
    if (rc < 0)
        csr_free(ret);
    return rc;
}

void csr_free(struct csr *csr)
{
    for (size_t i = 0; i < csr->sans_len; i++)
        free(csr->sans[i]);
    free((void *)csr->sans);
    free(csr->name);
    EVP_PKEY_free(csr->key);
    *csr = (struct csr){0};
}
