/* SPDX-License-Identifier: Apache-2.0 */
/* The ClientHello has been read before TLS begins, so the certificate is chosen up front and no callback of
 * the library's decides it; one chooses the key exchange group. It is given to the connection, not to the
 * context: so there are two contexts whatever the number of certificates, made when the configuration is
 * loaded and only read afterwards, by all workers, and a certificate that comes later needs none. The library
 * looks at the leaf's key once for each connection, which is 1.5 % of what it does in a full handshake. */
#include "tls/server.h"

#include <openssl/err.h>
#include <openssl/pool.h>
#include <openssl/sha.h>
#include <openssl/ssl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/clock.h"
#include "cert/trust.h"
#include "ech/ring.h"
#include "tls/params.h"
#include "tls/tickets.h"
#include "tls/tls_internal.h"

#define SERVER_MAGIC 0x715e4e40u

#define TLS_AES_128_GCM_SHA256 0x1301
#define TLS_AES_256_GCM_SHA384 0x1302
#define TLS_CHACHA20_POLY1305_SHA256 0x1303

/* The library lets the client's order decide between the cipher suites of TLS 1.3. For clients that name
 * AES-256 first but know AES-128 as well, as OpenSSL's do, there is a context without it: SHA-384 costs a
 * tenth of a handshake. */
struct tls_server {
    uint32_t magic;
    const struct cert_store *store; /* or NULL */
    struct trust *trust;
    struct buf alpn; /* wire form, in our order */
    struct tls_groups groups;
    SSL_CTX *full;
    SSL_CTX *lean;
    const struct ech_ring *ech; /* or NULL */
    pthread_mutex_t ech_lock;   /* while the contexts get other keys */
    _Atomic uint64_t ech_turn;  /* whose keys they have */
};

struct str tls_server_protocol(const struct tls_server *server, struct str choice, const uint8_t *offered,
                               size_t offered_len, bool *ret_refused)
{
    uint8_t *selected, len;
    *ret_refused = false;
    if (server->alpn.len > 0 &&
        SSL_select_next_proto(&selected, &len, server->alpn.data, (unsigned)server->alpn.len, offered,
                              (unsigned)offered_len) == OPENSSL_NPN_NEGOTIATED)
        return (struct str){(const char *)selected, len};
    *ret_refused = choice.len == 0 && server->alpn.len > 0;
    return choice;
}

const char *tls_server_refusal(const struct tls_server *server, const struct tls_groups_offer *offer)
{
    CHECK_MAGIC(server, SERVER_MAGIC);
    return tls_groups_refuse(&server->groups, offer);
}

bool tls_server_shares_group(const struct tls_server *server, uint16_t version, struct cursor offered)
{
    CHECK_MAGIC(server, SERVER_MAGIC);
    return tls_groups_share(&server->groups, version, offered);
}

static int select_alpn(SSL *ssl, const uint8_t **out, uint8_t *out_len, const uint8_t *in, unsigned in_len,
                       void *arg)
{
    bool refused;
    struct str protocol = tls_server_protocol(arg, tls_proof_of(ssl)->alpn_choice, in, in_len, &refused);
    *out = (const uint8_t *)protocol.p;
    *out_len = (uint8_t)protocol.len;
    /* no_application_protocol (RFC 7301, 3.2) */
    return refused             ? SSL_TLSEXT_ERR_ALERT_FATAL
           : protocol.len == 0 ? SSL_TLSEXT_ERR_NOACK
                               : SSL_TLSEXT_ERR_OK;
}

static struct cursor extension_of(const SSL_CLIENT_HELLO *hello, uint16_t type)
{
    const uint8_t *body;
    size_t len;
    return SSL_early_callback_ctx_extension_get(hello, type, &body, &len) ? cursor_of(body, len)
                                                                          : (struct cursor){0};
}

/* The library takes the first group of ours that the client knows, share or not. */
static enum ssl_select_cert_result_t choose_group(const SSL_CLIENT_HELLO *hello)
{
    SSL *ssl = hello->ssl;
    const struct tls_server *server = SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl));
    const struct tls_groups_offer offer = {.versions = extension_of(hello, TLSEXT_TYPE_supported_versions),
                                           .groups = extension_of(hello, TLSEXT_TYPE_supported_groups),
                                           .shares = extension_of(hello, TLSEXT_TYPE_key_share)};
    const char *refusal = tls_server_refusal(server, &offer);
    uint16_t held = SSL_CTX_get_max_proto_version(server->full) < TLS1_3_VERSION
                        ? 0
                        : tls_groups_hold(&server->groups, &offer);
    if (refusal != NULL) {
        tls_proof_of(ssl)->refusal = refusal;
        SSL_send_fatal_alert(ssl, SSL_AD_INSUFFICIENT_SECURITY);
        return ssl_select_cert_error;
    }
    return held == 0 || SSL_set1_groups_list(ssl, SSL_get_group_name(held)) ? ssl_select_cert_success
                                                                            : ssl_select_cert_error;
}

static void ask_for_clients(SSL_CTX *ctx, const struct tls_server_params *p)
{
    if (p->clients == TLS_CLIENTS_NONE)
        return;
    int mode = SSL_VERIFY_PEER | (p->clients == TLS_CLIENTS_REQUIRED ? SSL_VERIFY_FAIL_IF_NO_PEER_CERT : 0);
    SSL_CTX_set_custom_verify(ctx, mode, tls_proof_verify);
    SSL_CTX_set0_client_CAs(ctx, trust_ca_names(p->trust));
}

/* Tickets bind to the scope: one from a lax route must not open a strict one. */
static void set_scope(SSL_CTX *ctx, const char *scope)
{
    uint8_t digest[SHA256_DIGEST_LENGTH];
    SHA256((const uint8_t *)scope, strlen(scope), digest);
    SSL_CTX_set_session_id_context(ctx, digest, sizeof(digest));
}

static SSL_CTX *ctx_new(struct tls_server *server, const struct tls_server_params *p, struct err *err)
{
    SSL_CTX *ctx = tls_params_ctx(p->min_version, p->max_version, &server->groups, err);
    if (ctx == NULL)
        return NULL;
    if (!tls_params_ciphers(ctx, p->ciphers, p->ciphers_len, err)) {
        SSL_CTX_free(ctx);
        return NULL;
    }
    SSL_CTX_set_options(ctx, SSL_OP_CIPHER_SERVER_PREFERENCE);
    SSL_CTX_set_app_data(ctx, server);
    SSL_CTX_set_select_certificate_cb(ctx, choose_group);
    SSL_CTX_set_alpn_select_cb(ctx, select_alpn, server);
    SSL_CTX_set_msg_callback(ctx, tls_proof_message);
    ask_for_clients(ctx, p);
    set_scope(ctx, p->scope);
    if (p->tickets != NULL)
        tickets_attach(p->tickets, ctx);
    else
        SSL_CTX_set_options(ctx, SSL_OP_NO_TICKET);
    return ctx;
}

/* A stale staple is worse than none: clients would take it for an attack. */
static bool show(SSL *ssl, const struct cert *cert)
{
    const struct cert_staple *staple = cert_staple(cert);
    return SSL_set_chain_and_key(ssl, cert->chain, cert->chain_len, cert->key, NULL) &&
           (staple == NULL || staple->until <= clock_wall() / NSEC_PER_SEC ||
            SSL_set_ocsp_response(ssl, CRYPTO_BUFFER_data(staple->der), CRYPTO_BUFFER_len(staple->der)));
}

/* What the library does not like is to be known now, not with the first client. */
static bool try_certificates(const struct tls_server *server, struct err *err)
{
    SSL *ssl = SSL_new(server->full);
    CHECK(ssl != NULL);
    bool ok = true;
    for (size_t i = 0; server->store != NULL && i < cert_store_count(server->store) && ok; i++) {
        const struct cert *cert = cert_store_at(server->store, i);
        ok = show(ssl, cert);
        if (!ok)
            err_set(err, "certificate %s: %s", cert->label, tls_reason());
    }
    SSL_free(ssl);
    return ok;
}

/* Of the suites of TLS 1.3 that are wanted, is that the first? */
static bool prefers_aes_128(const struct tls_server_params *p)
{
    for (size_t i = 0; i < p->ciphers_len; i++)
        if (p->ciphers[i] >> 8 == TLS_AES_128_GCM_SHA256 >> 8)
            return p->ciphers[i] == TLS_AES_128_GCM_SHA256;
    return true;
}

static bool make_contexts(struct tls_server *server, const struct tls_server_params *p, struct err *err)
{
    server->full = ctx_new(server, p, err);
    server->lean = server->full == NULL ? NULL : ctx_new(server, p, err);
    if (server->lean == NULL)
        return false;
    if (prefers_aes_128(p))
        CHECK(SSL_CTX_set_ciphersuites(server->lean, "TLS_AES_128_GCM_SHA256"));
    return true;
}

struct tls_server *tls_server_new(const struct tls_server_params *params, struct err *err)
{
    struct tls_server *server = calloc(1, sizeof(*server));
    CHECK(server != NULL);
    server->magic = SERVER_MAGIC;
    server->store = params->store;
    server->trust = params->trust == NULL ? NULL : trust_ref(params->trust);
    server->ech = params->ech;
    pthread_mutex_init(&server->ech_lock, NULL);
    if (tls_groups_make(params->groups, params->groups_len, params->pq, &server->groups, err) == 0 &&
        tls_params_alpn(params->alpn, params->alpn_len, &server->alpn, err) &&
        make_contexts(server, params, err) && try_certificates(server, err))
        return server;
    tls_server_free(server);
    return NULL;
}

void tls_server_free(struct tls_server *server)
{
    if (server == NULL)
        return;
    CHECK_MAGIC(server, SERVER_MAGIC);
    SSL_CTX_free(server->full);
    SSL_CTX_free(server->lean);
    pthread_mutex_destroy(&server->ech_lock);
    buf_free(&server->alpn);
    trust_unref(server->trust);
    server->magic = 0;
    free(server);
}

const struct trust *tls_server_trust(const struct tls_server *server)
{
    CHECK_MAGIC(server, SERVER_MAGIC);
    return server->trust;
}

/* Does the client name AES-256 before anything else of TLS 1.3, and AES-128 too? */
static bool wants_lean(const struct cert_query *query)
{
    uint16_t first = 0;
    for (size_t i = 0; i < query->ciphers_len; i++) {
        uint16_t suite = query->ciphers[i];
        if (suite < TLS_AES_128_GCM_SHA256 || suite > TLS_CHACHA20_POLY1305_SHA256)
            continue;
        if (first == 0)
            first = suite;
        if (suite == TLS_AES_128_GCM_SHA256)
            return first == TLS_AES_256_GCM_SHA384;
    }
    return false;
}

/* Where there is one only, nothing need be known of the client. */
static const struct cert *choose(const struct cert_store *store, const struct cert_query *query)
{
    return cert_store_count(store) == 1 ? cert_store_at(store, 0) : cert_select(store, query);
}

/* Let the contexts know the keys of ECH as they are now: once for each turn of the ring. */
static void follow_ech(const struct tls_server *const_server)
{
    struct tls_server *server = (struct tls_server *)(uintptr_t)const_server;
    if (server->ech == NULL || atomic_load(&server->ech_turn) == ech_ring_turns(server->ech))
        return;
    pthread_mutex_lock(&server->ech_lock);
    uint64_t turn = ech_ring_turns(server->ech);
    const struct ech_keys *keys = ech_ring_keys(server->ech);
    ech_keys_attach(keys, server->full);
    ech_keys_attach(keys, server->lean);
    atomic_store(&server->ech_turn, turn);
    pthread_mutex_unlock(&server->ech_lock);
}

/* Can the library refuse a certificate that it has taken before, or that is made as those are? Only for want
 * of memory. A connection without one ends in the handshake, with an alert. */
SSL *tls_server_ssl(const struct tls_server *server, const struct tls_client_hello *hello,
                    struct tls_proof *ret_proof)
{
    CHECK_MAGIC(server, SERVER_MAGIC);
    const struct cert_query *query = &hello->query;
    bool lean = query->version >= TLS1_3_VERSION && wants_lean(query);
    const struct cert *own = hello->cert != NULL ? hello->cert : choose(server->store, query);
    follow_ech(server);
    SSL *ssl = SSL_new(lean ? server->lean : server->full);
    CHECK(ssl != NULL);
    if (!show(ssl, own))
        ERR_clear_error();
    SSL_set_accept_state(ssl);
    *ret_proof = (struct tls_proof){
        .trust = server->trust, .alpn_choice = hello->alpn, .own = cert_ref((struct cert *)(uintptr_t)own)};
    return ssl;
}

struct link *tls_server_accept(const struct tls_server *server, const struct tls_client_hello *hello,
                               struct link *lower, struct tls_scratch *scratch)
{
    struct tls_proof proof;
    SSL *ssl = tls_server_ssl(server, hello, &proof);
    return tls_link_new(ssl, lower, scratch, &proof, hello->early);
}
