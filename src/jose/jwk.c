/* SPDX-License-Identifier: Apache-2.0 */
#include "jose/jwk.h"

#include <string.h>

#include <openssl/bn.h>
#include <openssl/ec.h>
#include <openssl/ec_key.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/nid.h>
#include <openssl/rsa.h>
#include <openssl/sha.h>

#include "base/base64.h"
#include "base/check.h"

#define ED25519_LEN 32

static const struct curve {
    const char *name;
    int nid;
    size_t len; /* bytes of a coordinate */
} curves[] = {
    {"P-256", NID_X9_62_prime256v1, 32},
    {"P-384", NID_secp384r1, 48},
};

/* Reading
 * -----------------------------------------------------------------------------------------------------------
 */

/* The bytes of a member in base64url; `len` of them unless that is 0. */
static int read_bytes(const json_t *jwk, const char *key, size_t len, struct buf *ret, struct err *err)
{
    const json_t *value = json_object_get(jwk, key);
    if (!json_is_string(value))
        return err_set(err, "the JWK has no \"%s\", which its kind must have as a string", key);
    struct str text = {json_string_value(value), json_string_length(value)};
    if (!base64url_read(text, ret) || ret->len == 0)
        return err_set(err, "\"%s\" of the JWK is not base64url without padding", key);
    if (len != 0 && ret->len != len)
        return err_set(err, "\"%s\" of the JWK has %zu bytes; expected %zu", key, ret->len, len);
    return 0;
}

static BIGNUM *read_number(const json_t *jwk, const char *key, size_t len, struct err *err)
{
    struct buf bytes = {.max = JWK_RSA_BITS_MAX};
    BIGNUM *n = NULL;
    if (read_bytes(jwk, key, len, &bytes, err) == 0) {
        n = BN_bin2bn(bytes.data, bytes.len, NULL);
        if (n == NULL)
            err_set(err, "out of memory");
        else if (len == 0 && BN_num_bytes(n) < bytes.len) {
            err_set(err, "\"%s\" of the JWK has leading zeros (RFC 7518, 2)", key);
            BN_free(n);
            n = NULL;
        }
    }
    buf_free(&bytes);
    return n;
}

static const struct curve *curve_named(const json_t *jwk)
{
    const char *name = json_string_value(json_object_get(jwk, "crv"));
    for (size_t i = 0; name != NULL && i < ARRAY_LEN(curves); i++)
        if (strcmp(curves[i].name, name) == 0)
            return &curves[i];
    return NULL;
}

static EVP_PKEY *read_ec(const json_t *jwk, struct err *err)
{
    const struct curve *curve = curve_named(jwk);
    if (curve == NULL) {
        err_set(err, "\"crv\" of the JWK is none that is taken here; expected P-256 or P-384");
        return NULL;
    }
    EC_KEY *ec = EC_KEY_new_by_curve_name(curve->nid);
    BIGNUM *x = read_number(jwk, "x", curve->len, err);
    BIGNUM *y = x == NULL ? NULL : read_number(jwk, "y", curve->len, err);
    EVP_PKEY *key = NULL;
    if (ec != NULL && y != NULL) {
        key = EVP_PKEY_new();
        if (!EC_KEY_set_public_key_affine_coordinates(ec, x, y) || key == NULL ||
            !EVP_PKEY_set1_EC_KEY(key, ec)) {
            err_set(err, "\"x\" and \"y\" of the JWK are not a point of its curve");
            EVP_PKEY_free(key);
            key = NULL;
        }
    }
    BN_free(x);
    BN_free(y);
    EC_KEY_free(ec);
    return key;
}

static int check_rsa(const BIGNUM *n, const BIGNUM *e, struct err *err)
{
    if (BN_num_bits(n) < JWK_RSA_BITS_MIN || BN_num_bits(n) > JWK_RSA_BITS_MAX)
        return err_set(err, "the RSA key has %u bits; expected %d to %d", BN_num_bits(n), JWK_RSA_BITS_MIN,
                       JWK_RSA_BITS_MAX);
    if (!BN_is_odd(n) || !BN_is_odd(e) || BN_num_bits(e) < 2 || BN_num_bits(e) > 32)
        return err_set(err, "the RSA key's exponent or modulus is none; expected both odd, 65537 for \"e\"");
    return 0;
}

static EVP_PKEY *read_rsa(const json_t *jwk, struct err *err)
{
    BIGNUM *n = read_number(jwk, "n", 0, err);
    BIGNUM *e = n == NULL ? NULL : read_number(jwk, "e", 0, err);
    EVP_PKEY *key = NULL;
    if (e != NULL && check_rsa(n, e, err) == 0) {
        RSA *rsa = RSA_new_public_key(n, e);
        key = EVP_PKEY_new();
        if (rsa == NULL || key == NULL || !EVP_PKEY_set1_RSA(key, rsa)) {
            err_set(err, "the JWK is no RSA key that can be used");
            EVP_PKEY_free(key);
            key = NULL;
        }
        RSA_free(rsa);
    }
    BN_free(n);
    BN_free(e);
    return key;
}

static EVP_PKEY *read_okp(const json_t *jwk, struct err *err)
{
    const char *name = json_string_value(json_object_get(jwk, "crv"));
    struct buf x = {0};
    EVP_PKEY *key = NULL;
    if (name == NULL || strcmp(name, "Ed25519") != 0)
        err_set(err, "\"crv\" of the JWK is none that is taken here; expected Ed25519");
    else if (read_bytes(jwk, "x", ED25519_LEN, &x, err) == 0 &&
             (key = EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL, x.data, x.len)) == NULL)
        err_set(err, "\"x\" of the JWK is no Ed25519 key");
    buf_free(&x);
    return key;
}

EVP_PKEY *jwk_read(const json_t *jwk, struct err *err)
{
    static const struct {
        const char *kty;
        EVP_PKEY *(*read)(const json_t *jwk, struct err *err);
    } kinds[] = {{"EC", read_ec}, {"RSA", read_rsa}, {"OKP", read_okp}};
    const char *kty = json_string_value(json_object_get(jwk, "kty"));
    if (kty == NULL) {
        err_set(err, "the JWK is not an object with \"kty\"");
        return NULL;
    }
    if (json_object_get(jwk, "d") != NULL) {
        err_set(err, "the JWK holds a private key: it is known to others now, make a new one");
        return NULL;
    }
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
        if (strcmp(kinds[i].kty, kty) != 0)
            continue;
        EVP_PKEY *key = kinds[i].read(jwk, err);
        ERR_clear_error();
        return key;
    }
    err_set(err, "\"kty\" of the JWK is none that is taken here; expected EC, RSA or OKP");
    return NULL;
}

/* Writing
 * -----------------------------------------------------------------------------------------------------------
 */

/* Append a number: of `len` bytes, or as few as it needs where that is 0. */
static bool put_number(struct buf *out, const BIGNUM *n, size_t len)
{
    uint8_t bytes[JWK_RSA_BITS_MAX / 8];
    size_t need = len != 0 ? len : BN_num_bytes(n);
    return need <= sizeof(bytes) && BN_bn2bin_padded(bytes, need, n) && base64url_put(out, bytes, need);
}

static bool put_ec(const EC_KEY *ec, struct buf *out)
{
    const struct curve *curve = NULL;
    int nid = EC_GROUP_get_curve_name(EC_KEY_get0_group(ec));
    for (size_t i = 0; i < ARRAY_LEN(curves); i++)
        if (curves[i].nid == nid)
            curve = &curves[i];
    BIGNUM *x = BN_new(), *y = BN_new();
    bool ok = curve != NULL && x != NULL && y != NULL &&
              EC_POINT_get_affine_coordinates(EC_KEY_get0_group(ec), EC_KEY_get0_public_key(ec), x, y, NULL);
    ok = ok && buf_printf(out, "{\"crv\":\"%s\",\"kty\":\"EC\",\"x\":\"", curve->name) &&
         put_number(out, x, curve->len) && buf_printf(out, "\",\"y\":\"") && put_number(out, y, curve->len) &&
         buf_printf(out, "\"}");
    BN_free(x);
    BN_free(y);
    return ok;
}

static bool put_rsa(const RSA *rsa, struct buf *out)
{
    return buf_printf(out, "{\"e\":\"") && put_number(out, RSA_get0_e(rsa), 0) &&
           buf_printf(out, "\",\"kty\":\"RSA\",\"n\":\"") && put_number(out, RSA_get0_n(rsa), 0) &&
           buf_printf(out, "\"}");
}

static bool put_okp(const EVP_PKEY *key, struct buf *out)
{
    uint8_t x[ED25519_LEN];
    size_t len = sizeof(x);
    return EVP_PKEY_get_raw_public_key(key, x, &len) &&
           buf_printf(out, "{\"crv\":\"Ed25519\",\"kty\":\"OKP\",\"x\":\"") && base64url_put(out, x, len) &&
           buf_printf(out, "\"}");
}

bool jwk_put(const EVP_PKEY *key, struct buf *out)
{
    size_t at = out->len;
    bool ok = false;
    switch (EVP_PKEY_id(key)) {
    case EVP_PKEY_EC:
        ok = put_ec(EVP_PKEY_get0_EC_KEY(key), out);
        break;
    case EVP_PKEY_RSA:
        ok = put_rsa(EVP_PKEY_get0_RSA(key), out);
        break;
    case EVP_PKEY_ED25519:
        ok = put_okp(key, out);
        break;
    default:
        break;
    }
    if (!ok)
        out->len = at;
    ERR_clear_error();
    return ok;
}

bool jwk_thumbprint(const EVP_PKEY *key, char ret[JWK_THUMBPRINT_MAX])
{
    struct buf json = {0}, text = {0};
    uint8_t digest[SHA256_DIGEST_LENGTH];
    bool ok = jwk_put(key, &json);
    if (ok) {
        SHA256(json.data, json.len, digest);
        ok = base64url_put(&text, digest, sizeof(digest));
    }
    if (ok) {
        CHECK(text.len == JWK_THUMBPRINT_LEN);
        str_copy(ret, JWK_THUMBPRINT_MAX, (const char *)text.data, text.len);
    }
    buf_free(&json);
    buf_free(&text);
    return ok;
}
