/* SPDX-License-Identifier: Apache-2.0 */
/* One connection of a client's through its door: what runs it (client.c) and what is told of them all
 * (client_history.c) share it. */
#ifndef CARDEA_TUNNEL_CLIENT_CALL_H
#define CARDEA_TUNNEL_CLIENT_CALL_H

#include "tunnel/client_internal.h"

#define CLIENT_MAGIC 0xc11e4700u

enum client_state { CLIENT_REACH, CLIENT_HELLO, CLIENT_ANSWER, CLIENT_INNER, CLIENT_PIPE, CLIENT_CLOSED };

struct client {
    uint32_t magic;
    enum client_state state;
    enum client_outcome outcome;
    struct list node; /* of the door's clients */
    struct client_door *door;
    struct front_target target; /* host "": a route */
    enum front_outcome answer;  /* the door's; FRONT_OUTCOMES before */
    client_ended *ended;
    void *owner;
    struct link *local;
    struct link *far; /* towards the door */
    struct way way;
    struct buf bytes;  /* the hello that is still to be sent; then the answer as it comes in */
    struct buf first;  /* what the local side has said before the answer: kept until that is there */
    size_t first_sent; /* of it, right behind the hello */
    uint64_t acked;    /* bytes of a connection that has waited, before the hello */
    struct pipe pipe;
    struct renewable part; /* of the connection to the door, while bytes flow */
    int64_t until;         /* the certificate that it is being opened with runs out then */
    struct timer timer;
    struct task again; /* runs soon, frees at the end */
    int64_t deadline;
    struct client_terms terms;
    struct link *near; /* within `far`: to a process of this user's that carries the connection; NULL: none */
    bool tls;          /* the service at the far end speaks TLS */
    bool inner;        /* `far` is TLS with it, on top of the stream */
    bool warm;         /* `far` had been waiting, see tunnel/warm.h */
    bool shared;       /* `far` is a stream of a connection that others use too */
    bool flow;         /* `far` is a flow of datagrams (quic/flow_link.h) */
    bool asked_again;  /* ... and one such has failed us already */
    bool local_ended;  /* `first` is all that the local side has to say */
    bool let_speak;    /* the local side has been told that it may */
    bool unwritable;   /* `far` takes no more, but may have an answer */
    bool heard;        /* the door has answered */
    bool silent;       /* nothing is to be said before the answer */
    bool door_stops;   /* as it has said; we ask on a new connection */
    unsigned carrier;  /* the stream of `shared` is one of this turn of it */
    bool running;
};

/* Add what datagrams it has carried, where it carries any. */
void client_add_datagrams(const struct client *c, struct client_datagrams *to);

#endif
