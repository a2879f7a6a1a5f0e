/* SPDX-License-Identifier: Apache-2.0 */
/* What the door offers of Encrypted ClientHello to the backends of a route. Control thread only, but for what
 * is said to be for any. */
#ifndef CARDEA_SESSION_BACKEND_ECH_H
#define CARDEA_SESSION_BACKEND_ECH_H

#include "ech/offer.h"
#include "session/snapshot.h"

struct loop;

/* An offer for each backend, in the order of the configuration; read only. */
struct backend_ech {
    _Atomic uint32_t refs;
    size_t n;
    struct ech_offer v[];
};

/* As the route's configuration says; the caller owns a reference. NULL where it has no backends that speak
 * TLS, or with `err`, where there is a text in it. What the DNS is to be asked for it has not been asked yet.
 */
struct backend_ech *backend_ech_load(struct snapshot_shared *shared, const struct config *config,
                                     const struct config_route *route, struct err *err);

/* NULL is allowed; of both, any thread. */
struct backend_ech *backend_ech_ref(struct backend_ech *e);
void backend_ech_unref(struct backend_ech *e);

/* Ask the DNS for all of which nothing is known, and wait for it, some seconds at most. */
void backend_ech_ask(struct snapshot_shared *shared);

/* Ask anew in time, on that loop, for all that are in use. */
void backend_ech_keep(struct snapshot_shared *shared, struct loop *loop);

/* Of the names that are asked for, one for which the DNS has ceased to tell what there is since the last
 * call, or tells again. False: there is no other. `ret`: for people. */
bool backend_ech_news(struct snapshot_shared *shared, struct err *ret);

/* For how many it does not tell now. */
size_t backend_ech_failing(const struct snapshot_shared *shared);

/* At the end of `shared`. */
void backend_ech_forget(struct snapshot_shared *shared);

#endif
