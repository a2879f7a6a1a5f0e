/* SPDX-License-Identifier: Apache-2.0 */
/* The set of lineages, and what happens to all of them: time, and coming and going. */
#include "keeper/life.h"

#include <stdlib.h>

#include "keeper/life_internal.h"

#define ORDERS_USUAL 4
#define LOOKS_USUAL 16
#define CHECK_USUAL (4 * INT64_C(3600))
#define TAMED_WITHIN INT64_C(600)
#define BACKWARDS_TAKEN INT64_C(300) /* seconds that a clock may go back before it counts as a jump */

const char *life_failure_word(enum life_failure why)
{
    static const char *const words[LIFE_FAILURES] = {
        [LIFE_WENT_WELL] = "none",  [LIFE_UNREACHABLE] = "unreachable", [LIFE_RATE_LIMITED] = "rate-limited",
        [LIFE_REFUSED] = "refused", [LIFE_USELESS] = "useless",
    };
    return words[why];
}

const char *life_swap_word(enum life_swap why)
{
    static const char *const words[LIFE_SWAPS] = {
        [LIFE_NOT_SWAPPED] = "none", [LIFE_SWAP_REVOKED] = "revoked", [LIFE_SWAP_EXPIRED] = "expired",
        [LIFE_SWAP_ARI] = "ari",     [LIFE_SWAP_FAILS] = "fails",     [LIFE_SWAP_OPERATOR] = "operator",
    };
    return words[why];
}

/* SplitMix64 (Steele, Lea and Flood, 2014): for spreading load, not for secrets. */
static uint64_t draw(struct life *p)
{
    uint64_t z = p->random += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

int64_t life_random(struct life *p, int64_t most)
{
    return most <= 0 ? 0 : (int64_t)(draw(p) % ((uint64_t)most + 1));
}

int64_t life_back_off(struct life *p, int64_t least, int64_t most, unsigned failures)
{
    int64_t wait = least;
    for (; failures > 1 && wait < most; failures--)
        wait *= 2;
    wait = MIN(wait, most);
    return wait / 2 + life_random(p, wait / 2);
}

struct life *life_new(const struct life_settings *settings)
{
    struct life *p = calloc(1, sizeof(*p));
    if (p == NULL)
        return NULL;
    p->magic = LIFE_MAGIC;
    p->settings = *settings;
    p->random = settings->seed;
    p->now = INT64_MIN;
    list_init(&p->lineages);
    if (p->settings.orders_max == 0)
        p->settings.orders_max = ORDERS_USUAL;
    if (p->settings.looks_max == 0)
        p->settings.looks_max = LOOKS_USUAL;
    if (p->settings.check_every == 0)
        p->settings.check_every = CHECK_USUAL;
    return p;
}

void life_set(struct life *p, int64_t check_every, unsigned orders_max)
{
    CHECK_MAGIC(p, LIFE_MAGIC);
    p->settings.check_every = check_every != 0 ? check_every : CHECK_USUAL;
    p->settings.orders_max = orders_max != 0 ? orders_max : ORDERS_USUAL;
}

void life_free(struct life *p)
{
    if (p == NULL)
        return;
    CHECK_MAGIC(p, LIFE_MAGIC);
    while (!list_empty(&p->lineages))
        life_remove(p, CONTAINER_OF(p->lineages.next, struct lineage, node));
    heap_free(&p->order);
    heap_free(&p->ready);
    heap_free(&p->look);
    heap_free(&p->turn);
    free(p->cas);
    p->magic = 0;
    free(p);
}

int life_add_ca(struct life *p, bool ari, const struct life_ca_state *state)
{
    if (p->cas_len >= UINT16_MAX)
        return -1;
    struct life_ca *cas = reallocarray(p->cas, p->cas_len + 1, sizeof(*cas));
    if (cas == NULL)
        return -1;
    p->cas = cas;
    cas[p->cas_len] = (struct life_ca){.ari = ari};
    if (state != NULL)
        cas[p->cas_len].state = *state;
    return (int)p->cas_len++;
}

struct life_ca_state life_ca_state(const struct life *p, uint16_t ca)
{
    CHECK(ca < p->cas_len);
    return p->cas[ca].state;
}

size_t life_count(const struct life *p)
{
    return p->count;
}

/* ---- lineages ---- */

static bool has_room(struct life *p)
{
    size_t n = p->count + 1;
    return heap_reserve(&p->order, n) && heap_reserve(&p->ready, n) && heap_reserve(&p->look, n) &&
           heap_reserve(&p->turn, n);
}

static void set_all(struct life *p, struct lineage *l, int64_t now)
{
    life_set_turn(p, l, now);
    life_set_order(p, l, now);
    life_set_look(p, l);
}

/* What a clock that was wrong has left: a time to come that nobody would have chosen. */
static int64_t tamed(struct life *p, int64_t at, int64_t most, int64_t now)
{
    return at > now + most ? now + life_random(p, TAMED_WITHIN) : at;
}

static void tame(struct life *p, struct life_state *s, int64_t now)
{
    for (int i = 0; i < LIFE_CAS_MAX; i++)
        s->hold[i].until = tamed(p, s->hold[i].until, LIFE_RETRY_MOST + LIFE_DAY, now);
    for (int i = 0; i < LIFE_SLOTS; i++) {
        s->slot[i].ari_at = tamed(p, s->slot[i].ari_at, LIFE_ARI_MOST, now);
        s->slot[i].status_at = tamed(p, s->slot[i].status_at, p->settings.check_every, now);
    }
}

struct lineage *life_add(struct life *p, int64_t id, const struct life_rule *rule,
                         const struct life_state *state, int64_t now)
{
    CHECK_MAGIC(p, LIFE_MAGIC);
    CHECK(rule->cas_len > 0 && rule->cas_len <= LIFE_CAS_MAX && rule->backup < rule->cas_len);
    for (int i = 0; i < rule->cas_len; i++)
        CHECK(rule->cas[i] < p->cas_len);
    struct lineage *l = has_room(p) ? calloc(1, sizeof(*l)) : NULL;
    if (l == NULL)
        return NULL;
    l->magic = LINEAGE_MAGIC;
    l->id = id;
    l->rule = *rule;
    l->served = l->ordering = l->looking = LIFE_NO_SLOT;
    if (state != NULL) {
        CHECK(state->active < LIFE_SLOTS);
        l->state = *state;
        tame(p, &l->state, now);
    } else {
        l->state.used = now;
    }
    list_insert(&p->lineages, &l->node);
    p->count++;
    set_all(p, l, now);
    return l;
}

void life_remove(struct life *p, struct lineage *l)
{
    CHECK_MAGIC(l, LINEAGE_MAGIC);
    if (l->ordering != LIFE_NO_SLOT)
        life_end_order(p, l);
    if (l->looking != LIFE_NO_SLOT)
        p->looks--;
    heap_remove(&p->order, &l->order);
    heap_remove(&p->ready, &l->ready);
    heap_remove(&p->look, &l->look);
    heap_remove(&p->turn, &l->turn);
    list_remove(&l->node);
    p->count--;
    l->magic = 0;
    free(l);
}

bool life_is_unused(const struct lineage *l, int64_t now)
{
    int64_t after = l->rule.unused_after > 0 ? l->rule.unused_after : LIFE_UNUSED_USUAL;
    return l->rule.on_demand && l->state.used + after < now;
}

void life_used(struct life *p, struct lineage *l, int64_t now)
{
    if (now - l->state.used < LIFE_DAY)
        return;
    l->state.used = now;
    life_set_order(p, l, now);
}

/* ---- time ---- */

/* The clock was set back: what was to come after so long still does. */
static void go_back(struct life *p, int64_t by, int64_t now)
{
    for (size_t i = 0; i < p->cas_len; i++)
        p->cas[i].state.until -= by;
    for (struct list *at = p->lineages.next; at != &p->lineages; at = at->next) {
        struct lineage *l = CONTAINER_OF(at, struct lineage, node);
        for (int i = 0; i < LIFE_CAS_MAX; i++)
            l->state.hold[i].until -= by;
        for (int i = 0; i < LIFE_SLOTS; i++) {
            struct life_slot *s = &l->state.slot[i];
            s->ari_at = s->ari_at != 0 ? MAX(s->ari_at - by, 1) : 0;
            s->status_at = s->status_at != 0 ? MAX(s->status_at - by, 1) : 0;
        }
        set_all(p, l, now);
    }
}

bool life_next(struct life *p, int64_t now, struct life_job *ret)
{
    CHECK_MAGIC(p, LIFE_MAGIC);
    if (p->now != INT64_MIN && now < p->now - BACKWARDS_TAKEN)
        go_back(p, p->now - now, now);
    p->now = now;
    return life_next_turn(p, now, ret) || life_next_order(p, now, ret) || life_next_look(p, now, ret);
}

static int64_t first_of(const struct heap *h)
{
    const struct heap_node *first = heap_first(h);
    return first != NULL ? first->key : LIFE_NEVER;
}

int64_t life_due(const struct life *p)
{
    int64_t due = first_of(&p->turn);
    if (p->orders < p->settings.orders_max)
        due = p->ready.len > 0 ? INT64_MIN : MIN(due, first_of(&p->order));
    if (p->looks < p->settings.looks_max)
        due = MIN(due, first_of(&p->look));
    return due;
}
