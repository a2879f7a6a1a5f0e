/* SPDX-License-Identifier: Apache-2.0 */
#include "session/backend_pool.h"

#include <stdlib.h>

#include "base/buf.h"
#include "session/backend_ech.h"
#include "session/dial.h"
#include "session/worker.h"
#include "starttls/starttls.h"
#include "tls/client.h"
#include "tls/sessions.h"
#include "tls/tls_link.h"

#define SPARE_MAGIC 0x59a4ebacu
#define SPARE_SAID_STEP 1024

/* One connection: `dial` leads to it, then it is `link`. */
struct spare {
    uint32_t magic;
    struct pool *pool;
    struct list node;
    struct dial dial;
    struct ech_attempt ech;
    struct link *link;
    bool ready;
    struct buf said; /* by the backend, since it is ready */
    struct timer timer;
    struct task again; /* goes on with it; at the end frees it */
};

/* Of one backend of one route. */
struct pool {
    struct backend_pools *all;
    const struct route_runtime *route;
    struct backend *backend;
    struct tls_sessions *sessions; /* NULL: the route does not resume */
    struct list spares;
    size_t count;
    int64_t used;  /* monotonic, last */
    bool useless;  /* the backend talks too much to be kept waiting */
    bool ech_told; /* that it does not go by the ECH config */
    struct task refill;
};

struct backend_pools {
    struct worker *worker;
    const struct epoch *epoch;
    size_t spares;       /* of all */
    struct pool **route; /* by its id: as many as it has backends; NULL before the first is asked for */
};

static const struct config_backend_tls *tls_of(const struct pool *p)
{
    return config_route_backend(p->route->config)->tls;
}

/* ---- one spare ---- */

static void on_freed(struct task *t)
{
    struct spare *s = CONTAINER_OF(t, struct spare, again);
    CHECK_MAGIC(s, SPARE_MAGIC);
    s->magic = 0;
    free(s);
}

/* Its link, if there is one still, is closed as one that ends well. */
static void drop(struct spare *s)
{
    struct worker *w = s->pool->all->worker;
    wheel_cancel(&s->timer);
    list_remove(&s->again.node);
    list_remove(&s->node);
    s->pool->count--;
    s->pool->all->spares--;
    dial_cancel(&s->dial);
    link_close(s->link, false);
    s->link = NULL;
    ech_attempt_end(&s->ech);
    buf_free(&s->said);
    admission_release(w->admission, 1);
    task_init(&s->again, on_freed); /* what wakes in this round may still name it */
    loop_defer(w->loop, &s->again);
}

/* Tickets stay with TLS. What the backend says is kept, up to a bound; its end is the end of it. */
static bool is_alive(struct spare *s)
{
    enum link_status status = LINK_OK;
    while (status == LINK_OK && s->said.len < SPARE_SAID_MAX)
        status = link_read_buf(s->link, &s->said, MIN(SPARE_SAID_MAX - s->said.len, (size_t)SPARE_SAID_STEP));
    if (status == LINK_OK && !s->pool->useless) {
        s->pool->useless = true;
        worker_notice(
            s->pool->all->worker,
            "backend %s of route %s says more than %zu bytes before its client does: there will be no "
            "spare connections to it",
            s->pool->backend->key, s->pool->route->config->name.text, SPARE_SAID_MAX);
    }
    if (s->said.len == 0)
        buf_free(&s->said);
    return status == LINK_AGAIN;
}

static void on_link_wake(struct link *l)
{
    struct spare *s = l->owner;
    CHECK_MAGIC(s, SPARE_MAGIC);
    loop_defer(s->pool->all->worker->loop, &s->again);
}

/* Not at once: see session_wake_dial(). */
static void on_dial_wake(void *owner)
{
    struct spare *s = owner;
    loop_defer(s->pool->all->worker->loop, &s->again);
}

static size_t index_of(const struct pool *p)
{
    return (size_t)(p - p->all->route[p->route - p->all->epoch->snap->routes]);
}

static void begin_dial(struct spare *s)
{
    const struct backend *b = s->pool->backend;
    if (b->host == NULL)
        dial_start_unix(&s->dial, backend_unix_path(b));
    else
        dial_start(&s->dial, b->host, b->port);
}

static void begin_tls(struct spare *s)
{
    struct pool *p = s->pool;
    s->link = backend_pool_connect(p->all, p->route, index_of(p), dial_take(&s->dial), &s->ech);
    s->link->wake = on_link_wake;
    s->link->owner = s;
}

static void stand_by(struct spare *s)
{
    struct loop *loop = s->pool->all->worker->loop;
    s->ready = true;
    backend_pool_opened(s->pool->all, s->pool->route, index_of(s->pool), s->link, &s->ech);
    loop_set_timer(loop, &s->timer, loop_now(loop) + tls_of(s->pool)->spare_idle);
}

static void step(struct spare *s)
{
    if (s->link == NULL) {
        enum dial_status status = dial_step(&s->dial);
        if (status == DIAL_WAIT)
            return;
        if (status != DIAL_OK) {
            drop(s);
            return;
        }
        begin_tls(s);
    }
    enum link_status status = s->ready ? LINK_OK : link_open(s->link);
    if (status == LINK_ERROR && ech_attempt_again(&s->ech)) {
        link_close(s->link, true);
        s->link = NULL;
        begin_dial(s);
        step(s);
        return;
    }
    if (status == LINK_OK && !s->ready)
        stand_by(s);
    if (status == LINK_ERROR || (status == LINK_OK && !is_alive(s)))
        drop(s);
}

static void on_again(struct task *t)
{
    struct spare *s = CONTAINER_OF(t, struct spare, again);
    CHECK_MAGIC(s, SPARE_MAGIC);
    step(s);
}

/* It was too long in coming, or has waited for so long that the backend might close it just when
 * it is used. */
static void on_timer(struct timer *t)
{
    struct spare *s = CONTAINER_OF(t, struct spare, timer);
    struct pool *p = s->pool;
    struct loop *loop = p->all->worker->loop;
    bool aged = s->ready;
    drop(s);
    if (aged && loop_now(loop) - p->used < SPARE_USE_NS)
        loop_defer(loop, &p->refill);
}

static void add(struct pool *p)
{
    struct worker *w = p->all->worker;
    if (!admission_reserve(w->admission, 1, p->all->epoch->snap->descriptor_limit))
        return;
    struct spare *s = calloc(1, sizeof(*s));
    CHECK(s != NULL);
    s->magic = SPARE_MAGIC;
    s->pool = p;
    s->said.max = SPARE_SAID_MAX;
    timer_init(&s->timer, on_timer);
    task_init(&s->again, on_again);
    list_insert(&p->spares, &s->node);
    p->count++;
    p->all->spares++;
    loop_set_timer(w->loop, &s->timer, loop_now(w->loop) + p->route->config->limits.dial_timeout);
    s->dial = (struct dial){
        .loop = w->loop, .resolver = w->resolver, .wake = on_dial_wake, .owner = s, .speaks_first = true};
    if (ech_attempt_begin(&s->ech, &p->route->ech->v[index_of(p)])) {
        begin_dial(s);
        step(s);
    } else {
        drop(s);
    }
}

/* ---- the pool of a backend ---- */

static bool wants_more(const struct pool *p)
{
    const struct worker *w = p->all->worker;
    return w->epoch == p->all->epoch && !w->draining && !p->useless && p->count < tls_of(p)->spares &&
           !atomic_load_explicit(&p->backend->down, memory_order_relaxed) &&
           atomic_load_explicit(&p->backend->avoid_until, memory_order_relaxed) <= loop_now(w->loop) &&
           worker_crowd(w) == WORKER_ROOMY;
}

static void on_refill(struct task *t)
{
    struct pool *p = CONTAINER_OF(t, struct pool, refill);
    for (size_t n = tls_of(p)->spares - MIN(p->count, tls_of(p)->spares); n > 0 && wants_more(p); n--)
        add(p);
}

static struct pool *pool_of(struct backend_pools *pools, const struct route_runtime *route, size_t index)
{
    const struct snapshot *snap = pools->epoch->snap;
    struct pool **v = &pools->route[route - snap->routes];
    CHECK(index < route->upstream.n);
    if (*v != NULL)
        return &(*v)[index];
    *v = calloc(route->upstream.n, sizeof(struct pool));
    CHECK(*v != NULL);
    for (size_t i = 0; i < route->upstream.n; i++) {
        struct pool *p = &(*v)[i];
        p->all = pools;
        p->route = route;
        p->backend = route->upstream.v[i];
        p->sessions = tls_of(p)->resume ? tls_sessions_new() : NULL;
        list_init(&p->spares);
        task_init(&p->refill, on_refill);
    }
    return &(*v)[index];
}

/* With a URI to be told by a backend need not have a name (SPIFFE); it is asked for by the name of its host
 * all the same. */
struct link *backend_pool_connect(struct backend_pools *pools, const struct route_runtime *route,
                                  size_t index, struct link *lower, struct ech_attempt *ech)
{
    const struct pool *p = pool_of(pools, route, index);
    const struct config_backend_tls *t = tls_of(p);
    const char *name = t->name.text != NULL ? t->name.text : p->backend->host;
    const char *proven = t->name.text != NULL || t->uri.text == NULL ? name : NULL;
    const struct tls_peer peer = {.host = proven, .sni = name, .sessions = p->sessions, .ech = ech};
    struct link *l = tls_client_link(route->backend_tls, &peer, lower, &pools->worker->tls_scratch);
    if (route->asks != NULL && starttls_closes_premature(route->asks))
        tls_link_take_premature_close(l);
    return l;
}

struct link *backend_pool_take(struct backend_pools *pools, const struct route_runtime *route, size_t index,
                               struct buf *ret_said)
{
    struct pool *p = pool_of(pools, route, index);
    struct worker *w = pools->worker;
    struct link *l = NULL;
    if (tls_of(p)->spares == 0)
        return NULL;
    p->used = loop_now(w->loop);
    loop_defer(w->loop, &p->refill);
    for (struct list *n = p->spares.next, *next; n != &p->spares && l == NULL; n = next) {
        struct spare *s = CONTAINER_OF(n, struct spare, node);
        next = n->next;
        if (!s->ready)
            continue;
        if (is_alive(s)) {
            l = s->link;
            l->wake = NULL;
            l->owner = s->link = NULL;
            *ret_said = s->said;
            s->said = (struct buf){0};
        }
        drop(s);
    }
    counter_add(&worker_counters(w, route->stats)->n[COUNTER_SPARES_USED], l != NULL);
    return l;
}

void backend_pool_opened(struct backend_pools *pools, const struct route_runtime *route, size_t index,
                         const struct link *link, const struct ech_attempt *ech)
{
    struct pool *p = pool_of(pools, route, index);
    struct worker *w = pools->worker;
    const char *remark = ech_attempt_remark(ech);
    struct link_peer peer;
    struct counters *c = worker_counters(w, route->stats);
    link_peer(link, &peer);
    counter_add(&c->n[COUNTER_BACKEND_HANDSHAKES], 1);
    counter_add(&c->n[COUNTER_BACKEND_RESUMED], peer.resumed);
    if (remark != NULL && !p->ech_told)
        worker_notice(w, "backend %s of route %s %s", p->backend->key, route->config->name.text, remark);
    p->ech_told = p->ech_told || remark != NULL;
}

/* ---- all of them ---- */

static struct backend_pools *pools_new(struct worker *w, const struct epoch *epoch)
{
    struct backend_pools *pools = calloc(1, sizeof(*pools));
    CHECK(pools != NULL);
    pools->worker = w;
    pools->epoch = epoch;
    pools->route = calloc(epoch->snap->config->routes.n, sizeof(struct pool *));
    CHECK(pools->route != NULL);
    return pools;
}

struct backend_pools *backend_pools_of(struct worker *w, struct epoch *epoch)
{
    if (epoch->pools == NULL)
        epoch->pools = pools_new(w, epoch);
    return epoch->pools;
}

bool backend_pools_clear(struct backend_pools *pools)
{
    if (pools == NULL || pools->spares == 0)
        return false;
    for (size_t i = 0; i < pools->epoch->snap->config->routes.n; i++)
        for (size_t k = 0; pools->route[i] != NULL && k < pools->route[i]->route->upstream.n; k++) {
            struct pool *p = &pools->route[i][k];
            while (!list_empty(&p->spares))
                drop(CONTAINER_OF(p->spares.next, struct spare, node));
        }
    return true;
}

void backend_pools_free(struct backend_pools *pools)
{
    if (pools == NULL)
        return;
    backend_pools_clear(pools);
    const struct snapshot *snap = pools->epoch->snap;
    for (size_t i = 0; i < snap->config->routes.n; i++) {
        for (size_t k = 0; pools->route[i] != NULL && k < snap->routes[i].upstream.n; k++) {
            list_remove(&pools->route[i][k].refill.node);
            tls_sessions_free(pools->route[i][k].sessions);
        }
        free(pools->route[i]);
    }
    free(pools->route);
    free(pools);
}
