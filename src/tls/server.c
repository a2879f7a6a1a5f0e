/* SPDX-License-Identifier: Apache-2.0 */
/* The ClientHello has been read before TLS begins, so the context, with its certificate, is chosen up front
 * and no callback of the library's decides it. There is one context for each certificate, made when the
 * configuration is loaded and only read afterwards, by all workers. */
#include "tls/server.h"

#include <openssl/sha.h>
#include <openssl/ssl.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "cert/trust.h"
#include "tls/params.h"
#include "tls/tickets.h"
#include "tls/tls_internal.h"

#define SERVER_MAGIC 0x715e4e40u

/* The library lets the client's order decide between the cipher suites of TLS 1.3. For clients that name
 * AES-256 first but know AES-128 as well, as OpenSSL's do, there is a context without it: SHA-384 costs a
 * tenth of a handshake. */
struct cert_ctx {
    SSL_CTX *full;
    SSL_CTX *lean;
};

struct tls_server {
    uint32_t magic;
    const struct cert_store *store;
    struct trust *trust;
    struct buf alpn;      /* wire form, in our order */
    struct cert_ctx *ctx; /* per certificate of the store, in its order */
    size_t ctx_len;
};

/* The first of ours that the client offers; else what its route was chosen by. */
static int select_alpn(SSL *ssl, const uint8_t **out, uint8_t *out_len, const uint8_t *in, unsigned in_len,
                       void *arg)
{
    const struct tls_server *server = arg;
    struct str choice = tls_proof_of(ssl)->alpn_choice;
    uint8_t *selected;
    if (server->alpn.len > 0 &&
        SSL_select_next_proto(&selected, out_len, server->alpn.data, (unsigned)server->alpn.len, in,
                              in_len) == OPENSSL_NPN_NEGOTIATED) {
        *out = selected;
        return SSL_TLSEXT_ERR_OK;
    }
    if (choice.len > 0) {
        *out = (const uint8_t *)choice.p;
        *out_len = (uint8_t)choice.len;
        return SSL_TLSEXT_ERR_OK;
    }
    /* no_application_protocol (RFC 7301, 3.2) */
    return server->alpn.len > 0 ? SSL_TLSEXT_ERR_ALERT_FATAL : SSL_TLSEXT_ERR_NOACK;
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

static SSL_CTX *ctx_new(struct tls_server *server, const struct cert *cert, const struct tls_server_params *p,
                        struct err *err)
{
    SSL_CTX *ctx = tls_params_ctx(p->min_version, p->max_version, p->groups, p->groups_len, err);
    if (ctx == NULL)
        return NULL;
    SSL_CTX_set_options(ctx, SSL_OP_CIPHER_SERVER_PREFERENCE);
    if (!SSL_CTX_set_chain_and_key(ctx, cert->chain, cert->chain_len, cert->key, NULL)) {
        err_set(err, "certificate %s: %s", cert->label, tls_reason());
        SSL_CTX_free(ctx);
        return NULL;
    }
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

static int cert_ctx_make(struct tls_server *server, size_t i, const struct tls_server_params *p,
                         struct err *err)
{
    const struct cert *cert = cert_store_at(p->store, i);
    struct cert_ctx *c = &server->ctx[i];
    c->full = ctx_new(server, cert, p, err);
    c->lean = c->full == NULL ? NULL : ctx_new(server, cert, p, err);
    if (c->lean == NULL)
        return -1;
    CHECK(SSL_CTX_set_ciphersuites(c->lean, "TLS_AES_128_GCM_SHA256"));
    return 0;
}

struct tls_server *tls_server_new(const struct tls_server_params *params, struct err *err)
{
    struct tls_server *server = calloc(1, sizeof(*server));
    CHECK(server != NULL && params->store != NULL);
    server->magic = SERVER_MAGIC;
    server->store = params->store;
    server->trust = params->trust == NULL ? NULL : trust_ref(params->trust);
    server->ctx_len = cert_store_count(params->store);
    server->ctx = calloc(server->ctx_len, sizeof(struct cert_ctx));
    CHECK(server->ctx != NULL);
    bool ok = tls_params_alpn(params->alpn, params->alpn_len, &server->alpn, err);
    for (size_t i = 0; i < server->ctx_len && ok; i++)
        ok = cert_ctx_make(server, i, params, err) == 0;
    if (ok)
        return server;
    tls_server_free(server);
    return NULL;
}

void tls_server_free(struct tls_server *server)
{
    if (server == NULL)
        return;
    CHECK_MAGIC(server, SERVER_MAGIC);
    for (size_t i = 0; i < server->ctx_len; i++) {
        SSL_CTX_free(server->ctx[i].full);
        SSL_CTX_free(server->ctx[i].lean);
    }
    free(server->ctx);
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

#define TLS_AES_128_GCM_SHA256 0x1301
#define TLS_AES_256_GCM_SHA384 0x1302
#define TLS_CHACHA20_POLY1305_SHA256 0x1303

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

static SSL_CTX *choose_ctx(const struct tls_server *server, const struct cert_query *query,
                           const struct cert **ret_cert)
{
    const struct cert_ctx *chosen = &server->ctx[0];
    const struct cert *cert = cert_store_at(server->store, 0);
    if (server->ctx_len > 1) {
        cert = cert_select(server->store, query);
        for (size_t i = 0; i < server->ctx_len; i++)
            if (cert_store_at(server->store, i) == cert)
                chosen = &server->ctx[i];
    }
    *ret_cert = cert;
    return query->version >= TLS1_3_VERSION && wants_lean(query) ? chosen->lean : chosen->full;
}

SSL *tls_server_ssl(const struct tls_server *server, const struct tls_client_hello *hello,
                    struct tls_proof *ret_proof)
{
    CHECK_MAGIC(server, SERVER_MAGIC);
    const struct cert *own;
    SSL *ssl = SSL_new(choose_ctx(server, &hello->query, &own));
    CHECK(ssl != NULL);
    SSL_set_accept_state(ssl);
    *ret_proof = (struct tls_proof){.trust = server->trust, .alpn_choice = hello->alpn, .own = own};
    return ssl;
}

struct link *tls_server_accept(const struct tls_server *server, const struct tls_client_hello *hello,
                               struct link *lower, struct tls_scratch *scratch)
{
    struct tls_proof proof;
    SSL *ssl = tls_server_ssl(server, hello, &proof);
    return tls_link_new(ssl, lower, scratch, &proof, hello->early);
}
