/* SPDX-License-Identifier: Apache-2.0 */
/* The peer must always prove itself: by a trust bundle, by its key, or it was said in so many words that
 * anyone will do. */
#include "tls/client.h"

#include <openssl/ssl.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/hostname.h"
#include "cert/cert.h"
#include "cert/expect.h"
#include "cert/trust.h"
#include "ech/offer.h"
#include "tls/params.h"
#include "tls/sessions.h"
#include "tls/tls_internal.h"

#define CLIENT_MAGIC 0x7c11e470u

struct tls_client {
    uint32_t magic;
    SSL_CTX *ctx;
    struct trust *trust;
    struct cert *cert;
    const struct expect *expect;
    bool only_looks;
    bool only_hybrid;
};

/* ---- tickets ---- */

static int on_session(SSL *ssl, SSL_SESSION *fresh)
{
    struct tls_proof *proof = tls_proof_of(ssl);
    if (proof->sessions == NULL || !SSL_SESSION_is_resumable(fresh))
        return 0;
    if (!SSL_session_reused(ssl)) /* in TLS 1.2 the handshake is not over */
        tls_proof_settle(proof, false);
    if (proof->sessions_age != tls_sessions_age(proof->sessions))
        return 0;
    tls_sessions_put(proof->sessions, fresh);
    return 1; /* it is ours */
}

static void keep_sessions(struct tls_client *c)
{
    SSL_CTX_set_session_cache_mode(c->ctx, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
    SSL_CTX_sess_set_new_cb(c->ctx, on_session);
}

/* ---- the client ---- */

static int configure(struct tls_client *c, const struct tls_client_params *p, struct err *err)
{
    struct buf alpn = {0};
    struct tls_groups groups;
    if (tls_groups_make(p->groups, p->groups_len, p->pq, &groups, err) != 0)
        return -1;
    c->ctx = tls_params_ctx(p->min_version, p->max_version, &groups, err);
    if (c->ctx == NULL || !tls_params_alpn(p->alpn, p->alpn_len, &alpn, err)) {
        buf_free(&alpn);
        return -1;
    }
    if ((p->ciphers != NULL && !SSL_CTX_set_strict_cipher_list(c->ctx, p->ciphers)) ||
        (p->verifies_len > 0 && !SSL_CTX_set_verify_algorithm_prefs(c->ctx, p->verifies, p->verifies_len))) {
        buf_free(&alpn);
        return err_set(err, "the TLS library refuses the cipher suites or signature schemes of a client");
    }
    if (alpn.len > 0)
        SSL_CTX_set_alpn_protos(c->ctx, alpn.data, (unsigned)alpn.len);
    buf_free(&alpn);
    SSL_CTX_set_custom_verify(c->ctx, SSL_VERIFY_PEER, tls_proof_verify);
    if (p->resumes)
        keep_sessions(c);
    if (p->only_looks) {
        SSL_CTX_enable_ocsp_stapling(c->ctx);
        SSL_CTX_enable_signed_cert_timestamps(c->ctx);
    }
    if (c->cert != NULL &&
        !SSL_CTX_set_chain_and_key(c->ctx, c->cert->chain, c->cert->chain_len, c->cert->key, NULL))
        return err_set(err, "certificate %s: %s", c->cert->label, tls_reason());
    return 0;
}

struct tls_client *tls_client_new(const struct tls_client_params *params, struct err *err)
{
    struct tls_client *c = calloc(1, sizeof(*c));
    CHECK(c != NULL);
    CHECK(params->trust != NULL || expect_suffices(params->expect));
    c->magic = CLIENT_MAGIC;
    c->trust = params->trust == NULL ? NULL : trust_ref(params->trust);
    c->expect = params->expect;
    c->only_looks = params->only_looks;
    c->only_hybrid = params->pq == TLS_PQ_REQUIRE;
    c->cert = params->cert == NULL ? NULL : cert_ref(params->cert);
    if (configure(c, params, err) == 0)
        return c;
    tls_client_free(c);
    return NULL;
}

void tls_client_free(struct tls_client *client)
{
    if (client == NULL)
        return;
    CHECK_MAGIC(client, CLIENT_MAGIC);
    SSL_CTX_free(client->ctx);
    trust_unref(client->trust);
    cert_unref(client->cert);
    client->magic = 0;
    free(client);
}

SSL *tls_client_ssl(const struct tls_client *client, const struct tls_peer *peer, struct tls_proof *ret_proof)
{
    CHECK_MAGIC(client, CLIENT_MAGIC);
    SSL *ssl = SSL_new(client->ctx);
    CHECK(ssl != NULL);
    SSL_set_connect_state(ssl);
    const char *name = peer->sni != NULL ? peer->sni : peer->host;
    uint8_t ignored[16];
    if (name != NULL && hostname_address(name, ignored) == 0) /* RFC 6066, 3: addresses are not sent */
        SSL_set_tlsext_host_name(ssl, name);
    ech_attempt_put(peer->ech, ssl);
    *ret_proof = (struct tls_proof){.trust = client->trust,
                                    .expect = client->expect,
                                    .ech = peer->ech,
                                    .host = peer->host == NULL ? NULL : strdup(peer->host)};
    CHECK(ret_proof->host != NULL || peer->host == NULL);
    ret_proof->only_looks = client->only_looks;
    ret_proof->only_hybrid = client->only_hybrid;
    return ssl;
}

struct link *tls_client_link(const struct tls_client *client, const struct tls_peer *peer, struct link *lower,
                             struct tls_scratch *scratch)
{
    struct tls_proof proof;
    struct tls_sessions *sessions = peer->sessions;
    SSL *ssl = tls_client_ssl(client, peer, &proof);
    proof.sessions = sessions;
    proof.sessions_age = sessions == NULL ? 0 : tls_sessions_age(sessions);
    proof.offered = sessions != NULL && tls_sessions_offer(sessions, ssl);
    return tls_link_new(ssl, lower, scratch, &proof, (struct str){0});
}

struct link *tls_client_connect(const struct tls_client *client, const char *host, const char *sni,
                                struct link *lower, struct tls_scratch *scratch)
{
    return tls_client_link(client, &(struct tls_peer){.host = host, .sni = sni}, lower, scratch);
}
