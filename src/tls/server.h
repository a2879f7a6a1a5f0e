/* SPDX-License-Identifier: Apache-2.0 */
/* TLS as a server: what a terminating route needs, made once per configuration and shared by all threads. */
#ifndef CARDEA_TLS_SERVER_H
#define CARDEA_TLS_SERVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cursor.h"
#include "base/err.h"
#include "base/str.h"
#include "base/tls_group.h"
#include "cert/store.h"

struct ech_ring;
struct link;
struct tickets;
struct tls_scratch;
struct tls_server;
struct trust;

enum tls_clients {
    TLS_CLIENTS_NONE,     /* certificates are not asked for */
    TLS_CLIENTS_OPTIONAL, /* asked for; one that is shown must prove good */
    TLS_CLIENTS_REQUIRED,
};

struct tls_server_params {
    uint16_t min_version; /* 0x0303 or 0x0304 */
    uint16_t max_version;
    const int *groups; /* IANA codepoints, most wanted first */
    size_t groups_len;
    enum tls_pq pq;     /* which of them are taken; TLS_PQ_REQUIRE: in TLS 1.3 only */
    const int *ciphers; /* IANA codepoints, most wanted first; see tls_params_ciphers() */
    size_t ciphers_len;
    const struct cert_store *store; /* for clients whose hello has no certificate yet; must outlive the
                                     * server. NULL: all have one */
    const char *const *alpn;        /* what to select from, in our order; none: ALPN is not answered */
    size_t alpn_len;
    enum tls_clients clients;
    struct trust *trust;     /* for client certificates; a reference is taken */
    struct tickets *tickets; /* NULL: no resumption; must outlive the server */
    struct ech_ring *ech;    /* what clients are told whose ECH is stale, or NULL; must outlive the server */
    const char *scope; /* tickets are good only for servers of the same scope: name the route and its trust */
};

/* Make a server. NULL with `err` when the library refuses a certificate of the store, or a group. */
struct tls_server *tls_server_new(const struct tls_server_params *params, struct err *err);

/* The protocol that is agreed with a client who offers that list (the names of a ProtocolNameList, each
 * after its one-byte length): the first of the server's own that he offers, else `choice`, what his
 * route was chosen by. Empty: none; *ret_refused: then he is refused. It points into `choice`, the list
 * or the server. */
struct str tls_server_protocol(const struct tls_server *server, struct str choice, const uint8_t *offered,
                               size_t offered_len, bool *ret_refused);

/* Why no client with these extensions gets through here: static text; NULL: nothing is known against it. What
 * is refused so gets the alert insufficient_security, before anything else of it is looked at. */
struct tls_groups_offer;
const char *tls_server_refusal(const struct tls_server *server, const struct tls_groups_offer *offer);

/* Is one of the groups that are offered (the body of supported_groups) to be had here in that version? Who
 * has none gets the alert handshake_failure. */
bool tls_server_shares_group(const struct tls_server *server, uint16_t version, struct cursor offered);

/* After the last handshake of its links: an open link needs nothing of it. NULL is allowed. */
void tls_server_free(struct tls_server *server);

/* What client certificates are judged by; NULL: they are not asked for. Lives as long as the server. */
const struct trust *tls_server_trust(const struct tls_server *server);

/* Who is coming, from the ClientHello that was peeked at. */
struct tls_client_hello {
    struct cert_query query;
    struct cert *cert; /* what the client is shown (a reference is taken); NULL: what cert_select() finds in
                        * the server's store */
    struct str early;  /* every byte read so far, the whole ClientHello among them */
    struct str alpn;   /* what its route was chosen by: the answer where nothing of the server's is offered */
};

/* A server link on top of `lower` (taken over). Bytes that `hello` points to must live until the first
 * link_open() has returned. Never NULL. */
struct link *tls_server_accept(const struct tls_server *server, const struct tls_client_hello *hello,
                               struct link *lower, struct tls_scratch *scratch);

#endif
