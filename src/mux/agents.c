/* SPDX-License-Identifier: Apache-2.0 */
/* Views are told of offers by notices: home posts one to every worker for each change, itself included, and
 * they arrive in order. An offer's memory is counted; the last view or visitor that knew it frees it. */
#include "mux/agents.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "mux/view.h"

#define VIEW_MAGIC 0xa9e471e3u
#define BUCKETS_MIN 64
#define FORGET_NS (3600 * NSEC_PER_SEC) /* no grace is longer */
#define BUCKETS_SWEPT 16
#define NAMES_KEPT 100000

/* A name that is offered, was lately, or is waited for. */
struct name {
    struct list node;   /* of its bucket */
    struct list agents; /* struct known */
    struct list waiters;
    int64_t gone_at;        /* the last agent left; 0: never one */
    enum agents_leave left; /* ... in this way */
    char text[];
};

/* An offer that this view knows. */
struct known {
    struct agent *agent;
    struct list of_name;
    struct list of_id;
};

/* ---- hub ---- */

struct agents_hub *agents_hub_new(size_t workers)
{
    struct agents_hub *hub = calloc(1, sizeof(*hub) + workers * sizeof(struct agents *));
    CHECK(hub != NULL);
    hub->workers = workers;
    hub->key = hash_random_key();
    rates_init(&hub->rates);
    return hub;
}

void agents_hub_free(struct agents_hub *hub)
{
    if (hub != NULL)
        rates_free(&hub->rates);
    free(hub);
}

/* ---- tables ---- */

static struct list *buckets_new(size_t n)
{
    struct list *b = calloc(n, sizeof(*b));
    CHECK(b != NULL);
    for (size_t i = 0; i < n; i++)
        list_init(&b[i]);
    return b;
}

static struct list *name_bucket(const struct agents *v, struct list *table, size_t n, const char *text)
{
    return &table[hash_bytes(&v->hub->key, text, strlen(text)) & (n - 1)];
}

static struct list *id_bucket(const struct agents *v, struct list *table, size_t n, uint64_t id)
{
    return &table[hash_bytes(&v->hub->key, &id, sizeof(id)) & (n - 1)];
}

static void grow(struct agents *v)
{
    size_t n = v->buckets * 2;
    struct list *names = buckets_new(n), *ids = buckets_new(n), *node;
    for (size_t i = 0; i < v->buckets; i++) {
        while ((node = list_pop(&v->names[i])) != NULL)
            list_insert(name_bucket(v, names, n, CONTAINER_OF(node, struct name, node)->text), node);
        while ((node = list_pop(&v->ids[i])) != NULL)
            list_insert(id_bucket(v, ids, n, CONTAINER_OF(node, struct known, of_id)->agent->id), node);
    }
    free(v->names);
    free(v->ids);
    v->names = names;
    v->ids = ids;
    v->buckets = n;
}

static struct name *find_name(const struct agents *v, const char *text)
{
    struct list *b = name_bucket(v, v->names, v->buckets, text);
    for (struct list *n = b->next; n != b; n = n->next) {
        struct name *name = CONTAINER_OF(n, struct name, node);
        if (strcmp(name->text, text) == 0)
            return name;
    }
    return NULL;
}

/* Nobody is there, and nobody would wait for it any more. Where names come and go in great numbers, those
 * that have gone are forgotten at once. */
static bool is_forgotten(const struct agents *v, const struct name *n, int64_t now)
{
    if (!list_empty(&n->agents) || !list_empty(&n->waiters))
        return false;
    return n->gone_at == 0 || now >= n->gone_at + FORGET_NS || v->count > NAMES_KEPT;
}

static void name_free(struct agents *v, struct name *n)
{
    list_remove(&n->node);
    v->count--;
    free(n);
}

/* Forget some of the names that nobody will ask for again: with each new one a few buckets, all in turn. */
static void sweep(struct agents *v)
{
    int64_t now = loop_now(v->home.loop);
    for (size_t k = 0; k < BUCKETS_SWEPT; k++) {
        struct list *b = &v->names[v->swept++ & (v->buckets - 1)];
        for (struct list *n = b->next, *next; n != b; n = next) {
            struct name *name = CONTAINER_OF(n, struct name, node);
            next = n->next;
            if (is_forgotten(v, name, now))
                name_free(v, name);
        }
    }
}

static struct name *get_name(struct agents *v, const char *text)
{
    struct name *n = find_name(v, text);
    if (n != NULL)
        return n;
    sweep(v);
    if (v->count >= v->buckets)
        grow(v);
    size_t len = strlen(text);
    n = calloc(1, sizeof(*n) + len + 1);
    CHECK(n != NULL);
    memcpy(n->text, text, len);
    list_init(&n->agents);
    list_init(&n->waiters);
    list_insert(name_bucket(v, v->names, v->buckets, text), &n->node);
    v->count++;
    return n;
}

static struct known *find_id(const struct agents *v, uint64_t id)
{
    struct list *b = id_bucket(v, v->ids, v->buckets, id);
    for (struct list *n = b->next; n != b; n = n->next) {
        struct known *k = CONTAINER_OF(n, struct known, of_id);
        if (k->agent->id == id)
            return k;
    }
    return NULL;
}

/* ---- views ---- */

static void run_woken(struct task *t)
{
    struct agents *v = CONTAINER_OF(t, struct agents, wake);
    struct list batch, *node;
    list_init(&batch);
    list_splice(&batch, &v->woken);
    while ((node = list_pop(&batch)) != NULL) {
        struct agents_waiter *w = CONTAINER_OF(node, struct agents_waiter, node);
        w->wake(w);
    }
}

struct agents *agents_new(struct agents_hub *hub, unsigned index, const struct link_home *home,
                          struct pipe_scratch *scratch)
{
    struct agents *v = calloc(1, sizeof(*v));
    CHECK(v != NULL && index < hub->workers);
    *v = (struct agents){.magic = VIEW_MAGIC,
                         .hub = hub,
                         .index = index,
                         .home = *home,
                         .buckets = BUCKETS_MIN,
                         .started = clock_monotonic(),
                         .next_id = (uint64_t)(clock_wall() / NSEC_PER_SEC) << 32 | index};
    bridge_site_init(&v->site, home->loop, scratch);
    v->names = buckets_new(v->buckets);
    v->ids = buckets_new(v->buckets);
    list_init(&v->woken);
    task_init(&v->wake, run_woken);
    hub->view[index] = v;
    return v;
}

static void forget(struct known *k)
{
    list_remove(&k->of_name);
    list_remove(&k->of_id);
    agent_unref(k->agent);
    free(k);
}

void agents_free(struct agents *v)
{
    if (v == NULL)
        return;
    CHECK_MAGIC(v, VIEW_MAGIC);
    bridge_site_clear(&v->site);
    for (size_t i = 0; i < v->buckets; i++)
        for (struct list *n = v->ids[i].next, *next; n != &v->ids[i]; n = next) {
            next = n->next;
            forget(CONTAINER_OF(n, struct known, of_id));
        }
    for (size_t i = 0; i < v->buckets; i++) /* none has agents any more, in whatever bucket they were */
        for (struct list *n = v->names[i].next, *next; n != &v->names[i]; n = next) {
            next = n->next;
            name_free(v, CONTAINER_OF(n, struct name, node));
        }
    list_remove(&v->wake.node);
    v->hub->view[v->index] = NULL;
    free(v->names);
    free(v->ids);
    v->magic = 0;
    free(v);
}

void agents_when_quiet(struct agents *v, void (*quiet)(void *arg), void *arg)
{
    v->site.quiet = quiet;
    v->site.arg = arg;
}

bool agents_busy(const struct agents *v)
{
    return !list_empty(&v->site.pumps);
}

void agents_break_off(struct agents *v)
{
    bridge_site_clear(&v->site);
}

/* ---- notices ---- */

enum news { NEWS_OFFERED, NEWS_WITHDRAWN, NEWS_READY };

struct notice {
    struct message message;
    struct agents *view; /* whose turn it is to hear */
    struct agent *agent;
    enum news news;
};

static void wake_waiters(struct agents *v, struct name *n)
{
    if (list_empty(&n->waiters))
        return;
    list_splice(&v->woken, &n->waiters);
    loop_defer(v->home.loop, &v->wake);
}

static void tell_fellows(struct agents *v, const struct name *n, const struct agent *about)
{
    for (struct list *node = n->agents.next, *next; node != &n->agents; node = next) {
        struct agent *a = CONTAINER_OF(node, struct known, of_name)->agent;
        next = node->next;
        if (a->home == v->index && a != about && !a->withdrawn)
            a->terms.ops->changed(a->terms.owner);
    }
}

static bool agree(const struct offer *a, const struct offer *b)
{
    return a->kind == b->kind && a->udp == b->udp && a->port == b->port;
}

/* Offers that do not go together, taken by workers who had not heard of each other: the lower id wins, and
 * every home judges so of its own. */
static void judge(struct agents *v, const struct name *n, const struct agent *fresh)
{
    for (struct list *node = n->agents.next, *next; node != &n->agents; node = next) {
        struct agent *a = CONTAINER_OF(node, struct known, of_name)->agent;
        next = node->next;
        if (a->home == v->index && !a->withdrawn && a->id > fresh->id &&
            !agree(&a->terms.offer, &fresh->terms.offer))
            a->terms.ops->beaten(a->terms.owner, fresh);
    }
}

static void learn(struct agents *v, struct agent *a, enum news news)
{
    struct name *n = get_name(v, a->terms.offer.name);
    struct known *k = find_id(v, a->id);
    if (news == NEWS_OFFERED) {
        k = calloc(1, sizeof(*k));
        CHECK(k != NULL);
        k->agent = agent_ref(a);
        list_insert(&n->agents, &k->of_name);
        list_insert(id_bucket(v, v->ids, v->buckets, a->id), &k->of_id);
    } else if (news == NEWS_WITHDRAWN && k != NULL) {
        forget(k);
        n->gone_at = loop_now(v->home.loop);
        n->left = a->left;
    }
    if (news != NEWS_WITHDRAWN || a->left == AGENTS_BARRED)
        wake_waiters(v, n);
    if (news == NEWS_OFFERED)
        judge(v, n, a);
    if (news != NEWS_READY)
        tell_fellows(v, n, a);
}

static void on_notice(struct message *m)
{
    struct notice *n = CONTAINER_OF(m, struct notice, message);
    learn(n->view, n->agent, n->news);
    agent_unref(n->agent);
    free(n);
}

/* Here at once, elsewhere soon. */
static void tell_all(struct agents *v, struct agent *a, enum news news)
{
    learn(v, a, news);
    for (size_t i = 0; i < v->hub->workers; i++) {
        struct agents *other = v->hub->view[i];
        if (i == v->index || other == NULL)
            continue;
        struct notice *n = calloc(1, sizeof(*n));
        CHECK(n != NULL);
        *n = (struct notice){.message.run = on_notice, .view = other, .agent = agent_ref(a), .news = news};
        loop_post(other->home.loop, &n->message);
    }
}

/* ---- offering ---- */

static struct agent *first_of(const struct name *n)
{
    return n == NULL || list_empty(&n->agents) ? NULL
                                               : CONTAINER_OF(n->agents.next, struct known, of_name)->agent;
}

struct agent *agents_offer(struct agents *v, const struct agent_terms *terms)
{
    CHECK_MAGIC(v, VIEW_MAGIC);
    struct agent *fellow = first_of(find_name(v, terms->offer.name));
    if (fellow != NULL && !agree(&fellow->terms.offer, &terms->offer))
        return NULL;
    struct agent *a = agent_make(terms, v->next_id, v->index,
                                 rates_get(&v->hub->rates, terms->offer.name, terms->bandwidth));
    v->next_id += v->hub->workers;
    tell_all(v, a, NEWS_OFFERED);
    return a;
}

void agents_withdraw(struct agents *v, struct agent *a, enum agents_leave how)
{
    CHECK_MAGIC(v, VIEW_MAGIC);
    CHECK(a->home == v->index && !a->withdrawn);
    a->withdrawn = true;
    a->left = how;
    atomic_store(&a->ready, false);
    tell_all(v, a, NEWS_WITHDRAWN);
    agent_unref(a);
}

void agents_set_ready(struct agents *v, struct agent *a, bool ready)
{
    if (atomic_exchange(&a->ready, ready) == ready || !ready)
        return;
    tell_all(v, a, NEWS_READY);
}

/* Who waits for the agent hears of both: he goes in, or is told that it is down. */
void agents_set_down(struct agents *v, struct agent *a, unsigned down)
{
    if (atomic_exchange(&a->down, down) != down)
        tell_all(v, a, NEWS_READY);
}

struct agent *agents_redeem(struct agents *v, const char *id, const uint8_t fingerprint[AGENT_FINGERPRINT])
{
    uint64_t number;
    size_t slot;
    uint8_t secret[16];
    if (!agent_read_id(id, &number, &slot, secret))
        return NULL;
    struct known *k = find_id(v, number);
    if (k == NULL || memcmp(k->agent->terms.fingerprint, fingerprint, AGENT_FINGERPRINT) != 0)
        return NULL;
    return agent_take_grant(k->agent, slot, secret, loop_now(v->home.loop)) ? agent_ref(k->agent) : NULL;
}

/* ---- visitors ---- */

enum agents_presence agents_find(struct agents *v, const char *name, int64_t grace, enum offer_kind *ret_kind)
{
    const struct name *n = find_name(v, name);
    const struct agent *a = first_of(n);
    int64_t now = loop_now(v->home.loop);
    if (a != NULL) {
        *ret_kind = a->terms.offer.kind;
        return AGENTS_PRESENT;
    }
    if (n != NULL && n->gone_at > 0 && n->left == AGENTS_BARRED)
        return AGENTS_NONE;
    bool lately = n != NULL && n->gone_at > 0 && now < n->gone_at + grace;
    bool begun = grace > 0 && now < v->started + grace;
    return lately || begun ? AGENTS_EXPECTED : AGENTS_NONE;
}

enum agents_leave agents_left(struct agents *v, const char *name)
{
    const struct name *n = find_name(v, name);
    return n == NULL ? AGENTS_NEVER : n->left;
}

struct agent *agents_first(struct agents *v, const char *name)
{
    struct agent *a = first_of(find_name(v, name));
    return a == NULL ? NULL : agent_ref(a);
}

struct agent *agents_down(struct agents *v, const char *name, unsigned *ret_down)
{
    const struct name *n = find_name(v, name);
    struct agent *found = NULL;
    for (struct list *node = n == NULL ? NULL : n->agents.next; n != NULL && node != &n->agents;
         node = node->next) {
        found = CONTAINER_OF(node, struct known, of_name)->agent;
        *ret_down = agent_is_down(found);
        if (*ret_down == 0)
            return NULL;
    }
    return found == NULL ? NULL : agent_ref(found);
}

/* The first for which `fits` holds, or NULL. */
static struct agent *find_agent(const struct agents *v, bool (*fits)(void *arg, struct agent *a), void *arg)
{
    for (size_t i = 0; i < v->buckets; i++)
        for (struct list *n = v->ids[i].next; n != &v->ids[i]; n = n->next) {
            struct agent *a = CONTAINER_OF(n, struct known, of_id)->agent;
            if (fits(arg, a))
                return a;
        }
    return NULL;
}

struct port_sought {
    uint16_t port;
    bool udp;
    const char *other_than;
};

static bool is_at_port(void *arg, struct agent *a)
{
    const struct port_sought *want = arg;
    return a->terms.offer.port == want->port && a->terms.offer.udp == want->udp &&
           strcmp(a->terms.offer.name, want->other_than) != 0;
}

struct agent *agents_at_port(struct agents *v, uint16_t port, bool udp, const char *other_than)
{
    struct port_sought want = {port, udp, other_than};
    struct agent *a = find_agent(v, is_at_port, &want);
    return a == NULL ? NULL : agent_ref(a);
}

struct telling {
    const struct agents *view;
    void (*each)(void *arg, struct agent *a);
    void *arg;
};

static bool tell_of(void *arg, struct agent *a)
{
    const struct telling *t = arg;
    if (a->home == t->view->index)
        t->each(t->arg, a);
    return false;
}

void agents_each(struct agents *v, void (*each)(void *arg, struct agent *a), void *arg)
{
    find_agent(v, tell_of, &(struct telling){v, each, arg});
}

void agents_wait(struct agents *v, const char *name, struct agents_waiter *w)
{
    list_insert(&get_name(v, name)->waiters, &w->node);
}

static bool is_among(uint64_t id, const uint64_t *ids, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (ids[i] == id)
            return true;
    return false;
}

/* Better: not avoided, then fewer visitors. */
static bool is_better(struct agent *a, struct agent *b, int64_t now)
{
    bool avoid_a = atomic_load_explicit(&a->avoid_until, memory_order_relaxed) > now;
    bool avoid_b = atomic_load_explicit(&b->avoid_until, memory_order_relaxed) > now;
    if (avoid_a != avoid_b)
        return avoid_b;
    return atomic_load_explicit(&a->visitors, memory_order_relaxed) <
           atomic_load_explicit(&b->visitors, memory_order_relaxed);
}

struct agent *agents_pick(struct agents *v, const char *name, int kind, const uint64_t *tried,
                          size_t tried_len)
{
    const struct name *n = find_name(v, name);
    struct agent *best = NULL;
    int64_t now = loop_now(v->home.loop);
    for (struct list *node = n == NULL ? NULL : n->agents.next; n != NULL && node != &n->agents;
         node = node->next) {
        struct agent *a = CONTAINER_OF(node, struct known, of_name)->agent;
        if (!atomic_load_explicit(&a->ready, memory_order_relaxed) || agent_is_down(a) != 0 ||
            is_among(a->id, tried, tried_len) ||
            (kind != AGENTS_ANY_KIND && (int)a->terms.offer.kind != kind))
            continue;
        if (best == NULL || is_better(a, best, now))
            best = a;
    }
    return best == NULL ? NULL : agent_ref(best);
}

size_t agents_count(struct agents *v, const char *name)
{
    const struct name *n = find_name(v, name);
    size_t count = 0;
    for (struct list *node = n == NULL ? NULL : n->agents.next; n != NULL && node != &n->agents;
         node = node->next)
        count++;
    return count;
}

size_t agents_visitors(struct agents *v, const char *name)
{
    const struct name *n = find_name(v, name);
    size_t sum = 0;
    for (struct list *node = n == NULL ? NULL : n->agents.next; n != NULL && node != &n->agents;
         node = node->next)
        sum += atomic_load_explicit(&CONTAINER_OF(node, struct known, of_name)->agent->visitors,
                                    memory_order_relaxed);
    return sum;
}

size_t agents_names(const struct agents *v)
{
    return v->count;
}
