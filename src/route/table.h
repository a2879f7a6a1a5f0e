/* SPDX-License-Identifier: Apache-2.0 */
/* What the table is made of. Private to route/: the builder fills it, route.c and explain.c read it. */
#ifndef CARDEA_ROUTE_TABLE_H
#define CARDEA_ROUTE_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "route/digests.h"
#include "route/index.h"
#include "route/route.h"

#define ROUTE_TABLE_MAGIC 0x707a1e55u

struct alpn_entry {
    uint32_t offset; /* into alpn_text */
    uint8_t len;
    bool prefix;
};

struct rule {
    char *name;
    uint32_t id;
    uint32_t kinds;
    uint64_t listeners[ROUTE_LISTENERS_MAX / 64];
    bool names_listener;
    uint32_t alpn_first; /* its entries; those of one rule stand together */
    uint32_t alpn_count;
    uint32_t patterns;    /* everything it takes by name, none and any included */
    uint32_t exact_count; /* of which different exact names */
    char *example;        /* the first of these, or NULL */
};

/* One bit for each number of labels that patterns of a kind have after their asterisks: what is not there is
 * not looked up. */
struct depths {
    uint64_t bits[2];
};

/* Names that have the same rules share a set. A set is a place in `sets`: there stands how many rules it has,
 * then their indices in the order they were added. Place 0 is the empty set. */
struct route_table {
    uint32_t magic;
    /* Names and patterns apart, so that the few patterns stay in the cache among a million names. */
    struct digests exact;
    struct name_index wild;
    struct depths one;
    struct depths many;
    uint32_t any;  /* set of the rules that take any name */
    uint32_t none; /* set of the rules that take a client that sends none */
    uint32_t *sets;
    size_t sets_len;
    size_t sets_cap;
    struct rule *rules;
    uint32_t rule_count;
    uint32_t rule_cap;
    struct alpn_entry *alpn;
    uint32_t alpn_count;
    uint32_t alpn_cap;
    struct buf alpn_text;
};

/* A name, and where its labels begin; no labels where it is none that a pattern can hold. */
struct split {
    struct str name;
    uint8_t starts[NAME_MAX_LABELS];
    size_t labels;
};

/* The set of the pattern of this kind that holds the name by all but its first `skip` labels; 0: none. */
uint32_t pattern_set(const struct route_table *t, const struct split *s, enum name_kind kind, size_t skip);

/* One rule against a query, its names aside: ROUTE_TAKES with the protocol that fits and how well (bigger is
 * better), or what stands in the way. */
enum route_verdict rule_judge(const struct route_table *t, const struct rule *r, const struct route_query *q,
                              struct str *ret_alpn, uint32_t *ret_rank);

static inline bool depths_have(const struct depths *d, size_t labels)
{
    return labels < 128 && (d->bits[labels / 64] >> (labels % 64) & 1) != 0;
}

#endif
