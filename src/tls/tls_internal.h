/* SPDX-License-Identifier: Apache-2.0 */
/* Between the files of this folder: how a server or a client makes a TLS link, and what its callbacks ask of
 * it. */
#ifndef CARDEA_TLS_TLS_INTERNAL_H
#define CARDEA_TLS_TLS_INTERNAL_H

#include <openssl/ssl.h>

#include "tls/proof.h"
#include "tls/tls_link.h"

struct tls_client;
struct tls_client_hello;
struct tls_peer;
struct tls_server;

/* A link that runs `ssl` (taken) on top of `lower` (taken too). `proof` is what it must prove and be shown
 * (taken over with what it owns). `early` are bytes already read from `lower`; they must live until the first
 * link_open() has returned. */
struct link *tls_link_new(SSL *ssl, struct link *lower, struct tls_scratch *scratch,
                          const struct tls_proof *proof, struct str early);

/* The library's object for a connection with the client of that hello, and what hangs on it (to be owned and
 * attached by the caller). */
SSL *tls_server_ssl(const struct tls_server *server, const struct tls_client_hello *hello,
                    struct tls_proof *ret_proof);

/* The same towards a server; see tls_client_link(). */
SSL *tls_client_ssl(const struct tls_client *client, const struct tls_peer *peer,
                    struct tls_proof *ret_proof);

/* What went wrong last, in words, as static text (tables/tls_failures.def, tables/alerts.def). */
const char *tls_reason(void);

/* The same of a handshake, where more may be known of it. `alert`: that the peer sent, or 0. */
const char *tls_handshake_reason(const struct tls_proof *proof, uint8_t alert);

/* "the peer sent the alert NAME", or NULL for a number that has no name. */
const char *tls_alert_text(uint8_t alert);

/* The fatal alert that the peer sent, if that is what went wrong last; else 0. */
uint8_t tls_peer_alert(void);

/* The fault of the peer that the call which has just failed has found, where there is a code for it. */
enum fault tls_reason_fault(void);

#endif
