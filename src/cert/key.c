/* SPDX-License-Identifier: Apache-2.0 */
#include "cert/key.h"

#include <stdio.h>
#include <string.h>

#include <openssl/bio.h>
#include <openssl/bytestring.h>
#include <openssl/ec.h>
#include <openssl/ec_key.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/mem.h>
#include <openssl/nid.h>
#include <openssl/pem.h>

#include "base/check.h"
#include "base/file.h"
#include "cert/pbes2.h"
#include "cert/pem.h"
#include "cert/pkcs11.h"

#define KEY_FILE_MAX (256 * 1024)

/* Kinds
 * ----------------------------------------------------------------------------------------------------------
 */

/* How each kind is made: the type, and its one parameter (curve, bits or parameter set). */
#define TYPE_EC EVP_PKEY_EC
#define TYPE_ED25519 EVP_PKEY_ED25519
#define TYPE_RSA EVP_PKEY_RSA
#define TYPE_MLDSA EVP_PKEY_PQDSA
static const struct key_row {
    int type;
    int size;
} key_rows[] = {
#define KIND(NAME, name, type, size, synonyms) [KEY_##NAME] = {TYPE_##type, size},
#include "tables/key_kinds.def"
#undef KIND
};

static int curve_of(int bits)
{
    return bits == 256 ? NID_X9_62_prime256v1 : bits == 384 ? NID_secp384r1 : NID_secp521r1;
}

static int parameters_of(int set)
{
    return set == 44 ? NID_MLDSA44 : set == 65 ? NID_MLDSA65 : NID_MLDSA87;
}

static bool set_parameter(EVP_PKEY_CTX *ctx, const struct key_row *row)
{
    switch (row->type) {
    case EVP_PKEY_EC:
        return EVP_PKEY_CTX_set_ec_paramgen_curve_nid(ctx, curve_of(row->size)) == 1;
    case EVP_PKEY_RSA:
        return EVP_PKEY_CTX_set_rsa_keygen_bits(ctx, row->size) == 1;
    case EVP_PKEY_PQDSA:
        return EVP_PKEY_CTX_pqdsa_set_params(ctx, parameters_of(row->size)) == 1;
    default:
        return true;
    }
}

EVP_PKEY *key_make(enum key_kind kind)
{
    CHECK((unsigned)kind < KEY_KINDS);
    const struct key_row *row = &key_rows[kind];
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_id(row->type, NULL);
    EVP_PKEY *key = NULL;
    if (ctx != NULL && EVP_PKEY_keygen_init(ctx) == 1 && set_parameter(ctx, row) &&
        EVP_PKEY_keygen(ctx, &key) != 1)
        key = NULL;
    EVP_PKEY_CTX_free(ctx);
    return key;
}

const EVP_MD *key_digest(const EVP_PKEY *key)
{
    switch (EVP_PKEY_id(key)) {
    case EVP_PKEY_RSA:
        return EVP_sha256();
    case EVP_PKEY_EC:
        return EVP_PKEY_bits(key) > 256 ? EVP_sha384() : EVP_sha256();
    default:
        return NULL;
    }
}

static bool is_of(const EVP_PKEY *key, const struct key_row *row)
{
    if (EVP_PKEY_id(key) != row->type)
        return false;
    switch (row->type) {
    case EVP_PKEY_EC:
        return EC_GROUP_get_curve_name(EC_KEY_get0_group(EVP_PKEY_get0_EC_KEY(key))) == curve_of(row->size);
    case EVP_PKEY_RSA:
        return EVP_PKEY_bits(key) == row->size;
    case EVP_PKEY_PQDSA:
        return EVP_PKEY_pqdsa_get_type(key) == parameters_of(row->size);
    default:
        return true;
    }
}

void key_type(enum key_kind kind, int *ret_type, int *ret_parameter)
{
    CHECK((unsigned)kind < KEY_KINDS);
    *ret_type = key_rows[kind].type;
    *ret_parameter = key_rows[kind].type == EVP_PKEY_EC ? curve_of(key_rows[kind].size) : key_rows[kind].size;
}

const char *key_describe(const EVP_PKEY *key, char ret[KEY_TEXT_MAX])
{
    for (enum key_kind kind = 0; key != NULL && kind < KEY_KINDS; kind++) {
        if (is_of(key, &key_rows[kind])) {
            snprintf(ret, KEY_TEXT_MAX, "%s", key_kind_name(kind));
            return ret;
        }
    }
    const char *curve = NULL;
    if (key != NULL && EVP_PKEY_id(key) == EVP_PKEY_EC)
        curve = EC_curve_nid2nist(EC_GROUP_get_curve_name(EC_KEY_get0_group(EVP_PKEY_get0_EC_KEY(key))));
    if (key != NULL && EVP_PKEY_id(key) == EVP_PKEY_RSA)
        snprintf(ret, KEY_TEXT_MAX, "RSA-%d", EVP_PKEY_bits(key));
    else
        snprintf(ret, KEY_TEXT_MAX, "%s", curve != NULL ? curve : "of another kind");
    return ret;
}

/* Files
 * ----------------------------------------------------------------------------------------------------------
 */

static bool marshal(CBB *out, const EVP_PKEY *key, struct str passphrase)
{
    struct buf plain = {0};
    if (passphrase.len == 0)
        return EVP_marshal_private_key(out, key) == 1;
    bool ok = key_put_der(key, &plain) &&
              pbes2_put(out, (struct str){(const char *)plain.data, plain.len}, passphrase);
    buf_wipe(&plain);
    return ok;
}

int key_write(const EVP_PKEY *key, struct str passphrase, const char *path, struct err *err)
{
    const char *type = passphrase.len == 0 ? PEM_STRING_PKCS8INF : PEM_STRING_PKCS8;
    BIO *bio = BIO_new(BIO_s_mem());
    CBB cbb;
    uint8_t *der = NULL;
    const uint8_t *pem = NULL;
    size_t der_len = 0, len = 0;
    int rc;
    CBB_zero(&cbb);
    if (bio == NULL || !CBB_init(&cbb, 256) || !marshal(&cbb, key, passphrase) ||
        !CBB_finish(&cbb, &der, &der_len) || !PEM_write_bio(bio, type, "", der, (long)der_len) ||
        !BIO_mem_contents(bio, &pem, &len))
        rc = err_set(err, "%s: the private key cannot be written in PKCS #8", path);
    else
        rc = file_create_atomic(path, 0600, pem, len, err);
    CBB_cleanup(&cbb);
    OPENSSL_free(der); /* wipes it */
    BIO_free(bio);     /* this too */
    ERR_clear_error();
    return rc;
}

struct asked {
    struct str passphrase;
    bool encrypted;
};

static int give_passphrase(char *out, int size, int rwflag, void *arg)
{
    struct asked *asked = arg;
    (void)rwflag;
    asked->encrypted = true;
    if (asked->passphrase.len == 0 || asked->passphrase.len > (size_t)size)
        return -1;
    memcpy(out, asked->passphrase.p, asked->passphrase.len);
    return (int)asked->passphrase.len;
}

/* `hint`: what to do about one that is encrypted where there is no passphrase, up to the path; or empty. */
static EVP_PKEY *parse(const char *path, const struct buf *text, struct str passphrase, const char *hint,
                       struct err *err)
{
    struct asked asked = {.passphrase = passphrase};
    BIO *bio = BIO_new_mem_buf(text->data, (ossl_ssize_t)text->len);
    EVP_PKEY *key = bio == NULL ? NULL : PEM_read_bio_PrivateKey(bio, NULL, give_passphrase, &asked);
    BIO_free(bio);
    ERR_clear_error();
    if (key == NULL && asked.encrypted && passphrase.len == 0)
        err_set(err, "%s: the key is encrypted, and no passphrase was given%s%s", path, hint,
                *hint != '\0' ? path : "");
    else if (key == NULL && asked.encrypted)
        err_set(err, "%s: not the passphrase of this key, or the file is damaged", path);
    else if (key == NULL)
        err_set(err, "%s: no private key in PEM that can be read (expected -----BEGIN PRIVATE KEY-----)",
                path);
    return key;
}

static EVP_PKEY *read_file(const char *path, struct str passphrase, const char *hint, struct err *err)
{
    struct buf text = {0};
    mode_t mode = 0;
    EVP_PKEY *key = NULL;
    if (file_read(path, KEY_FILE_MAX, &text, &mode, err) < 0)
        return NULL;
    if (!pem_key_is_kept(mode))
        err_set(err, "%s: other users may use this private key (mode %04o); do: chmod 600 %s", path,
                (unsigned)mode, path);
    else
        key = parse(path, &text, passphrase, hint, err);
    buf_wipe(&text);
    return key;
}

EVP_PKEY *key_read(const char *path, struct str passphrase, struct err *err)
{
    return read_file(path, passphrase, "", err);
}

EVP_PKEY *key_load(const char *path, struct err *err)
{
    if (pkcs11_is_uri(path))
        return pkcs11_read_key(path, (struct str){0}, err);
    return read_file(path, (struct str){NULL, 0}, "; decrypt it with: openssl pkey -in ", err);
}

bool key_put_der(const struct evp_pkey_st *key, struct buf *ret)
{
    CBB cbb;
    uint8_t *der = NULL;
    size_t len = 0;
    bool ok = CBB_init(&cbb, 256) && EVP_marshal_private_key(&cbb, key) && CBB_finish(&cbb, &der, &len);
    if (!ok)
        CBB_cleanup(&cbb);
    ok = ok && buf_append(ret, der, len);
    OPENSSL_free(der); /* which wipes it */
    ERR_clear_error();
    return ok;
}

struct evp_pkey_st *key_from_der(struct str der)
{
    CBS cbs;
    CBS_init(&cbs, (const uint8_t *)der.p, der.len);
    EVP_PKEY *key = EVP_parse_private_key(&cbs);
    ERR_clear_error();
    if (key == NULL || CBS_len(&cbs) == 0)
        return key;
    EVP_PKEY_free(key);
    return NULL;
}

void key_free(struct evp_pkey_st *key)
{
    EVP_PKEY_free(key);
}

bool key_is_encrypted(const char *path)
{
    static const char begin[] = "-----BEGIN " PEM_STRING_PKCS8 "-----";
    struct buf text = {0};
    if (file_read(path, KEY_FILE_MAX, &text, NULL, NULL) < 0)
        return false;
    bool encrypted = memmem(text.data, text.len, begin, sizeof(begin) - 1) != NULL;
    buf_wipe(&text);
    return encrypted;
}
