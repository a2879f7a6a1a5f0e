/* SPDX-License-Identifier: Apache-2.0 */
/* What the files about carriers share: quic_carrier.c is a carrier's life, quic_port.c the listeners that
 * they come to, quic_report.c what is told of them. */
#ifndef CARDEA_SESSION_QUIC_CARRIER_INTERNAL_H
#define CARDEA_SESSION_QUIC_CARRIER_INTERNAL_H

#include "base/list.h"
#include "base/patience.h"
#include "ech/open.h"
#include "loop/loop.h"
#include "net/addr.h"
#include "quic/quic.h"
#include "session/cert_desk.h"
#include "session/quic_carrier.h"
#include "session/routing.h"
#include "session/standing.h"
#include "session/tenant.h"

#define CARRIER_MAGIC 0xca441e40u
#define PORT_MAGIC 0xca440904u

struct quic_port {
    uint32_t magic;
    struct worker *worker;
    struct quic_endpoint *endpoint;
    struct list node; /* of the worker */
    struct list all;  /* its carriers */
    char *key;        /* the address as configured: what it is known by across reloads */
    uint32_t listener;
    size_t carriers;
    size_t unreviewed;   /* at the front of `all`: not judged by the present configuration yet */
    struct timer review; /* goes on with them */
    bool retired;
    struct task free_later;
};

struct quic_carrier {
    uint32_t magic;
    struct worker *worker;
    struct quic_port *port;
    struct quic_conn *conn;
    struct standing at;
    const struct front *front;
    struct tenant *tenant; /* of a front that has one, once the handshake is complete */
    struct list node;      /* of the port */
    struct timer leaving;  /* its client is refused: until its streams have ended */
    int64_t left;          /* ... and when the last had; 0: not yet */
    struct timer expiry;   /* its client's certificate runs out: see expiry.h */
    enum ech_result ech;   /* of its ClientHello, where the door decrypts any */
    bool told;             /* the tenant has said that nothing new is taken any more */
    struct {
        struct cert_waiter waiter;
        struct timer late; /* no longer than that: set while it waits */
        bool over;         /* it has waited that long */
        const char *why;   /* there is none; static text */
    } wanted;              /* the certificate that its client is to be shown: see certify.h */
    uint64_t id;
    struct net_addr peer; /* as it was when it was admitted: there it is counted */
    enum { COUNTED, UNPROVEN, OF_NO_SOURCE } place;
    struct hello_note hello;
    unsigned verifies; /* see cert_kinds_verified() */
    int64_t began;     /* monotonic */
    int64_t opened;
    uint64_t streams;         /* so far */
    struct patience patience; /* for streams that are taken back */
    enum close_reason reason;
};

/* ---- a carrier's life ---- */

/* Of each port. */
extern const struct quic_events quic_carrier_events;

/* A client comes to that port (struct quic_server). NULL when it is turned away. */
void *quic_carrier_incoming(void *arg, struct quic_conn *conn, const struct net_addr *peer, bool proven);

/* Judge some of a port's carriers anew: its timer `review`. */
void quic_port_review(struct timer *t);

/* ---- the port ---- */

/* It has a carrier less: with the last one goes a port that takes no new clients. */
void quic_port_leave(struct quic_port *port);

/* ---- what is told ---- */

/* The word for what carries. */
const char *quic_carrier_transport(const struct quic_carrier *c);

/* Write the line of one that ends. `text`: why, or NULL. */
void quic_carrier_audit(const struct quic_carrier *c, const struct link_peer *peer, enum close_reason reason,
                        const char *text);

#endif
