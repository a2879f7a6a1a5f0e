/* SPDX-License-Identifier: Apache-2.0 */
/* What a worker keeps for the TLS backends of its routes, so that the next connection costs less: sessions to
 * resume, and spare connections whose handshake is over (`spares`). Each backend of each route has its own,
 * under one configuration: nothing is ever used that was made under other expectations.
 *
 * Spares. There are none before a session has come to the backend, and none is replaced when none has come
 * for SPARE_USE_NS; when the door drains, is crowded, or another configuration is in force; while the backend
 * is down or has just failed. One that breaks, or that the backend closes, is not replaced before the next
 * session comes: a backend that keeps none is not called again and again. Each has a descriptor of its own
 * set aside. */
#ifndef CARDEA_SESSION_BACKEND_POOL_H
#define CARDEA_SESSION_BACKEND_POOL_H

#include <stdbool.h>
#include <stddef.h>

#include "base/clock.h"

struct backend_pools;
struct buf;
struct ech_attempt;
struct epoch;
struct link;
struct route_runtime;
struct worker;

#define SPARE_USE_NS (600 * NSEC_PER_SEC)
#define SPARE_SAID_MAX ((size_t)4096) /* bytes that a backend may say before the client is there */

/* Those of a worker under one configuration, which has them from now on. Never NULL. */
struct backend_pools *backend_pools_of(struct worker *w, struct epoch *epoch);

/* Close what stands ready: it is not in force any more, or room is needed. False: nothing did. NULL is
 * allowed.
 */
bool backend_pools_clear(struct backend_pools *pools);

/* After the last link that backend_pool_connect() made. NULL is allowed. */
void backend_pools_free(struct backend_pools *pools);

/* TLS on top of a connection (taken over) to the backend of that index of the route, resuming where that is
 * possible, and offering what `ech` says; see tls_client_link(). Never NULL. */
struct link *backend_pool_connect(struct backend_pools *pools, const struct route_runtime *route,
                                  size_t index, struct link *lower, struct ech_attempt *ech);

/* A spare connection to that backend for a session that has picked it: open, as far as is known here, and the
 * caller's own, with what the backend has said already in `ret_said` (empty, zeroed; the caller frees it).
 * NULL: none is ready. Either way there will be others, where the route has spares. */
struct link *backend_pool_take(struct backend_pools *pools, const struct route_runtime *route, size_t index,
                               struct buf *ret_said);

/* The handshake with the backend of that index of the route is over: count it, and tell where `ech` did not
 * go as the configuration says. */
void backend_pool_opened(struct backend_pools *pools, const struct route_runtime *route, size_t index,
                         const struct link *link, const struct ech_attempt *ech);

#endif
