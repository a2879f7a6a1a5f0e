/* SPDX-License-Identifier: Apache-2.0 */
/* The token holds the private half; the public one is read from it, so that the key can be held against its
 * certificate. AWS-LC then calls our methods where it would compute with the private half. */
#include "cert/pkcs11.h"

#include <p11-kit/p11-kit.h>
#include <p11-kit/uri.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
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

#include "base/buf.h"
#include "base/check.h"
#include "base/file.h"
#include "cert/pem.h"

#define PREFIX "pkcs11:"
#define PIN_MAX 256
#define SLOTS_MAX 64
#define LABEL_MAX 200      /* bytes of a URI that are told */
#define ATTRIBUTE_MAX 1024 /* bytes of one: an RSA modulus of 8192 bits */
#define SIGNATURE_MAX 1024
#define TOKEN_KEY_MAGIC 0x70c31100u

/* A private key in a token. One session, one signature at a time: PKCS#11 knows no other way. */
struct token_key {
    uint32_t magic;
    CK_FUNCTION_LIST **modules; /* of this key: held as long as it is */
    CK_FUNCTION_LIST *module;
    CK_SESSION_HANDLE session;
    CK_OBJECT_HANDLE object;
    pthread_mutex_t lock;
};

bool pkcs11_is_uri(const char *text)
{
    return strncmp(text, PREFIX, strlen(PREFIX)) == 0;
}

/* ---- life ---- */

static void token_key_free(struct token_key *k)
{
    if (k == NULL)
        return;
    CHECK_MAGIC(k, TOKEN_KEY_MAGIC);
    if (k->module != NULL)
        k->module->C_CloseSession(k->session);
    if (k->modules != NULL)
        p11_kit_modules_finalize_and_release(k->modules);
    pthread_mutex_destroy(&k->lock);
    k->magic = 0;
    free(k);
}

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

static bool find_object(const struct token_key *k, CK_ATTRIBUTE *wanted, CK_ULONG count,
                        CK_OBJECT_HANDLE *ret, CK_ULONG *ret_count)
{
    CK_OBJECT_HANDLE found[2] = {0};
    *ret_count = 0;
    if (k->module->C_FindObjectsInit(k->session, wanted, count) != CKR_OK)
        return false;
    bool ok = k->module->C_FindObjects(k->session, found, 2, ret_count) == CKR_OK;
    k->module->C_FindObjectsFinal(k->session);
    *ret = found[0];
    return ok && *ret_count > 0;
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
    CK_ULONG count;
    CBS cbs, bytes;
    if (!read_attribute(k, k->object, CKA_ID, &id) || !read_attribute(k, k->object, CKA_EC_PARAMS, &params))
        return NULL;
    CK_ATTRIBUTE wanted[] = {{CKA_CLASS, &class, sizeof(class)}, {CKA_ID, id.data, id.len}};
    if (!find_object(k, wanted, 2, &public, &count) || !read_attribute(k, public, CKA_EC_POINT, &point))
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

/* The URI up to its query, where a PIN may stand. */
static const char *label_of(const char *uri, char ret[LABEL_MAX])
{
    size_t n = strcspn(uri, "?");
    snprintf(ret, LABEL_MAX, "%.*s", (int)MIN(n, (size_t)LABEL_MAX - 1), uri);
    return ret;
}

static int read_pin(const P11KitUri *uri, const char *label, struct buf *ret, struct err *err)
{
    const char *source = p11_kit_uri_get_pin_source(uri);
    mode_t mode = 0;
    if (p11_kit_uri_get_pin_value(uri) != NULL)
        return err_set(
            err,
            "%s: a PIN in the URI (pin-value) can be read by whoever reads it; put it into a file of its "
            "own and say pin-source=file:PATH",
            label);
    if (source == NULL)
        return 0;
    source += strncmp(source, "file:", 5) == 0 ? 5 : 0;
    if (file_read(source, PIN_MAX, ret, &mode, err) < 0)
        return -1;
    if (!pem_key_is_kept(mode))
        return err_set(err, "%s: other users may use this PIN (mode %04o); do: chmod 600 %s", source,
                       (unsigned)mode, source);
    while (ret->len > 0 && (ret->data[ret->len - 1] == '\n' || ret->data[ret->len - 1] == '\r'))
        ret->len--;
    return 0;
}

/* In that slot, if its token is one that the URI means. 1: found; 0: not there; -1 with `err`. */
static int look_in_slot(struct token_key *k, CK_SLOT_ID slot, P11KitUri *uri, const struct buf *pin,
                        const char *label, struct err *err)
{
    CK_TOKEN_INFO token;
    CK_OBJECT_CLASS class = CKO_PRIVATE_KEY;
    CK_ATTRIBUTE wanted[8] = {{CKA_CLASS, &class, sizeof(class)}};
    CK_ULONG n = 1, given = 0, count;
    if (k->module->C_GetTokenInfo(slot, &token) != CKR_OK || !p11_kit_uri_match_token_info(uri, &token) ||
        k->module->C_OpenSession(slot, CKF_SERIAL_SESSION, NULL, NULL, &k->session) != CKR_OK)
        return 0;
    CK_RV rv = pin->len == 0 ? CKR_OK : k->module->C_Login(k->session, CKU_USER, pin->data, pin->len);
    CK_ATTRIBUTE_PTR attributes = p11_kit_uri_get_attributes(uri, &given);
    for (CK_ULONG i = 0; i < given && n < ARRAY_LEN(wanted); i++)
        if (attributes[i].type != CKA_CLASS)
            wanted[n++] = attributes[i];
    bool in = rv == CKR_OK || rv == CKR_USER_ALREADY_LOGGED_IN;
    if (in && find_object(k, wanted, n, &k->object, &count) && count == 1)
        return 1;
    k->module->C_CloseSession(k->session);
    if (!in)
        return err_set(err, "%s: the token does not take the PIN: %s", label, p11_kit_strerror(rv));
    return count > 1
               ? err_set(err, "%s: more than one private key is meant; say object= or id= of one", label)
               : 0;
}

static int look_in_module(struct token_key *k, P11KitUri *uri, const struct buf *pin, const char *label,
                          struct err *err)
{
    CK_SLOT_ID slots[SLOTS_MAX];
    CK_ULONG count = SLOTS_MAX;
    CK_INFO info;
    int found = 0;
    if (k->module->C_GetInfo(&info) != CKR_OK || !p11_kit_uri_match_module_info(uri, &info) ||
        k->module->C_GetSlotList(CK_TRUE, slots, &count) != CKR_OK)
        return 0;
    for (CK_ULONG i = 0; i < count && found == 0; i++)
        found = look_in_slot(k, slots[i], uri, pin, label, err);
    return found;
}

static int find_key(struct token_key *k, P11KitUri *uri, const struct buf *pin, const char *label,
                    struct err *err)
{
    int found = 0;
    k->modules = p11_kit_modules_load_and_initialize(0);
    if (k->modules == NULL)
        return err_set(err, "%s: p11-kit has no modules: %s", label, p11_kit_message());
    for (CK_FUNCTION_LIST **m = k->modules; *m != NULL && found == 0; m++) {
        k->module = *m;
        found = look_in_module(k, uri, pin, label, err);
    }
    if (found != 1)
        k->module = NULL;
    if (found == 0)
        return err_set(
            err,
            "%s: no token has such a private key (pkcs11-tool -O lists what there is; a key shows only "
            "with a PIN: pin-source=file:PATH)",
            label);
    return found == 1 ? 0 : -1;
}

static EVP_PKEY *load(const char *text, P11KitUri *uri, const char *label, struct err *err)
{
    struct buf pin = {0};
    struct token_key *k = calloc(1, sizeof(*k));
    EVP_PKEY *key = NULL;
    CHECK(k != NULL);
    k->magic = TOKEN_KEY_MAGIC;
    pthread_mutex_init(&k->lock, NULL);
    if (p11_kit_uri_parse(text, P11_KIT_URI_FOR_OBJECT_ON_TOKEN_AND_MODULE, uri) != P11_KIT_URI_OK)
        err_set(
            err,
            "%s: not a PKCS#11 URI (RFC 7512); expected pkcs11:token=NAME;object=NAME?pin-source=file:PATH",
            label);
    else if (read_pin(uri, label, &pin, err) == 0 && find_key(k, uri, &pin, label, err) == 0)
        key = make_key(k, label, err);
    if (pin.data != NULL)
        OPENSSL_cleanse(pin.data, pin.cap);
    buf_free(&pin);
    if (key == NULL)
        token_key_free(k);
    return key;
}

EVP_PKEY *pkcs11_read_key(const char *text, struct err *err)
{
    char label[LABEL_MAX];
    pthread_once(&library.once, make_library);
    P11KitUri *uri = p11_kit_uri_new();
    CHECK(uri != NULL);
    EVP_PKEY *key = load(text, uri, label_of(text, label), err);
    p11_kit_uri_free(uri);
    ERR_clear_error();
    return key;
}
