/* SPDX-License-Identifier: Apache-2.0 */
/* Looking a connection up. The order of the steps is the order of precedence in route.h. */
#include "route/route.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/cursor.h"
#include "route/table.h"

/* How well a rule's ALPN fits, bigger is better; 0: not at all. Exact beats prefix beats any; among exact
 * matches the protocol that the client names earlier, among prefixes the longer one, then the earlier one.
 * One bit is left free below for the listener. */
#define RANK_ANY 2u
#define RANK_PREFIX (1u << 20)
#define RANK_EXACT (1u << 21)
#define RANK_EARLIER(i) ((ROUTE_ALPN_MAX - (uint32_t)(i)) << 1)
#define RANK_LONGER(len) ((uint32_t)(len) << 9)

static uint32_t entry_rank(const struct route_table *t, const struct alpn_entry *e, struct str protocol,
                           size_t i)
{
    CHECK(e->offset + e->len <= t->alpn_text.len && i < ROUTE_ALPN_MAX);
    if (protocol.len < e->len || (!e->prefix && protocol.len != e->len))
        return 0;
    if (e->len > 0 && memcmp(protocol.p, t->alpn_text.data + e->offset, e->len) != 0)
        return 0;
    return e->prefix ? RANK_PREFIX + RANK_LONGER(e->len) + RANK_EARLIER(i) : RANK_EXACT + RANK_EARLIER(i);
}

/* The rank of the rule's ALPN for this client, and the protocol that gave it. */
static uint32_t alpn_rank(const struct route_table *t, const struct rule *r, const struct route_query *q,
                          struct str *ret_alpn)
{
    *ret_alpn = (struct str){NULL, 0};
    if (r->alpn_count == 0 || q->any_alpn)
        return RANK_ANY;
    CHECK(r->alpn_first + r->alpn_count <= t->alpn_count);
    struct cursor list = cursor_of(q->alpn, q->alpn_len), name;
    uint32_t best = 0;
    /* An exact match cannot be bettered by what the client names later. */
    for (size_t i = 0; i < ROUTE_ALPN_MAX && best < RANK_EXACT && cursor_vector(&list, 1, &name); i++) {
        struct str protocol = {(const char *)name.p, cursor_left(&name)};
        for (uint32_t k = 0; k < r->alpn_count; k++) {
            uint32_t rank = entry_rank(t, t->alpn + r->alpn_first + k, protocol, i);
            if (rank > best) {
                best = rank;
                *ret_alpn = protocol;
            }
        }
    }
    return best;
}

/* No rule can name a listener beyond the last number. */
static bool listens_on(const struct rule *r, uint32_t listener)
{
    return listener < ROUTE_LISTENERS_MAX && (r->listeners[listener / 64] >> (listener % 64) & 1) != 0;
}

enum route_verdict rule_judge(const struct route_table *t, const struct rule *r, const struct route_query *q,
                              struct str *ret_alpn, uint32_t *ret_rank)
{
    *ret_rank = 0;
    if ((r->kinds >> q->kind & 1) == 0)
        return ROUTE_OTHER_KIND;
    if (r->names_listener && !listens_on(r, q->listener))
        return ROUTE_OTHER_LISTENER;
    uint32_t rank = alpn_rank(t, r, q, ret_alpn);
    *ret_rank = rank | (rank != 0 && r->names_listener ? 1 : 0);
    return rank == 0 ? ROUTE_OTHER_ALPN : ROUTE_TAKES;
}

/* The best rule of one set. The builder has seen to it that no two are equally good. */
static struct route_match pick(const struct route_table *t, uint32_t set, const struct route_query *q)
{
    struct route_match match = {.route = ROUTE_NONE};
    CHECK(set < t->sets_len);
    const uint32_t *member = t->sets + set;
    uint32_t best = 0;
    for (uint32_t left = *member++; left > 0; left--, member++) {
        CHECK(*member < t->rule_count);
        const struct rule *r = t->rules + *member;
        struct str alpn;
        uint32_t rank;
        if (rule_judge(t, r, q, &alpn, &rank) == ROUTE_TAKES && rank > best) {
            best = rank;
            match = (struct route_match){r->id, alpn};
        }
    }
    return match;
}

uint32_t pattern_set(const struct route_table *t, const struct split *s, enum name_kind kind, size_t skip)
{
    if (skip >= s->labels || !depths_have(kind == NAME_ONE ? &t->one : &t->many, s->labels - skip))
        return 0;
    size_t start = s->starts[skip];
    return index_get(&t->wild, kind, s->name.p + start, s->name.len - start);
}

/* From the narrowest pattern to the widest, until one's rules hold. The set of the narrowest is found before
 * the name's own is looked at: its bucket is far away, and the time until it is here is the longest part of a
 * lookup. */
static struct route_match find_by_name(const struct route_table *t, struct str sni,
                                       const struct route_query *q)
{
    struct split s; /* not cleared: the starts are many, and name_labels() sets those that count */
    s.name = sni;
    if (sni.p[sni.len - 1] == '.')
        s.name.len--;
    if (s.name.len == 0 || s.name.len > NAME_MAX_LEN)
        return (struct route_match){.route = ROUTE_NONE};
    uint64_t digest = digests_seek(&t->exact, s.name.p, s.name.len);
    s.labels = name_labels(s.name.p, s.name.len, s.starts);
    uint32_t one = pattern_set(t, &s, NAME_ONE, 1);
    struct route_match match = pick(t, digests_get(&t->exact, digest), q);
    if (match.route == ROUTE_NONE)
        match = pick(t, one, q);
    for (size_t skip = 1; skip < s.labels && match.route == ROUTE_NONE; skip++) {
        uint32_t set = pattern_set(t, &s, NAME_MANY, skip);
        if (set != 0)
            match = pick(t, set, q);
    }
    return match;
}

struct route_match route_find(const struct route_table *t, const struct route_query *q)
{
    CHECK_MAGIC(t, ROUTE_TABLE_MAGIC);
    CHECK(q->kind < ROUTE_KINDS_MAX);
    CHECK(q->alpn != NULL || q->alpn_len == 0);
    bool named = q->sni.p != NULL && q->sni.len > 0;
    struct route_match match = named ? find_by_name(t, q->sni, q) : pick(t, t->none, q);
    return match.route != ROUTE_NONE ? match : pick(t, t->any, q);
}

void route_table_free(struct route_table *t)
{
    if (t == NULL)
        return;
    CHECK_MAGIC(t, ROUTE_TABLE_MAGIC);
    digests_free(&t->exact);
    index_free(&t->wild);
    for (uint32_t i = 0; i < t->rule_count; i++) {
        free(t->rules[i].name);
        free(t->rules[i].example);
    }
    free(t->rules);
    free(t->sets);
    free(t->alpn);
    buf_free(&t->alpn_text);
    t->magic = 0;
    free(t);
}

size_t route_table_names(const struct route_table *t)
{
    CHECK_MAGIC(t, ROUTE_TABLE_MAGIC);
    return (size_t)t->exact.count + t->wild.count;
}

size_t route_table_bytes(const struct route_table *t)
{
    CHECK_MAGIC(t, ROUTE_TABLE_MAGIC);
    return sizeof(*t) + digests_bytes(&t->exact) + index_bytes(&t->wild) + t->sets_cap * sizeof(*t->sets) +
           t->rule_cap * sizeof(*t->rules) + t->alpn_cap * sizeof(*t->alpn) + t->alpn_text.cap;
}
