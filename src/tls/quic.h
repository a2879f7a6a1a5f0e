/* SPDX-License-Identifier: Apache-2.0 */
/* TLS inside QUIC (RFC 9001): the handshake without records. Made by a TLS server or client, driven by
 * src/quic/. */
#ifndef CARDEA_TLS_QUIC_H
#define CARDEA_TLS_QUIC_H

#include "link/link.h"
#include "tls/authenticator.h"

struct ssl_st;
struct tls_client;
struct tls_client_hello;
struct tls_peer;
struct tls_quic;
struct tls_server;

/* The server's side of a connection whose ClientHello is `hello` (`early` is not looked at). The certificate,
 * the trust and the ALPN are those of a TLS link; what `hello` points to must live until the ClientHello has
 * been given to the library. Never NULL. The caller owns it. */
struct tls_quic *tls_server_quic(const struct tls_server *server, const struct tls_client_hello *hello);

/* The client's side; see tls_client_link(). Nothing is resumed: into the sessions of `peer`
 * tickets only come. */
struct tls_quic *tls_client_quic(const struct tls_client *client, const struct tls_peer *peer);

/* Another owner; of one thread all of them. */
struct tls_quic *tls_quic_ref(struct tls_quic *t);

/* NULL is allowed. */
void tls_quic_unref(struct tls_quic *t);

/* The library's object; NULL when TLS has no more to say. SSL_set_app_data() is the driver's to use. */
struct ssl_st *tls_quic_ssl(const struct tls_quic *t);

/* So many bytes of the handshake's messages have come, or are to be sent (link_peer.handshake_in, _out). */
void tls_quic_heard(struct tls_quic *t, size_t len);
void tls_quic_said(struct tls_quic *t, size_t len);

/* The handshake is complete: take the peer's identity, and on a server let go of the library's object. -1
 * with the alert to close with when the peer is not believed. */
int tls_quic_complete(struct tls_quic *t, uint8_t *ret_alert);

/* Why the handshake failed, in words; ask before the library is called for anything else. The text lives as
 * long as `t` (which may be NULL: no TLS was ever there). */
const char *tls_quic_failure(struct tls_quic *t);

/* The peer has closed the connection with this alert. */
void tls_quic_alerted(struct tls_quic *t, uint8_t alert);

/* authenticator_export() of a connection whose handshake is complete. A server, which keeps no more than it
 * may need, has only what a client with a proven certificate makes authenticators with. */
int tls_quic_export(const struct tls_quic *t, enum authenticator_sender sender,
                    struct authenticator_keys *ret, struct err *err);

/* See tls_link_renew(). */
void tls_quic_renew(struct tls_quic *t, struct authenticator_proof *by);

/* What is known of the peer; see link_peer(). */
void tls_quic_peer(const struct tls_quic *t, struct link_peer *ret);

#endif
