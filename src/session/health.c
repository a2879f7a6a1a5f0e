/* SPDX-License-Identifier: Apache-2.0 */
/* A probe is one backend's timer and dial: the timer is the timeout while it dials and the interval while it
 * rests. It takes a connection and closes it, no more. The workers only ever read `down`, so no order is
 * needed between them and us. Backends outlive a reload and so does what is known of them, but not the run of
 * outcomes against it. */
#include "session/health.h"

#include <stdlib.h>

#include "session/dial.h"

/* The watch on one backend. */
struct probe {
    struct list node;
    struct health *health;
    struct backend *backend; /* a reference */
    int64_t interval;
    int64_t timeout;
    size_t rise, fall;
    size_t run; /* outcomes in a row that speak against the present state */
    struct timer timer;
    struct dial dial;
    bool dialling;
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

/* One outcome; enough of them in a row turn the state over. */
static void outcome(struct probe *p, bool good)
{
    bool down = atomic_load(&p->backend->down);
    p->dialling = false;
    dial_cancel(&p->dial);
    p->run = good == down ? p->run + 1 : 0;
    if (p->run >= (down ? p->rise : p->fall)) {
        atomic_store(&p->backend->down, !down);
        p->run = 0;
    }
    loop_set_timer(p->health->loop, &p->timer, loop_now(p->health->loop) + p->interval);
}

static void step(struct probe *p)
{
    enum dial_status status = dial_step(&p->dial);
    if (status == DIAL_OK)
        link_close(dial_take(&p->dial), false);
    if (status != DIAL_WAIT)
        outcome(p, status == DIAL_OK);
}

static void on_wake(void *owner)
{
    step(owner);
}

static void begin(struct probe *p)
{
    p->dialling = true;
    loop_set_timer(p->health->loop, &p->timer, loop_now(p->health->loop) + p->timeout);
    if (p->backend->host == NULL)
        dial_start_unix(&p->dial, backend_unix_path(p->backend));
    else
        dial_start(&p->dial, p->backend->host, p->backend->port);
    step(p);
}

static void on_timer(struct timer *t)
{
    struct probe *p = CONTAINER_OF(t, struct probe, timer);
    if (p->dialling)
        outcome(p, false);
    else
        begin(p);
}

static void probe_free(struct probe *p)
{
    wheel_cancel(&p->timer);
    dial_cancel(&p->dial);
    list_remove(&p->node);
    backend_unref(p->backend);
    free(p);
}

static void probes_free(struct health *h)
{
    for (struct list *n = h->probes.next, *next; n != &h->probes; n = next) {
        next = n->next;
        probe_free(CONTAINER_OF(n, struct probe, node));
    }
}

static void probe_add(struct health *h, struct backend *b, const struct config_health *c)
{
    struct probe *p = calloc(1, sizeof(*p));
    CHECK(p != NULL);
    p->health = h;
    p->backend = b;
    atomic_fetch_add(&b->refs, 1);
    p->interval = c->interval;
    p->timeout = c->timeout;
    p->rise = c->rise;
    p->fall = c->fall;
    p->dial = (struct dial){.loop = h->loop, .resolver = h->resolver, .wake = on_wake, .owner = p};
    timer_init(&p->timer, on_timer);
    list_insert(&h->probes, &p->node);
    begin(p);
}

static bool has_probe(struct health *h, const struct backend *b)
{
    for (struct list *n = h->probes.next; n != &h->probes; n = n->next)
        if (CONTAINER_OF(n, struct probe, node)->backend == b)
            return true;
    return false;
}

void health_install(struct health *h, struct snapshot *snap)
{
    probes_free(h);
    for (size_t i = 0; i < snap->config->routes.n; i++) {
        const struct config_route *rc = &snap->config->routes.v[i];
        const struct config_backend *cb = rc->action == CONFIG_PASS ? rc->pass : rc->terminate;
        const struct upstream *u = &snap->routes[i].upstream;
        for (size_t k = 0; k < u->n; k++) {
            if (cb->health == NULL && !has_probe(h, u->v[k]))
                atomic_store(&u->v[k]->down, false); /* nobody checks it any more */
            else if (cb->health != NULL && !has_probe(h, u->v[k]))
                probe_add(h, u->v[k], cb->health);
        }
    }
}

void health_free(struct health *h)
{
    if (h == NULL)
        return;
    probes_free(h);
    free(h);
}
