/* SPDX-License-Identifier: Apache-2.0 */
#include "base/pace.h"

#include "base/check.h"
#include "base/clock.h"

#define BURST_NS (100 * NSEC_PER_MSEC)
#define LEAST 1024 /* bytes worth a call */

/* Who is further ahead of the clock than a burst waits until half of one is free. */
int64_t pace_allow(const struct pace *p, int64_t now, unsigned sharers, size_t *ret_bytes)
{
    uint64_t bandwidth = atomic_load_explicit(&p->bandwidth, memory_order_relaxed);
    *ret_bytes = SIZE_MAX;
    if (bandwidth == 0)
        return 0;
    int64_t free_ns = now + BURST_NS - MAX(atomic_load(&p->paid_until), now);
    if (free_ns <= 0)
        return BURST_NS / 2 - free_ns;
    double bytes = (double)free_ns * (double)bandwidth / (double)NSEC_PER_SEC / MAX(sharers, 1u);
    *ret_bytes = MAX((size_t)bytes, (size_t)LEAST);
    return 0;
}

void pace_charge(struct pace *p, int64_t now, uint64_t bytes)
{
    uint64_t bandwidth = atomic_load_explicit(&p->bandwidth, memory_order_relaxed);
    if (bandwidth == 0)
        return;
    int64_t cost = (int64_t)((double)bytes * (double)NSEC_PER_SEC / (double)bandwidth);
    int64_t before = atomic_load(&p->paid_until), after;
    do
        after = MAX(before, now) + cost;
    while (!atomic_compare_exchange_weak(&p->paid_until, &before, after));
}
