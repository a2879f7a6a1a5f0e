/* SPDX-License-Identifier: Apache-2.0 */
/* The token holds the private half; the public one is read from it, so that the key can be held against its
 * certificate. AWS-LC then calls our methods where it would compute with the private half. */
#include "cert/pkcs11.h"

#include <pthread.h>
#include <string.h>

#include <openssl/bn.h>
#include <openssl/bytestring.h>
#include <openssl/ec.h>
#include <openssl/ec_key.h>
#include <openssl/ecdsa.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/mem.h>
#include <openssl/rsa.h>

#include "base/check.h"
#include "cert/pkcs11_internal.h"

#define ATTRIBUTE_MAX 1024 /* bytes of one: an RSA modulus of 8192 bits */
#define SIGNATURE_MAX 1024

static void on_key_freed(void *parent, void *ptr, CRYPTO_EX_DATA *data, int index, long argl, void *argp)
{
    (void)parent;
    (void)data;
    (void)index;
    (void)argl;
    (void)argp;
    token_key_free(ptr);
}

/* ---- signing ---- */

static bool token_sign(struct token_key *k, CK_MECHANISM_TYPE type, const uint8_t *data, size_t len,
                       uint8_t *ret, size_t *ret_len)
{
    CHECK_MAGIC(k, TOKEN_KEY_MAGIC);
    CK_MECHANISM mechanism = {type, NULL, 0};
    CK_ULONG n = *ret_len;
    pthread_mutex_lock(&k->lock);
    CK_RV rv = k->module->C_SignInit(k->session, &mechanism, k->object);
    if (rv == CKR_OK)
        rv = k->module->C_Sign(k->session, (CK_BYTE_PTR)(uintptr_t)data, len, ret, &n);
    pthread_mutex_unlock(&k->lock);
    *ret_len = n;
    return rv == CKR_OK;
}

/* Places in AWS-LC's objects, and methods: made by whoever comes first, kept for good. */
static struct {
    pthread_once_t once;
    int rsa_index, ec_index;
    RSA_METHOD *rsa;
    EC_KEY_METHOD *ec;
} library = {.once = PTHREAD_ONCE_INIT};

/* PKCS #1 v1.5 is padded by the token, PSS has been padded by AWS-LC. */
static int rsa_sign(int len, const uint8_t *data, uint8_t *ret, RSA *rsa, int padding)
{
    size_t n = RSA_size(rsa);
    CK_MECHANISM_TYPE type = padding == RSA_PKCS1_PADDING ? CKM_RSA_PKCS : CKM_RSA_X_509;
    if (padding != RSA_PKCS1_PADDING && padding != RSA_NO_PADDING)
        return -1;
    return token_sign(RSA_get_ex_data(rsa, library.rsa_index), type, data, (size_t)len, ret, &n) ? (int)n
                                                                                                 : -1;
}

/* A token gives r and s one behind the other (PKCS#11 v2.40, 2.3.1). */
static ECDSA_SIG *ec_sign_sig(const uint8_t *digest, int len, const BIGNUM *kinv, const BIGNUM *r,
                              EC_KEY *key)
{
    uint8_t raw[SIGNATURE_MAX];
    size_t n = sizeof(raw);
    (void)kinv;
    (void)r;
    if (!token_sign(EC_KEY_get_ex_data(key, library.ec_index), CKM_ECDSA, digest, (size_t)len, raw, &n) ||
        n % 2 != 0)
        return NULL;
    ECDSA_SIG *sig = ECDSA_SIG_new();
    BIGNUM *first = BN_bin2bn(raw, n / 2, NULL), *second = BN_bin2bn(raw + n / 2, n / 2, NULL);
    if (sig != NULL && first != NULL && second != NULL && ECDSA_SIG_set0(sig, first, second))
        return sig;
    ECDSA_SIG_free(sig);
    BN_free(first);
    BN_free(second);
    return NULL;
}

static int ec_sign(int type, const uint8_t *digest, int len, uint8_t *ret, unsigned *ret_len,
                   const BIGNUM *kinv, const BIGNUM *r, EC_KEY *key)
{
    uint8_t *der = NULL;
    size_t n = 0;
    (void)type;
    ECDSA_SIG *sig = ec_sign_sig(digest, len, kinv, r, key);
    bool ok = sig != NULL && ECDSA_SIG_to_bytes(&der, &n, sig) && n <= ECDSA_size(key);
    if (ok)
        memcpy(ret, der, n);
    *ret_len = (unsigned)n;
    OPENSSL_free(der);
    ECDSA_SIG_free(sig);
    return ok;
}

static void make_library(void)
{
    library.rsa_index = RSA_get_ex_new_index(0, NULL, NULL, NULL, on_key_freed);
    library.ec_index = EC_KEY_get_ex_new_index(0, NULL, NULL, NULL, on_key_freed);
    library.rsa = RSA_meth_new("token", RSA_FLAG_OPAQUE);
    library.ec = EC_KEY_METHOD_new(NULL);
    CHECK(library.rsa_index >= 0 && library.ec_index >= 0 && library.rsa != NULL && library.ec != NULL);
    CHECK(RSA_meth_set_priv_enc(library.rsa, rsa_sign));
    EC_KEY_METHOD_set_sign_awslc(library.ec, ec_sign, ec_sign_sig);
    CHECK(EC_KEY_METHOD_set_flags(library.ec, ECDSA_FLAG_OPAQUE));
}

/* ---- the public half ---- */

struct attribute {
    uint8_t data[ATTRIBUTE_MAX];
    size_t len;
};

static bool read_attribute(const struct token_key *k, CK_OBJECT_HANDLE object, CK_ATTRIBUTE_TYPE type,
                           struct attribute *ret)
{
    CK_ATTRIBUTE a = {type, ret->data, sizeof(ret->data)};
    bool ok = k->module->C_GetAttributeValue(k->session, object, &a, 1) == CKR_OK &&
              a.ulValueLen <= sizeof(ret->data);
    ret->len = ok ? a.ulValueLen : 0;
    return ok && ret->len > 0;
}

static RSA *read_rsa(const struct token_key *k)
{
    struct attribute n, e;
    if (!read_attribute(k, k->object, CKA_MODULUS, &n) ||
        !read_attribute(k, k->object, CKA_PUBLIC_EXPONENT, &e))
        return NULL;
    BIGNUM *bn = BN_bin2bn(n.data, n.len, NULL), *be = BN_bin2bn(e.data, e.len, NULL);
    RSA *rsa = RSA_new_method(NULL);
    if (rsa != NULL && bn != NULL && be != NULL && RSA_set_method(rsa, library.rsa) &&
        RSA_set0_key(rsa, bn, be, NULL))
        return rsa;
    RSA_free(rsa);
    BN_free(bn);
    BN_free(be);
    return NULL;
}

/* The point is an attribute of the public key, which goes by the same id: an OCTET STRING around it. */
static EC_KEY *read_ec(const struct token_key *k)
{
    struct attribute id, params, point;
    CK_OBJECT_CLASS class = CKO_PUBLIC_KEY;
    CK_OBJECT_HANDLE public;
    CBS cbs, bytes;
    if (!read_attribute(k, k->object, CKA_ID, &id) || !read_attribute(k, k->object, CKA_EC_PARAMS, &params))
        return NULL;
    CK_ATTRIBUTE wanted[] = {{CKA_CLASS, &class, sizeof(class)}, {CKA_ID, id.data, id.len}};
    if (token_objects(k, wanted, 2, &public) == 0 || !read_attribute(k, public, CKA_EC_POINT, &point))
        return NULL;
    CBS_init(&cbs, point.data, point.len);
    if (!CBS_get_asn1(&cbs, &bytes, CBS_ASN1_OCTETSTRING))
        return NULL;
    CBS_init(&cbs, params.data, params.len);
    EC_GROUP *group = EC_KEY_parse_parameters(&cbs);
    EC_KEY *ec = group == NULL ? NULL : EC_KEY_new();
    EC_POINT *at = group == NULL ? NULL : EC_POINT_new(group);
    bool ok = ec != NULL && at != NULL && EC_KEY_set_group(ec, group) &&
              EC_POINT_oct2point(group, at, CBS_data(&bytes), CBS_len(&bytes), NULL) &&
              EC_KEY_set_public_key(ec, at) && EC_KEY_set_method(ec, library.ec);
    EC_POINT_free(at);
    EC_GROUP_free(group);
    if (ok)
        return ec;
    EC_KEY_free(ec);
    return NULL;
}

/* What AWS-LC takes for the key; `k` is its own from then on, if there is one. */
static EVP_PKEY *make_key(struct token_key *k, const char *label, struct err *err)
{
    CK_KEY_TYPE type = 0;
    CK_ATTRIBUTE a = {CKA_KEY_TYPE, &type, sizeof(type)};
    CHECK(k->module != NULL);
    if (k->module->C_GetAttributeValue(k->session, k->object, &a, 1) != CKR_OK ||
        (type != CKK_RSA && type != CKK_EC)) {
        err_set(err, "%s: a key of this kind cannot be used in a token; RSA and EC can", label);
        return NULL;
    }
    EVP_PKEY *key = EVP_PKEY_new();
    RSA *rsa = type == CKK_RSA ? read_rsa(k) : NULL;
    EC_KEY *ec = type == CKK_EC ? read_ec(k) : NULL;
    CHECK(key != NULL);
    if (rsa != NULL && EVP_PKEY_assign_RSA(key, rsa) && RSA_set_ex_data(rsa, library.rsa_index, k))
        return key;
    if (ec != NULL && EVP_PKEY_assign_EC_KEY(key, ec) && EC_KEY_set_ex_data(ec, library.ec_index, k))
        return key;
    EVP_PKEY_free(key);
    err_set(err, "%s: the token does not tell the public half of this key (a public key with the same id)",
            label);
    return NULL;
}

/* ---- finding it ---- */

static int find(struct token_key *k, const struct token_search *search, struct err *err)
{
    CK_ULONG count = token_look(k, search, &k->object);
    if (count > 1)
        return err_set(err, "%s: more than one private key is meant; say object= or id= of one",
                       search->label);
    return count == 1;
}

EVP_PKEY *pkcs11_read_key(const char *text, struct str pin, struct err *err)
{
    static const char none[] =
        "no token has such a private key (pkcs11-tool -O lists what there is; a key shows only with a PIN: "
        "pin-source=file:PATH)";
    struct token_search search = {.visit = find};
    pthread_once(&library.once, make_library);
    struct token_key *k = token_find(text, pin, &search, none, err);
    EVP_PKEY *key = k == NULL ? NULL : make_key(k, search.label, err);
    if (key == NULL)
        token_key_free(k);
    ERR_clear_error();
    return key;
}
