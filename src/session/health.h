/* SPDX-License-Identifier: Apache-2.0 */
/* Active health checks: a backend that does not take a connection `fall` times in a row is down, one that
 * does `rise` times is up again. A check that fails for a reason of ours (no descriptor left, no answer from
 * a name server) changes nothing. Runs on the control thread's loop. */
#ifndef CARDEA_SESSION_HEALTH_H
#define CARDEA_SESSION_HEALTH_H

#include "loop/loop.h"
#include "net/resolver.h"
#include "session/snapshot.h"

struct health;

/* Without any backend yet. Both must outlive it. Never NULL. */
struct health *health_new(struct loop *loop, struct resolver *resolver);

/* Check the backends of this configuration from now on, and no others. A backend that stays keeps its state,
 * and, where it is checked as before, the rhythm and the outcomes counted so far. The others are not checked
 * all at once: each for the first time within a second (or the interval, if that is less), later ones spread
 * over the interval. */
void health_install(struct health *h, struct snapshot *snap);

/* NULL is allowed. */
void health_free(struct health *h);

#endif
