/* SPDX-License-Identifier: Apache-2.0 */
#include "tls/authenticator.h"

#include <openssl/ec_key.h>
#include <openssl/err.h>
#include <openssl/hmac.h>
#include <openssl/mem.h>
#include <openssl/rand.h>
#include <openssl/sha.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <string.h>

#include "base/check.h"
#include "cert/cert.h"
#include "cert/identity.h"
#include "tls/authenticator_internal.h"
#include "tls/params.h"

/* ---- what the connection gives ---- */

static const struct {
    const char *context;
    const char *finished;
} labels[] = {
    [AUTHENTICATOR_CLIENT] = {"EXPORTER-client authenticator handshake context",
                              "EXPORTER-client authenticator finished key"},
    [AUTHENTICATOR_SERVER] = {"EXPORTER-server authenticator handshake context",
                              "EXPORTER-server authenticator finished key"},
};

static bool export_value(const SSL *ssl, const char *label, uint8_t *ret, size_t len)
{
    return SSL_export_keying_material((SSL *)(uintptr_t)ssl, ret, len, label, strlen(label), NULL, 0, 0) == 1;
}

int authenticator_export(const SSL *ssl, enum authenticator_sender sender, struct authenticator_keys *ret,
                         struct err *err)
{
    const SSL_CIPHER *cipher = SSL_get_current_cipher(ssl);
    if (SSL_version(ssl) != TLS1_3_VERSION || SSL_in_init(ssl) || cipher == NULL)
        return err_set(
            err, "authenticators are for connections of TLS 1.3 whose handshake is complete (this one: %s)",
            SSL_get_version(ssl));
    ret->hash = EVP_MD_size(SSL_CIPHER_get_handshake_digest(cipher));
    CHECK(ret->hash == SHA256_DIGEST_LENGTH || ret->hash == SHA384_DIGEST_LENGTH);
    if (export_value(ssl, labels[sender].context, ret->context, ret->hash) &&
        export_value(ssl, labels[sender].finished, ret->finished, ret->hash))
        return 0;
    ERR_clear_error();
    authenticator_forget(ret);
    return err_set(err, "the TLS library exports no keying material");
}

void authenticator_forget(struct authenticator_keys *keys)
{
    OPENSSL_cleanse(keys, sizeof(*keys));
}

static const EVP_MD *hash_of(const struct authenticator_keys *keys)
{
    return keys->hash == SHA384_DIGEST_LENGTH ? EVP_sha384() : EVP_sha256();
}

/* Hash(Handshake Context || authenticator request || ...), RFC 9261, 5.2.2 and 5.2.3. */
static void transcript(const struct authenticator_terms *t, struct str certificate, struct str verify,
                       uint8_t ret[AUTHENTICATOR_HASH_MAX])
{
    EVP_MD_CTX ctx;
    EVP_MD_CTX_init(&ctx);
    CHECK(EVP_DigestInit_ex(&ctx, hash_of(t->keys), NULL) &&
          EVP_DigestUpdate(&ctx, t->keys->context, t->keys->hash) &&
          EVP_DigestUpdate(&ctx, t->request.p, t->request.len) &&
          EVP_DigestUpdate(&ctx, certificate.p, certificate.len) &&
          EVP_DigestUpdate(&ctx, verify.p, verify.len) && EVP_DigestFinal_ex(&ctx, ret, NULL));
    EVP_MD_CTX_cleanup(&ctx);
}

static void finished(const struct authenticator_terms *t, struct str certificate, struct str verify,
                     uint8_t ret[AUTHENTICATOR_HASH_MAX])
{
    uint8_t hash[AUTHENTICATOR_HASH_MAX];
    unsigned len = 0;
    transcript(t, certificate, verify, hash);
    CHECK(HMAC(hash_of(t->keys), t->keys->finished, t->keys->hash, hash, t->keys->hash, ret, &len) != NULL);
    CHECK(len == t->keys->hash);
}

/* What is signed (RFC 9261, 5.2.2). */
#define SPACES 64
#define SIGNED_CONTEXT "Exported Authenticator" /* with its NUL, the separator */
#define SIGNED_MAX (SPACES + sizeof(SIGNED_CONTEXT) + AUTHENTICATOR_HASH_MAX)

static size_t signed_bytes(const struct authenticator_terms *t, struct str certificate,
                           uint8_t ret[SIGNED_MAX])
{
    memset(ret, ' ', SPACES);
    memcpy(ret + SPACES, SIGNED_CONTEXT, sizeof(SIGNED_CONTEXT));
    transcript(t, certificate, (struct str){0}, ret + SPACES + sizeof(SIGNED_CONTEXT));
    return SPACES + sizeof(SIGNED_CONTEXT) + t->keys->hash;
}

/* ---- signatures ---- */

static int curve_of(const EVP_PKEY *key)
{
    return EC_GROUP_get_curve_name(EC_KEY_get0_group(EVP_PKEY_get0_EC_KEY(key)));
}

/* Can that key make signatures of that scheme? Of TLS 1.3's only, where the curve is part of it. */
static bool fits(const EVP_PKEY *key, uint16_t scheme)
{
    int id = EVP_PKEY_id(key);
    switch (scheme) {
    case SSL_SIGN_ECDSA_SECP256R1_SHA256:
        return id == EVP_PKEY_EC && curve_of(key) == NID_X9_62_prime256v1;
    case SSL_SIGN_ECDSA_SECP384R1_SHA384:
        return id == EVP_PKEY_EC && curve_of(key) == NID_secp384r1;
    case SSL_SIGN_ECDSA_SECP521R1_SHA512:
        return id == EVP_PKEY_EC && curve_of(key) == NID_secp521r1;
    case SSL_SIGN_ED25519:
        return id == EVP_PKEY_ED25519;
    case SSL_SIGN_MLDSA44:
        return id == EVP_PKEY_PQDSA && EVP_PKEY_pqdsa_get_type(key) == NID_MLDSA44;
    case SSL_SIGN_MLDSA65:
        return id == EVP_PKEY_PQDSA && EVP_PKEY_pqdsa_get_type(key) == NID_MLDSA65;
    case SSL_SIGN_MLDSA87:
        return id == EVP_PKEY_PQDSA && EVP_PKEY_pqdsa_get_type(key) == NID_MLDSA87;
    case SSL_SIGN_RSA_PSS_RSAE_SHA256:
    case SSL_SIGN_RSA_PSS_RSAE_SHA384:
    case SSL_SIGN_RSA_PSS_RSAE_SHA512:
        return id == EVP_PKEY_RSA;
    default:
        return false;
    }
}

static bool is_ours(uint16_t scheme)
{
    for (size_t i = 0; i < TLS_PARAMS_SCHEMES_13; i++)
        if (tls_params_schemes[i] == scheme)
            return true;
    return false;
}

/* Does the other end take that scheme: by its request, or else by its ClientHello? */
static bool is_asked_for(const struct authenticator_terms *t, const struct request_view *request,
                         uint16_t scheme)
{
    uint16_t asked;
    struct cursor c = request->schemes;
    while (cursor_u16(&c, &asked))
        if (asked == scheme)
            return true;
    for (size_t i = 0; t->request.len == 0 && i < t->schemes_len; i++)
        if (t->schemes[i] == scheme)
            return true;
    return false;
}

static bool set_padding(EVP_PKEY_CTX *ctx, uint16_t scheme)
{
    return !SSL_is_signature_algorithm_rsa_pss(scheme) ||
           (EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_PSS_PADDING) &&
            EVP_PKEY_CTX_set_rsa_pss_saltlen(ctx, -1 /* the hash's length */));
}

static bool sign(EVP_PKEY *key, uint16_t scheme, const uint8_t *data, size_t len, struct buf *ret)
{
    EVP_MD_CTX ctx;
    EVP_PKEY_CTX *pctx;
    size_t n = 0;
    EVP_MD_CTX_init(&ctx);
    bool ok = EVP_DigestSignInit(&ctx, &pctx, SSL_get_signature_algorithm_digest(scheme), NULL, key) == 1 &&
              set_padding(pctx, scheme) && EVP_DigestSign(&ctx, NULL, &n, data, len) == 1 &&
              n <= UINT16_MAX && buf_reserve(ret, n) && EVP_DigestSign(&ctx, ret->data, &n, data, len) == 1;
    ret->len = ok ? n : 0;
    EVP_MD_CTX_cleanup(&ctx);
    ERR_clear_error();
    return ok;
}

static bool verify(EVP_PKEY *key, uint16_t scheme, struct str signature, const uint8_t *data, size_t len)
{
    EVP_MD_CTX ctx;
    EVP_PKEY_CTX *pctx;
    EVP_MD_CTX_init(&ctx);
    bool ok = EVP_DigestVerifyInit(&ctx, &pctx, SSL_get_signature_algorithm_digest(scheme), NULL, key) == 1 &&
              set_padding(pctx, scheme) &&
              EVP_DigestVerify(&ctx, (const uint8_t *)signature.p, signature.len, data, len) == 1;
    EVP_MD_CTX_cleanup(&ctx);
    ERR_clear_error();
    return ok;
}

/* ---- contexts ---- */

#define CONTEXT_DIGEST 16 /* bytes that are kept of each */

static void digest_of(struct str context, uint8_t ret[SHA256_DIGEST_LENGTH])
{
    SHA256((const uint8_t *)context.p, context.len, ret);
}

static int check_unused(const struct authenticator_terms *t, struct str context, struct err *err)
{
    const struct authenticator_contexts *c = t->contexts;
    uint8_t digest[SHA256_DIGEST_LENGTH];
    if (c == NULL)
        return 0;
    digest_of(context, digest);
    for (size_t i = 0; i < c->used.len; i += CONTEXT_DIGEST)
        if (memcmp(c->used.data + i, digest, CONTEXT_DIGEST) == 0)
            return err_set(err, "the certificate_request_context was used before on this connection");
    if (c->used.len >= (size_t)AUTHENTICATOR_CONTEXTS_MAX * CONTEXT_DIGEST)
        return err_set(err, "the connection has had %d authenticators, and takes no more",
                       AUTHENTICATOR_CONTEXTS_MAX);
    return 0;
}

static void use_up(const struct authenticator_terms *t, struct str context)
{
    uint8_t digest[SHA256_DIGEST_LENGTH];
    digest_of(context, digest);
    if (t->contexts != NULL)
        CHECK(buf_append(&t->contexts->used, digest, CONTEXT_DIGEST));
}

void authenticator_contexts_free(struct authenticator_contexts *contexts)
{
    buf_free(&contexts->used);
}

/* ---- both ends ---- */

/* The request that the terms name, where they do: it must be one to their sender. */
static int read_terms(const struct authenticator_terms *t, struct request_view *ret, struct err *err)
{
    static const uint8_t types[] = {[AUTHENTICATOR_CLIENT] = MESSAGE_CERTIFICATE_REQUEST,
                                    [AUTHENTICATOR_SERVER] = MESSAGE_CLIENT_CERTIFICATE_REQUEST};
    *ret = (struct request_view){0};
    if (t->request.len == 0 && t->sender == AUTHENTICATOR_CLIENT)
        return err_set(err, "a client makes no authenticator that it was not asked for (RFC 9261, 5)");
    if (t->request.len == 0)
        return 0;
    if (authenticator_read_request(t->request, ret, err) < 0)
        return -1;
    if (ret->type != types[t->sender])
        return err_set(err, "the authenticator request is one to the other end of the connection");
    return 0;
}

static struct str str_of(const struct buf *b, size_t from)
{
    return (struct str){(const char *)b->data + from, b->len - from};
}

/* ---- making ---- */

static uint16_t choose_scheme(const struct authenticator_terms *t, const struct request_view *request,
                              const EVP_PKEY *key)
{
    for (size_t i = 0; i < TLS_PARAMS_SCHEMES_13; i++)
        if (fits(key, tls_params_schemes[i]) && is_asked_for(t, request, tls_params_schemes[i]))
            return tls_params_schemes[i];
    return 0;
}

static int put_verify(const struct authenticator_terms *t, uint16_t scheme, EVP_PKEY *key, struct buf *out,
                      struct err *err)
{
    uint8_t data[SIGNED_MAX], head[4];
    struct buf signature = {0};
    struct writer w = writer_of(head, sizeof(head));
    size_t len = signed_bytes(t, str_of(out, 0), data);
    if (!sign(key, scheme, data, len, &signature)) {
        buf_free(&signature);
        return err_set(err, "the key does not sign");
    }
    writer_uint(&w, 2, scheme);
    writer_uint(&w, 2, signature.len);
    authenticator_put_message(out, MESSAGE_CERTIFICATE_VERIFY, head, sizeof(head), signature.data,
                              signature.len);
    buf_free(&signature);
    return 0;
}

static int put_proof(const struct authenticator_terms *t, const struct request_view *request,
                     const struct cert *cert, struct buf *out, struct err *err)
{
    uint16_t scheme = choose_scheme(t, request, cert->key);
    if (scheme == 0)
        return err_set(err, "the other end takes no signature of TLS 1.3 that the key of %s can make",
                       cert->label);
    if (put_verify(t, scheme, cert->key, out, err) < 0)
        return err_prefix(err, "certificate %s", cert->label);
    return 0;
}

/* Without a request the context is ours to choose. */
static struct str choose_context(const struct authenticator_terms *t, const struct request_view *request,
                                 uint8_t own[AUTHENTICATOR_CONTEXT])
{
    if (t->request.len > 0)
        return request->context;
    CHECK(RAND_bytes(own, AUTHENTICATOR_CONTEXT) == 1);
    return (struct str){(const char *)own, AUTHENTICATOR_CONTEXT};
}

int authenticator_make(const struct authenticator_terms *t, const struct cert *cert, struct buf *out,
                       struct err *err)
{
    struct request_view request;
    struct buf made = {0};
    uint8_t mac[AUTHENTICATOR_HASH_MAX], own[AUTHENTICATOR_CONTEXT];
    if (read_terms(t, &request, err) < 0)
        return -1;
    CHECK(cert != NULL || t->request.len > 0);
    struct str context = choose_context(t, &request, own);
    if (check_unused(t, context, err) < 0)
        return -1;
    authenticator_put_certificate(&made, context, cert == NULL ? NULL : cert->chain,
                                  cert == NULL ? 0 : cert->chain_len);
    if (cert != NULL && put_proof(t, &request, cert, &made, err) < 0) {
        buf_free(&made);
        return -1;
    }
    finished(t, str_of(&made, 0), (struct str){0}, mac);
    if (cert == NULL) /* the Certificate message that says nothing is not sent (RFC 9261, 6) */
        buf_consume(&made, made.len);
    authenticator_put_message(&made, MESSAGE_FINISHED, NULL, 0, mac, t->keys->hash);
    bool fits_out = made.len <= AUTHENTICATOR_MAX && buf_append(out, made.data, made.len);
    buf_free(&made);
    if (!fits_out)
        return err_set(err, "the certificate's chain is too long for an authenticator");
    use_up(t, context);
    return 0;
}

/* ---- judging ---- */

static bool mac_is(const struct authenticator_terms *t, struct str certificate, struct str verify_message,
                   struct str mac)
{
    uint8_t expected[AUTHENTICATOR_HASH_MAX];
    finished(t, certificate, verify_message, expected);
    return mac.len == t->keys->hash && CRYPTO_memcmp(expected, mac.p, mac.len) == 0;
}

static enum authenticator_verdict judge_empty(const struct authenticator_terms *t,
                                              const struct request_view *request,
                                              const struct authenticator_view *a, struct err *err)
{
    struct buf certificate = {0};
    bool good = false;
    if (t->request.len > 0) {
        authenticator_put_certificate(&certificate, request->context, NULL, 0);
        good = mac_is(t, str_of(&certificate, 0), (struct str){0}, a->mac);
        buf_free(&certificate);
    }
    err_set(err, good ? "the other end does not want to show a certificate"
                      : "the empty authenticator is not of this connection, or not for this request");
    return good ? AUTHENTICATOR_REFUSED : AUTHENTICATOR_BAD;
}

/* Where a leaf says what its key is for, that has to include signatures (RFC 8446, 4.4.2.2). */
static int check_signature(const struct authenticator_terms *t, const struct authenticator_view *a,
                           const CRYPTO_BUFFER *der, struct err *err)
{
    uint8_t data[SIGNED_MAX];
    X509 *leaf = X509_parse_from_buffer((CRYPTO_BUFFER *)(uintptr_t)der);
    EVP_PKEY *key = leaf == NULL ? NULL : X509_get0_pubkey(leaf);
    size_t len = signed_bytes(t, a->certificate, data);
    int rc = 0;
    if (key == NULL)
        rc = err_set(err, "the first certificate of the authenticator cannot be read");
    else if ((X509_get_key_usage(leaf) & X509v3_KU_DIGITAL_SIGNATURE) == 0)
        rc = err_set(err, "the certificate of the authenticator is not for signatures (keyUsage)");
    else if (!fits(key, a->scheme))
        rc = err_set(err, "signature scheme 0x%04x is not one of the certificate's key", a->scheme);
    else if (!verify(key, a->scheme, a->signature, data, len))
        rc = err_set(err, "the authenticator is not signed by its certificate's key for this connection and "
                          "this request");
    X509_free(leaf);
    ERR_clear_error();
    return rc;
}

static int check_whole(const struct authenticator_terms *t, const struct request_view *request,
                       const struct authenticator_view *a, struct err *err)
{
    bool same = a->context.len == request->context.len &&
                (a->context.len == 0 || memcmp(a->context.p, request->context.p, a->context.len) == 0);
    if (t->request.len > 0 && !same)
        return err_set(err, "the authenticator answers another request");
    if (check_unused(t, a->context, err) < 0)
        return -1;
    if (!is_ours(a->scheme) || !is_asked_for(t, request, a->scheme))
        return err_set(err, "signature scheme 0x%04x of the authenticator was not asked for", a->scheme);
    /* First what costs little. */
    if (!mac_is(t, a->certificate, a->verify, a->mac))
        return err_set(err, "the authenticator is not of this connection, or not for this request");
    return 0;
}

enum authenticator_verdict authenticator_validate(const struct authenticator_terms *t, struct str message,
                                                  STACK_OF(CRYPTO_BUFFER) * *ret_chain, struct err *err)
{
    struct request_view request;
    struct authenticator_view a;
    *ret_chain = NULL;
    if (read_terms(t, &request, err) < 0 || authenticator_read(message, &a, err) < 0)
        return AUTHENTICATOR_BAD;
    if (a.certificate.len == 0)
        return judge_empty(t, &request, &a, err);
    if (check_whole(t, &request, &a, err) < 0)
        return AUTHENTICATOR_BAD;
    STACK_OF(CRYPTO_BUFFER) *chain =
        authenticator_read_chain(a.entries, t->request.len > 0 ? &request : NULL, err);
    if (chain == NULL)
        return AUTHENTICATOR_BAD;
    if (check_signature(t, &a, sk_CRYPTO_BUFFER_value(chain, 0), err) < 0) {
        sk_CRYPTO_BUFFER_pop_free(chain, CRYPTO_BUFFER_free);
        return AUTHENTICATOR_BAD;
    }
    use_up(t, a.context);
    *ret_chain = chain;
    return AUTHENTICATOR_GOOD;
}

enum authenticator_verdict authenticator_prove(const struct authenticator_terms *t, struct str message,
                                               const struct trust *trust, const char *host, int64_t now,
                                               struct authenticator_proof *ret, struct err *err)
{
    enum trust_purpose purpose = t->sender == AUTHENTICATOR_CLIENT ? TRUST_CLIENT : TRUST_SERVER;
    *ret = (struct authenticator_proof){0};
    enum authenticator_verdict verdict = authenticator_validate(t, message, &ret->chain, err);
    if (verdict != AUTHENTICATOR_GOOD)
        return verdict;
    if (trust_verify(trust, ret->chain, purpose, host, now, NULL, err) == 0) {
        const CRYPTO_BUFFER *leaf = sk_CRYPTO_BUFFER_value(ret->chain, 0);
        ret->identity = identity_from_der(CRYPTO_BUFFER_data(leaf), CRYPTO_BUFFER_len(leaf), err);
    }
    if (ret->identity != NULL)
        return AUTHENTICATOR_GOOD;
    authenticator_proof_free(ret);
    return AUTHENTICATOR_BAD;
}

void authenticator_proof_free(struct authenticator_proof *proof)
{
    sk_CRYPTO_BUFFER_pop_free(proof->chain, CRYPTO_BUFFER_free);
    identity_free(proof->identity);
    *proof = (struct authenticator_proof){0};
}
