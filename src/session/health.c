/* SPDX-License-Identifier: Apache-2.0 */
/* A probe is one backend's timer and dial: the timer is the timeout while it dials and the interval while it
 * rests. It takes a connection and closes it, no more. What only tells of ourselves (no descriptor is left,
 * no name server answers) is no outcome: it neither counts nor ends a run. The workers only ever read `down`,
 * so no order is needed between them and us. Backends outlive a reload and so does what is known of them, but
 * not the run of outcomes against it. */
#include "session/health.h"

#include <stdlib.h>

#include "base/clock.h"
#include "session/dial.h"

/* The first outcomes of all are there after this long, or after their interval where that is less. */
#define FIRST_NS NSEC_PER_SEC

/* The watch on one backend. */
struct probe {
    struct list node;
    struct health *health;
    struct backend *backend;  /* a reference */
    struct config_health how; /* a copy */
    int64_t due;              /* when the next check after this one begins */
    size_t run;               /* outcomes in a row that speak against the present state */
    struct timer timer;
    struct dial dial;
    bool dialling;
    bool found; /* this check knows an address to dial */
};

struct health {
    struct loop *loop;
    struct resolver *resolver;
    struct list probes;
};

struct health *health_new(struct loop *loop, struct resolver *resolver)
{
    struct health *h = calloc(1, sizeof(*h));
    CHECK(h != NULL);
    h->loop = loop;
    h->resolver = resolver;
    list_init(&h->probes);
    return h;
}

/* Enough outcomes in a row turn the state over. */
static void outcome(struct probe *p, bool good)
{
    bool down = atomic_load(&p->backend->down);
    backend_tried(p->backend);
    p->run = good == down ? p->run + 1 : 0;
    if (p->run >= (down ? p->how.rise : p->how.fall)) {
        atomic_store(&p->backend->down, !down);
        p->run = 0;
    }
}

/* This check is over; rest until the next. */
static void rest(struct probe *p)
{
    p->dialling = false;
    dial_cancel(&p->dial);
    while (p->due <= loop_now(p->health->loop))
        p->due += p->how.interval;
    loop_set_timer(p->health->loop, &p->timer, p->due);
}

static bool found_address(void *owner, const struct net_addr *addr)
{
    struct probe *p = owner;
    (void)addr;
    p->found = true;
    return true;
}

/* Does that failure tell of the backend? Without an address it does only when a name server says that there
 * is none. */
static bool blames_backend(const struct probe *p, enum dial_status status)
{
    return status != DIAL_NO_DESCRIPTOR && (p->found || status == DIAL_NO_SUCH_HOST);
}

static void step(struct probe *p)
{
    enum dial_status status = dial_step(&p->dial);
    if (status == DIAL_WAIT)
        return;
    if (status == DIAL_OK)
        link_close(dial_take(&p->dial), false);
    if (status == DIAL_OK || blames_backend(p, status))
        outcome(p, status == DIAL_OK);
    rest(p);
}

static void on_wake(void *owner)
{
    step(owner);
}

static void begin(struct probe *p)
{
    p->dialling = true;
    p->found = p->backend->host == NULL;
    loop_set_timer(p->health->loop, &p->timer, loop_now(p->health->loop) + p->how.timeout);
    if (p->backend->host == NULL)
        dial_start_unix(&p->dial, backend_unix_path(p->backend));
    else
        dial_start(&p->dial, p->backend->host, p->backend->port);
    step(p);
}

static void on_timer(struct timer *t)
{
    struct probe *p = CONTAINER_OF(t, struct probe, timer);
    if (!p->dialling) {
        begin(p);
        return;
    }
    if (blames_backend(p, DIAL_UNREACHABLE))
        outcome(p, false);
    rest(p);
}

static void probe_free(struct probe *p)
{
    wheel_cancel(&p->timer);
    dial_cancel(&p->dial);
    list_remove(&p->node);
    backend_unref(p->backend);
    free(p);
}

static void probes_free(struct list *probes)
{
    for (struct list *n = probes->next, *next; n != probes; n = next) {
        next = n->next;
        probe_free(CONTAINER_OF(n, struct probe, node));
    }
}

static struct probe *probe_new(struct health *h, struct backend *b, const struct config_health *how)
{
    struct probe *p = calloc(1, sizeof(*p));
    CHECK(p != NULL);
    p->health = h;
    p->backend = b;
    atomic_fetch_add(&b->refs, 1);
    p->how = *how;
    p->dial = (struct dial){
        .loop = h->loop, .resolver = h->resolver, .wake = on_wake, .allow = found_address, .owner = p};
    timer_init(&p->timer, on_timer);
    list_init(&p->node);
    return p;
}

static struct probe *find_probe(const struct list *probes, const struct backend *b)
{
    for (struct list *n = probes->next; n != probes; n = n->next)
        if (CONTAINER_OF(n, struct probe, node)->backend == b)
            return CONTAINER_OF(n, struct probe, node);
    return NULL;
}

static bool same_check(const struct config_health *a, const struct config_health *b)
{
    return a->interval == b->interval && a->timeout == b->timeout && a->rise == b->rise && a->fall == b->fall;
}

/* See to it that a backend is checked: by the probe it has in `before` if that checks in the same way, which
 * then goes on undisturbed; else by one in `fresh`. */
static void check_backend(struct health *h, struct backend *b, const struct config_health *how,
                          const struct list *before, struct list *fresh)
{
    if (find_probe(&h->probes, b) != NULL || find_probe(fresh, b) != NULL)
        return;
    struct probe *p = find_probe(before, b);
    if (p == NULL || !same_check(&p->how, how)) {
        list_insert(fresh, &probe_new(h, b, how)->node);
        return;
    }
    list_remove(&p->node);
    list_insert(&h->probes, &p->node);
}

/* Not all at once: their first checks are spread over FIRST_NS, the later ones over the interval. */
static void begin_fresh(struct health *h, struct list *fresh)
{
    int64_t now = loop_now(h->loop), count = 0, i = 0;
    for (struct list *n = fresh->next; n != fresh; n = n->next)
        count++;
    for (struct list *n = fresh->next; n != fresh; n = n->next, i++) {
        struct probe *p = CONTAINER_OF(n, struct probe, node);
        p->due = now + p->how.interval / count * (i + 1);
        loop_set_timer(h->loop, &p->timer, now + MIN(p->how.interval, FIRST_NS) / count * i);
    }
    list_splice(&h->probes, fresh);
}

static const struct config_backend *backends_of(const struct snapshot *snap, size_t route)
{
    return config_route_backend(&snap->config->routes.v[route]);
}

/* Those that nobody checks (any more) are not down. */
static void forget_unchecked(const struct health *h, const struct snapshot *snap)
{
    for (size_t i = 0; i < snap->config->routes.n; i++) {
        const struct upstream *u = &snap->routes[i].upstream;
        for (size_t k = 0; k < u->n; k++)
            if (find_probe(&h->probes, u->v[k]) == NULL)
                atomic_store(&u->v[k]->down, false);
    }
}

void health_install(struct health *h, struct snapshot *snap)
{
    struct list before, fresh;
    list_init(&before);
    list_init(&fresh);
    list_splice(&before, &h->probes);
    for (size_t i = 0; i < snap->config->routes.n; i++) {
        const struct upstream *u = &snap->routes[i].upstream;
        for (size_t k = 0; k < u->n; k++)
            if (backends_of(snap, i)->health != NULL)
                check_backend(h, u->v[k], backends_of(snap, i)->health, &before, &fresh);
    }
    begin_fresh(h, &fresh);
    forget_unchecked(h, snap);
    probes_free(&before);
}

void health_free(struct health *h)
{
    if (h == NULL)
        return;
    probes_free(&h->probes);
    free(h);
}
