/* SPDX-License-Identifier: Apache-2.0 */
#include "cert/path_graph.h"

#include <stdlib.h>

#include "base/check.h"
#include "base/hash.h"

/* ---- numbers for equal bytes ---- */

struct numbers {
    uint32_t *slots; /* number + 1; 0: free */
    size_t mask;
    struct {
        CBS value;
        uint64_t hash;
    } * all;
    uint32_t len;
};

/* With a key that everybody knows: those who make names that collide cost us one look at each other name, and
 * their names are few. */
static uint32_t number_of(struct numbers *n, CBS value)
{
    static const struct hash_key key;
    uint64_t hash = hash_bytes(&key, CBS_data(&value), CBS_len(&value));
    size_t at = hash & n->mask;
    for (; n->slots[at] != 0; at = (at + 1) & n->mask) {
        uint32_t known = n->slots[at] - 1;
        if (n->all[known].hash == hash && cbs_equal(n->all[known].value, value))
            return known;
    }
    n->all[n->len].value = value;
    n->all[n->len].hash = hash;
    n->slots[at] = ++n->len;
    return n->len - 1;
}

/* For at most `max` values. */
static struct numbers numbers_new(size_t max)
{
    size_t slots = 4;
    while (slots < 2 * max)
        slots *= 2;
    struct numbers n = {.slots = calloc(slots, sizeof(*n.slots)), .mask = slots - 1};
    n.all = calloc(max, sizeof(*n.all));
    CHECK(n.slots != NULL && n.all != NULL);
    return n;
}

static void numbers_free(struct numbers *n)
{
    free(n->slots);
    free(n->all);
}

static void number_all(struct path_graph *g)
{
    struct numbers names = numbers_new(2 * g->len), keys = numbers_new(g->len);
    for (size_t i = 0; i < g->len; i++) {
        g->subject[i] = number_of(&names, g->certs[i].subject);
        g->issuer[i] = number_of(&names, g->certs[i].issuer);
        g->key[i] = number_of(&keys, g->certs[i].key);
    }
    g->names_len = names.len;
    numbers_free(&keys);
    numbers_free(&names);
}

/* ---- distances ---- */

/* Every CA of a path has the leaf below it. So constraints that the leaf does not meet are a fault of the
 * CA's own here, and no way over it need be tried. Beyond `left` comparisons that is not known yet. */
static enum path_fault judge_for_leaf(const struct path_graph *g, const struct path_question *q,
                                      const struct path_cert *ca, size_t *left)
{
    char name[CONSTRAINT_NAME_MAX];
    enum path_fault fault = path_judge_ca(ca, q->purpose, q->now);
    if (fault != PATH_GOOD || CBS_len(&ca->constraints) == 0)
        return fault;
    enum constraint_verdict verdict =
        name_constraints_meet(ca->constraints, ca->constraints_critical, &g->certs[0].called, left, name);
    return verdict == CONSTRAINT_MET || verdict == CONSTRAINT_TOO_MANY ? PATH_GOOD : PATH_NAME;
}

static void find_anchors(struct path_graph *g, const struct path_question *q, size_t *left)
{
    for (size_t i = 0; i < g->names_len; i++)
        g->names[i] = (struct graph_name){.anchor = ANCHORS_NONE, .near = GRAPH_FAR};
    for (size_t i = 0; i < g->len; i++) {
        struct graph_name *name = &g->names[g->issuer[i]];
        if (name->known)
            continue;
        name->anchor = anchors_first(q->anchors, g->certs[i].issuer);
        name->known = name->anchor != ANCHORS_NONE;
        for (size_t a = name->anchor; a != ANCHORS_NONE; a = anchors_next(q->anchors, a))
            if (judge_for_leaf(g, q, anchors_at(q->anchors, a), left) == PATH_GOOD)
                name->near = 0;
    }
}

/* One more round over all certificates: has a name come nearer? */
static bool come_nearer(struct path_graph *g)
{
    bool changed = false;
    for (size_t i = 1; i < g->len; i++) {
        const struct graph_name *above = &g->names[g->issuer[i]];
        struct graph_name *name = &g->names[g->subject[i]];
        if (above->known && !name->known) {
            name->known = true;
            changed = true;
        }
        if (g->fault[i] == PATH_GOOD && above->near < GRAPH_FAR - 1 && above->near + 1 < name->near) {
            name->near = (uint8_t)(above->near + 1);
            changed = true;
        }
    }
    return changed;
}

/* ---- the order ---- */

static int compare(const void *a, const void *b, void *arg)
{
    const struct path_graph *g = arg;
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    if (g->subject[x] != g->subject[y])
        return g->subject[x] < g->subject[y] ? -1 : 1;
    bool good = g->fault[x] == PATH_GOOD;
    if (good != (g->fault[y] == PATH_GOOD))
        return good ? -1 : 1;
    unsigned near = g->names[g->issuer[x]].near, near_y = g->names[g->issuer[y]].near;
    if (near != near_y)
        return near < near_y ? -1 : 1;
    if (g->certs[x].not_before != g->certs[y].not_before)
        return g->certs[x].not_before > g->certs[y].not_before ? -1 : 1;
    return x < y ? -1 : x > y;
}

static void put_in_order(struct path_graph *g)
{
    for (uint32_t i = 1; i < g->len; i++)
        g->order[i - 1] = i;
    qsort_r(g->order, g->len - 1, sizeof(*g->order), compare, g);
    for (uint32_t i = 0; i + 1 < g->len; i++) {
        struct graph_name *name = &g->names[g->subject[g->order[i]]];
        if (name->end == 0)
            name->first = i;
        name->end = i + 1;
    }
}

void path_graph_make(const struct path_question *q, struct path_graph *ret)
{
    size_t n = q->len;
    CHECK(n > 0 && n < UINT32_MAX / 4);
    *ret = (struct path_graph){.len = n, .certs = q->certs};
    /* One block: names, which need the greatest alignment, before numbers. */
    ret->memory = calloc(n, 2 * sizeof(*ret->names) + 4 * sizeof(uint32_t) + sizeof(*ret->fault));
    CHECK(ret->memory != NULL);
    ret->names = ret->memory;
    ret->subject = (uint32_t *)(ret->names + 2 * n);
    ret->issuer = ret->subject + n;
    ret->key = ret->issuer + n;
    ret->order = ret->key + n;
    ret->fault = (enum path_fault *)(ret->order + n);
    size_t left = q->limits.comparisons;
    for (size_t i = 1; i < n; i++)
        ret->fault[i] = judge_for_leaf(ret, q, &q->certs[i], &left);
    number_all(ret);
    find_anchors(ret, q, &left);
    for (size_t round = 0; round < q->limits.depth && come_nearer(ret); round++)
        continue;
    put_in_order(ret);
}

void path_graph_free(struct path_graph *graph)
{
    free(graph->memory);
    graph->memory = NULL;
}
