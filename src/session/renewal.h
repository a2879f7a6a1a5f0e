/* SPDX-License-Identifier: Apache-2.0 */
/* A client proves a newer certificate on a connection that he has, so that it does not end with the old one:
 * by an authenticator (RFC 9261), which is good on that connection only, whatever it comes on.
 *
 * Nothing is gained by it that a new connection would not give. The chain is proven by the trust bundle of
 * the route that is in force; the certificate says the same of its holder as the one before, every fact of it
 * (identity_digest()), so that all that was decided by those facts still holds; and the policy in force has
 * to let him in. Else the connection stays as it is, and ends when it would have.
 *
 * Whom a worker is asked about may live on another: the question goes there and comes back as a message. */
#ifndef CARDEA_SESSION_RENEWAL_H
#define CARDEA_SESSION_RENEWAL_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "tls/authenticator.h"

struct link_peer;
struct renewal;
struct route_runtime;
struct snapshot;
struct worker;

struct renewal_question {
    uint64_t id;              /* of the connection, as the audit line has it */
    struct buf request;       /* what the client was asked; never asked of anybody before */
    struct buf authenticator; /* what he has answered */
};

/* `good`: the connection goes on, by a certificate that runs out at `expires` (seconds since 1970); else
 * `why`, for the client. Told once, in the thread of the worker that asked. */
typedef void renewal_told(void *owner, bool good, int64_t expires, const struct err *why);

/* Ask whoever has that connection; the question's buffers are taken over. Never told from within. */
struct renewal *renewal_begin(struct worker *w, const struct renewal_question *question, renewal_told *told,
                              void *owner);

/* The owner goes: he is told nothing any more. NULL is allowed; not after he has been told. */
void renewal_cancel(struct renewal *r);

/* ---- for who has the connection ---- */

/* Does the answer prove whoever `peer` tells of anew, on a connection with these values, and would the policy
 * of `now` let him use that tunnel, `route`? True: `ret` is the caller's. Else false with `err`. */
bool renewal_prove(const struct renewal_question *q, const struct authenticator_keys *keys,
                   const struct route_runtime *route, const struct snapshot *now,
                   const struct link_peer *peer, struct authenticator_proof *ret, struct err *err);

#endif
