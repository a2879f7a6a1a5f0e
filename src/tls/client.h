/* SPDX-License-Identifier: Apache-2.0 */
/* TLS as a client: towards a backend, or from `cardea connect` towards a door. */
#ifndef CARDEA_TLS_CLIENT_H
#define CARDEA_TLS_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/tls_group.h"

struct cert;
struct ech_attempt;
struct expect;
struct link;
struct tls_client;
struct tls_scratch;
struct tls_sessions;
struct trust;

struct tls_client_params {
    uint16_t min_version;
    uint16_t max_version;
    const int *groups; /* IANA codepoints; the first gets a key share, and the first that is not hybrid where
                        * that is, or is where that is not */
    size_t groups_len;
    enum tls_pq pq;           /* which of them are offered; TLS_PQ_REQUIRE: with TLS 1.3 only */
    const char *ciphers;      /* of TLS 1.2, as OpenSSL calls them, by ':'; NULL: all that we have */
    const uint16_t *verifies; /* signature schemes that it says it can verify (RFC 8446, 4.2.3) ... */
    size_t verifies_len;      /* ... 0: all that we have */
    struct trust *trust;      /* the peer must prove itself against it; a reference is taken. NULL only where
                               * `expect` has pins, or says that anyone will do */
    const struct expect
        *expect;             /* what it must prove besides; NULL: no more. Borrowed, outlives the client */
    struct cert *cert;       /* ours, shown when asked; NULL: none. A reference is taken */
    const char *const *alpn; /* offered, in order */
    size_t alpn_len;
    bool resumes;    /* links of tls_client_resume() keep tickets */
    bool only_looks; /* a peer that does not prove itself is told of by link_peer(), and the handshake goes
                      * on; nobody has an identity. A staple and timestamps are asked for. For who looks at a
                      * server and says nothing in confidence */
};

/* Make a client, to be shared by all threads. NULL with `err` when the library refuses something. */
struct tls_client *tls_client_new(const struct tls_client_params *params, struct err *err);

/* After its last link. NULL is allowed. */
void tls_client_free(struct tls_client *client);

/* Whom a connection leads to. */
struct tls_peer {
    const char *host; /* the name or address that the peer must prove (RFC 9525: DNS-ID, IP-ID), NULL: it need
                       * not prove any; it is sent as SNI when it is a name */
    const char *sni;  /* sent in its place; NULL: it is not */
    /* NULL: nothing is resumed. Else one of these is, where there is one, and what tickets come are kept
     * there. They must outlive the link, and be used for this client, peer and `host` only: so nobody who has
     * proven something else is ever resumed with. The peer's certificate is held against what is expected
     * once more (tls/proof.h). When nothing comes of what was offered all of them are forgotten. */
    struct tls_sessions *sessions;
    /* What is offered of Encrypted ClientHello; NULL: GREASE (RFC 9849, 6.2). It must live until the
     * handshake is over. Where that has failed ech_attempt_again() says whether to connect once more; where
     * that is no, and link_peer() tells of nothing else, its `why` is the link's error. */
    struct ech_attempt *ech;
};

/* A client link on top of `lower` (taken over). What `peer` points to as text need not outlive the call.
 * Never NULL. */
struct link *tls_client_link(const struct tls_client *client, const struct tls_peer *peer, struct link *lower,
                             struct tls_scratch *scratch);

/* The same without sessions, and with GREASE. */
struct link *tls_client_connect(const struct tls_client *client, const char *host, const char *sni,
                                struct link *lower, struct tls_scratch *scratch);

#endif
