/* SPDX-License-Identifier: Apache-2.0 */
/* How long to wait before the next try: a random time below a bound that doubles with each failure ("full
 * jitter"), so that agents which lost a door at once do not come back at once. Pure. */
#ifndef CARDEA_TUNNEL_BACKOFF_H
#define CARDEA_TUNNEL_BACKOFF_H

#include <stdint.h>

#include "base/clock.h"

#define BACKOFF_LEAST (250 * NSEC_PER_MSEC) /* the first bound */
#define BACKOFF_MOST (30 * NSEC_PER_SEC)    /* the last one */

/* All zero: nothing has failed yet. */
struct backoff {
    int64_t bound; /* of the last wait; 0: there was none */
};

/* The next wait in nanoseconds, 0 up to the bound, chosen by `random`. */
int64_t backoff_next(struct backoff *b, uint64_t random);

/* It went well for a while: begin anew. */
void backoff_reset(struct backoff *b);

#endif
