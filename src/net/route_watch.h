/* SPDX-License-Identifier: Apache-2.0 */
/* Tells when addresses or routes of this machine change (rtnetlink(7)). */
#ifndef CARDEA_NET_ROUTE_WATCH_H
#define CARDEA_NET_ROUTE_WATCH_H

#include "loop/loop.h"

struct route_watch {
    void (*changed)(struct route_watch *); /* once for a burst of changes */
    /* private */
    struct watch watch;
    struct loop *loop;
    struct timer settle;
};

/* Begin; set `changed` before. Where the kernel does not tell, nothing is ever told. */
void route_watch_start(struct route_watch *r, struct loop *loop);

/* From the loop's thread; harmless when it has not begun. */
void route_watch_stop(struct route_watch *r);

#endif
