/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of the agent share. */
#ifndef CARDEA_TUNNEL_EXPOSER_INTERNAL_H
#define CARDEA_TUNNEL_EXPOSER_INTERNAL_H

#include "base/list.h"
#include "link/link.h"
#include "session/dial.h"
#include "tls/tls_link.h"
#include "tunnel/agent_wire.h"
#include "tunnel/backoff.h"
#include "tunnel/exposer.h"
#include "tunnel/throttle.h"
#include "tunnel/way.h"

#define AGENT_ROOM 17408 /* bytes that the longest TLS record fits into (RFC 8446, 5.2) */
#define AGENT_SPARES_MAX (2 * OFFER_IDS_MAX)

/* Does the service answer? Asked again and again where that is wanted. */
struct probe {
    struct agent_offer *offer;
    struct dial dial;
    struct timer timer;
    bool dialling;
    enum front_outcome down; /* how; FRONT_OK: it is not */
};

enum offer_state {
    OFFER_IDLE, /* the timer makes a new try */
    OFFER_REACH,
    OFFER_HELLO,
    OFFER_ANSWER,
    OFFER_STANDS,
    OFFER_REFUSED,
};

struct agent_offer {
    enum offer_state state;
    struct exposer *agent;
    struct agent_service service;
    struct way way;
    struct link *control;
    bool shared;      /* the control stream is one of the QUIC connection's */
    unsigned carrier; /* ... of this turn of it */
    struct buf in;
    struct buf out;
    struct timer timer;
    struct task again;
    int64_t deadline;
    int64_t stood; /* since when, monotonic */
    int64_t heard; /* when the door last said something */
    int64_t said;
    struct backoff backoff;
    struct probe probe;
    struct throttle throttle;
    size_t visitors;
    size_t spares; /* connections that wait, or will, for a visitor */
    bool running;
};

struct exposer {
    struct loop *loop;
    struct client_door *door;
    struct agent_offer *offers;
    size_t count;
    struct list visits;
    size_t visitors;
    struct tls_scratch inner; /* of TLS inside the door's TLS: both may be at work at once */
    const struct agent_events *events;
    void *owner;
    struct timer stop;
    int64_t stop_by;
    bool stopping;
    bool retry;
};

/* ---- visit.c ---- */

/* The door has opened a stream for a visitor. */
void visit_take(struct exposer *a, struct link *far);

/* Bring a connection under this id. */
void visit_bring(struct agent_offer *o, const char *id);

/* Close the connections of an offer that wait for a visitor; or, with NULL, all visits of the agent. */
void visit_drop(struct exposer *a, const struct agent_offer *o);

/* ---- probe.c ---- */

/* Where the service is to be probed; agent_offer_ready() hears of each change between up and down. */
void probe_start(struct agent_offer *o);
void probe_stop(struct agent_offer *o);

/* ---- exposer.c ---- */

/* Begin to dial the service of an offer. */
void agent_dial(const struct agent_offer *o, struct dial *dial);

/* Tell the door whether the service wants visitors. */
void agent_offer_ready(struct agent_offer *o);

#endif
