/* SPDX-License-Identifier: Apache-2.0 */
/* Connections to the door over TCP that stand ready: the TLS handshake is over, and no hello has been said.
 * The next tunnel over TCP then costs one round trip and not three.
 *
 * There are none before a tunnel has been carried over TCP; then WARM_COUNT, as long as there is use for
 * them. One that the door closes is not replaced before the next tunnel, so a door that keeps none is not
 * called again and again. */
#ifndef CARDEA_TUNNEL_WARM_H
#define CARDEA_TUNNEL_WARM_H

#include <stddef.h>

#include "base/clock.h"

struct client_door;
struct link;
struct warm;

#define WARM_COUNT 2
#define WARM_AGE_NS (240 * NSEC_PER_SEC)  /* that one waits; a door's limits.ready_timeout is longer */
#define WARM_USE_NS (600 * NSEC_PER_SEC)  /* after the last tunnel one that has aged is not replaced */
#define WARM_REACH_NS (10 * NSEC_PER_SEC) /* for the dial and the handshake */

/* For a door (borrowed). Never NULL. */
struct warm *warm_new(struct client_door *door);

/* Close all that wait. NULL is allowed. */
void warm_free(struct warm *w);

/* A tunnel over TCP stands: have connections ready for the next. */
void warm_want(struct warm *w);

/* One that is open, as far as is known here; the caller owns it. NULL: none is ready. */
struct link *warm_take(struct warm *w);

/* One that is ready, to be looked at only; NULL: none is. */
struct link *warm_first(const struct warm *w);

/* How many are ready. */
size_t warm_ready(const struct warm *w);

#endif
