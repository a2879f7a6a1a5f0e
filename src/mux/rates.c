/* SPDX-License-Identifier: Apache-2.0 */
#include "mux/rates.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"

#define BUCKETS_MIN 64

static void make_buckets(struct rates *t, size_t n)
{
    t->bucket = calloc(n, sizeof(*t->bucket));
    CHECK(t->bucket != NULL);
    t->buckets = n;
    for (size_t i = 0; i < n; i++)
        list_init(&t->bucket[i]);
}

void rates_init(struct rates *t)
{
    *t = (struct rates){.lock = PTHREAD_MUTEX_INITIALIZER, .key = hash_random_key()};
    make_buckets(t, BUCKETS_MIN);
}

void rates_free(struct rates *t)
{
    CHECK(t->count == 0);
    free(t->bucket);
    pthread_mutex_destroy(&t->lock);
}

static struct list *bucket_of(const struct rates *t, const char *name)
{
    return &t->bucket[hash_bytes(&t->key, name, strlen(name)) & (t->buckets - 1)];
}

static void grow(struct rates *t)
{
    struct list *old = t->bucket, *node;
    size_t n = t->buckets;
    make_buckets(t, n * 2);
    for (size_t i = 0; i < n; i++)
        while ((node = list_pop(&old[i])) != NULL)
            list_insert(bucket_of(t, CONTAINER_OF(node, struct rate, node)->name), node);
    free(old);
}

static struct rate *find(const struct rates *t, const char *name)
{
    struct list *b = bucket_of(t, name);
    for (struct list *n = b->next; n != b; n = n->next)
        if (strcmp(CONTAINER_OF(n, struct rate, node)->name, name) == 0)
            return CONTAINER_OF(n, struct rate, node);
    return NULL;
}

static struct rate *add(struct rates *t, const char *name)
{
    size_t len = strlen(name);
    struct rate *r = calloc(1, sizeof(*r) + len + 1);
    CHECK(r != NULL);
    r->table = t;
    memcpy(r->name, name, len);
    if (t->count++ == t->buckets)
        grow(t);
    list_insert(bucket_of(t, name), &r->node);
    return r;
}

struct rate *rates_get(struct rates *t, const char *name, uint64_t bandwidth)
{
    pthread_mutex_lock(&t->lock);
    struct rate *r = find(t, name);
    if (r == NULL)
        r = add(t, name);
    r->refs++;
    atomic_store(&r->pace.bandwidth, bandwidth);
    pthread_mutex_unlock(&t->lock);
    return r;
}

void rate_unref(struct rate *r)
{
    struct rates *t = r->table;
    pthread_mutex_lock(&t->lock);
    if (--r->refs == 0) {
        list_remove(&r->node);
        t->count--;
        free(r);
    }
    pthread_mutex_unlock(&t->lock);
}
