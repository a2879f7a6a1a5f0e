/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of the door's side of an offer share: door_offer.c (the offer's life and its control
 * stream), door_spares.c (the links that visitors get), door_port.c (a port of the door that leads to the
 * name). */
#ifndef CARDEA_TUNNEL_DOOR_OFFER_INTERNAL_H
#define CARDEA_TUNNEL_DOOR_OFFER_INTERNAL_H

#include "base/patience.h"
#include "loop/loop.h"
#include "mux/agents.h"
#include "session/resident.h"
#include "session/session.h"
#include "session/worker.h"
#include "tunnel/agent_wire.h"

#define DOOR_OFFER_MAGIC 0x0ffe4000u

struct door_port;
struct hello_note;
struct inquiry;
struct udp_port;

/* Over TCP: connections that wait for visitors, and visitors who wait for one. */
struct door_spares {
    struct list ready; /* struct spare */
    size_t ready_count;
    struct list waiting; /* errands */
    size_t waiting_count;
    bool begun;               /* the first have been asked for */
    struct patience patience; /* for visitors whom anybody may have made up: each costs a TLS handshake */
};

/* The certificate that the agent wants for what it offers. */
struct door_certify {
    struct inquiry *asked; /* at the office; NULL: nothing is */
    struct patience patience;
};

struct door_offer {
    struct resident resident;
    uint32_t magic;
    struct worker *worker;
    struct link *link;   /* the control stream */
    struct agent *agent; /* NULL once it is withdrawn */
    struct session_origin
        origin; /* for visitors at the port; where the landlord is, whose hold the epoch is */
    struct net_addr peer;
    struct hello_note *hello;
    struct buf in, out;
    struct door_spares spares;
    struct door_certify certify;
    struct door_port *port;
    struct udp_port *udp_port;
    struct timer timer;
    struct timer proof;   /* until its agent's certificates are to be looked at again */
    struct timer fellows; /* until it is told who else offers the name */
    struct list joined;   /* struct joined: who has come since, the first one first */
    size_t joined_count;
    size_t fellows_told;
    char *fellow_told;   /* ... and who one of them is; NULL: nobody has been named */
    struct timer reopen; /* until the port can be had */
    int64_t heard;
    bool over_streams; /* visitors get streams of the agent's connection */
    bool draining;
    bool stops;               /* the agent has said so */
    bool late;                /* it does not take leave */
    bool portless;            /* the port could not be had */
    enum close_reason reason; /* ... why it was withdrawn */
    char *detail;             /* how it ended */
};

/* ---- door_offer.c ---- */

/* The time of its worker's loop. */
int64_t door_offer_now(const struct door_offer *o);

/* Say something to the agent, soon. */
void door_offer_say(struct door_offer *o, const struct wire_control *control);

/* Over streams: a visitor's has been opened. Where nothing of it is acknowledged the agent is no choice. */
void door_offer_expect_answer(struct door_offer *o);

/* What an offer holds beside its own connection, which may be for long, counts as connections do: the limit
 * is there so that descriptors suffice. False: the door holds as many as it may. */
bool door_offer_take_place(const struct door_offer *o);
void door_offer_give_place(const struct door_offer *o);

/* ---- door_certify.c ---- */

/* `now`: monotonic. */
void door_certify_init(struct door_certify *c, int64_t now);

/* The agent wants a key certified (CSR, borrowed): it is told what comes of that. Returns NULL, or what the
 * agent has done that none does. */
const char *door_certify_ask(struct door_offer *o, struct str csr);

/* The agent hears of nothing any more. */
void door_certify_end(struct door_certify *c);

/* ---- door_spares.c ---- */

/* `now`: monotonic. */
void door_spares_init(struct door_spares *s, int64_t now);

/* struct agent_ops: wanted, brought, packed. */
void door_spares_wanted(void *owner, struct errand *e);
void door_spares_brought(void *owner, struct link *link);
void door_spares_packed(void *owner);

/* Have as many ready or coming as are kept, and one for each visitor that waits; what ought to have come for
 * him by now is no longer counted on. An id that is not used in time is replaced. Over streams nothing is
 * asked for. Where the door is crowded none are kept. */
void door_spares_ask(struct door_offer *o);

/* When to ask again at the latest, in nanoseconds from now; INT64_MAX: nobody waits. */
int64_t door_spares_look(const struct door_offer *o);

/* Nobody can be led to the agent any more: no connection of it will come. */
void door_spares_fail_waiting(struct door_offer *o);

/* ... and close those that wait. */
void door_spares_close(struct door_offer *o);

/* ---- door_port.c ---- */

void door_port_init(struct door_offer *o);

/* Open the offer's port, at the address of the listener that the agent came by. -1 with `err`. */
int door_port_open(struct door_offer *o, const struct offer *offer, struct err *err);

/* Have the port, now or soon after whoever has it lets go. */
void door_port_want(struct door_offer *o);
/* The same, but not now: it was tried. */
void door_port_stand_by(struct door_offer *o);

/* Agents of the name have come or gone, or the configuration is another: a UDP port has as many flows as the
 * agents take visitors, and its limits. */
void door_port_fit(struct door_offer *o);

static inline bool door_port_is_open(const struct door_offer *o)
{
    return o->port != NULL || o->udp_port != NULL;
}

void door_port_close(struct door_offer *o);

#endif
