/* SPDX-License-Identifier: Apache-2.0 */
#include "login/upkeep.h"

#include "base/check.h"

/* A third of its life is left for tries that fail: of four hours eighty minutes, in which a network is found.
 */
#define DUE_PART 3

/* Its owner is told when so much of its life is left, and no more than that time. */
#define WARN_PART 5
#define WARN_MAX 600

/* Between tries a part of what is left, so that they come closer together towards the end, within bounds. */
#define RETRY_PART 3
#define RETRY_MIN 2
#define RETRY_MAX 300

#define OTHER_TAKES 30 /* seconds that another process may take to renew */
#define LOOK_MAX 300   /* the file may be replaced by an owner who logs in anew */
#define OVER_LOOK 10   /* ... which is all that can help one that has run out */

/* A file may say anything; sums of what is left of it do not overflow. */
static int64_t bounded(int64_t seconds)
{
    return MIN(MAX(seconds, (int64_t)0), INT64_C(1) << 40);
}

void upkeep_begin(struct upkeep *u, const struct keep *kept)
{
    int64_t until = bounded(kept->until);
    *u = (struct upkeep){.since = MIN(bounded(kept->since), until),
                         .until = until,
                         .renewable_until = bounded(kept->renewable_until),
                         .by_another = u->by_another};
}

bool upkeep_is_of(const struct upkeep *u, const struct keep *kept)
{
    struct upkeep begun = {.by_another = u->by_another};
    upkeep_begin(&begun, kept);
    return begun.since == u->since && begun.until == u->until && begun.renewable_until == u->renewable_until;
}

/* The last certificate of a session ends with it. */
bool upkeep_is_possible(const struct upkeep *u)
{
    return u->renewable_until > u->until + 1;
}

static int64_t part_left(const struct upkeep *u, int64_t part)
{
    int64_t left = (u->until - u->since) / part;
    return u->until - (left > 0 ? left : 1);
}

static int64_t next_try(const struct upkeep *u)
{
    int64_t wait = (u->until - u->tried) / RETRY_PART;
    return u->tried + MAX(MIN(wait, (int64_t)RETRY_MAX), (int64_t)RETRY_MIN);
}

/* When its owner is to know, unless it is renewed before. */
static int64_t warn_at(const struct upkeep *u)
{
    int64_t at = MAX(part_left(u, WARN_PART), u->until - WARN_MAX);
    return u->by_another && upkeep_is_possible(u) && u->due != 0
               ? MAX(at, u->due + MIN((u->until - u->due) / 2, (int64_t)OTHER_TAKES))
               : at;
}

enum upkeep_step upkeep_next(struct upkeep *u, int64_t now, int64_t *ret_at)
{
    int64_t due = part_left(u, DUE_PART), warn = warn_at(u);
    bool renews = upkeep_is_possible(u) && !u->by_another;
    if (now >= u->until) {
        bool told = u->over;
        u->over = true;
        *ret_at = now + OVER_LOOK;
        return told ? UPKEEP_WAIT : UPKEEP_OVER;
    }
    *ret_at = MIN(now + LOOK_MAX, u->until);
    if (now < due) {
        *ret_at = MIN(*ret_at, due);
        return UPKEEP_WAIT;
    }
    if (u->due == 0) {
        u->due = now;
        warn = warn_at(u);
    }
    if (renews && (u->failed == 0 || now >= next_try(u)))
        return UPKEEP_RENEW;
    if (renews)
        *ret_at = MIN(*ret_at, next_try(u));
    if (now >= warn && !u->warned) {
        u->warned = true;
        return UPKEEP_WARN;
    }
    if (!u->warned)
        *ret_at = MIN(*ret_at, warn);
    return UPKEEP_WAIT;
}

void upkeep_failed(struct upkeep *u, int64_t now)
{
    u->failed++;
    u->tried = now;
}
