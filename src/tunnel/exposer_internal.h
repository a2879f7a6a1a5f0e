/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of the agent share. */
#ifndef CARDEA_TUNNEL_EXPOSER_INTERNAL_H
#define CARDEA_TUNNEL_EXPOSER_INTERNAL_H

#include "base/list.h"
#include "base/patience.h"
#include "link/link.h"
#include "session/dial.h"
#include "tls/tls_link.h"
#include "tunnel/agent_wire.h"
#include "tunnel/backoff.h"
#include "tunnel/exposer.h"
#include "tunnel/renewer.h"
#include "tunnel/throttle.h"
#include "tunnel/way.h"

#define AGENT_ROOM 17408       /* bytes that the longest TLS record fits into (RFC 8446, 5.2) */
#define AGENT_WHIMS_A_SECOND 1 /* that are told, or begun anew, on the door's word alone */
#define AGENT_SPARES_MAX (2 * OFFER_IDS_MAX)

/* Does the service answer? Asked again and again where that is wanted; else visitors show it. */
struct probe {
    struct exposer_offer *offer;
    struct dial dial;
    struct timer timer;
    bool dialling;
    enum front_outcome down; /* how; FRONT_OK: it is not */
    bool told_down;          /* AGENT_DOWN was the last that was told of it */
    int64_t told;            /* when, monotonic; 0: never */
    size_t turned_away;      /* visitors since then */
};

/* Visitors whom the agent did not let in. */
struct turned_away {
    struct timer timer;   /* a minute after the last was told of */
    bool told;            /* within that minute */
    size_t count;         /* since then */
    struct net_addr peer; /* the last of them */
    struct err last;      /* why */
};

/* A certificate of the door's CA, where none was given. */
struct own_cert {
    bool wanted;
    struct cert *cert;       /* NULL: there is none yet */
    int64_t since;           /* ... which was fetched then, in seconds since 1970 */
    struct evp_pkey_st *key; /* the door was asked to certify it; NULL: nothing is asked */
    int64_t not_before;      /* monotonic: asking is not worth it earlier */
    struct timer timer;
};

/* Who makes the offer, besides whom the connection is opened as. */
struct further {
    struct cert *cert;  /* that was proven; NULL: none yet */
    struct timer timer; /* looks for a newer one */
};

enum offer_state {
    OFFER_IDLE, /* the timer makes a new try */
    OFFER_REACH,
    OFFER_HELLO,
    OFFER_PROVE, /* asked to prove who makes the offer */
    OFFER_ANSWER,
    OFFER_STANDS,
    OFFER_REFUSED,
};

struct exposer_offer {
    enum offer_state state;
    struct list node; /* of the agent's offers */
    struct exposer *agent;
    struct agent_service service; /* the texts are ours */
    struct way way;
    struct link *control;
    struct renewable part; /* of the connection that it is on */
    int64_t until;         /* the certificate that this is opened with runs out then */
    bool shared;           /* the control stream is one of the QUIC connection's */
    unsigned carrier;      /* ... of this turn of it */
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
    struct turned_away turned_away;
    struct own_cert own_cert;
    struct further further;
    bool proven; /* ... on this connection, as far as we are concerned */
    struct throttle throttle;
    size_t visitors;
    size_t lingering;         /* of them: gone, but their connections' ends are waited for */
    size_t fellows;           /* other agents that offer the name, as the door has told */
    char *fellow;             /* ... and who one of them is; NULL: not said */
    struct timer fellows_due; /* tells it */
    struct patience whims;    /* what is told, or begun anew, on the door's word alone */
    size_t spares;            /* connections that wait, or will, for a visitor */
    char *complaint;          /* what was told last of why it does not stand; NULL: nothing since it stood */
    bool has_stood;
    bool gone; /* withdrawn: it is freed when its last visitor has left */
    bool running;
};

struct exposer {
    struct loop *loop;
    struct client_door *door;
    struct list offers;
    struct list visits;
    uint64_t instance; /* tells the door which offers are ours */
    size_t visitors;
    size_t lingering;         /* as in exposer_offer */
    struct tls_scratch inner; /* of TLS inside the door's TLS: both may be at work at once */
    const struct agent_events *events;
    void *owner;
    struct timer stop;
    int64_t stop_by;
    bool stopping;
    bool retry;
};

/* ---- exposer_visit.c ---- */

/* The door has opened a stream for a visitor. */
void exposer_visit_take(struct exposer *a, struct link *far);

/* Bring a connection under this id. */
void exposer_visit_bring(struct exposer_offer *o, const char *id);

/* Close the connections of an offer that wait for a visitor; or, with NULL, all visits of the agent. */
void exposer_visit_drop(struct exposer *a, const struct exposer_offer *o);

/* ---- probe.c ---- */

/* Where the service is to be probed; exposer_offer_ready() hears of each change between up and down. */
void probe_start(struct exposer_offer *o);
void probe_stop(struct exposer_offer *o);

/* A visitor's connection to the service has come about, or not (DIAL_WAIT: not in time). */
void probe_visitor_served(struct exposer_offer *o);
void probe_visitor_failed(struct exposer_offer *o, enum dial_status status);

/* ---- turned_away.c ---- */

/* Begin with nobody; and at the end tell of those that have not been told of. */
void turned_away_start(struct exposer_offer *o);
void turned_away_stop(struct exposer_offer *o);

/* One from there was not let in. */
void turned_away_note(struct exposer_offer *o, const struct net_addr *peer, const char *why);

/* ---- fellows.c ---- */

void fellows_init(struct exposer_offer *o);
void fellows_hear(struct exposer_offer *o, const struct wire_control *control);

/* The offer stands, and nobody has been told of; it is lost; it goes. */
void fellows_forget(struct exposer_offer *o);
void fellows_lost(struct exposer_offer *o);
void fellows_end(struct exposer_offer *o);

/* ---- further.c ---- */

bool further_is_wanted(const struct exposer_offer *o);

/* Answer the door's request with what proves it. -1 with `err`. */
int further_prove(struct exposer_offer *o, struct str request, struct err *err);

/* Nothing is proven yet; the offer stands; it does not any more. */
void further_init(struct exposer_offer *o);
void further_stood(struct exposer_offer *o);
void further_lost(struct exposer_offer *o);

/* ---- own_cert.c ---- */

/* The offer's TLS is like that from now on (a reference is taken; NULL: it is none): with the certificate
 * that is there, where `tls` is bare. */
void own_cert_fit(struct exposer_offer *o, struct agent_tls *tls);
void own_cert_stop(struct exposer_offer *o);

/* Is there none to be shown to visitors? */
bool own_cert_is_missing(const struct exposer_offer *o);

/* The offer stands: ask the door where it is time. Or the door hears nothing more. */
void own_cert_stood(struct exposer_offer *o);
void own_cert_lost(struct exposer_offer *o);

/* The door's answer: a chain, or none. False with the door's text: there never was one, and asking again is
 * not worth it before somebody has changed something. */
bool own_cert_take(struct exposer_offer *o, struct str chain);
bool own_cert_refused(struct exposer_offer *o, const struct wire_control *control);

/* ---- exposer_offer.c ---- */

/* An offer that stands is made anew; what is open stays. */
void exposer_offer_again(struct exposer_offer *o);

/* Say something to the door, soon. */
void exposer_offer_say(struct exposer_offer *o, const struct wire_control *control);

/* Begin to offer the service; nothing is told from within. */
void exposer_offer_add(struct exposer *a, const struct agent_service *service);

/* It goes on as it is: with a certificate that may be another, and what was refused is worth another try. */
void exposer_offer_go_on(struct exposer_offer *o, struct agent_tls *tls);

/* Take it back. Its visitors stay, as those do whose control stream is lost; it is freed after the last. */
void exposer_offer_withdraw(struct exposer_offer *o);

/* The agent stops: ask for no more visitors. */
void exposer_offer_stop(struct exposer_offer *o);

/* After its last visitor. */
void exposer_offer_free(struct exposer_offer *o);

/* Begin to dial its service. */
void exposer_offer_dial(const struct exposer_offer *o, struct dial *dial);

/* What is said on the QUIC connection of that turn does not arrive any more: an offer that was made there is
 * made elsewhere. One that has moved on is not touched. */
void exposer_offer_unheard(struct exposer_offer *o, unsigned turn);

/* Tell the door whether the service wants visitors. */
void exposer_offer_ready(struct exposer_offer *o);

/* Tell the owner. */
void exposer_offer_tell(struct exposer_offer *o, const struct agent_news *news);

/* A visitor has left, and nothing of him refers to the offer any more. */
void exposer_offer_left(struct exposer_offer *o);

#endif
