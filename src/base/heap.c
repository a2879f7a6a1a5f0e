/* SPDX-License-Identifier: Apache-2.0 */
#include "base/heap.h"

#include <stdlib.h>

#include "base/check.h"

#define ROOM_FIRST 64

bool heap_reserve(struct heap *h, size_t n)
{
    if (n <= h->cap)
        return true;
    size_t cap = MAX(h->cap, ROOM_FIRST);
    while (cap < n)
        cap *= 2;
    struct heap_node **v = reallocarray(h->v, cap, sizeof(struct heap_node *));
    if (v == NULL)
        return false;
    h->v = v;
    h->cap = cap;
    return true;
}

static void place(struct heap *h, struct heap_node *node, size_t at)
{
    h->v[at] = node;
    node->place = at + 1;
}

static size_t rise(struct heap *h, struct heap_node *node, size_t at)
{
    while (at > 0 && h->v[(at - 1) / 2]->key > node->key) {
        place(h, h->v[(at - 1) / 2], at);
        at = (at - 1) / 2;
    }
    return at;
}

static size_t sink(struct heap *h, struct heap_node *node, size_t at)
{
    for (size_t child; (child = 2 * at + 1) < h->len; at = child) {
        if (child + 1 < h->len && h->v[child + 1]->key < h->v[child]->key)
            child++;
        if (h->v[child]->key >= node->key)
            break;
        place(h, h->v[child], at);
    }
    return at;
}

void heap_set(struct heap *h, struct heap_node *node, int64_t key)
{
    node->key = key;
    if (!heap_has(node)) {
        CHECK(h->len < h->cap);
        place(h, node, h->len++);
    }
    CHECK(h->v[node->place - 1] == node);
    place(h, node, sink(h, node, rise(h, node, node->place - 1)));
}

void heap_remove(struct heap *h, struct heap_node *node)
{
    if (!heap_has(node))
        return;
    size_t at = node->place - 1;
    CHECK(at < h->len && h->v[at] == node);
    struct heap_node *last = h->v[--h->len];
    node->place = 0;
    if (last != node)
        place(h, last, sink(h, last, rise(h, last, at)));
}

void heap_free(struct heap *h)
{
    free(h->v);
    *h = (struct heap){0};
}
