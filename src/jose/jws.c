/* SPDX-License-Identifier: Apache-2.0 */
/* Reading and verifying. */
#include "jose/jws.h"

#include <string.h>

#include <openssl/bn.h>
#include <openssl/ec_key.h>
#include <openssl/ecdsa.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/mem.h>
#include <openssl/sha.h>

#include "base/base64.h"
#include "base/check.h"
#include "jose/jws_internal.h"

static const char *const names[] = {
    [JWS_ES256] = "ES256", [JWS_ES384] = "ES384", [JWS_RS256] = "RS256",
    [JWS_EDDSA] = "EdDSA", [JWS_HS256] = "HS256",
};
_Static_assert(ARRAY_LEN(names) == JWS_ALGORITHMS, "a name for each algorithm");

const char *jws_algorithm_name(enum jws_algorithm a)
{
    CHECK((unsigned)a < JWS_ALGORITHMS);
    return names[a];
}

/* Reading
 * -----------------------------------------------------------------------------------------------------------
 */

static int malformed(struct err *err, const char *what)
{
    return err_set(err, "not a JWS that is taken here: %s", what);
}

/* The text of one of the three members. */
static int member(const json_t *object, const char *key, struct str *ret, struct err *err)
{
    const json_t *value = json_object_get(object, key);
    if (!json_is_string(value))
        return err_set(err, "not a JWS that is taken here: \"%s\" is not there as a string", key);
    *ret = (struct str){json_string_value(value), json_string_length(value)};
    return 0;
}

/* A text of the header that may be missing. */
static int header_text(const json_t *header, const char *key, const char **ret, struct err *err)
{
    const json_t *value = json_object_get(header, key);
    *ret = json_string_value(value);
    if (value != NULL && *ret == NULL)
        return err_set(err, "\"%s\" of the protected header is not a string", key);
    return 0;
}

static enum jws_result read_algorithm(struct jws *j, struct err *err)
{
    const char *alg = json_string_value(json_object_get(j->header, "alg"));
    if (alg == NULL) {
        malformed(err, "\"alg\" is not there as a string");
        return JWS_MALFORMED;
    }
    for (size_t i = 0; i < JWS_ALGORITHMS; i++)
        if (strcmp(names[i], alg) == 0) {
            j->algorithm = (enum jws_algorithm)i;
            return JWS_OK;
        }
    err_set(err, "the JWS is signed by an algorithm that is not taken here; expected one of %s",
            JWS_NAMES_SIGNATURE);
    return JWS_BAD_ALGORITHM;
}

static int load_header(struct jws *j, struct str protected, struct err *err)
{
    struct buf text = {0};
    bool read = base64url_read(protected, &text);
    if (read)
        j->header = json_loadb((const char *)text.data, text.len, JSON_REJECT_DUPLICATES, NULL);
    buf_free(&text);
    if (!read)
        return malformed(err, "\"protected\" is not base64url without padding");
    return json_is_object(j->header) ? 0 : malformed(err, "the protected header is not a JSON object");
}

static int read_header(struct jws *j, struct err *err)
{
    if (json_object_get(j->header, "crit") != NULL || json_object_get(j->header, "b64") != NULL)
        return malformed(err, "the header asks for an extension, and none is known here");
    if (header_text(j->header, "kid", &j->kid, err) < 0 ||
        header_text(j->header, "nonce", &j->nonce, err) < 0 ||
        header_text(j->header, "url", &j->url, err) < 0)
        return -1;
    j->jwk = json_object_get(j->header, "jwk");
    if (j->jwk != NULL && j->kid != NULL)
        return malformed(err, "expected either \"jwk\" or \"kid\" in the protected header, not both");
    return 0;
}

static int read_parts(struct jws *j, struct err *err)
{
    struct str protected, payload, signature;
    if (!json_is_object(j->object))
        return malformed(err, "it is not a JSON object");
    if (json_object_get(j->object, "header") != NULL || json_object_get(j->object, "signatures") != NULL)
        return malformed(err, "it has an unprotected header, or several signatures");
    if (member(j->object, "protected", &protected, err) < 0 ||
        member(j->object, "payload", &payload, err) < 0 ||
        member(j->object, "signature", &signature, err) < 0)
        return -1;
    if (!base64url_read(payload, &j->payload))
        return malformed(err, "\"payload\" is not base64url without padding");
    if (!base64url_read(signature, &j->signature))
        return malformed(err, "\"signature\" is not base64url without padding");
    if (!buf_append(&j->text, protected.p, protected.len) || !buf_append(&j->text, ".", 1) ||
        !buf_append(&j->text, payload.p, payload.len))
        return err_set(err, "out of memory");
    j->input = (struct str){(const char *)j->text.data, j->text.len};
    return load_header(j, protected, err);
}

enum jws_result jws_read(json_t *object, struct jws *ret, struct err *err)
{
    *ret = (struct jws){.object = object};
    if (read_parts(ret, err) < 0)
        return JWS_MALFORMED;
    enum jws_result result = read_algorithm(ret, err);
    if (result == JWS_OK && read_header(ret, err) < 0)
        result = JWS_MALFORMED;
    return result;
}

enum jws_result jws_load(struct str text, struct jws *ret, struct err *err)
{
    return jws_read(json_loadb(text.p, text.len, JSON_REJECT_DUPLICATES, NULL), ret, err);
}

void jws_free(struct jws *j)
{
    json_decref(j->object);
    json_decref(j->header);
    buf_free(&j->text);
    buf_free(&j->payload);
    buf_free(&j->signature);
    *j = (struct jws){0};
}

/* Verifying
 * ---------------------------------------------------------------------------------------------------------
 */

bool jws_algorithm_of(const EVP_PKEY *key, enum jws_algorithm *ret)
{
    switch (EVP_PKEY_id(key)) {
    case EVP_PKEY_EC:
        *ret = EVP_PKEY_bits(key) == 384 ? JWS_ES384 : JWS_ES256;
        return EVP_PKEY_bits(key) == 384 || EVP_PKEY_bits(key) == 256;
    case EVP_PKEY_RSA:
        *ret = JWS_RS256;
        return true;
    case EVP_PKEY_ED25519:
        *ret = JWS_EDDSA;
        return true;
    default:
        return false;
    }
}

size_t jws_ec_digest(enum jws_algorithm algorithm, struct str input, uint8_t ret[SHA384_DIGEST_LENGTH])
{
    if (algorithm == JWS_ES384)
        SHA384((const uint8_t *)input.p, input.len, ret);
    else
        SHA256((const uint8_t *)input.p, input.len, ret);
    return algorithm == JWS_ES384 ? SHA384_DIGEST_LENGTH : SHA256_DIGEST_LENGTH;
}

/* R and S side by side, each as long as the curve's order (RFC 7518, 3.4); the digest is as long. */
static bool verify_ec(const struct jws *j, const EC_KEY *ec)
{
    uint8_t digest[SHA384_DIGEST_LENGTH];
    size_t len = jws_ec_digest(j->algorithm, j->input, digest);
    if (j->signature.len != 2 * len)
        return false;
    ECDSA_SIG *sig = ECDSA_SIG_new();
    BIGNUM *r = BN_bin2bn(j->signature.data, len, NULL), *s = BN_bin2bn(j->signature.data + len, len, NULL);
    bool ok = sig != NULL && r != NULL && s != NULL && ECDSA_SIG_set0(sig, r, s);
    if (!ok) {
        BN_free(r);
        BN_free(s);
    }
    ok = ok && ECDSA_do_verify(digest, len, sig, ec) == 1;
    ECDSA_SIG_free(sig);
    return ok;
}

bool jws_verify(const struct jws *j, EVP_PKEY *key)
{
    enum jws_algorithm wanted;
    bool ok;
    if (!jws_algorithm_of(key, &wanted) || j->algorithm != wanted)
        return false;
    if (EVP_PKEY_id(key) == EVP_PKEY_EC) {
        ok = verify_ec(j, EVP_PKEY_get0_EC_KEY(key));
    } else {
        EVP_MD_CTX *ctx = EVP_MD_CTX_new();
        const EVP_MD *md = wanted == JWS_RS256 ? EVP_sha256() : NULL;
        ok = ctx != NULL && EVP_DigestVerifyInit(ctx, NULL, md, NULL, key) == 1 &&
             EVP_DigestVerify(ctx, j->signature.data, j->signature.len, (const uint8_t *)j->input.p,
                              j->input.len) == 1;
        EVP_MD_CTX_free(ctx);
    }
    ERR_clear_error();
    return ok;
}

bool jws_verify_mac(const struct jws *j, const uint8_t *secret, size_t len)
{
    uint8_t mac[SHA256_DIGEST_LENGTH];
    unsigned mac_len = 0;
    return j->algorithm == JWS_HS256 && j->signature.len == sizeof(mac) &&
           HMAC(EVP_sha256(), secret, len, (const uint8_t *)j->input.p, j->input.len, mac, &mac_len) !=
               NULL &&
           CRYPTO_memcmp(mac, j->signature.data, sizeof(mac)) == 0;
}
