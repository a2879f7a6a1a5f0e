/* SPDX-License-Identifier: Apache-2.0 */
/* Views are told of offers by notices: home posts one to every worker for each change, itself included, and
 * they arrive in order. An offer's memory is counted; the last view or visitor that knew it frees it. */
#include "mux/agents.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "mux/agent.h"
#include "mux/view.h"

#define VIEW_MAGIC 0xa9e471e3u

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
                         .started = clock_monotonic(),
                         .next_id = (uint64_t)(clock_wall() / NSEC_PER_SEC) << 32 | index};
    bridge_site_init(&v->site, home->loop, scratch);
    registry_init(&v->known, &hub->key);
    list_init(&v->woken);
    task_init(&v->wake, run_woken);
    hub->view[index] = v;
    return v;
}

void agents_free(struct agents *v)
{
    if (v == NULL)
        return;
    CHECK_MAGIC(v, VIEW_MAGIC);
    bridge_site_clear(&v->site);
    list_remove(&v->wake.node);
    v->hub->view[v->index] = NULL;
    registry_free(&v->known);
    v->magic = 0;
    free(v);
}

void agents_count_descriptors(struct agents *v, bool (*reserve)(void *), void (*release)(void *), void *bank)
{
    v->site.reserve = reserve;
    v->site.release = release;
    v->site.bank = bank;
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

static bool is_same_agent(const struct agent *a, const struct agent *b)
{
    return a->terms.offer.instance != 0 && a->terms.offer.instance == b->terms.offer.instance &&
           memcmp(a->terms.fingerprint, b->terms.fingerprint, AGENT_FINGERPRINT) == 0;
}

static void tell_fellows(struct agents *v, const struct name *n, const struct agent *about, bool came)
{
    for (struct list *node = n->agents.next, *next; node != &n->agents; node = next) {
        struct agent *a = CONTAINER_OF(node, struct known, of_name)->agent;
        next = node->next;
        if (a->home == v->index && a != about && !a->withdrawn)
            a->terms.ops->changed(a->terms.owner, came && !is_same_agent(a, about) ? about : NULL);
    }
}

/* Who offers it end-to-end in between is not thereby who may offer it in another kind. */
static void note_sealed(struct name *n, const struct agent *a, int64_t now)
{
    bool same = memcmp(n->sealed_by, a->terms.fingerprint, AGENT_FINGERPRINT) == 0;
    if (a->terms.offer.kind != OFFER_END_TO_END || a->left >= AGENTS_BARRED)
        return;
    if (now >= n->sealed_until)
        memcpy(n->sealed_by, a->terms.fingerprint, AGENT_FINGERPRINT);
    else if (!same)
        memset(n->sealed_by, 0, AGENT_FINGERPRINT);
    n->sealed_until = MAX(n->sealed_until, now + a->terms.grace);
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
    struct name *n = registry_get(&v->known, a->terms.offer.name, loop_now(v->home.loop));
    struct known *k = registry_find_id(&v->known, a->id);
    if (news == NEWS_OFFERED) {
        registry_add(&v->known, n, a);
        if (a->terms.offer.kind != OFFER_END_TO_END)
            n->sealed_until = 0;
    } else if (news == NEWS_WITHDRAWN && k != NULL) {
        registry_forget(k);
        n->gone_at = loop_now(v->home.loop);
        n->left = a->left;
        n->was_public = a->terms.offer.kind == OFFER_PUBLIC;
        note_sealed(n, a, n->gone_at);
    }
    if (news != NEWS_WITHDRAWN || a->left == AGENTS_BARRED)
        wake_waiters(v, n);
    if (news == NEWS_OFFERED)
        judge(v, n, a);
    if (news != NEWS_READY)
        tell_fellows(v, n, a, news == NEWS_OFFERED);
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

static bool is_sealed(const struct name *n, const struct agent_terms *terms, int64_t now)
{
    return n != NULL && now < n->sealed_until && terms->offer.kind != OFFER_END_TO_END &&
           memcmp(n->sealed_by, terms->fingerprint, AGENT_FINGERPRINT) != 0;
}

struct agent *agents_offer(struct agents *v, const struct agent_terms *terms)
{
    CHECK_MAGIC(v, VIEW_MAGIC);
    const struct name *n = registry_find(&v->known, terms->offer.name);
    struct agent *fellow = first_of(n);
    if (fellow != NULL && !agree(&fellow->terms.offer, &terms->offer))
        return NULL;
    if (is_sealed(n, terms, loop_now(v->home.loop)))
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
    atomic_store(&a->stops, !ready);
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

void agents_set_unheard(struct agents *v, struct agent *a, bool unheard)
{
    if (atomic_exchange(&a->unheard, unheard) != unheard)
        tell_all(v, a, NEWS_READY);
}

struct agent *agents_redeem(struct agents *v, const char *id, const uint8_t fingerprint[AGENT_FINGERPRINT])
{
    uint64_t number;
    size_t slot;
    uint8_t secret[16];
    if (!agent_read_id(id, &number, &slot, secret))
        return NULL;
    struct known *k = registry_find_id(&v->known, number);
    if (k == NULL || memcmp(k->agent->terms.fingerprint, fingerprint, AGENT_FINGERPRINT) != 0)
        return NULL;
    return agent_take_grant(k->agent, slot, secret, loop_now(v->home.loop)) ? agent_ref(k->agent) : NULL;
}

/* ---- visitors ---- */

enum agents_presence agents_find(struct agents *v, const char *name, int64_t grace, enum offer_kind *ret_kind)
{
    const struct name *n = registry_find(&v->known, name);
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

bool agents_may_be_public(struct agents *v, const char *name, int64_t grace)
{
    enum offer_kind kind;
    const struct name *n = registry_find(&v->known, name);
    switch (agents_find(v, name, grace, &kind)) {
    case AGENTS_NONE:
        return false;
    case AGENTS_EXPECTED:
        break;
    case AGENTS_PRESENT:
        return kind == OFFER_PUBLIC;
    }
    return (n != NULL && n->was_public) || loop_now(v->home.loop) < v->started + grace;
}

enum agents_leave agents_left(struct agents *v, const char *name)
{
    const struct name *n = registry_find(&v->known, name);
    return n == NULL ? AGENTS_NEVER : n->left;
}

struct agent *agents_first(struct agents *v, const char *name)
{
    struct agent *a = first_of(registry_find(&v->known, name));
    return a == NULL ? NULL : agent_ref(a);
}

bool agents_is_first(struct agents *v, const struct agent *a)
{
    return first_of(registry_find(&v->known, a->terms.offer.name)) == a;
}

struct agent *agents_down(struct agents *v, const char *name, unsigned *ret_down)
{
    const struct name *n = registry_find(&v->known, name);
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
    struct agent *a = registry_search(&v->known, is_at_port, &want);
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
    registry_search(&v->known, tell_of, &(struct telling){v, each, arg});
}

static void tell_packed(void *arg, struct agent *a)
{
    (void)arg;
    if (a->terms.ops->packed != NULL)
        a->terms.ops->packed(a->terms.owner);
}

void agents_packed(struct agents *v)
{
    agents_each(v, tell_packed, NULL);
}

void agents_wait(struct agents *v, const char *name, struct agents_waiter *w)
{
    list_insert(&registry_get(&v->known, name, loop_now(v->home.loop))->waiters, &w->node);
}

static bool is_among(uint64_t id, const uint64_t *ids, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (ids[i] == id)
            return true;
    return false;
}

/* Better: not avoided, then fewer visitors, then longer without one. */
static bool is_better(const struct known *a, const struct known *b, int64_t now)
{
    bool avoid_a = atomic_load_explicit(&a->agent->avoid_until, memory_order_relaxed) > now;
    bool avoid_b = atomic_load_explicit(&b->agent->avoid_until, memory_order_relaxed) > now;
    if (avoid_a != avoid_b)
        return avoid_b;
    uint32_t visitors_a = atomic_load_explicit(&a->agent->visitors, memory_order_relaxed);
    uint32_t visitors_b = atomic_load_explicit(&b->agent->visitors, memory_order_relaxed);
    return visitors_a != visitors_b ? visitors_a < visitors_b : a->visited < b->visited;
}

static bool may_be_picked(const struct agent *a, int kind, const uint64_t *tried, size_t tried_len)
{
    return atomic_load_explicit(&a->ready, memory_order_relaxed) && agent_is_down(a) == 0 &&
           !agent_is_unheard(a) && !is_among(a->id, tried, tried_len) &&
           (kind == AGENTS_ANY_KIND || (int)a->terms.offer.kind == kind);
}

struct agent *agents_pick(struct agents *v, const char *name, int kind, const uint64_t *tried,
                          size_t tried_len)
{
    const struct name *n = registry_find(&v->known, name);
    const struct known *best = NULL;
    int64_t now = loop_now(v->home.loop);
    for (struct list *node = n == NULL ? NULL : n->agents.next; n != NULL && node != &n->agents;
         node = node->next) {
        const struct known *k = CONTAINER_OF(node, struct known, of_name);
        if (may_be_picked(k->agent, kind, tried, tried_len) && (best == NULL || is_better(k, best, now)))
            best = k;
    }
    return best == NULL ? NULL : agent_ref(best->agent);
}

size_t agents_count(struct agents *v, const char *name)
{
    const struct name *n = registry_find(&v->known, name);
    size_t count = 0;
    for (struct list *node = n == NULL ? NULL : n->agents.next; n != NULL && node != &n->agents;
         node = node->next)
        count++;
    return count;
}

size_t agents_fellows(struct agents *v, const struct agent *a, const char **ret_identity)
{
    const struct name *n = registry_find(&v->known, a->terms.offer.name);
    size_t count = 0;
    *ret_identity = "";
    for (struct list *node = n == NULL ? NULL : n->agents.next;
         n != NULL && node != &n->agents && count < OFFER_FELLOWS_MAX; node = node->next) {
        const struct agent *other = CONTAINER_OF(node, struct known, of_name)->agent;
        if (other == a || is_same_agent(a, other))
            continue;
        *ret_identity = other->terms.identity;
        count++;
    }
    return count;
}

bool agents_has_fellow(struct agents *v, const struct agent *a, const char *identity)
{
    const struct name *n = registry_find(&v->known, a->terms.offer.name);
    for (struct list *node = n == NULL ? NULL : n->agents.next; n != NULL && node != &n->agents;
         node = node->next) {
        const struct agent *other = CONTAINER_OF(node, struct known, of_name)->agent;
        if (other != a && !is_same_agent(a, other) && strcmp(other->terms.identity, identity) == 0)
            return true;
    }
    return false;
}

size_t agents_visitors(struct agents *v, const char *name)
{
    const struct name *n = registry_find(&v->known, name);
    size_t sum = 0;
    for (struct list *node = n == NULL ? NULL : n->agents.next; n != NULL && node != &n->agents;
         node = node->next)
        sum += atomic_load_explicit(&CONTAINER_OF(node, struct known, of_name)->agent->visitors,
                                    memory_order_relaxed);
    return sum;
}

size_t agents_places(struct agents *v, const char *name)
{
    const struct name *n = registry_find(&v->known, name);
    size_t sum = 0;
    for (struct list *node = n == NULL ? NULL : n->agents.next; n != NULL && node != &n->agents;
         node = node->next) {
        size_t places = CONTAINER_OF(node, struct known, of_name)->agent->terms.offer.connections;
        if (places == 0)
            return SIZE_MAX;
        sum += places;
    }
    return sum;
}

size_t agents_names(const struct agents *v)
{
    return v->known.count;
}
