/* SPDX-License-Identifier: Apache-2.0 */
/* A bound on the bytes per second that several links carry together, both ways: a token bucket, and a link
 * on top of another that takes its bytes from it. */
#ifndef CARDEA_TUNNEL_THROTTLE_H
#define CARDEA_TUNNEL_THROTTLE_H

#include <stdint.h>

#include "link/link.h"
#include "loop/loop.h"

struct throttle {
    struct loop *loop;
    int64_t rate;        /* bytes per second */
    int64_t tokens;      /* bytes that may pass now */
    int64_t filled;      /* when they were last added to, monotonic */
    struct list waiting; /* links that found none */
    struct timer timer;
};

/* `rate` > 0, in bytes per second. A quarter of a second's worth may pass at once. */
void throttle_init(struct throttle *t, struct loop *loop, int64_t rate);

/* After the last of its links. Harmless on a zeroed struct. */
void throttle_end(struct throttle *t);

/* A link on top of `lower` (taken over). Never NULL. */
struct link *throttle_link(struct throttle *t, struct link *lower);

#endif
