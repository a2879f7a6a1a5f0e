/* SPDX-License-Identifier: Apache-2.0 */
#include "tunnel/warm.h"

#include <stdlib.h>

#include "tunnel/carrier.h"
#include "tunnel/client_internal.h"

#define SPARE_MAGIC 0x3a4e5ba4u

/* One connection: `way` leads to it, then `link` is it. */
struct spare {
    uint32_t magic;
    struct warm *warm;
    struct list node;
    struct way way;
    struct link *link; /* NULL: not ready yet */
    struct timer timer;
    struct task later; /* frees it */
    bool gone;
};

struct warm {
    struct client_door *door;
    struct list spares;
    size_t count;
    int64_t wanted; /* monotonic, last */
};

static void fill(struct warm *w);

static void on_later(struct task *t)
{
    struct spare *s = CONTAINER_OF(t, struct spare, later);
    CHECK_MAGIC(s, SPARE_MAGIC);
    s->magic = 0;
    free(s);
}

/* Its link, if there is one still, is closed as one that ends well. */
static void drop(struct spare *s)
{
    s->gone = true;
    wheel_cancel(&s->timer);
    list_remove(&s->node);
    s->warm->count--;
    way_cancel(&s->way);
    link_close(s->link, false);
    s->link = NULL;
    loop_defer(s->warm->door->loop, &s->later); /* what wakes in this round may still name it */
}

/* Nothing comes on it but tickets, which stay with TLS. Anything else is the end of it. */
static bool is_alive(struct spare *s)
{
    uint8_t byte;
    size_t n;
    return link_read(s->link, &byte, 1, &n) == LINK_AGAIN;
}

static void on_wake(struct link *l)
{
    struct spare *s = l->owner;
    CHECK_MAGIC(s, SPARE_MAGIC);
    if (!is_alive(s))
        drop(s);
}

static void stand_by(struct spare *s)
{
    struct loop *loop = s->warm->door->loop;
    client_note_tcp(s->warm->door);
    s->link = way_take(&s->way);
    s->link->wake = on_wake;
    s->link->owner = s;
    loop_set_timer(loop, &s->timer, loop_now(loop) + WARM_AGE_NS);
    if (!is_alive(s))
        drop(s);
}

static void on_way(void *owner)
{
    struct spare *s = owner;
    CHECK_MAGIC(s, SPARE_MAGIC);
    if (s->gone || s->link != NULL)
        return;
    switch (way_step(&s->way)) {
    case WAY_WAIT:
        break;
    case WAY_OK:
        stand_by(s);
        break;
    default:
        drop(s);
    }
}

/* It was too long in coming, or has waited for long enough: what lies between here and the door may forget a
 * connection that is silent. */
static void on_timer(struct timer *t)
{
    struct spare *s = CONTAINER_OF(t, struct spare, timer);
    struct warm *w = s->warm;
    bool aged = s->link != NULL;
    drop(s);
    if (aged && loop_now(w->door->loop) - w->wanted < WARM_USE_NS)
        fill(w);
}

static void add(struct warm *w)
{
    struct loop *loop = w->door->loop;
    struct spare *s = calloc(1, sizeof(*s));
    CHECK(s != NULL);
    s->magic = SPARE_MAGIC;
    s->warm = w;
    timer_init(&s->timer, on_timer);
    task_init(&s->later, on_later);
    list_insert(&w->spares, &s->node);
    w->count++;
    int64_t deadline = loop_now(loop) + WARM_REACH_NS;
    loop_set_timer(loop, &s->timer, deadline);
    s->way = (struct way){.door = w->door, .wake = on_way, .owner = s, .tcp_only = true};
    way_start(&s->way, deadline);
    on_way(s);
}

/* Where QUIC carries the tunnels there is no need for any. */
static void fill(struct warm *w)
{
    if (w->door->carrier != NULL && carrier_is_open(w->door->carrier))
        return;
    for (size_t missing = WARM_COUNT - MIN(w->count, (size_t)WARM_COUNT); missing > 0; missing--)
        add(w);
}

void warm_want(struct warm *w)
{
    w->wanted = loop_now(w->door->loop);
    fill(w);
}

struct link *warm_take(struct warm *w)
{
    struct list *next;
    for (struct list *n = w->spares.next; n != &w->spares; n = next) {
        struct spare *s = CONTAINER_OF(n, struct spare, node);
        next = n->next;
        if (s->link == NULL)
            continue;
        struct link *l = is_alive(s) ? s->link : NULL;
        if (l != NULL) {
            l->wake = NULL;
            l->owner = s->link = NULL;
        }
        drop(s);
        if (l != NULL)
            return l;
    }
    return NULL;
}

struct link *warm_first(const struct warm *w)
{
    for (struct list *n = w->spares.next; n != &w->spares; n = n->next)
        if (CONTAINER_OF(n, struct spare, node)->link != NULL)
            return CONTAINER_OF(n, struct spare, node)->link;
    return NULL;
}

size_t warm_ready(const struct warm *w)
{
    size_t ready = 0;
    for (struct list *n = w->spares.next; n != &w->spares; n = n->next)
        ready += CONTAINER_OF(n, struct spare, node)->link != NULL;
    return ready;
}

struct warm *warm_new(struct client_door *door)
{
    struct warm *w = calloc(1, sizeof(*w));
    CHECK(w != NULL);
    w->door = door;
    list_init(&w->spares);
    return w;
}

void warm_free(struct warm *w)
{
    if (w == NULL)
        return;
    while (!list_empty(&w->spares))
        drop(CONTAINER_OF(w->spares.next, struct spare, node));
    free(w);
}
