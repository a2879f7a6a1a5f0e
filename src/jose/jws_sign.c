/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include <openssl/bn.h>
#include <openssl/ec_key.h>
#include <openssl/ecdsa.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/sha.h>

#include "base/base64.h"
#include "base/check.h"
#include "jose/jwk.h"
#include "jose/jws_internal.h"

static bool put_member(struct buf *b, const char *key, const char *value)
{
    struct str text = {value, value == NULL ? 0 : strlen(value)};
    return value == NULL || (buf_printf(b, ",\"%s\":", key) && str_json(b, text.p, text.len));
}

/* Append what is signed: header "." payload, in base64url. `key` is NULL for a shared secret. */
static bool put_input(enum jws_algorithm algorithm, const EVP_PKEY *key, const struct jws_header *h,
                      struct str payload, struct buf *out)
{
    struct buf header = {0};
    bool ok = buf_printf(&header, "{\"alg\":\"%s\"", jws_algorithm_name(algorithm));
    if (h->kid != NULL)
        ok = ok && put_member(&header, "kid", h->kid);
    else
        ok = ok && key != NULL && buf_printf(&header, ",\"jwk\":") && jwk_put(key, &header);
    ok = ok && put_member(&header, "nonce", h->nonce) && put_member(&header, "url", h->url) &&
         buf_printf(&header, "}") && base64url_put(out, header.data, header.len) && buf_append(out, ".", 1) &&
         base64url_put(out, payload.p, payload.len);
    buf_free(&header);
    return ok;
}

static bool sign_ec(enum jws_algorithm algorithm, const EC_KEY *ec, struct str input, struct buf *ret)
{
    uint8_t digest[SHA384_DIGEST_LENGTH], raw[2 * SHA384_DIGEST_LENGTH];
    size_t len = jws_ec_digest(algorithm, input, digest);
    ECDSA_SIG *sig = ECDSA_do_sign(digest, len, ec);
    if (sig == NULL)
        return false;
    const BIGNUM *r, *s;
    ECDSA_SIG_get0(sig, &r, &s);
    bool ok =
        BN_bn2bin_padded(raw, len, r) && BN_bn2bin_padded(raw + len, len, s) && buf_append(ret, raw, 2 * len);
    ECDSA_SIG_free(sig);
    return ok;
}

static bool sign(enum jws_algorithm algorithm, EVP_PKEY *key, struct str input, struct buf *ret)
{
    if (EVP_PKEY_id(key) == EVP_PKEY_EC)
        return sign_ec(algorithm, EVP_PKEY_get0_EC_KEY(key), input, ret);
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    size_t len = EVP_PKEY_size(key);
    const EVP_MD *md = algorithm == JWS_RS256 ? EVP_sha256() : NULL;
    bool ok = ctx != NULL && buf_reserve(ret, len) && EVP_DigestSignInit(ctx, NULL, md, NULL, key) == 1 &&
              EVP_DigestSign(ctx, ret->data, &len, (const uint8_t *)input.p, input.len) == 1;
    if (ok)
        ret->len = len;
    EVP_MD_CTX_free(ctx);
    return ok;
}

/* `input` is changed: its dot is where it is cut in two. */
static bool put_json(struct buf *input, const struct buf *signature, struct buf *out)
{
    const char *text = buf_text(input);
    const char *dot = text == NULL ? NULL : strchr(text, '.');
    return dot != NULL &&
           buf_printf(out, "{\"protected\":\"%.*s\",\"payload\":\"%s\",\"signature\":\"", (int)(dot - text),
                      text, dot + 1) &&
           base64url_put(out, signature->data, signature->len) && buf_printf(out, "\"}");
}

static int finish(bool ok, struct buf *input, struct buf *signature, struct buf *out, struct err *err)
{
    size_t at = out->len;
    if (ok && !put_json(input, signature, out)) {
        out->len = at;
        ok = false;
    }
    buf_free(input);
    buf_free(signature);
    ERR_clear_error();
    return ok ? 0 : err_set(err, "the JWS could not be signed");
}

int jws_sign(EVP_PKEY *key, const struct jws_header *header, struct str payload, struct buf *out,
             struct err *err)
{
    struct buf input = {0}, signature = {0};
    enum jws_algorithm algorithm;
    if (!jws_algorithm_of(key, &algorithm))
        return err_set(err, "this kind of key signs no JWS; expected P-256, P-384, RSA or Ed25519");
    bool ok = put_input(algorithm, key, header, payload, &input) &&
              sign(algorithm, key, (struct str){(const char *)input.data, input.len}, &signature);
    return finish(ok, &input, &signature, out, err);
}

int jws_sign_mac(const uint8_t *secret, size_t len, const struct jws_header *header, struct str payload,
                 struct buf *out, struct err *err)
{
    struct buf input = {0}, signature = {0};
    uint8_t mac[SHA256_DIGEST_LENGTH];
    unsigned mac_len = 0;
    CHECK(header->kid != NULL);
    bool ok = put_input(JWS_HS256, NULL, header, payload, &input) &&
              HMAC(EVP_sha256(), secret, len, input.data, input.len, mac, &mac_len) != NULL &&
              buf_append(&signature, mac, mac_len);
    return finish(ok, &input, &signature, out, err);
}

int jws_key_authorization(const char *token, const EVP_PKEY *key, struct buf *out, struct err *err)
{
    char thumbprint[JWK_THUMBPRINT_MAX];
    if (!jwk_thumbprint(key, thumbprint))
        return err_set(err, "this kind of key has no JWK");
    return buf_printf(out, "%s.%s", token, thumbprint) ? 0 : err_set(err, "out of memory");
}
