/* SPDX-License-Identifier: Apache-2.0 */
#include "acme/client_certificate.h"

#include <string.h>
#include <strings.h>

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/mem.h>
#include <openssl/x509.h>

#include "acme/client.h"
#include "base/base64.h"
#include "base/check.h"
#include "base/hostname.h"
#include "cert/pem.h"
#include "cert/tls_feature.h"

#define CLOCKS_DIFFER 3600 /* seconds that the CA's clock may be ahead of ours */

/* ---- asking ---- */

static GENERAL_NAME *san_of(const char *text)
{
    uint8_t ip[16];
    size_t ip_len = hostname_address(text, ip);
    GENERAL_NAME *name = GENERAL_NAME_new();
    ASN1_STRING *value = ASN1_STRING_type_new(ip_len > 0 ? V_ASN1_OCTET_STRING : V_ASN1_IA5STRING);
    if (name != NULL && value != NULL &&
        (ip_len > 0 ? ASN1_STRING_set(value, ip, (ossl_ssize_t)ip_len)
                    : ASN1_STRING_set(value, text, (ossl_ssize_t)strlen(text)))) {
        GENERAL_NAME_set0_value(name, ip_len > 0 ? GEN_IPADD : GEN_DNS, value);
        return name;
    }
    ASN1_STRING_free(value);
    GENERAL_NAME_free(name);
    return NULL;
}

GENERAL_NAMES *acme_client_san(const char *const *names, size_t len)
{
    GENERAL_NAMES *all = GENERAL_NAMES_new();
    bool ok = all != NULL;
    for (size_t i = 0; i < len && ok; i++) {
        GENERAL_NAME *name = san_of(names[i]);
        ok = name != NULL && sk_GENERAL_NAME_push(all, name) > 0;
        if (!ok)
            GENERAL_NAME_free(name);
    }
    if (ok)
        return all;
    GENERAL_NAMES_free(all);
    return NULL;
}

/* Ed25519 and ML-DSA bring their own digest. */
static const EVP_MD *digest_for(const EVP_PKEY *key)
{
    switch (EVP_PKEY_id(key)) {
    case EVP_PKEY_EC:
        return EVP_PKEY_bits(key) > 256 ? EVP_sha384() : EVP_sha256();
    case EVP_PKEY_RSA:
        return EVP_sha256();
    default:
        return NULL;
    }
}

static bool ask_for_feature(X509_EXTENSIONS *extensions)
{
    X509_EXTENSION *feature = tls_feature_new();
    if (feature != NULL && sk_X509_EXTENSION_push(extensions, feature) > 0)
        return true;
    X509_EXTENSION_free(feature);
    return false;
}

static bool fill_request(X509_REQ *req, EVP_PKEY *key, const char *const *names, size_t len, bool must_staple)
{
    GENERAL_NAMES *sans = acme_client_san(names, len);
    X509_EXTENSIONS *extensions = NULL;
    bool ok = sans != NULL && X509V3_add1_i2d(&extensions, NID_subject_alt_name, sans, 0, 0) == 1 &&
              (!must_staple || ask_for_feature(extensions)) &&
              X509_REQ_set_version(req, X509_REQ_VERSION_1) == 1 && X509_REQ_set_pubkey(req, key) == 1 &&
              X509_REQ_add_extensions(req, extensions) == 1 && X509_REQ_sign(req, key, digest_for(key)) > 0;
    sk_X509_EXTENSION_pop_free(extensions, X509_EXTENSION_free);
    GENERAL_NAMES_free(sans);
    return ok;
}

int acme_client_csr(EVP_PKEY *key, const char *const *names, size_t len, bool must_staple, struct buf *ret,
                    struct err *err)
{
    X509_REQ *req = X509_REQ_new();
    uint8_t *der = NULL;
    int n = req != NULL && fill_request(req, key, names, len, must_staple) ? i2d_X509_REQ(req, &der) : -1;
    bool ok = n > 0 && buf_append(ret, der, (size_t)n);
    OPENSSL_free(der);
    X509_REQ_free(req);
    ERR_clear_error();
    return ok ? 0 : err_set(err, "no certification request could be made with this key");
}

/* ---- what came ---- */

struct chain {
    X509 *v[ACME_CLIENT_CHAIN_MAX];
    size_t n;
};

static int add_block(void *arg, const char *type, const uint8_t *der, size_t len, struct err *err)
{
    struct chain *c = arg;
    const uint8_t *p = der;
    if (!pem_is_certificate(type))
        return err_set(err, "a PEM block that is no certificate");
    if (c->n == ARRAY_LEN(c->v))
        return err_set(err, "more than %zu certificates", ARRAY_LEN(c->v));
    X509 *x = d2i_X509(NULL, &p, (long)len);
    if (x == NULL || p != der + len) {
        X509_free(x);
        return err_set(err, "certificate %zu cannot be read", c->n + 1);
    }
    c->v[c->n++] = x;
    return 0;
}

static bool same_san(const GENERAL_NAME *a, const GENERAL_NAME *b)
{
    if (a->type != b->type)
        return false;
    const ASN1_STRING *x = a->d.ia5, *y = b->d.ia5;
    int len = ASN1_STRING_length(x);
    if (len != ASN1_STRING_length(y))
        return false;
    return a->type == GEN_DNS ? strncasecmp((const char *)ASN1_STRING_get0_data(x),
                                            (const char *)ASN1_STRING_get0_data(y), (size_t)len) == 0
                              : memcmp(ASN1_STRING_get0_data(x), ASN1_STRING_get0_data(y), (size_t)len) == 0;
}

static bool has_san(const GENERAL_NAMES *all, const GENERAL_NAME *name)
{
    for (size_t i = 0; all != NULL && i < sk_GENERAL_NAME_num(all); i++) {
        const GENERAL_NAME *one = sk_GENERAL_NAME_value(all, i);
        if ((one->type == GEN_DNS || one->type == GEN_IPADD) && same_san(one, name))
            return true;
    }
    return false;
}

static int check_names(const X509 *leaf, const char *const *names, size_t len, struct err *err)
{
    GENERAL_NAMES *has = X509_get_ext_d2i(leaf, NID_subject_alt_name, NULL, NULL);
    int rc = 0;
    for (size_t i = 0; i < len && rc == 0; i++) {
        GENERAL_NAME *wanted = san_of(names[i]);
        if (wanted == NULL || !has_san(has, wanted))
            rc = err_set(err, "it is not for %s, which was ordered", names[i]);
        GENERAL_NAME_free(wanted);
    }
    if (rc == 0 && sk_GENERAL_NAME_num(has) != len)
        rc = err_set(err, "it has %zu names, but %zu were ordered", sk_GENERAL_NAME_num(has), len);
    GENERAL_NAMES_free(has);
    return rc;
}

static int check_time(const X509 *x, size_t i, int64_t now, struct err *err)
{
    int64_t from, to;
    char text[PEM_TIME_MAX];
    if (!ASN1_TIME_to_posix(X509_get0_notBefore(x), &from) || !ASN1_TIME_to_posix(X509_get0_notAfter(x), &to))
        return err_set(err, "the dates of certificate %zu cannot be read", i + 1);
    if (to <= now)
        return err_set(err, "certificate %zu has expired at %s", i + 1, pem_time_text(to, text));
    if (from > now + CLOCKS_DIFFER)
        return err_set(err, "certificate %zu is not valid before %s; is this machine's clock right?", i + 1,
                       pem_time_text(from, text));
    return 0;
}

static int check_link(const struct chain *c, size_t i, struct err *err)
{
    EVP_PKEY *above = X509_get0_pubkey(c->v[i + 1]);
    if (X509_check_issued(c->v[i + 1], c->v[i]) == X509_V_OK && above != NULL &&
        X509_verify(c->v[i], above) == 1)
        return 0;
    return err_set(err, "certificate %zu was not issued by the one after it", i + 1);
}

static int check(const struct chain *c, EVP_PKEY *key, const char *const *names, size_t len, int64_t now,
                 struct err *err)
{
    if (c->n == 0)
        return err_set(err, "there is no certificate in it");
    EVP_PKEY *certified = X509_get0_pubkey(c->v[0]);
    if (certified == NULL || EVP_PKEY_cmp(certified, key) != 1)
        return err_set(err, "it is for another key than the one that was sent");
    if (check_names(c->v[0], names, len, err) < 0)
        return -1;
    for (size_t i = 0; i < c->n; i++)
        if (check_time(c->v[i], i, now, err) < 0 || (i + 1 < c->n && check_link(c, i, err) < 0))
            return -1;
    return 0;
}

int acme_client_check_chain(struct str pem, EVP_PKEY *key, const char *const *names, size_t len, int64_t now,
                            struct err *err)
{
    struct chain c = {.n = 0};
    struct buf text = {.max = 0};
    int rc = buf_append(&text, pem.p, pem.len) ? pem_each(&text, add_block, &c, err)
                                               : err_set(err, "out of memory");
    if (rc == 0)
        rc = check(&c, key, names, len, now, err);
    for (size_t i = 0; i < c.n; i++)
        X509_free(c.v[i]);
    buf_free(&text);
    ERR_clear_error();
    return rc;
}

int acme_client_cert_id(struct str der, struct buf *ret, struct err *err)
{
    const uint8_t *p = (const uint8_t *)der.p;
    X509 *x = d2i_X509(NULL, &p, (long)der.len);
    const ASN1_OCTET_STRING *aki = x != NULL ? X509_get0_authority_key_id(x) : NULL;
    uint8_t *serial = NULL;
    int len = aki != NULL ? i2d_ASN1_INTEGER(X509_get0_serialNumber(x), &serial) : -1;
    /* Behind the type and a length of one byte: a serial has 20 bytes at most (RFC 5280, 4.1.2.2). */
    bool ok = len > 2 && len < 128 &&
              base64url_put(ret, ASN1_STRING_get0_data(aki), (size_t)ASN1_STRING_length(aki)) &&
              buf_append(ret, ".", 1) && base64url_put(ret, serial + 2, (size_t)len - 2);
    OPENSSL_free(serial);
    X509_free(x);
    ERR_clear_error();
    return ok ? 0 : err_set(err, "the certificate does not say which key of its CA has signed it (AKI)");
}
