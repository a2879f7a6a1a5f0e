/* SPDX-License-Identifier: Apache-2.0 */
/* Intrusive binary heap: whatever comes first by its key, in O(log n), where a node may also be moved or
 * taken out. Of equal keys any may come first. */
#ifndef CARDEA_BASE_HEAP_H
#define CARDEA_BASE_HEAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Embed it; zeroed it is in no heap. */
struct heap_node {
    int64_t key;
    size_t place; /* private: 1 + where it is, 0: in none */
};

/* Zeroed it is empty. */
struct heap {
    struct heap_node **v;
    size_t len, cap;
};

/* Have room for `n` nodes, so that heap_set() cannot fail for as many. False when memory is out. */
bool heap_reserve(struct heap *h, size_t n);

/* Put the node in, or move it, to `key`. There must be room for it. */
void heap_set(struct heap *h, struct heap_node *node, int64_t key);

/* Take it out; harmless when it is in none. */
void heap_remove(struct heap *h, struct heap_node *node);

/* The one with the lowest key, which stays; NULL when there is none. */
static inline struct heap_node *heap_first(const struct heap *h)
{
    return h->len > 0 ? h->v[0] : NULL;
}

static inline bool heap_has(const struct heap_node *node)
{
    return node->place != 0;
}

/* Forget the array; its nodes are as they were. */
void heap_free(struct heap *h);

#endif
