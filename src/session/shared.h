/* SPDX-License-Identifier: Apache-2.0 */
/* Between snapshot.c and shared.c: parts that are found again by name after a reload. Control thread only. */
#ifndef CARDEA_SESSION_SHARED_H
#define CARDEA_SESSION_SHARED_H

#include "session/snapshot.h"

/* The counters kept under a name, made when it is new. Owned by `shared`, never freed while it lives. */
struct route_stats *shared_stats(struct snapshot_shared *shared, const char *name);

/* The ring for tickets of that lifetime (nanoseconds), made when it is new. Owned by `shared`. */
struct tickets *shared_tickets(struct snapshot_shared *shared, int64_t lifetime);

/* The ring of these keys, made when it is new; the folder is looked at then. Owned by `shared`; NULL where
 * that `only_checks`. -1 with `err`. */
int shared_ech(struct snapshot_shared *shared, const struct config *config, struct ech_ring **ret,
               struct err *err);

#endif
