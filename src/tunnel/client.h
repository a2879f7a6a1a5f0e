/* SPDX-License-Identifier: Apache-2.0 */
/* The client's side of a tunnel: `cardea connect`. A client_door is what all connections through one door
 * have in common; each connection is a small machine on the loop that goes REACH HELLO ANSWER INNER (TLS
 * within the tunnel, where the far end speaks it) PIPE CLOSED. */
#ifndef CARDEA_TUNNEL_CLIENT_H
#define CARDEA_TUNNEL_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/doh.h"
#include "base/tls_group.h"
#include "base/transport.h"
#include "net/addr.h"
#include "session/outcome.h"

struct client_door;
struct ech_source;
struct err;
struct front_target;
struct link;
struct loop;

/* How to reach a door, and as whom. The texts are needed during client_door_new() only. */
struct client_settings {
    const char *door; /* HOST:PORT */
    const char *cert; /* our certificate and key (paths of PEM files); NULL: none */
    const char *key;
    const char *ca;         /* who may vouch for the door (path of a PEM file, or "system") */
    const char *service_ca; /* ... and for services that speak TLS with us themselves; NULL: those of `ca` */
    const char *name; /* sent as SNI, and what the door's certificate must name; NULL: the door's host */
    const char *alpn; /* the one protocol to offer; NULL: none */
    const char *ech;  /* what to offer of Encrypted ClientHello (base/ech_setting.h); NULL: GREASE */
    struct doh_resolver doh;       /* who tells ECHConfigs */
    struct ech_source *ech_source; /* what he told before: client_door_ech_source(); NULL: ask */
    enum transport transport;
    enum tls_pq pq;  /* with the door, and with services that speak TLS with us themselves */
    bool unproven;   /* neither the door nor services need prove who they are */
    bool end_to_end; /* lead to nothing but services that speak TLS and prove their name to us */
    bool stays;      /* many connections over a long time: what did not work is worth being tried again */
    int64_t timeout; /* nanoseconds for a connection to be set up, from the dial to the door's answer */
};

/* Load the files and make ready to connect; nothing is dialled yet. NULL with `err`, which names the setting
 * or file at fault. */
struct client_door *client_door_new(struct loop *loop, const struct client_settings *settings,
                                    struct err *err);

/* The same for one connection that another process of this user's carries: `fd` is a socket connected to it
 * (taken over). No file is loaded unless that process goes away before the door has answered; then all is
 * done as by client_door_new(), so the settings must live as long as the door. Never NULL where the address
 * of the door can be read, else NULL with `err`. */
struct client_door *client_door_shared(struct loop *loop, const struct client_settings *settings, int fd,
                                       struct err *err);

/* What the DNS has told of the door's ECHConfigs; the caller owns a reference (ech/source.h). NULL: it was
 * not asked. */
struct ech_source *client_door_ech_source(const struct client_door *door);

/* Will doors refuse the certificate that is shown to them, at `now` (seconds since 1970), since it has
 * expired or is not valid yet? True, with the text. */
bool client_door_warning(const struct client_door *door, int64_t now, struct err *ret_text);

/* What becomes of connections that stand, and of our certificate on them. */
enum client_notice {
    CLIENT_RUNS_OUT,    /* soon, and there is no newer one */
    CLIENT_RENEWED,     /* a newer one was proven on a connection */
    CLIENT_NOT_RENEWED, /* the door did not take it there */
    CLIENT_ECH,         /* the door does not decrypt what was encrypted for it */
};

/* Hear of it, in texts for people; they are borrowed for the call. */
void client_door_notices(struct client_door *door,
                         void (*notice)(void *owner, enum client_notice what, const char *text), void *owner);

/* There is word of a newer certificate in the file: look now, not when it is due. */
void client_door_look(struct client_door *door);

/* What is known of what goes through a door now. Of times 0 is not known, of addresses AF_UNSPEC. */
struct client_facts {
    bool reached; /* the door has answered once, whatever it said */
    bool quic;    /* the facts of the path are those of the QUIC connection; else of one of those over TCP */
    struct net_addr local;
    struct net_addr peer;
    int64_t rtt;      /* smoothed, nanoseconds */
    int64_t since;    /* wall clock: when that connection was made; since when there is always one over TCP */
    size_t sessions;  /* connections through the door */
    size_t busy;      /* those of them that have a connection over TCP, each its own */
    size_t ready;     /* connections over TCP that wait for one */
    size_t streams;   /* those of them that are streams of the QUIC connection */
    uint64_t in, out; /* bytes from and to the door, of all sessions so far */
    const char *loss; /* there is none now: why the last was lost, or none came about; NULL: nothing failed */
    int64_t lost_at;  /* ... wall clock */
    const char *said; /* with `loss`: what the door had said against us before; NULL: nothing */
};

void client_door_facts(const struct client_door *door, struct client_facts *ret);

/* Drop the connections that are left, without telling their owners. What their links put off is freed by the
 * loop's next round, or by loop_free(). NULL is allowed. */
void client_door_free(struct client_door *door);

/* What became of the datagrams that went through a door over QUIC as such, of flows that are over and those
 * that are not. Flows over TCP, and datagrams that were too long for the path, travel in streams and are not
 * counted here. */
struct client_datagrams {
    uint64_t flows;
    uint64_t sent;
    uint64_t received;
    uint64_t dropped; /* here, since somebody did not take them in time */
    uint64_t lost;    /* on the way to the door, as far as is known */
    size_t largest;
};

void client_door_datagrams(const struct client_door *door, struct client_datagrams *ret);

enum client_outcome {
    CLIENT_DONE,   /* both directions have ended and are delivered */
    CLIENT_LOCAL,  /* the local side broke; nothing is wrong with door and target */
    CLIENT_FAILED, /* the door, its answer, or the connection to it */
};

/* Told once, before a byte has flowed and never from within client_start(), where the owner wants to know.
 * FRONT_OK: the tunnel stands; what the owner writes to `local` now is what its other end reads first. Else
 * it does not stand, `outcome` is the door's answer (FRONT_OUTCOMES: there was none), and `local` is the
 * owner's again, as it was. client_ended follows in either case. */
typedef void client_answered(void *owner, enum front_outcome outcome, struct link *local);

/* Told once, when everything of the connection is closed; never from within client_start(). `text`: what went
 * wrong and what to do, for people; "" with CLIENT_DONE. It is borrowed for the call. The door must not be
 * freed from here. */
typedef void client_ended(void *owner, enum client_outcome outcome, const char *text);

/* Connect `local` (taken over) through the door: to `target`, which the door is asked for; or, when that is
 * NULL, to the route that name and ALPN choose. `answered` may be NULL. */
void client_start(struct client_door *door, const struct front_target *target, struct link *local,
                  client_answered *answered, client_ended *ended, void *owner);

/* How a connection is to be made. What is NULL is not called. */
struct client_terms {
    int64_t timeout; /* instead of the door's */
    client_answered *answered;
    /* For a local side that hears in its own words what becomes of it: the tunnel stands, and `local` has not
     * been written, nor read where `speak` has not been called. `tls`: the service at its far end speaks TLS,
     * which is left to the local side. */
    void (*joined)(struct link *local, bool tls);
    void (*speak)(struct link *local); /* what it has for the target may be read before the tunnel stands */
    void (*failing)(struct link *local, const char *text); /* it is closed with an error next */
};

/* As client_start(); the terms are copied. */
void client_start_on(struct client_door *door, const struct front_target *target, struct link *local,
                     const struct client_terms *terms, client_ended *ended, void *owner);

#endif
