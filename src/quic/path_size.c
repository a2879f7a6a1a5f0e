/* SPDX-License-Identifier: Apache-2.0 */
#include "quic/path_size.h"

#include "base/check.h"
#include "base/clock.h"

#define TIMEOUTS 3                        /* the first two, as each is twice the one before */
#define WAIT_MIN_NS (500 * NSEC_PER_MSEC) /* less may be a busy machine */
#define LOOKS 3    /* a time-out apart: while we ourselves did not run we saw nothing */
#define LOST_MIN 3 /* long packets in a row */
#define PATIENCE_MIN (10 * NSEC_PER_SEC)
#define PATIENCE_MAX (600 * NSEC_PER_SEC) /* RFC 8899, 5.1.1: PMTU_RAISE_TIMER */
#define RELAPSE_NS (5 * NSEC_PER_SEC)     /* long packets that vanish so soon again: it is the path */

void path_size_arrived(struct path_size *p, size_t len)
{
    p->arrived = p->arrived || len >= PATH_SIZE_LONG;
}

static void suspect_nothing(struct path_size *p, const struct path_facts *f)
{
    p->arrived = false;
    p->silent_since = p->lost_since = 0;
    p->lost = f->lost;
    p->lost_bytes = f->lost_bytes;
}

/* How long has it been so? */
static int64_t lasts(int64_t *since, bool is_so, int64_t now)
{
    if (!is_so)
        *since = 0;
    else if (*since == 0)
        *since = now;
    return is_so ? now - *since : 0;
}

static bool is_silent(struct path_size *p, const struct path_facts *f, int64_t wait)
{
    if (p->sample != f->sample)
        p->silent_since = 0;
    p->sample = f->sample;
    int64_t so_long = lasts(&p->silent_since, f->in_flight > 0, f->now);
    if (so_long == 0)
        p->looks = 0;
    else if (f->now - MAX(p->looked, p->silent_since) >= f->timeout)
        p->looks++;
    else
        return false;
    p->looked = f->now;
    return so_long >= wait && p->looks >= LOOKS;
}

static bool long_ones_vanish(struct path_size *p, const struct path_facts *f)
{
    int64_t wait = MAX(TIMEOUTS * f->timeout, WAIT_MIN_NS);
    if (p->arrived)
        suspect_nothing(p, f);
    uint64_t lost = f->lost - p->lost, bytes = f->lost_bytes - p->lost_bytes;
    bool silent = is_silent(p, f, wait);
    bool losing = lost >= LOST_MIN && bytes > lost * PATH_SIZE_SHORT;
    return lasts(&p->lost_since, losing, f->now) >= wait || silent;
}

static void be_short(struct path_size *p, const struct path_facts *f)
{
    bool again = p->last > 0 && f->now - p->changed < RELAPSE_NS;
    p->patience = again ? MIN(2 * p->last, PATIENCE_MAX) : PATIENCE_MIN;
    p->changed = f->now;
}

static void be_long(struct path_size *p, const struct path_facts *f)
{
    p->last = p->patience;
    p->patience = 0;
    p->changed = f->now;
    suspect_nothing(p, f);
}

size_t path_size_most(struct path_size *p, const struct path_facts *facts)
{
    if (p->patience > 0 && facts->now - p->changed >= p->patience)
        be_long(p, facts);
    else if (p->patience == 0 && long_ones_vanish(p, facts))
        be_short(p, facts);
    return p->patience > 0 ? PATH_SIZE_SHORT : SIZE_MAX;
}
