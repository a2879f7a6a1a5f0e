/* SPDX-License-Identifier: Apache-2.0 */
/* A bound on the bytes per second that several links carry together, both ways, and a link on top of another
 * that keeps to it. */
#ifndef CARDEA_TUNNEL_THROTTLE_H
#define CARDEA_TUNNEL_THROTTLE_H

#include <stdint.h>

#include "base/pace.h"
#include "link/link.h"
#include "loop/loop.h"

struct throttle {
    struct loop *loop;
    struct pace pace;
    struct list waiting; /* links that may move nothing yet */
    struct timer timer;
};

/* `rate` > 0, in bytes per second; see base/pace.h. */
void throttle_init(struct throttle *t, struct loop *loop, int64_t rate);

/* After the last of its links. Harmless on a zeroed struct. */
void throttle_end(struct throttle *t);

/* A link on top of `lower` (taken over). Never NULL. */
struct link *throttle_link(struct throttle *t, struct link *lower);

#endif
