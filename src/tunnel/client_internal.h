/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of the client share. */
#ifndef CARDEA_TUNNEL_CLIENT_INTERNAL_H
#define CARDEA_TUNNEL_CLIENT_INTERNAL_H

#include "base/hostport.h"
#include "base/list.h"
#include "cert/cert.h"
#include "ech/offer.h"
#include "pipe/pipe.h"
#include "session/dial.h"
#include "tls/client.h"
#include "tls/tls_link.h"
#include "tunnel/client.h"
#include "tunnel/plain_targets.h"
#include "tunnel/renewer.h"
#include "tunnel/way.h"
#include "tunnel/wire.h"

#define CLIENT_DOOR_MAGIC 0xc11ed004u
#define CLIENT_PLACE_MAX (HOST_MAX + 8) /* "[host]:port" */

/* What has been so far, for people to ask about. */
struct client_history {
    uint64_t bytes_in, bytes_out;      /* of connections that have ended */
    struct client_datagrams datagrams; /* likewise */
    char *loss;                        /* why no connection to the door was to be had last; NULL: one was */
    int64_t lost_at;                   /* ... wall clock */
    char *said;        /* by the door on the connection, last, of why it lets go of us; NULL: nothing */
    int64_t tcp_since; /* wall clock: there has been one over TCP all the time since */
    bool has_answered; /* the door, a hello of ours: it can be reached */
};

struct client_door {
    uint32_t magic;
    struct loop *loop;
    struct resolver *resolver;
    struct tls_client *tls;
    struct tls_sessions *sessions; /* of the door, over TCP */
    struct tls_client *inner;      /* for TLS with the far end of a stream */
    struct tls_scratch tls_scratch;
    struct tls_scratch inner_scratch; /* both may be at work at once */
    struct pipe_scratch pipe_scratch;
    char host[HOST_MAX];
    uint16_t port;
    char place[CLIENT_PLACE_MAX]; /* host:port, for texts */
    char *name;
    char *alpn;
    struct ech_offer ech;         /* to the door */
    bool ech_told;                /* that it does not go by that */
    struct ech_attempt inner_ech; /* to services: GREASE, or nothing */
    struct cert *cert;            /* ours, or NULL */
    struct trust
        *trust; /* who vouches for the door, and for services: connections that are being made borrow */
    struct trust *inner_trust; /* these */
    struct renewer *renewer;   /* NULL: there is no certificate */
    struct timer watch;        /* until there is one, where another process carries the connection */
    void (*notice)(void *owner, enum client_notice what, const char *text); /* or NULL */
    void *notice_owner;
    bool named; /* the name was given, not taken from the host */
    bool system_ca;
    char *ca;         /* as the settings have it, for texts */
    char *service_ca; /* likewise; NULL: `ca` */
    int64_t timeout;
    enum transport transport;
    enum tls_pq pq;
    bool unproven;
    bool end_to_end;
    bool stays;
    struct carrier *carrier;                /* NULL: over TCP only */
    struct warm *warm;                      /* connections over TCP that are ready; NULL: none are kept */
    struct plain_targets plain;             /* that are known to be no services behind TLS */
    struct list left;                       /* carriers before it, which end by themselves */
    unsigned carrier_turn;                  /* how often it was replaced */
    const struct client_visitors *visitors; /* NULL: the door may open no streams */
    void *visitors_owner;
    int shared_fd; /* leads to a process that carries the connection, until it is used; else -1 */
    const struct client_settings *later;  /* what has not been loaded yet; NULL: all is */
    const struct client_settings *nearby; /* those of a connection that another process carries; else NULL */
    struct client_history history;
    struct list clients;
    struct err text; /* of the connection that is just ending */
};

/* Of an agent's door. */
struct client_visitors {
    void (*visitor)(void *owner, struct link *stream); /* the door has opened one; it is the owner's */
    /* The door acknowledges nothing any more on the QUIC connection of that turn, in use or left for another:
     * it has been set aside, and what is begun now goes another way. */
    void (*unheard)(void *owner, unsigned turn);
};

/* Whom to give the streams that the door opens; NULL: nobody, they are closed. */
void client_door_visitors(struct client_door *door, const struct client_visitors *visitors, void *owner);

/* Go on with a new QUIC connection, if `turn` is that of the one in use; the streams of the old one go on
 * until the door closes it. */
void client_door_renew(struct client_door *door, unsigned turn);

/* One has been made: what failed before is over. */
void client_note_reached(struct client_door *door);

/* One over TCP is there now, and about to be counted: the same, and since when. */
void client_note_tcp(struct client_door *door);

/* One was made: tell, once, where that went otherwise than the settings would have it. */
void client_note_ech(struct client_door *door, const struct ech_attempt *attempt);

/* The connection to the door has failed, or none could be made. */
void client_note_loss(struct client_door *door, const char *why);

/* The door has said on its QUIC connection why it lets go of us, before it ends that or after; NULL: it goes
 * on with us. */
void client_note_said(struct client_door *door, const char *text);

/* Show this certificate (taken) on connections that are made from now on. -1 with `err`, and nothing is
 * changed. */
int client_door_take_cert(struct client_door *door, struct cert *cert, struct err *err);

/* Let go of a connection without telling its owner. */
void client_drop(struct list *node);

/* Load what client_door_shared() has put off. Returns 0, or -1 with the door's text. */
int client_door_complete(struct client_door *door);

/* Of that only what TLS with the service at the far end needs. Returns 0, or -1 with the door's text. */
int client_door_load_tls(struct client_door *door);

/* The QUIC connection of that turn has fallen silent: who has no answer of the door yet asks another way. */
void client_carrier_is_silent(struct client_door *door, unsigned turn);

/* The texts below say what happened and, where we know, what to do about it; each fills `ret` and returns -1.
 */

/* The door could not be reached. */
int client_text_dial(const struct client_door *door, enum dial_status status, struct err *ret);

/* The TLS link broke: what we hold against the door's certificate, or what the door told us in an alert.
 * `opened`: the handshake was over on our side (in TLS 1.3 the door judges our certificate after that). */
int client_text_tls(const struct client_door *door, const struct link *tls, bool opened, struct err *ret);

/* There is no ECHConfig, without which no connection may be made. */
int client_text_no_ech(const struct client_door *door, struct err *ret);

/* The same from what is known of the peer; `word` is the transport's own. */
int client_text_peer(const struct client_door *door, const struct link_peer *peer, const char *word,
                     bool opened, struct err *ret);

/* Has the door turned us away by an alert that says what it holds against us (no certificate, or not this
 * one; this name; its policy)? The same will come of another try. */
bool client_is_refused(const struct link_peer *peer);

/* The door said no. */
int client_text_answer(const struct front_target *target, const struct wire_answer *answer, struct err *ret);

/* How the connection to a target or route ended that was neither broken here nor ended by both. */
struct client_cut {
    uint64_t code; /* the door's, of tables/cuts.def; 0: it has said none, or the transport has none */
    bool told;     /* it was the door that ended it: it has said so, in whatever way */
    bool silent;   /* not a byte had come */
    bool inner;    /* the far end speaks TLS with us */
};

/* The connection was cut off amid the bytes. `target` without a host: a route. */
int client_text_cut(const struct client_door *door, const struct front_target *target,
                    const struct client_cut *cut, struct err *ret);

/* TLS with the service that a name led to broke. */
int client_text_inner(const struct client_door *door, const struct front_target *target,
                      const struct link *tls, struct err *ret);

/* "host:port" of a target. Returns `text`. */
const char *client_text_place(const char *host, uint16_t port, char text[CLIENT_PLACE_MAX]);

#endif
