/* SPDX-License-Identifier: Apache-2.0 */
/* A connection that carries many sessions outlives reloads, CRLs and its client's certificate. Its standing
 * is what it was last judged by, and before each new session on it it is judged anew where that may have
 * changed: would the client come in by the configuration in force, on a route of the same kind, with the
 * certificates that it has shown? Sessions that run already are left alone. */
#ifndef CARDEA_SESSION_STANDING_H
#define CARDEA_SESSION_STANDING_H

#include <stdbool.h>
#include <stdint.h>

#include "audit/reason.h"
#include "base/err.h"
#include "link/link.h"

struct epoch;
struct hello_note;
struct route_runtime;
struct snapshot;
struct worker;

/* Zeroed but for the first three, it is what a handshake has just proven. */
struct standing {
    struct epoch *epoch; /* the configuration that it is good in, or was last; the owner's hold */
    const struct route_runtime *route; /* of that */
    uint32_t listener;                 /* its index in that */
    uint64_t judged;                   /* the number of the epoch that decided last; 0: its own */
    int64_t proven;                    /* monotonic: when its certificates last were; 0: in the handshake */
    int64_t expires;           /* the leaf does then, in seconds since 1970; 0 before it has been looked at */
    enum close_reason refused; /* CLOSE_DONE: it is welcome */
    struct err *why;           /* ... NULL then; else owned */
};

/* Give back what the standing owns; the epoch is the owner's to release. */
void standing_free(struct standing *st);

/* By what a standing is judged, and when. */
struct standing_now {
    struct epoch *epoch; /* the configuration in force */
    int64_t monotonic;
    int64_t wall; /* seconds since 1970 */
};

/* Judge it, if what decides may have changed since the last time: the configuration, or what time alone
 * changes (the client's certificate expires; once a minute also CRLs and the other certificates of its
 * chain). Once it is good in a new configuration it names that one's epoch, instead of the one before;
 * nothing is held or released here. `udp`: it is QUIC. False: no new sessions, for `refused` and `why`; it
 * then keeps the configuration in which it was good last. Costs a verification of the chain when it judges.
 */
bool standing_judge(struct standing *st, const struct standing_now *now, const struct hello_note *hello,
                    const struct link_peer *peer, bool udp);

/* The same, now and by what the worker has in force. The hold on the epoch moves along. */
bool standing_renew(struct standing *st, struct worker *w, const struct hello_note *hello,
                    const struct link_peer *peer, bool udp);

/* Do the certificates that the peer has shown prove it on that route, or does the route let it in without?
 * False with `err`. */
bool standing_believes(const struct route_runtime *route, const struct link_peer *peer, struct err *err);

/* Its client has proven other certificates: what was held against those before is over, and it is to be
 * judged anew next time. */
void standing_proven(struct standing *st);

/* Where a new connection of its client's would be led to in the configuration `now`: a tunnel that its
 * protocol reaches, or NULL with `err`. */
const struct route_runtime *standing_lead(const struct standing *st, const struct snapshot *now,
                                          const struct hello_note *hello, bool udp, struct err *err);

/* Its client's certificate has run out, and it is not to stay: no new sessions. */
void standing_expire(struct standing *st, const struct link_peer *peer);

/* For who is to be judged though he begins nothing: in how many nanoseconds time alone may have changed the
 * verdict, which is when the peer's certificate expires, or in a minute. At least a second. */
int64_t standing_look(const struct link_peer *peer);

/* The index in `now` of listener `listener` of `before`; false when there is none any more. */
bool standing_listener(const struct snapshot *before, uint32_t listener, const struct snapshot *now,
                       uint32_t *ret);

#endif
