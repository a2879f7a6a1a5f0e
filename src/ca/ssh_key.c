/* SPDX-License-Identifier: Apache-2.0 */
/* Keys of a CA for SSH: Ed25519 (RFC 8709) of a file, or ECDSA (RFC 5656) of a token. */
#include <string.h>

#include <openssl/bn.h>
#include <openssl/ec.h>
#include <openssl/ec_key.h>
#include <openssl/ecdsa.h>
#include <openssl/evp.h>
#include <openssl/nid.h>

#include "base/check.h"
#include "base/cursor.h"
#include "ca/ca_internal.h"
#include "ca/ssh.h"
#include "ca/ssh_internal.h"
#include "cert/key.h"

#define ED25519 "ssh-ed25519"
#define ED25519_LEN 32
#define POINT_MAX 256
#define SIGNATURE_MAX 256

bool ssh_put_uint(struct buf *b, size_t n, uint64_t value)
{
    uint8_t bytes[8];
    struct writer w = writer_of(bytes, sizeof(bytes));
    writer_uint(&w, n, value);
    return buf_append(b, bytes, n);
}

bool ssh_put_bytes(struct buf *b, const void *bytes, size_t len)
{
    return ssh_put_uint(b, 4, len) && buf_append(b, bytes, len);
}

bool ssh_put_text(struct buf *b, const char *text)
{
    return ssh_put_bytes(b, text, strlen(text));
}

bool ssh_put_packed(struct buf *b, struct buf *inner, bool ok)
{
    ok = ok && ssh_put_bytes(b, inner->data, inner->len);
    buf_free(inner);
    return ok;
}

/* ---- keys ---- */

/* "nistp256" or "nistp384"; NULL for what is neither. */
static const char *curve_of(const EVP_PKEY *key)
{
    if (EVP_PKEY_id(key) != EVP_PKEY_EC)
        return NULL;
    switch (EC_GROUP_get_curve_name(EC_KEY_get0_group(EVP_PKEY_get0_EC_KEY(key)))) {
    case NID_X9_62_prime256v1:
        return "nistp256";
    case NID_secp384r1:
        return "nistp384";
    default:
        return NULL;
    }
}

static bool put_ecdsa_type(struct buf *b, const char *curve)
{
    char type[32];
    snprintf(type, sizeof(type), "ecdsa-sha2-%s", curve);
    return ssh_put_text(b, type);
}

static bool put_ecdsa(struct buf *ret, const EVP_PKEY *key, const char *curve)
{
    uint8_t point[POINT_MAX];
    const EC_KEY *ec = EVP_PKEY_get0_EC_KEY(key);
    size_t len = EC_POINT_point2oct(EC_KEY_get0_group(ec), EC_KEY_get0_public_key(ec),
                                    POINT_CONVERSION_UNCOMPRESSED, point, sizeof(point), NULL);
    return len > 0 && put_ecdsa_type(ret, curve) && ssh_put_text(ret, curve) &&
           ssh_put_bytes(ret, point, len);
}

int ssh_put_key(struct buf *ret, const EVP_PKEY *key, struct err *err)
{
    uint8_t bytes[ED25519_LEN];
    size_t len = sizeof(bytes);
    const char *curve = curve_of(key);
    bool ed25519 = EVP_PKEY_id(key) == EVP_PKEY_ED25519 && EVP_PKEY_get_raw_public_key(key, bytes, &len) == 1;
    if (!ed25519 && curve == NULL)
        return err_set(err, "a key of a CA for SSH is of another kind than Ed25519, P-256 and P-384");
    bool ok =
        ed25519 ? ssh_put_text(ret, ED25519) && ssh_put_bytes(ret, bytes, len) : put_ecdsa(ret, key, curve);
    return ok ? 0 : err_set(err, "out of memory");
}

/* ---- signatures ---- */

/* Positive, and without a byte too many (RFC 4251, 5). */
static bool put_mpint(struct buf *b, const BIGNUM *n)
{
    uint8_t bytes[POINT_MAX] = {0};
    size_t len = BN_num_bytes(n), sign = BN_num_bits(n) % 8 == 0;
    CHECK(1 + len <= sizeof(bytes));
    BN_bn2bin(n, bytes + 1);
    return ssh_put_bytes(b, bytes + 1 - sign, len + sign);
}

/* r and s, out of DER (RFC 5656, 3.1.2). */
static bool put_ecdsa_signature(struct buf *b, const uint8_t *der, size_t len)
{
    struct buf inner = {0};
    ECDSA_SIG *sig = ECDSA_SIG_from_bytes(der, len);
    bool ok =
        sig != NULL && put_mpint(&inner, ECDSA_SIG_get0_r(sig)) && put_mpint(&inner, ECDSA_SIG_get0_s(sig));
    ECDSA_SIG_free(sig);
    return ssh_put_packed(b, &inner, ok);
}

bool ssh_put_signature(struct buf *b, EVP_PKEY *ca)
{
    uint8_t signature[SIGNATURE_MAX];
    size_t len = sizeof(signature);
    struct buf inner = {0};
    const char *curve = curve_of(ca);
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    bool ok = ctx != NULL && EVP_DigestSignInit(ctx, NULL, key_digest(ca), NULL, ca) == 1 &&
              EVP_DigestSign(ctx, signature, &len, b->data, b->len) == 1;
    EVP_MD_CTX_free(ctx);
    if (curve != NULL)
        ok = ok && put_ecdsa_type(&inner, curve) && put_ecdsa_signature(&inner, signature, len);
    else
        ok = ok && ssh_put_text(&inner, ED25519) && ssh_put_bytes(&inner, signature, len);
    return ssh_put_packed(b, &inner, ok);
}
