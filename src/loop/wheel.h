/* SPDX-License-Identifier: Apache-2.0 */
/* Hierarchical timer wheel: O(1) to set and to cancel, so that every connection can afford its deadlines.
 * Pure: it owns no clock; the loop tells it the time. A timer fires up to one tick late, never early. */
#ifndef CARDEA_LOOP_WHEEL_H
#define CARDEA_LOOP_WHEEL_H

#include <stdbool.h>
#include <stdint.h>

#include "base/list.h"

#define WHEEL_TICK_NS INT64_C(4000000) /* 4 ms */
#define WHEEL_LEVELS 4
#define WHEEL_SLOTS 64

/* Embed it; zero it with timer_init() before first use. `fire` runs once, after which the timer is unset. */
struct timer {
    struct list node;
    uint64_t tick;
    void (*fire)(struct timer *);
};

struct wheel {
    uint64_t tick;                   /* every timer up to here has been made due */
    uint64_t occupied[WHEEL_LEVELS]; /* a bit per slot that may hold timers (cleared lazily) */
    struct list slot[WHEEL_LEVELS][WHEEL_SLOTS];
    struct list due;
};

/* An unset timer. */
void timer_init(struct timer *t, void (*fire)(struct timer *));

/* True while the timer waits to fire. */
static inline bool timer_is_set(const struct timer *t)
{
    return !list_empty(&t->node);
}

/* An empty wheel at the monotonic time `now`, in nanoseconds. */
void wheel_init(struct wheel *w, int64_t now);

/* Set (or move) a timer to fire at the monotonic time `when`; a time that has passed fires at the next tick.
 */
void wheel_set(struct wheel *w, struct timer *t, int64_t when);

/* Harmless when the timer is not set. */
void wheel_cancel(struct timer *t);

/* Move the wheel to `now`; timers that have come due wait in wheel_pop(). */
void wheel_advance(struct wheel *w, int64_t now);

/* The next due timer, unset and ready for its `fire` to be called, or NULL. */
struct timer *wheel_pop(struct wheel *w);

/* A time no later than the next moment at which wheel_advance() has work; INT64_MAX when no timer is set. */
int64_t wheel_next(struct wheel *w);

#endif
