/* SPDX-License-Identifier: Apache-2.0 */
/* The agent: it keeps services on offer at a door and leads visitors to them
 * (doc/internals/tunnel-protocol.md, "Agents"). An offer that is lost is made again, after a growing, random
 * wait; visitors that are there go on. */
#ifndef CARDEA_TUNNEL_EXPOSER_H
#define CARDEA_TUNNEL_EXPOSER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "loop/loop.h"
#include "mux/offer.h"
#include "net/addr.h"

struct exposer;
struct agent_tls;
struct client_door;
struct wire_visit;

enum agent_proxy { AGENT_PROXY_NONE, AGENT_PROXY_V1, AGENT_PROXY_V2 };

/* What is offered, and where it really is. The agent copies the texts and holds a reference to `tls`. */
struct agent_service {
    struct offer offer;
    const char *host; /* the service here, over UDP where the offer is; or a unix socket: `path` */
    uint16_t port;
    const char *path;
    enum agent_proxy proxy; /* tell the service who visits; not over UDP */
    struct agent_tls *tls; /* with OFFER_END_TO_END: ends the visitors' TLS; bare: with a certificate that the
                              door's CA is asked for ... */
    const char *kept;      /* ... and which is kept in this file; NULL: nowhere */
    /* Files of who makes the offer, where that is not whom the door's connection is opened as; or NULL, both.
     */
    const char *also_cert, *also_key;
    int64_t dial_timeout; /* nanoseconds */
    int64_t health;       /* between two probes of the service; 0: it is not probed */
    size_t connections;   /* visitors at once */
    int64_t bandwidth;    /* bytes per second of all visitors, both ways together; 0: no bound */
};

enum agent_event {
    AGENT_STANDS,    /* the door has taken the offer */
    AGENT_LOST,      /* it does not stand, or not any more; it is tried again after `wait` */
    AGENT_REFUSED,   /* the door said no, and it is not tried again */
    AGENT_WITHDRAWN, /* exposer_update() has taken it back */
    AGENT_DOWN, /* the service cannot be connected to; while that goes on it is told once a minute at most */
    AGENT_UP,   /* after AGENT_DOWN: it can */
    AGENT_FELLOWS, /* other agents that offer the name have come or gone; there are none after AGENT_STANDS */
    AGENT_CERTIFIED,   /* the door's CA has certified the offer; `text`: until when */
    AGENT_UNCERTIFIED, /* it has not, and `text` says why; it is asked again after `wait` */
    AGENT_TURNED_AWAY, /* the agent let visitors not in; while that goes on it is told once a minute at most
                        */
};

struct agent_news {
    enum agent_event event;
    const struct agent_service *service;
    const char *text;     /* for people: why; with AGENT_STANDS a warning of the door's, or "" */
    bool quic;            /* AGENT_STANDS: over QUIC */
    bool again;           /* AGENT_LOST: the same was told last; AGENT_CERTIFIED: one before had served;
                             AGENT_TURNED_AWAY: others within a minute before */
    int64_t wait;         /* AGENT_LOST, AGENT_UNCERTIFIED: nanoseconds */
    size_t turned_away;   /* AGENT_DOWN, AGENT_TURNED_AWAY: visitors, since it was last told */
    struct net_addr peer; /* AGENT_TURNED_AWAY: the last of them, `text` being why */
    size_t fellows; /* AGENT_FELLOWS: how many (OFFER_FELLOWS_MAX: or more); `text`: who one is, or "" */
};

/* A visitor who has left, or was not let in. */
struct agent_visited {
    const struct agent_service *service;
    const struct wire_visit *about;
    const char *identity; /* as the door says or, end-to-end, as proven to us; "" */
    const char *reason;   /* "done", or what went wrong */
    uint64_t to_service;  /* bytes */
    uint64_t from_service;
    int64_t duration; /* nanoseconds */
};

/* All texts live during the call. The agent must not be freed from within one. */
struct agent_events {
    void (*news)(void *owner, const struct agent_news *news);
    void (*visited)(void *owner, const struct agent_visited *visited);
    void (*stopped)(void *owner); /* after exposer_stop(): nobody visits any more */
};

/* Begin to offer `count` services at a door (borrowed; its timeout bounds each connection to it). An offer
 * that the door refuses for what only somebody can change (policy, certificate) is not tried again, unless it
 * has stood before, or with `retry`. Never NULL. */
struct exposer *exposer_new(struct loop *loop, struct client_door *door, const struct agent_service *services,
                            size_t count, bool retry, const struct agent_events *events, void *owner);

/* Offer these from now on. What is as it was stands untouched, but for its `tls`, which new visitors get; one
 * that was refused is tried again. What is not among them any more, or changed, is withdrawn; visitors who
 * are there stay. */
void exposer_update(struct exposer *a, const struct agent_service *services, size_t count);

/* Is there an offer that stands, or is tried? */
bool exposer_offers(const struct exposer *a);

/* Ask for no more visitors, and tell `stopped` when the last has left, at most `grace` nanoseconds from now
 * (0 or more; AGENT_NO_HURRY: however long it takes). Said again it can only be made sooner. */
#define AGENT_NO_HURRY (INT64_MAX / 2)
void exposer_stop(struct exposer *a, int64_t grace);

/* How many visit now, over all offers. */
size_t exposer_visitors(const struct exposer *a);

/* Close everything at once. The door must still be there. NULL is allowed. */
void exposer_free(struct exposer *a);

#endif
