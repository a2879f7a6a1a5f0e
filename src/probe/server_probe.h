/* SPDX-License-Identifier: Apache-2.0 */
/* Looking at a server as a client would: connect, ask for TLS in the server's protocol, handshake, and tell
 * what was found. A server that does not prove itself is told about like any other. Nothing else is said to
 * it, but for a request that is given. */
#ifndef CARDEA_PROBE_SERVER_PROBE_H
#define CARDEA_PROBE_SERVER_PROBE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "cert/facts.h"
#include "cert/shown.h"
#include "net/addr.h"
#include "probe/approach.h"
#include "probe/outcome.h"

struct ech_attempt;
struct link_peer;
struct path_report;
struct server_probe;
struct tls_client;
struct tls_scratch;
struct tls_sessions;
struct trust;

#define PROBE_ALPN_MAX 256
#define PROBE_HEARD_MAX ((size_t)16 * 1024) /* bytes of an answer to `request` */

/* The groups that a client offers who looks at a server: all of tables/groups.def, most wanted first. */
#define SERVER_PROBE_GROUPS 7
extern const int server_probe_groups[SERVER_PROBE_GROUPS];

/* What the handshake took, from the first byte of the ClientHello on. */
struct probe_traffic {
    size_t sent, received; /* bytes on the wire, TLS records and all */
    bool retried;          /* the server asked for another key share first (HelloRetryRequest) */
};

struct server_probe_result {
    enum probe_outcome outcome;
    struct err text;            /* what was found and what was expected; "" with PROBE_GOOD */
    struct net_addr address;    /* that was tried last; AF_UNSPEC: none was */
    int64_t spent[PROBE_STEPS]; /* nanoseconds, or PROBE_NOT_REACHED */
    uint8_t alert;              /* by which the server ended the handshake (RFC 8446, 6); 0: by none */
    bool shook_hands;           /* the handshake is complete, and what follows is known */
    bool resumed;               /* with a ticket of `sessions` */
    uint16_t version;           /* 0x0304 */
    uint16_t group_code;        /* IANA; 0: none was used */
    const char *group;          /* static; NULL likewise */
    const char *cipher;         /* IANA name, static */
    char alpn[PROBE_ALPN_MAX];  /* what the server chose; "": nothing */
    struct probe_traffic traffic;
    struct cert_facts certificate;
    struct cert_shown shown; /* all certificates, and what came with them */
    struct buf heard;        /* how the server began to answer `request` */
};

struct server_probe_params {
    struct approach_to to;
    struct tls_scratch *scratch;
    const struct tls_client *tls;  /* one that only looks (tls/client.h), of any number of probes */
    const char *sni;               /* sent in the place of to.name; NULL: that is */
    struct tls_sessions *sessions; /* resume, and keep tickets, there (tls/sessions.h). NULL: neither */
    struct ech_attempt *ech; /* what is offered of ECH (tls/client.h); NULL: GREASE. Where it was refused
                              * the handshake fails, and PROBE_UNPROVEN says that the public name was
                              * not proven */
    const char *request; /* to be said once TLS stands, until an empty line comes; copied. NULL: nothing */
    const char *request_protocol; /* ... and only to a server that has chosen this by ALPN */
    int64_t timeout;              /* for all of it, in nanoseconds */
    void (*done)(void *owner);    /* from the loop, once; free it there if you like */
    void *owner;
};

/* Take what is known of the peer of a handshake that is complete, its outcome too; what it took is the
 * caller's to say. For who makes it in another way. */
void server_probe_take(const struct link_peer *peer, struct server_probe_result *ret);

/* How the certificate of a handshake that is complete leads to `trust` now, in the name of `host`. For
 * path_report_free(). */
void server_probe_prove(const struct server_probe_result *r, const struct trust *trust, const char *host,
                        struct path_report *ret);

/* Let go of what a result has. */
void server_probe_let_go(struct server_probe_result *r);

/* Begin. What the parameters point at is borrowed and must outlive the probe. Never NULL. */
struct server_probe *server_probe_start(const struct server_probe_params *params);

/* What was found, once `done` was called. Lives as long as the probe. */
const struct server_probe_result *server_probe_result(const struct server_probe *p);

/* At any time. NULL is allowed. */
void server_probe_free(struct server_probe *p);

#endif
