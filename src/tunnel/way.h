/* SPDX-License-Identifier: Apache-2.0 */
/* How one connection through a door comes about: over TCP with a handshake of its own, or as a stream on the
 * QUIC connection that all connections of a client_door share. A machine to be stepped, like dial.h.
 *
 * With TRANSPORT_AUTO both are raced: QUIC has a short head start, and the first that is ready wins. A
 * network that lets no UDP through costs the head start once; after that TCP goes first for a while. */
#ifndef CARDEA_TUNNEL_WAY_H
#define CARDEA_TUNNEL_WAY_H

#include "ech/offer.h"
#include "link/link.h"
#include "loop/loop.h"
#include "session/dial.h"

struct client_door;

enum way_status {
    WAY_WAIT,
    WAY_OK,     /* way_take() has the link, with the handshake complete */
    WAY_FAILED, /* the door's text says why */
};

struct way {
    struct client_door *door;
    void (*wake)(void *owner); /* step again; not called from within way_start() or way_step() */
    void *owner;
    bool tcp_only; /* a connection of its own, made now, whatever the door's transport */
    bool fresh;    /* no connection that has waited (tunnel/warm.h): the last one was dead */
    bool refused;  /* set with WAY_FAILED: the door has turned us away, see client_is_refused() */
    /* private */
    struct dial dial;
    struct link *tls;       /* over TCP, in its handshake */
    struct ech_attempt ech; /* ... and what that offers */
    struct link *stream;    /* over QUIC */
    struct link *near;      /* to a process of this user's that carries the connection */
    struct list waiting;    /* for the carrier */
    struct timer timer;     /* the head start, then the time of one address */
    size_t tried;           /* addresses of the door that have had their timer set */
    int64_t deadline;
    struct err tcp_text; /* why TCP failed: it is told when both have */
    bool wants_quic;
    bool wants_tcp;
    bool tcp_begun;
    bool warm;    /* `tls` had been waiting */
    bool patient; /* the head start was made longer */
    bool stepping;
};

/* Begin, with `deadline` (monotonic) to share among the addresses of the door. Set the fields above "private"
 * before; the rest is initialised here. */
void way_start(struct way *w, int64_t deadline);

enum way_status way_step(struct way *w);

/* WAY_OK: is it a stream of the connection that all share? */
bool way_is_shared(const struct way *w);

/* WAY_OK: is it a connection over TCP that has waited? It may have died unnoticed. */
bool way_is_warm(const struct way *w);

/* WAY_OK: does it lead to a process of this user's that carries it? What is spoken there is
 * tunnel/share_request.h. */
bool way_is_near(const struct way *w);

/* The link, open; its `wake` and `owner` are the caller's to set. */
struct link *way_take(struct way *w);

/* What was being waited for, to read on from "the door HOST:PORT ". */
const char *way_late(const struct way *w);

/* Drop whatever is under way. Harmless after way_take() and on a zeroed struct. */
void way_cancel(struct way *w);

/* The carrier is ready, or will not be: for the carrier to tell. */
void way_carrier_changed(struct way *w);

#endif
