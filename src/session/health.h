/* SPDX-License-Identifier: Apache-2.0 */
/* Active health checks: a backend that does not take a connection `fall` times in a row is down, one that
 * does `rise` times is up again. Runs on the control thread's loop. */
#ifndef CARDEA_SESSION_HEALTH_H
#define CARDEA_SESSION_HEALTH_H

#include "loop/loop.h"
#include "net/resolver.h"
#include "session/snapshot.h"

struct health;

/* Without any backend yet. Both must outlive it. Never NULL. */
struct health *health_new(struct loop *loop, struct resolver *resolver);

/* Check the backends of this configuration from now on, and no others. What is known of a backend that stays
 * is kept. */
void health_install(struct health *h, struct snapshot *snap);

/* NULL is allowed. */
void health_free(struct health *h);

#endif
