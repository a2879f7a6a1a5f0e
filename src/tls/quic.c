/* SPDX-License-Identifier: Apache-2.0 */
#include "tls/quic.h"

#include <openssl/err.h>
#include <openssl/pool.h>
#include <stdlib.h>
#include <string.h>

#include "ech/offer.h"
#include "tls/client.h"
#include "tls/server.h"
#include "tls/sessions.h"
#include "tls/tls_internal.h"

struct tls_quic {
    size_t refs;
    SSL *ssl; /* NULL once it has nothing more to say */
    struct tls_proof proof;
    struct link_peer known;          /* when there is no `ssl` to ask; its ALPN is owned */
    STACK_OF(CRYPTO_BUFFER) * chain; /* likewise; NULL when the peer has proven nothing */
    struct authenticator_keys *keys; /* likewise, to judge what it proves later; else NULL */
    uint8_t alert;                   /* that the peer closed with, or 0 */
    bool no_certificate;
};

static struct tls_quic *tls_quic_new(SSL *ssl, const struct tls_proof *proof)
{
    struct tls_quic *t = calloc(1, sizeof(*t));
    CHECK(t != NULL);
    t->refs = 1;
    t->ssl = ssl;
    t->proof = *proof;
    tls_proof_attach(&t->proof, ssl);
    /* RFC 9001, 4.2; the route may allow more over TCP. */
    CHECK(SSL_set_min_proto_version(ssl, TLS1_3_VERSION) && SSL_set_max_proto_version(ssl, TLS1_3_VERSION));
    return t;
}

struct tls_quic *tls_server_quic(const struct tls_server *server, const struct tls_client_hello *hello)
{
    struct tls_proof proof;
    SSL *ssl = tls_server_ssl(server, hello, &proof);
    return tls_quic_new(ssl, &proof);
}

struct tls_quic *tls_client_quic(const struct tls_client *client, const struct tls_peer *peer)
{
    struct tls_proof proof;
    SSL *ssl = tls_client_ssl(client, peer, &proof);
    proof.sessions = peer->sessions;
    proof.sessions_age = peer->sessions == NULL ? 0 : tls_sessions_age(peer->sessions);
    return tls_quic_new(ssl, &proof);
}

struct tls_quic *tls_quic_ref(struct tls_quic *t)
{
    t->refs++;
    return t;
}

static void free_keys(struct tls_quic *t)
{
    if (t->keys != NULL)
        authenticator_forget(t->keys);
    free(t->keys);
    t->keys = NULL;
}

void tls_quic_unref(struct tls_quic *t)
{
    if (t == NULL || --t->refs > 0)
        return;
    SSL_free(t->ssl);
    tls_proof_free(&t->proof);
    free((char *)(uintptr_t)t->known.alpn.p);
    sk_CRYPTO_BUFFER_pop_free(t->chain, CRYPTO_BUFFER_free);
    free_keys(t);
    free(t);
}

SSL *tls_quic_ssl(const struct tls_quic *t)
{
    return t->ssl;
}

void tls_quic_heard(struct tls_quic *t, size_t len)
{
    t->proof.handshake_in += (uint32_t)len;
}

void tls_quic_said(struct tls_quic *t, size_t len)
{
    t->proof.handshake_out += (uint32_t)len;
}

/* The certificates outlive the handshake: the peer may be asked to be proven anew (link_peer.chain). */
static STACK_OF(CRYPTO_BUFFER) * keep_chain(const STACK_OF(CRYPTO_BUFFER) * chain)
{
    STACK_OF(CRYPTO_BUFFER) *kept = chain == NULL ? NULL : sk_CRYPTO_BUFFER_dup(chain);
    CHECK(kept != NULL || chain == NULL);
    for (size_t i = 0; kept != NULL && i < sk_CRYPTO_BUFFER_num(kept); i++)
        CRYPTO_BUFFER_up_ref(sk_CRYPTO_BUFFER_value(kept, i));
    return kept;
}

static void keep_keys(struct tls_quic *t)
{
    struct err err;
    t->keys = malloc(sizeof(*t->keys));
    CHECK(t->keys != NULL);
    if (authenticator_export(t->ssl, AUTHENTICATOR_CLIENT, t->keys, &err) != 0)
        free_keys(t);
}

/* A client's tickets are still to come. A server is told nothing more in TLS: QUIC changes keys by itself and
 * has no other message after the handshake (RFC 9001, 4.4 and 6). */
static void let_go_of_ssl(struct tls_quic *t)
{
    tls_proof_peer(&t->proof, t->ssl, &t->known);
    char *alpn = strndup(t->known.alpn.p, t->known.alpn.len);
    CHECK(alpn != NULL);
    t->known.alpn.p = alpn;
    t->known.chain = t->known.shown = t->chain = keep_chain(t->known.chain);
    if (t->chain != NULL)
        keep_keys(t);
    SSL_free(t->ssl);
    t->ssl = NULL;
}

int tls_quic_complete(struct tls_quic *t, uint8_t *ret_alert)
{
    if (tls_proof_complete(&t->proof, t->ssl, ret_alert) != 0)
        return -1;
    if (SSL_is_server(t->ssl))
        let_go_of_ssl(t);
    return 0;
}

int tls_quic_export(const struct tls_quic *t, enum authenticator_sender sender,
                    struct authenticator_keys *ret, struct err *err)
{
    if (t->ssl != NULL)
        return authenticator_export(t->ssl, sender, ret, err);
    if (t->keys == NULL || sender != AUTHENTICATOR_CLIENT)
        return err_set(err, "nothing was kept of the connection's handshake to judge an authenticator by");
    *ret = *t->keys;
    return 0;
}

void tls_quic_renew(struct tls_quic *t, struct authenticator_proof *by)
{
    tls_proof_renew(&t->proof, by);
    if (t->ssl != NULL)
        return;
    sk_CRYPTO_BUFFER_pop_free(t->chain, CRYPTO_BUFFER_free);
    t->chain = keep_chain(t->proof.later);
    t->known.chain = t->known.shown = t->chain;
    t->known.identity = t->proof.identity;
}

void tls_quic_alerted(struct tls_quic *t, uint8_t alert)
{
    t->alert = alert;
}

const char *tls_quic_failure(struct tls_quic *t)
{
    if (t == NULL)
        return "the ClientHello was refused";
    if (t->alert != 0 && tls_alert_text(t->alert) == NULL)
        return "the peer sent an alert";
    if (t->alert != 0 || t->proof.refusal != NULL)
        return tls_handshake_reason(&t->proof, t->alert);
    const struct ech_attempt *ech = t->proof.ech;
    if (tls_proof_ech_refused(&t->proof, t->ssl))
        return ech->why != NULL ? ech->why : "ECH was refused";
    t->no_certificate = ERR_GET_REASON(ERR_peek_error()) == SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE;
    return t->proof.failure != NULL ? t->proof.failure->text : tls_handshake_reason(&t->proof, 0);
}

void tls_quic_peer(const struct tls_quic *t, struct link_peer *ret)
{
    if (t->ssl != NULL)
        tls_proof_peer(&t->proof, t->ssl, ret);
    else
        *ret = t->known;
    ret->alert = t->alert;
    ret->no_certificate = t->no_certificate;
}
