/* SPDX-License-Identifier: Apache-2.0 */
/* Relaxed atomics suffice: the counts and times only guide a choice, nothing is published through them, and a
 * choice made on a figure that is a moment old is as good. */
#include "session/upstream.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"

#define BACKEND_MAGIC 0xbac4e4d0u

void backend_registry_init(struct backend_registry *r)
{
    list_init(&r->backends);
}

static struct backend *backend_new(const char *key, const char *host, uint16_t port)
{
    struct backend *b = calloc(1, sizeof(*b));
    CHECK(b != NULL);
    b->magic = BACKEND_MAGIC;
    b->key = strdup(key);
    b->host = host == NULL ? NULL : strdup(host);
    b->port = port;
    CHECK(b->key != NULL && (host == NULL || b->host != NULL));
    return b;
}

struct backend *backend_get(struct backend_registry *r, const char *key, const char *host, uint16_t port)
{
    struct backend *b;
    for (struct list *n = r->backends.next; n != &r->backends; n = n->next) {
        b = CONTAINER_OF(n, struct backend, node);
        if (strcmp(b->key, key) == 0) {
            atomic_fetch_add(&b->refs, 1);
            return b;
        }
    }
    b = backend_new(key, host, port);
    atomic_store(&b->refs, 1);
    list_insert(&r->backends, &b->node);
    return b;
}

void backend_unref(struct backend *b)
{
    if (b == NULL)
        return;
    CHECK_MAGIC(b, BACKEND_MAGIC);
    atomic_fetch_sub(&b->refs, 1);
}

void backend_registry_sweep(struct backend_registry *r)
{
    for (struct list *n = r->backends.next, *next; n != &r->backends; n = next) {
        next = n->next;
        struct backend *b = CONTAINER_OF(n, struct backend, node);
        if (atomic_load(&b->refs) > 0)
            continue;
        list_remove(&b->node);
        b->magic = 0;
        free(b->key);
        free(b->host);
        free(b);
    }
}

const char *backend_unix_path(const struct backend *b)
{
    return b->host == NULL ? b->key + strlen("unix:") : NULL;
}

/* Better: not avoided, then fewer connections. */
static bool better(const struct backend *a, const struct backend *b, int64_t now)
{
    int64_t avoid_a = atomic_load_explicit(&a->avoid_until, memory_order_relaxed);
    int64_t avoid_b = atomic_load_explicit(&b->avoid_until, memory_order_relaxed);
    if ((avoid_a > now) != (avoid_b > now))
        return avoid_a <= now;
    if (avoid_a > now)
        return avoid_a < avoid_b;
    return atomic_load_explicit(&a->live, memory_order_relaxed) <
           atomic_load_explicit(&b->live, memory_order_relaxed);
}

int upstream_pick(const struct upstream *u, int64_t now, uint64_t tried)
{
    CHECK(u->n <= UPSTREAM_BACKENDS_MAX);
    uint32_t start = u->n > 1 ? atomic_fetch_add_explicit(u->turn, 1, memory_order_relaxed) : 0;
    int best = -1;
    for (size_t k = 0; k < u->n; k++) {
        size_t i = (start + k) % u->n;
        if (tried & UINT64_C(1) << i || atomic_load_explicit(&u->v[i]->down, memory_order_relaxed))
            continue;
        if (best < 0 || better(u->v[i], u->v[best], now))
            best = (int)i;
    }
    return best;
}

void backend_acquire(struct backend *b)
{
    atomic_fetch_add_explicit(&b->live, 1, memory_order_relaxed);
    backend_tried(b);
}

void backend_tried(struct backend *b)
{
    if (!atomic_load_explicit(&b->tried, memory_order_relaxed))
        atomic_store_explicit(&b->tried, true, memory_order_relaxed);
}

void backend_succeeded(struct backend *b)
{
    if (atomic_load_explicit(&b->avoid_until, memory_order_relaxed) != 0)
        atomic_store_explicit(&b->avoid_until, 0, memory_order_relaxed);
}

void backend_failed(struct backend *b, int64_t now)
{
    atomic_store_explicit(&b->avoid_until, now + UPSTREAM_RETRY_NS, memory_order_relaxed);
}

void backend_release(struct backend *b)
{
    uint32_t before = atomic_fetch_sub_explicit(&b->live, 1, memory_order_relaxed);
    CHECK(before > 0);
}
