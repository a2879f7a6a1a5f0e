/* SPDX-License-Identifier: Apache-2.0 */
/* One connection from accept to its audit line: a table of steps (tables/states.def) and a small driver. */
#ifndef CARDEA_SESSION_SESSION_H
#define CARDEA_SESSION_SESSION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "audit/reason.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/list.h"
#include "base/str.h"
#include "link/link.h"
#include "net/addr.h"

struct epoch;
struct front;
struct front_request;
struct hello_note;
struct identity;
struct offer;
struct review;
struct route_runtime;
struct session;
struct standing;
struct worker;

/* Begin a session on a link that was accepted by listener `listener` (its index in the worker's
 * configuration). The link is the session's from then on; so is the peer's place in the door's admission
 * count. */
void session_start(struct worker *w, struct link *link, uint32_t listener, const struct net_addr *peer);

/* How a session begins on a stream of a connection whose ClientHello has chosen a route and whose handshake
 * is complete. What it points to is needed during the call only, but for `transport` and `front`. */
struct session_origin {
    uint32_t listener;
    const struct net_addr *peer; /* whom the stream is counted for */
    struct epoch *epoch;         /* a hold is taken */
    const struct route_runtime *route;
    const struct hello_note *hello;
    bool unproven;              /* anybody may have made up the peer's address: it is not counted for it */
    uint64_t carrier;           /* the connection's id */
    const char *transport;      /* what carries the stream, for the audit line; static */
    uint64_t connection;        /* what the client is told to call its connection, see front_answer; or 0 */
    const struct offer *visits; /* whose port of the door was come to; else NULL */
    /* Where what it wants is known already: no request is read from the stream then. */
    const struct front *front;
    const struct front_request *request;
    const struct identity *who; /* an offer: who makes it, where that was proven besides; NULL: whoever has
                                   opened the connection */
    /* The connection's client is not welcome any more: `why` says why, else it is NULL. */
    enum close_reason refused;
    const char *why;
};

/* Begin a session on a stream; the link is the session's from then on. What the limits do not allow is turned
 * away with an audit line. */
void session_start_stream(struct worker *w, struct link *link, const struct session_origin *origin);

/* Begin a session on a link that came to a port of the door which an agent's offer has opened, `visits`: it
 * leads to whoever makes the same offer. The link is the session's from then on. What the limits do not allow
 * is turned away.
 */
void session_start_visit(struct worker *w, struct link *link, const struct session_origin *origin);

/* Is it the one of that id, or, with `streams`, one that travels on that? One that has ended already is not.
 */
bool session_is_called(const struct session *s, uint64_t id, bool streams);

/* The door is stopping: tell who stays for his own sake, or waits for somebody who will not come. */
void session_drain(struct session *s);

/* Its worker has a new configuration in force: what lives on it is judged soon. Counted in `sum` where it
 * carries tunnels. */
void session_review(struct session *s, struct review *sum);

/* End it if it is a connection that its client keeps ready, and on which nothing of a request has come: what
 * is asked on it later would be judged by the configuration that it began under. False: it is none. */
bool session_end_ready(struct session *s);

/* For what lives on the session's link and begins others: standing_renew() for the session, which moves to
 * the configuration in force with it. `hello` is what its client said. The first three parts of `st` are
 * filled in here. */
bool session_renew(struct session *s, struct standing *st, const struct hello_note *hello);

/* Why an offer is not allowed. */
struct session_denial {
    enum close_reason reason; /* CLOSE_DENIED: the policy says so; else its client would not be let in */
    char text[512];           /* for people */
    const char *rule; /* the policy row that decided, or NULL; lives as long as the worker's configuration */
};

/* May the client of this session, on a tunnel route, offer that? Its worker's configuration decides, not the
 * one that the session began under: an offer may stand for as long as its agent likes. Where a new connection
 * of the client's would be led to a tunnel the session moves there first, as by session_renew(), and the
 * policy is asked about that one. `at->hello` is what the client said; the epoch, listener and route of `at`
 * become the session's in any case. False with `ret`. */
bool session_may_offer(struct session *s, struct session_origin *at, const struct offer *offer,
                       struct session_denial *ret);

/* The same for having the door's CA certify a key for what it offers end-to-end. */
bool session_may_certify(struct session *s, struct session_origin *at, const struct offer *offer,
                         struct session_denial *ret);

/* Who is at the other end: as link_peer() of its link tells, but by the identity that was proven last. */
bool session_peer(const struct session *s, struct link_peer *ret);

/* For an offer that is about to be made: its agent proves another identity than the connection's, once, by an
 * authenticator of that connection (RFC 9261) which answers `request`. True: the session is that identity's
 * from now on. False with `err`. */
bool session_prove_further(struct session *s, struct str request, struct str authenticator, struct err *err);

/* A connection or stream was refused before it became a session: leave its audit line. Of `o` the first
 * three parts are told (`peer` is NULL where it is not known), and where there are any route, carrier,
 * transport and offer. */
void session_refused(struct worker *w, const struct session_origin *o, enum close_reason reason);

/* End it now, for this reason. */
void session_kill(struct session *s, enum close_reason reason);

/* The session that is linked into its worker's list by this node. */
struct session *session_of_node(struct list *node);

/* Has it said what it wants, so that a route has taken it? */
bool session_is_routed(const struct session *s);

/* Append a JSON object that describes it, for status. False when memory is out. */
bool session_json(const struct session *s, struct buf *out);

#endif
