/* SPDX-License-Identifier: Apache-2.0 */
#include "mux/registry.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "mux/agent.h"

#define BUCKETS_MIN 64
#define FORGET_NS (3600 * NSEC_PER_SEC) /* no grace is longer */
#define BUCKETS_SWEPT 16
#define NAMES_KEPT 100000
#define SEALED_KEPT 1000000 /* whatever: memory has an end */

static struct list *buckets_new(size_t n)
{
    struct list *b = calloc(n, sizeof(*b));
    CHECK(b != NULL);
    for (size_t i = 0; i < n; i++)
        list_init(&b[i]);
    return b;
}

static struct list *name_bucket(const struct registry *r, struct list *table, size_t n, const char *text)
{
    return &table[hash_bytes(&r->key, text, strlen(text)) & (n - 1)];
}

static struct list *id_bucket(const struct registry *r, struct list *table, size_t n, uint64_t id)
{
    return &table[hash_bytes(&r->key, &id, sizeof(id)) & (n - 1)];
}

static void grow(struct registry *r)
{
    size_t n = r->buckets * 2;
    struct list *names = buckets_new(n), *ids = buckets_new(n), *node;
    for (size_t i = 0; i < r->buckets; i++) {
        while ((node = list_pop(&r->names[i])) != NULL)
            list_insert(name_bucket(r, names, n, CONTAINER_OF(node, struct name, node)->text), node);
        while ((node = list_pop(&r->ids[i])) != NULL)
            list_insert(id_bucket(r, ids, n, CONTAINER_OF(node, struct known, of_id)->agent->id), node);
    }
    free(r->names);
    free(r->ids);
    r->names = names;
    r->ids = ids;
    r->buckets = n;
}

struct name *registry_find(const struct registry *r, const char *text)
{
    struct list *b = name_bucket(r, r->names, r->buckets, text);
    for (struct list *n = b->next; n != b; n = n->next) {
        struct name *name = CONTAINER_OF(n, struct name, node);
        if (strcmp(name->text, text) == 0)
            return name;
    }
    return NULL;
}

/* Nobody is there, and nobody would wait for it any more. Where names come and go in great numbers, those
 * that have gone are forgotten at once. */
static bool is_forgotten(const struct registry *r, const struct name *n, int64_t now)
{
    if (!list_empty(&n->agents) || !list_empty(&n->waiters))
        return false;
    if (now < n->sealed_until && r->count <= SEALED_KEPT) /* names that come and go do not wash it away */
        return false;
    return n->gone_at == 0 || now >= n->gone_at + FORGET_NS || r->count > NAMES_KEPT;
}

static void name_free(struct registry *r, struct name *n)
{
    list_remove(&n->node);
    r->count--;
    free(n);
}

/* Forget some of the names that nobody will ask for again: with each new one a few buckets, all in turn. */
static void sweep(struct registry *r, int64_t now)
{
    for (size_t k = 0; k < BUCKETS_SWEPT; k++) {
        struct list *b = &r->names[r->swept++ & (r->buckets - 1)];
        for (struct list *n = b->next, *next; n != b; n = next) {
            struct name *name = CONTAINER_OF(n, struct name, node);
            next = n->next;
            if (is_forgotten(r, name, now))
                name_free(r, name);
        }
    }
}

struct name *registry_get(struct registry *r, const char *text, int64_t now)
{
    struct name *n = registry_find(r, text);
    if (n != NULL)
        return n;
    sweep(r, now);
    if (r->count >= r->buckets)
        grow(r);
    size_t len = strlen(text);
    n = calloc(1, sizeof(*n) + len + 1);
    CHECK(n != NULL);
    memcpy(n->text, text, len);
    list_init(&n->agents);
    list_init(&n->waiters);
    list_insert(name_bucket(r, r->names, r->buckets, text), &n->node);
    r->count++;
    return n;
}

struct known *registry_find_id(const struct registry *r, uint64_t id)
{
    struct list *b = id_bucket(r, r->ids, r->buckets, id);
    for (struct list *n = b->next; n != b; n = n->next) {
        struct known *k = CONTAINER_OF(n, struct known, of_id);
        if (k->agent->id == id)
            return k;
    }
    return NULL;
}

/* The first in the list from whose end on all have a higher id; ids mostly come in order. */
static struct list *place_of(struct name *n, uint64_t id)
{
    struct list *next = &n->agents;
    while (next->prev != &n->agents && CONTAINER_OF(next->prev, struct known, of_name)->agent->id > id)
        next = next->prev;
    return next;
}

void registry_add(struct registry *r, struct name *n, struct agent *a)
{
    struct known *k = calloc(1, sizeof(*k));
    CHECK(k != NULL);
    k->agent = agent_ref(a);
    list_insert(place_of(n, a->id), &k->of_name);
    list_insert(id_bucket(r, r->ids, r->buckets, a->id), &k->of_id);
}

void registry_forget(struct known *k)
{
    list_remove(&k->of_name);
    list_remove(&k->of_id);
    agent_unref(k->agent);
    free(k);
}

struct agent *registry_search(const struct registry *r, bool (*fits)(void *arg, struct agent *a), void *arg)
{
    for (size_t i = 0; i < r->buckets; i++)
        for (struct list *n = r->ids[i].next; n != &r->ids[i]; n = n->next) {
            struct agent *a = CONTAINER_OF(n, struct known, of_id)->agent;
            if (fits(arg, a))
                return a;
        }
    return NULL;
}

/* ---- life ---- */

void registry_init(struct registry *r, const struct hash_key *key)
{
    *r = (struct registry){.key = *key, .buckets = BUCKETS_MIN};
    r->names = buckets_new(r->buckets);
    r->ids = buckets_new(r->buckets);
}

void registry_free(struct registry *r)
{
    for (size_t i = 0; i < r->buckets; i++)
        for (struct list *n = r->ids[i].next, *next; n != &r->ids[i]; n = next) {
            next = n->next;
            registry_forget(CONTAINER_OF(n, struct known, of_id));
        }
    for (size_t i = 0; i < r->buckets; i++) /* none has agents any more, in whatever bucket they were */
        for (struct list *n = r->names[i].next, *next; n != &r->names[i]; n = next) {
            next = n->next;
            name_free(r, CONTAINER_OF(n, struct name, node));
        }
    free(r->names);
    free(r->ids);
}
