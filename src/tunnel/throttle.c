/* SPDX-License-Identifier: Apache-2.0 */
#include "tunnel/throttle.h"

#include <stdlib.h>

#include "base/clock.h"
#include "base/list.h"

#define THROTTLE_MAGIC 0x7407713eu

struct throttled {
    struct link link;
    uint32_t magic;
    struct throttle *throttle;
    struct link *lower;
    struct list node; /* while it waits */
};

/* ---- the bound ---- */

/* How many of `want` bytes may pass; 0: the link waits. */
static size_t grant(struct throttled *l, size_t want)
{
    struct throttle *t = l->throttle;
    int64_t now = loop_now(t->loop);
    size_t most;
    int64_t wait = pace_allow(&t->pace, now, 1, &most);
    if (wait == 0)
        return MIN(want, most);
    if (list_empty(&l->node))
        list_insert(&t->waiting, &l->node);
    if (!timer_is_set(&t->timer))
        loop_set_timer(t->loop, &t->timer, now + wait);
    return 0;
}

static void charge(struct throttled *l, size_t n)
{
    pace_charge(&l->throttle->pace, loop_now(l->throttle->loop), n);
}

static void on_timer(struct timer *timer)
{
    struct throttle *t = CONTAINER_OF(timer, struct throttle, timer);
    struct list batch, *n;
    list_init(&batch);
    list_splice(&batch, &t->waiting);
    while ((n = list_pop(&batch)) != NULL)
        link_wake(&CONTAINER_OF(n, struct throttled, node)->link);
}

void throttle_init(struct throttle *t, struct loop *loop, int64_t rate)
{
    CHECK(rate > 0);
    *t = (struct throttle){.loop = loop, .pace.bandwidth = (uint64_t)rate};
    list_init(&t->waiting);
    timer_init(&t->timer, on_timer);
}

void throttle_end(struct throttle *t)
{
    if (t->loop == NULL)
        return;
    CHECK(list_empty(&t->waiting));
    wheel_cancel(&t->timer);
}

/* ---- the link ---- */

static struct throttled *throttled_of(struct link *l)
{
    struct throttled *t = CONTAINER_OF(l, struct throttled, link);
    CHECK_MAGIC(t, THROTTLE_MAGIC);
    return t;
}

static enum link_status passed_on(struct throttled *t, enum link_status status)
{
    return status == LINK_ERROR ? link_fail(&t->link, link_error(t->lower)) : status;
}

static enum link_status throttled_open(struct link *l)
{
    struct throttled *t = throttled_of(l);
    return passed_on(t, link_open(t->lower));
}

static enum link_status throttled_read(struct link *l, void *buf, size_t cap, size_t *ret_n)
{
    struct throttled *t = throttled_of(l);
    size_t most = grant(t, cap);
    if (most == 0)
        return LINK_AGAIN;
    enum link_status status = link_read(t->lower, buf, most, ret_n);
    if (status == LINK_OK)
        charge(t, *ret_n);
    return passed_on(t, status);
}

static enum link_status throttled_write(struct link *l, const void *buf, size_t len, size_t *ret_n)
{
    struct throttled *t = throttled_of(l);
    size_t most = grant(t, len);
    if (most == 0)
        return LINK_AGAIN;
    link_more(t->lower, l->more);
    enum link_status status = link_write(t->lower, buf, most, ret_n);
    if (status == LINK_OK)
        charge(t, *ret_n);
    return passed_on(t, status);
}

static enum link_status throttled_shutdown(struct link *l, bool closing)
{
    struct throttled *t = throttled_of(l);
    return passed_on(t, closing ? link_finish(t->lower) : link_shutdown(t->lower));
}

static void throttled_close(struct link *l, bool abort)
{
    struct throttled *t = throttled_of(l);
    list_remove(&t->node);
    t->lower->keep_written = l->keep_written;
    link_close(t->lower, abort);
    t->magic = 0;
    free(t);
}

static void throttled_peer(const struct link *l, struct link_peer *ret)
{
    const struct throttled *t = (const void *)((const char *)l - offsetof(struct throttled, link));
    link_peer(t->lower, ret);
}

static struct link *throttled_below(struct link *l)
{
    return throttled_of(l)->lower;
}

static const struct link_ops throttled_ops = {
    .name = "throttle",
    .open = throttled_open,
    .read = throttled_read,
    .write = throttled_write,
    .shutdown = throttled_shutdown,
    .close = throttled_close,
    .peer = throttled_peer,
    .below = throttled_below,
};

static void on_lower_wake(struct link *lower)
{
    struct throttled *t = lower->owner;
    link_wake(&t->link);
}

struct link *throttle_link(struct throttle *t, struct link *lower)
{
    struct throttled *l = calloc(1, sizeof(*l));
    CHECK(l != NULL);
    *l = (struct throttled){
        .link = {.ops = &throttled_ops}, .magic = THROTTLE_MAGIC, .throttle = t, .lower = lower};
    list_init(&l->node);
    lower->wake = on_lower_wake;
    lower->owner = l;
    return &l->link;
}
