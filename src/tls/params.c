/* SPDX-License-Identifier: Apache-2.0 */
#include "tls/params.h"

#include <string.h>

#include "base/check.h"

/* Forward secrecy and AEAD only (RFC 9325, 4.2). AES-128 first: SHA-384 costs a tenth of a handshake, AES-256
 * a quarter of the bulk, and neither buys anything that matters before quantum computers break the rest. */
#define TLS12_CIPHERS                                                                          \
    "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384:" \
    "ECDHE-RSA-AES256-GCM-SHA384:ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305"
#define TLS13_CIPHERS "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256"

const uint16_t tls_params_schemes[TLS_PARAMS_SCHEMES] = {
    SSL_SIGN_ECDSA_SECP256R1_SHA256,
    SSL_SIGN_ED25519,
    SSL_SIGN_ECDSA_SECP384R1_SHA384,
    SSL_SIGN_ECDSA_SECP521R1_SHA512,
    SSL_SIGN_MLDSA44,
    SSL_SIGN_MLDSA65,
    SSL_SIGN_MLDSA87,
    SSL_SIGN_RSA_PSS_RSAE_SHA256,
    SSL_SIGN_RSA_PSS_RSAE_SHA384,
    SSL_SIGN_RSA_PSS_RSAE_SHA512,
    SSL_SIGN_RSA_PKCS1_SHA256,
    SSL_SIGN_RSA_PKCS1_SHA384,
    SSL_SIGN_RSA_PKCS1_SHA512,
};

static bool set_groups(SSL_CTX *ctx, const struct tls_groups *groups, struct err *err)
{
    struct buf list = {0};
    bool ok = true;
    for (size_t i = 0; i < groups->n && ok; i++) {
        const char *name = SSL_get_group_name(groups->v[i]);
        if (name == NULL) {
            buf_free(&list);
            err_set(err, "the TLS library does not know group 0x%04x", groups->v[i]);
            return false;
        }
        ok = buf_printf(&list, "%s%s", i > 0 ? ":" : "", name);
    }
    CHECK(ok);
    ok = groups->n == 0 || SSL_CTX_set1_groups_list(ctx, buf_text(&list));
    if (!ok)
        err_set(err, "the TLS library refuses the groups %s", buf_text(&list));
    buf_free(&list);
    return ok;
}

/* Of the peer's Certificate message, which the library gathers whole before it proves anything. Chains with
 * ML-DSA-87 take some 15 KiB. */
#define CERTIFICATE_MAX ((size_t)32 * 1024)

SSL_CTX *tls_params_ctx(uint16_t min_version, uint16_t max_version, const struct tls_groups *groups,
                        struct err *err)
{
    if (groups->pq == TLS_PQ_REQUIRE)
        min_version = MAX(min_version, (uint16_t)TLS1_3_VERSION);
    SSL_CTX *ctx = SSL_CTX_new(TLS_with_buffers_method());
    CHECK(ctx != NULL);
    SSL_CTX_set_mode(ctx, SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_max_cert_list(ctx, CERTIFICATE_MAX);
    if (!SSL_CTX_set_min_proto_version(ctx, min_version) ||
        !SSL_CTX_set_max_proto_version(ctx, max_version) ||
        !SSL_CTX_set_strict_cipher_list(ctx, TLS12_CIPHERS) ||
        !SSL_CTX_set_ciphersuites(ctx, TLS13_CIPHERS) ||
        !SSL_CTX_set_verify_algorithm_prefs(ctx, tls_params_schemes, TLS_PARAMS_SCHEMES) ||
        !SSL_CTX_set_signing_algorithm_prefs(ctx, tls_params_schemes, TLS_PARAMS_SCHEMES)) {
        err_set(err, "the TLS library refuses the versions 0x%04x to 0x%04x", min_version, max_version);
        SSL_CTX_free(ctx);
        return NULL;
    }
    if (set_groups(ctx, groups, err))
        return ctx;
    SSL_CTX_free(ctx);
    return NULL;
}

/* Append those of TLS 1.3, or the others. */
static bool put_ciphers(struct buf *list, const int *ciphers, size_t count, bool tls13, struct err *err)
{
    for (size_t i = 0; i < count; i++) {
        const SSL_CIPHER *c = SSL_get_cipher_by_value((uint16_t)ciphers[i]);
        if (c == NULL) {
            err_set(err, "the TLS library does not know cipher suite 0x%04x", (unsigned)ciphers[i]);
            return false;
        }
        if ((SSL_CIPHER_get_min_version(c) >= TLS1_3_VERSION) == tls13)
            CHECK(buf_printf(list, "%s%s", list->len > 0 ? ":" : "", SSL_CIPHER_get_name(c)));
    }
    return true;
}

bool tls_params_ciphers(SSL_CTX *ctx, const int *ciphers, size_t count, struct err *err)
{
    struct buf newer = {0}, older = {0};
    bool ok =
        put_ciphers(&newer, ciphers, count, true, err) && put_ciphers(&older, ciphers, count, false, err);
    if (ok && ((newer.len > 0 && !SSL_CTX_set_ciphersuites(ctx, buf_text(&newer))) ||
               (older.len > 0 && !SSL_CTX_set_strict_cipher_list(ctx, buf_text(&older))))) {
        err_set(err, "the TLS library refuses the cipher suites");
        ok = false;
    }
    buf_free(&newer);
    buf_free(&older);
    return ok;
}

bool tls_params_alpn(const char *const *names, size_t count, struct buf *ret, struct err *err)
{
    for (size_t i = 0; i < count; i++) {
        size_t len = strlen(names[i]);
        uint8_t prefix = (uint8_t)len;
        if (len == 0 || len > 255) {
            err_set(err, "ALPN names have 1 to 255 bytes");
            return false;
        }
        CHECK(buf_append(ret, &prefix, 1) && buf_append(ret, names[i], len));
    }
    return true;
}
