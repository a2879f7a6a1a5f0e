/* SPDX-License-Identifier: Apache-2.0 */
#include "cert/cert.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/bytestring.h>
#include <openssl/digest.h>
#include <openssl/ec.h>
#include <openssl/ec_key.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/hkdf.h>
#include <openssl/mem.h>
#include <openssl/nid.h>
#include <openssl/pool.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include "base/check.h"
#include "base/file.h"
#include "base/hostname.h"
#include "base/str.h"
#include "cert/key.h"
#include "cert/pem.h"
#include "cert/scheme.h"

/* A cert on its way in: the parsed chain is needed for the checks only. */
struct loading {
    struct cert *cert;
    X509 *chain[CERT_CHAIN_MAX];
    size_t chain_len;
};

/* The chain
 * ------------------------------------------------------------------------------------------------------ */

static int add_block(void *arg, const char *type, const uint8_t *der, size_t len, struct err *err)
{
    struct loading *l = arg;
    if (!pem_is_certificate(type))
        return 0;
    if (l->chain_len == CERT_CHAIN_MAX)
        return err_set(err, "more than %d certificates", CERT_CHAIN_MAX);
    CRYPTO_BUFFER *buffer = CRYPTO_BUFFER_new(der, len, NULL);
    if (buffer == NULL)
        return err_set(err, "out of memory");
    X509 *x = X509_parse_from_buffer(buffer);
    if (x == NULL) {
        CRYPTO_BUFFER_free(buffer);
        return err_set(err, "certificate %zu cannot be read", l->chain_len + 1);
    }
    l->chain[l->chain_len++] = x;
    l->cert->chain[l->cert->chain_len++] = buffer;
    return 0;
}

static int take_chain(struct loading *l, const struct buf *text, const char *path, struct err *err)
{
    if (pem_each(text, add_block, l, err) < 0)
        return err_prefix(err, "%s", path);
    if (l->chain_len == 0)
        return err_set(err, "%s: no certificate in PEM (expected -----BEGIN CERTIFICATE-----)", path);
    return 0;
}

static int read_chain(struct loading *l, const char *path, struct err *err)
{
    struct buf text = {0};
    if (file_read(path, CERT_FILE_MAX, &text, NULL, err) < 0)
        return -1;
    int rc = take_chain(l, &text, path, err);
    buf_free(&text);
    return rc;
}

/* Each certificate must have been signed by the next one (RFC 8446, 4.4.2). */
static int check_order(const struct loading *l, const char *path, struct err *err)
{
    for (size_t i = 0; i + 1 < l->chain_len; i++) {
        EVP_PKEY *issuer_key = X509_get0_pubkey(l->chain[i + 1]);
        char subject[PEM_NAME_MAX], issuer[PEM_NAME_MAX];
        if (X509_check_issued(l->chain[i + 1], l->chain[i]) == X509_V_OK && issuer_key != NULL &&
            X509_verify(l->chain[i], issuer_key) == 1)
            continue;
        return err_set(
            err,
            "%s: certificate %zu ('%s') was not issued by the one after it ('%s'); put the server's "
            "own certificate first, then its issuer, and so on",
            path, i + 1, pem_subject_text(l->chain[i], subject), pem_subject_text(l->chain[i + 1], issuer));
    }
    return 0;
}

/* The key
 * -------------------------------------------------------------------------------------------------------- */

static bool kind_of_ec(const EVP_PKEY *key, enum cert_key_kind *ret)
{
    switch (EC_GROUP_get_curve_name(EC_KEY_get0_group(EVP_PKEY_get0_EC_KEY(key)))) {
    case NID_X9_62_prime256v1:
        *ret = CERT_KEY_P256;
        return true;
    case NID_secp384r1:
        *ret = CERT_KEY_P384;
        return true;
    case NID_secp521r1:
        *ret = CERT_KEY_P521;
        return true;
    default:
        return false;
    }
}

static bool kind_of_mldsa(const EVP_PKEY *key, enum cert_key_kind *ret)
{
    switch (EVP_PKEY_pqdsa_get_type(key)) {
    case NID_MLDSA44:
        *ret = CERT_KEY_MLDSA44;
        return true;
    case NID_MLDSA65:
        *ret = CERT_KEY_MLDSA65;
        return true;
    case NID_MLDSA87:
        *ret = CERT_KEY_MLDSA87;
        return true;
    default:
        return false;
    }
}

static int find_kind(struct cert *cert, const char *path, struct err *err)
{
    bool known = false;
    switch (EVP_PKEY_id(cert->key)) {
    case EVP_PKEY_EC:
        known = kind_of_ec(cert->key, &cert->kind);
        break;
    case EVP_PKEY_PQDSA:
        known = kind_of_mldsa(cert->key, &cert->kind);
        break;
    case EVP_PKEY_ED25519:
        cert->kind = CERT_KEY_ED25519;
        known = true;
        break;
    case EVP_PKEY_RSA: /* RFC 9325, 4.5 */
        if (EVP_PKEY_bits(cert->key) < 2048)
            return err_set(err, "%s: an RSA key of %d bits; at least 2048 are needed", path,
                           EVP_PKEY_bits(cert->key));
        cert->kind = CERT_KEY_RSA;
        known = true;
        break;
    default:
        break;
    }
    if (!known)
        return err_set(
            err,
            "%s: a kind of key that cannot sign for TLS; use ECDSA (P-256, P-384, P-521), Ed25519, "
            "RSA or ML-DSA",
            path);
    return 0;
}

static int check_key(struct loading *l, const struct cert_files *files, struct err *err)
{
    if (l->cert->key == NULL || find_kind(l->cert, files->key, err) < 0)
        return -1;
    if (X509_check_private_key(l->chain[0], l->cert->key) != 1) {
        char subject[PEM_NAME_MAX];
        return err_set(err, "%s: not the key of the first certificate in %s ('%s')", files->key,
                       files->certificate, pem_subject_text(l->chain[0], subject));
    }
    if ((X509_get_key_usage(l->chain[0]) & X509v3_KU_DIGITAL_SIGNATURE) == 0)
        return err_set(err, "%s: its keyUsage does not allow digitalSignature, which TLS needs",
                       files->certificate);
    return 0;
}

/* Names
 * ----------------------------------------------------------------------------------------------------------
 */

bool cert_dns_name_ok(const char *p, size_t len)
{
    size_t star = len > 2 && p[0] == '*' && p[1] == '.' ? 2 : 0;
    enum hostname_fault fault = hostname_check(p + star, len - star);
    return len <= HOSTNAME_MAX && (fault == HOSTNAME_OK || fault == HOSTNAME_NUMBER);
}

static int add_name(struct cert *cert, const char *p, size_t len, struct err *err)
{
    CHECK(cert->names != NULL);
    char *name = strndup(p, len);
    if (name == NULL)
        return err_set(err, "out of memory");
    str_lower(name, len);
    cert->names[cert->names_len++] = name;
    return 0;
}

static int take_given_names(struct cert *cert, const struct cert_files *files, struct err *err)
{
    cert->names = calloc(files->names_len, sizeof(*cert->names));
    if (cert->names == NULL)
        return err_set(err, "out of memory");
    for (size_t i = 0; i < files->names_len; i++) {
        const char *name = files->names[i];
        if (!cert_dns_name_ok(name, strlen(name)))
            return err_set(err, "%s: '%s' is not a DNS name (expected www.example.com or *.example.com)",
                           files->certificate, name);
        if (add_name(cert, name, strlen(name), err) < 0)
            return -1;
    }
    return 0;
}

/* The DNS names of the SAN; one that no client could ask for is passed over. The CN does not count (RFC 9525,
 * 2). */
static int take_alternative_names(struct cert *cert, const X509 *leaf, struct err *err)
{
    GENERAL_NAMES *san = X509_get_ext_d2i(leaf, NID_subject_alt_name, NULL, NULL);
    size_t count = san == NULL ? 0 : sk_GENERAL_NAME_num(san);
    int rc = 0;
    cert->names = calloc(count + 1, sizeof(*cert->names));
    if (cert->names == NULL)
        rc = err_set(err, "out of memory");
    for (size_t i = 0; i < count && rc == 0; i++) {
        const GENERAL_NAME *name = sk_GENERAL_NAME_value(san, i);
        if (name->type != GEN_DNS)
            continue;
        const char *p = (const char *)ASN1_STRING_get0_data(name->d.dNSName);
        size_t len = (size_t)ASN1_STRING_length(name->d.dNSName);
        if (cert_dns_name_ok(p, len))
            rc = add_name(cert, p, len, err);
    }
    GENERAL_NAMES_free(san);
    return rc;
}

/* What HAProxy calls an ECDSA or RSA key, and what it has no word for. */
static void describe_key(struct cert *cert, const X509 *leaf)
{
    int type = EVP_PKEY_id(cert->key), bits = EVP_PKEY_bits(cert->key);
    cert->signature = OBJ_nid2sn(X509_get_signature_nid(leaf));
    key_describe(cert->key, cert->key_text);
    if (type == EVP_PKEY_EC || type == EVP_PKEY_RSA)
        snprintf(cert->proxy_text, sizeof(cert->proxy_text), "%s%d", type == EVP_PKEY_RSA ? "RSA" : "EC",
                 bits);
    else
        str_copy(cert->proxy_text, sizeof(cert->proxy_text), cert->key_text, strlen(cert->key_text));
}

static int describe(struct loading *l, const struct cert_files *files, struct err *err)
{
    struct cert *cert = l->cert;
    cert->label = strdup(files->label != NULL ? files->label : files->certificate);
    if (cert->label == NULL)
        return err_set(err, "out of memory");
    describe_key(cert, l->chain[0]);
    cert->schemes_len = cert_schemes(l->chain, l->chain_len, cert->schemes, CERT_SCHEMES_MAX);
    if (!ASN1_TIME_to_posix(X509_get0_notBefore(l->chain[0]), &cert->not_before) ||
        !ASN1_TIME_to_posix(X509_get0_notAfter(l->chain[0]), &cert->not_after))
        return err_set(err, "%s: its validity dates cannot be read", files->certificate);
    return files->names_len > 0 ? take_given_names(cert, files, err)
                                : take_alternative_names(cert, l->chain[0], err);
}

/* Life
 * -----------------------------------------------------------------------------------------------------------
 */

static struct cert *cert_new(void)
{
    struct cert *cert = calloc(1, sizeof(*cert));
    if (cert == NULL)
        return NULL;
    cert->magic = CERT_MAGIC;
    cert->refs = 1;
    cert->chain = calloc(CERT_CHAIN_MAX, sizeof(CRYPTO_BUFFER *));
    if (cert->chain == NULL) {
        cert_unref(cert);
        return NULL;
    }
    return cert;
}

/* What the library takes for a key once it has signed; measured. */
static size_t key_bytes(enum cert_key_kind kind)
{
    switch (kind) {
    case CERT_KEY_RSA:
        return 5600; /* of 2048 bits */
    case CERT_KEY_MLDSA44:
    case CERT_KEY_MLDSA65:
    case CERT_KEY_MLDSA87:
        return 8000;
    default:
        return 700;
    }
}

static size_t measure(const struct cert *cert)
{
    size_t bytes = sizeof(*cert) + strlen(cert->label) + key_bytes(cert->kind);
    for (size_t i = 0; i < cert->chain_len; i++)
        bytes += sizeof(CRYPTO_BUFFER *) + CRYPTO_BUFFER_len(cert->chain[i]);
    for (size_t i = 0; i < cert->names_len; i++)
        bytes += sizeof(char *) + strlen(cert->names[i]);
    return bytes;
}

/* There was room for the longest. */
static void fit_chain(struct cert *cert)
{
    struct crypto_buffer_st **fitting = realloc(cert->chain, cert->chain_len * sizeof(CRYPTO_BUFFER *));
    if (fitting != NULL)
        cert->chain = fitting;
}

/* What is left to do once chain and key are there; `rc`: whether they are. */
static struct cert *finish_loading(struct loading *l, const struct cert_files *files, int rc, struct err *err)
{
    if (rc < 0 || check_order(l, files->certificate, err) < 0 || check_key(l, files, err) < 0 ||
        describe(l, files, err) < 0) {
        cert_unref(l->cert);
        l->cert = NULL;
    }
    for (size_t i = 0; i < l->chain_len; i++)
        X509_free(l->chain[i]);
    ERR_clear_error();
    if (l->cert != NULL) {
        fit_chain(l->cert);
        l->cert->bytes = measure(l->cert);
    }
    return l->cert;
}

struct cert *cert_load(const struct cert_files *files, struct err *err)
{
    CHECK(files->certificate != NULL && files->key != NULL);
    struct loading l = {.cert = cert_new()};
    if (l.cert == NULL) {
        err_set(err, "out of memory");
        return NULL;
    }
    int rc = read_chain(&l, files->certificate, err);
    if (rc == 0)
        l.cert->key = key_load(files->key, err);
    return finish_loading(&l, files, rc, err);
}

struct cert *cert_from(struct str chain, struct evp_pkey_st *key, const char *label, struct err *err)
{
    const struct cert_files files = {.certificate = label, .key = label};
    struct loading l = {.cert = cert_new()};
    struct buf text = {0};
    if (l.cert == NULL || !buf_append(&text, chain.p, chain.len)) {
        err_set(err, "out of memory");
        cert_unref(l.cert);
        return NULL;
    }
    int rc = take_chain(&l, &text, label, err);
    buf_free(&text);
    EVP_PKEY_up_ref(key);
    l.cert->key = key;
    return finish_loading(&l, &files, rc, err);
}

struct str cert_leaf_der(const struct cert *cert)
{
    CHECK_MAGIC(cert, CERT_MAGIC);
    return (struct str){(const char *)CRYPTO_BUFFER_data(cert->chain[0]), CRYPTO_BUFFER_len(cert->chain[0])};
}

struct str cert_chain_der(const struct cert *cert, size_t i)
{
    CHECK_MAGIC(cert, CERT_MAGIC);
    if (i >= cert->chain_len)
        return (struct str){0};
    return (struct str){(const char *)CRYPTO_BUFFER_data(cert->chain[i]), CRYPTO_BUFFER_len(cert->chain[i])};
}

struct cert_staple *cert_staple_new(const void *der, size_t len, int64_t until)
{
    struct cert_staple *staple = calloc(1, sizeof(*staple));
    if (staple == NULL)
        return NULL;
    list_init(&staple->retired);
    staple->until = until;
    staple->der = CRYPTO_BUFFER_new(der, len, NULL);
    if (staple->der != NULL)
        return staple;
    free(staple);
    return NULL;
}

void cert_staple_free(struct cert_staple *staple)
{
    if (staple == NULL)
        return;
    list_remove(&staple->retired);
    CRYPTO_BUFFER_free(staple->der);
    free(staple);
}

struct cert_staple *cert_set_staple(struct cert *cert, struct cert_staple *staple)
{
    CHECK_MAGIC(cert, CERT_MAGIC);
    return atomic_exchange(&cert->staple, staple);
}

const struct cert_staple *cert_staple(const struct cert *cert)
{
    CHECK_MAGIC(cert, CERT_MAGIC);
    return atomic_load_explicit(&cert->staple, memory_order_acquire);
}

struct cert *cert_ref(struct cert *cert)
{
    CHECK_MAGIC(cert, CERT_MAGIC);
    __atomic_add_fetch(&cert->refs, 1, __ATOMIC_RELAXED);
    return cert;
}

bool cert_is_unshared(const struct cert *cert)
{
    CHECK_MAGIC(cert, CERT_MAGIC);
    return __atomic_load_n(&cert->refs, __ATOMIC_ACQUIRE) == 1;
}

size_t cert_bytes(const struct cert *cert)
{
    CHECK_MAGIC(cert, CERT_MAGIC);
    return cert->bytes;
}

void cert_unref(struct cert *cert)
{
    if (cert == NULL)
        return;
    CHECK_MAGIC(cert, CERT_MAGIC);
    if (__atomic_sub_fetch(&cert->refs, 1, __ATOMIC_ACQ_REL) > 0)
        return;
    for (size_t i = 0; i < cert->chain_len; i++)
        CRYPTO_BUFFER_free(cert->chain[i]);
    for (size_t i = 0; i < cert->names_len; i++)
        free(cert->names[i]);
    EVP_PKEY_free(cert->key);
    cert_staple_free(atomic_load(&cert->staple));
    free(cert->chain);
    free(cert->names);
    free(cert->label);
    cert->magic = 0;
    free(cert);
}

bool cert_has_name(const struct cert *cert, const char *name)
{
    for (size_t i = 0; i < cert->names_len; i++)
        if (strcmp(cert->names[i], name) == 0)
            return true;
    return false;
}

bool cert_is_for(const struct cert *cert, const char *host)
{
    CHECK_MAGIC(cert, CERT_MAGIC);
    const char *dot = strchr(host, '.');
    for (size_t i = 0; i < cert->names_len; i++) {
        const char *name = cert->names[i];
        if (strcmp(name, host) == 0 || (dot != NULL && name[0] == '*' && strcmp(name + 1, dot) == 0))
            return true;
    }
    return false;
}

bool cert_warning(const struct cert *cert, int64_t now, struct err *ret_text)
{
    CHECK_MAGIC(cert, CERT_MAGIC);
    char when[PEM_TIME_MAX];
    if (now > cert->not_after)
        err_set(ret_text, "certificate %s expired on %s", cert->label, pem_time_text(cert->not_after, when));
    else if (now < cert->not_before)
        err_set(ret_text, "certificate %s is not valid before %s", cert->label,
                pem_time_text(cert->not_before, when));
    else if (cert->names_len == 0)
        err_set(ret_text, "certificate %s has no DNS names to be chosen by", cert->label);
    else
        return false;
    return true;
}

bool cert_secret(const struct cert *cert, const char *label, uint8_t ret[32])
{
    CBB cbb;
    uint8_t *key = NULL;
    size_t len = 0;
    if (!CBB_init(&cbb, 0))
        return false;
    bool ok = EVP_marshal_private_key(&cbb, cert->key) && CBB_finish(&cbb, &key, &len) &&
              HKDF(ret, 32, EVP_sha256(), key, len, NULL, 0, (const uint8_t *)label, strlen(label));
    CBB_cleanup(&cbb);
    if (key != NULL)
        OPENSSL_cleanse(key, len);
    OPENSSL_free(key);
    ERR_clear_error(); /* one in a token cannot be read out */
    return ok;
}
