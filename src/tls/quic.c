/* SPDX-License-Identifier: Apache-2.0 */
#include "tls/quic.h"

#include <openssl/err.h>
#include <stdlib.h>

#include "tls/client.h"
#include "tls/server.h"
#include "tls/tls_internal.h"

struct tls_quic {
    size_t refs;
    SSL *ssl;
    struct tls_proof proof;
    uint8_t alert; /* that the peer closed with, or 0 */
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

struct tls_quic *tls_client_quic(const struct tls_client *client, const char *host, const char *sni)
{
    struct tls_proof proof;
    SSL *ssl = tls_client_ssl(client, host, sni, &proof);
    return tls_quic_new(ssl, &proof);
}

struct tls_quic *tls_quic_ref(struct tls_quic *t)
{
    t->refs++;
    return t;
}

void tls_quic_unref(struct tls_quic *t)
{
    if (t == NULL || --t->refs > 0)
        return;
    SSL_free(t->ssl);
    tls_proof_free(&t->proof);
    free(t);
}

SSL *tls_quic_ssl(const struct tls_quic *t)
{
    return t->ssl;
}

int tls_quic_complete(struct tls_quic *t, uint8_t *ret_alert)
{
    return tls_proof_complete(&t->proof, t->ssl, ret_alert);
}

void tls_quic_alerted(struct tls_quic *t, uint8_t alert)
{
    t->alert = alert;
}

const char *tls_quic_failure(struct tls_quic *t)
{
    if (t == NULL)
        return "the ClientHello was refused";
    if (t->alert != 0) {
        const char *text = tls_alert_text(t->alert);
        return text != NULL ? text : "the peer sent an alert";
    }
    t->no_certificate = ERR_GET_REASON(ERR_peek_error()) == SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE;
    return t->proof.failure != NULL ? t->proof.failure->text : tls_reason();
}

void tls_quic_peer(const struct tls_quic *t, struct link_peer *ret)
{
    tls_proof_peer(&t->proof, t->ssl, ret);
    ret->alert = t->alert;
    ret->no_certificate = t->no_certificate;
}
