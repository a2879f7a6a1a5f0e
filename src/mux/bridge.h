/* SPDX-License-Identifier: Apache-2.0 */
/* A link that cannot leave its thread, reached from another one: through a pair of unix sockets, with a pipe
 * at the link's end. Either side sees whether the other ended in order or broke. */
#ifndef CARDEA_MUX_BRIDGE_H
#define CARDEA_MUX_BRIDGE_H

#include "link/link.h"
#include "loop/loop.h"

struct bridge;
struct pipe_scratch;

/* Where bridges are built: a thread, and the pipes that run in it for them. */
struct bridge_site {
    struct loop *loop;
    struct pipe_scratch *scratch;
    struct list pumps;        /* pipes that run */
    void (*quiet)(void *arg); /* the last of them has ended; may be NULL */
    void *arg;
    /* A bridge begins and takes a descriptor in this thread; or has ended. NULL: nobody counts them. */
    bool (*reserve)(void *bank);
    void (*release)(void *bank);
    void *bank;
};

void bridge_site_init(struct bridge_site *site, struct loop *loop, struct pipe_scratch *scratch);

/* Break off what still runs there; `quiet` is not called. */
void bridge_site_clear(struct bridge_site *site);

/* Build one from `link` (taken, also on failure), in the site's thread. NULL when no descriptor is left. */
struct bridge *bridge_new(struct bridge_site *site, struct link *link);

/* The far end, as a link in the thread of `loop`; once. NULL when it cannot be watched: the bridge is given
 * up. */
struct link *bridge_cross(struct bridge *b, struct loop *loop);

/* Instead of bridge_cross(): nobody comes. In any thread. */
void bridge_give_up(struct bridge *b);

#endif
