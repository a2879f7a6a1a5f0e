/* SPDX-License-Identifier: Apache-2.0 */
#include "login/tries.h"

#include <stdlib.h>

#include "base/check.h"
#include "base/hash.h"

#define SETS 2048
#define WAYS 8

struct place {
    uint64_t tag; /* 0: nobody's */
    uint32_t tries;
    int64_t last;
    int64_t before; /* the one before `last` */
};

struct tries {
    struct tries_rule rule;
    struct hash_key key;
    struct place places[SETS][WAYS];
};

struct tries *tries_new(const struct tries_rule *rule)
{
    struct tries *l = calloc(1, sizeof(*l));
    CHECK(l != NULL && rule->first > 0 && rule->longest >= rule->first);
    l->rule = *rule;
    l->key = hash_random_key();
    return l;
}

void tries_free(struct tries *l)
{
    free(l);
}

static uint64_t tag_of(const struct tries *l, struct str key)
{
    uint64_t tag = hash_bytes(&l->key, key.p, key.len);
    return tag != 0 ? tag : 1;
}

static struct place *find(struct tries *l, struct str key)
{
    uint64_t tag = tag_of(l, key);
    struct place *set = l->places[tag % SETS];
    for (size_t i = 0; i < WAYS; i++)
        if (set[i].tag == tag)
            return &set[i];
    return NULL;
}

/* A clock that was set back makes nobody wait longer than from now on. */
static int64_t since(const struct place *p, int64_t now)
{
    return now > p->last ? now - p->last : 0;
}

static bool is_forgotten(const struct tries *l, const struct place *p, int64_t now)
{
    return p->tries == 0 || since(p, now) >= 2 * l->rule.longest;
}

/* Those that still count at `now`. */
static uint32_t tries_left(const struct tries *l, const struct place *p, int64_t now)
{
    int64_t forgiven = l->rule.forgive > 0 ? since(p, now) / l->rule.forgive : 0;
    return forgiven < p->tries ? p->tries - (uint32_t)forgiven : 0;
}

static int64_t wait_after(const struct tries_rule *rule, uint32_t tries)
{
    if (tries < rule->free)
        return 0;
    int64_t wait = rule->first;
    for (uint32_t i = rule->free; i < tries && wait < rule->longest; i++)
        wait *= 2;
    return wait < rule->longest ? wait : rule->longest;
}

int64_t tries_wait(const struct tries *l, struct str key, int64_t now)
{
    uint64_t tag = tag_of(l, key);
    const struct place *set = l->places[tag % SETS];
    for (size_t i = 0; i < WAYS; i++) {
        if (set[i].tag != tag || is_forgotten(l, &set[i], now))
            continue;
        int64_t wait = wait_after(&l->rule, tries_left(l, &set[i], now)) - since(&set[i], now);
        return wait > 0 ? wait : 0;
    }
    return 0;
}

/* A place for one who has none: that of somebody forgotten, else of who has tried least. */
static struct place *make_room(struct tries *l, struct str key, int64_t now)
{
    uint64_t tag = tag_of(l, key);
    struct place *set = l->places[tag % SETS], *least = &set[0];
    for (size_t i = 0; i < WAYS && !is_forgotten(l, least, now); i++)
        if (is_forgotten(l, &set[i], now) || set[i].tries < least->tries)
            least = &set[i];
    *least = (struct place){.tag = tag};
    return least;
}

void tries_count(struct tries *l, struct str key, int64_t now)
{
    struct place *p = find(l, key);
    if (p == NULL)
        p = make_room(l, key, now);
    p->tries = is_forgotten(l, p, now) ? 0 : tries_left(l, p, now);
    if (p->tries < UINT32_MAX)
        p->tries++;
    p->before = p->last;
    p->last = now;
}

void tries_refund(struct tries *l, struct str key)
{
    struct place *p = find(l, key);
    if (p == NULL || p->tries == 0)
        return;
    p->tries--;
    p->last = p->before;
}

void tries_forget(struct tries *l, struct str key)
{
    struct place *p = find(l, key);
    if (p != NULL)
        *p = (struct place){0};
}
