/* SPDX-License-Identifier: Apache-2.0 */
/* Telling people what the table does, rule by rule in order of precedence: with all that may come, and with
 * one connection. */
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "route/route.h"
#include "route/table.h"

struct explain {
    const struct route_table *t;
    void (*each)(void *arg, const struct route_row *row);
    void *arg;
    struct buf alpn; /* text of the row at hand */
    struct buf sni;
    uint32_t *order; /* room for every rule */
};

/* The best that a rule's ALPN can do, for putting rules in order: exact, prefixes by length, any. */
static uint32_t alpn_class(const struct route_table *t, const struct rule *r)
{
    uint32_t best = 0;
    for (uint32_t i = 0; i < r->alpn_count; i++) {
        const struct alpn_entry *e = t->alpn + r->alpn_first + i;
        best = MAX(best, e->prefix ? 1 + (uint32_t)e->len : 512);
    }
    return best;
}

static int compare_rules(const void *a, const void *b, void *arg)
{
    const struct route_table *t = arg;
    uint32_t ia = *(const uint32_t *)a, ib = *(const uint32_t *)b;
    const struct rule *ra = t->rules + ia, *rb = t->rules + ib;
    uint32_t ca = alpn_class(t, ra) * 2 + ra->names_listener, cb = alpn_class(t, rb) * 2 + rb->names_listener;
    if (ca != cb)
        return ca > cb ? -1 : 1;
    return ia < ib ? -1 : ia > ib;
}

static bool alpn_text(struct explain *x, const struct rule *r)
{
    const struct route_table *t = x->t;
    x->alpn.len = 0;
    bool ok = r->alpn_count > 0 || buf_printf(&x->alpn, "any");
    for (uint32_t i = 0; i < r->alpn_count && ok; i++) {
        const struct alpn_entry *e = t->alpn + r->alpn_first + i;
        ok = buf_printf(&x->alpn, "%s%.*s%s", i > 0 ? ", " : "", (int)e->len,
                        e->len > 0 ? (const char *)t->alpn_text.data + e->offset : "", e->prefix ? "*" : "");
    }
    return ok && buf_text(&x->alpn) != NULL;
}

static int tell(struct explain *x, const struct rule *r, const char *sni, size_t more)
{
    if (!alpn_text(x, r))
        return -1;
    struct route_row row = {.route = r->id,
                            .name = r->name,
                            .sni = sni,
                            .more = more,
                            .alpn = (const char *)x->alpn.data,
                            .names_listener = r->names_listener};
    x->each(x->arg, &row);
    return 0;
}

/* Put the rules of a set in order; returns how many there are. */
static uint32_t order_set(struct explain *x, uint32_t set)
{
    CHECK(set < x->t->sets_len);
    uint32_t count = x->t->sets[set];
    CHECK(count <= x->t->rule_count);
    memcpy(x->order, x->t->sets + set + 1, count * sizeof(*x->order));
    qsort_r(x->order, count, sizeof(*x->order), compare_rules, (void *)(uintptr_t)x->t);
    return count;
}

/* The rules of one set for one pattern. */
static int tell_set(struct explain *x, uint32_t set, const char *sni)
{
    uint32_t count = order_set(x, set);
    for (uint32_t i = 0; i < count; i++)
        if (tell(x, x->t->rules + x->order[i], sni, 0) != 0)
            return -1;
    return 0;
}

/* A line for each rule with exact names: nobody wants to read a million. */
static int tell_exact(struct explain *x)
{
    const struct route_table *t = x->t;
    for (uint32_t i = 0; i < t->rule_count; i++)
        x->order[i] = i;
    qsort_r(x->order, t->rule_count, sizeof(*x->order), compare_rules, (void *)(uintptr_t)t);
    for (uint32_t i = 0; i < t->rule_count; i++) {
        const struct rule *r = t->rules + x->order[i];
        if (r->exact_count == 0)
            continue;
        if (tell(x, r, r->example, r->exact_count - 1) != 0)
            return -1;
    }
    return 0;
}

struct pattern {
    struct name_record record;
    size_t labels;
};

static int compare_patterns(const void *a, const void *b)
{
    const struct pattern *pa = a, *pb = b;
    const struct name_record *ra = &pa->record, *rb = &pb->record;
    if (ra->kind != rb->kind)
        return ra->kind < rb->kind ? -1 : 1;
    if (pa->labels != pb->labels)
        return pa->labels > pb->labels ? -1 : 1;
    int order = memcmp(ra->name, rb->name, MIN(ra->len, rb->len));
    return order != 0 ? order : ra->len < rb->len ? -1 : ra->len > rb->len;
}

static struct pattern *sorted_patterns(const struct name_index *x)
{
    struct pattern *all = calloc((size_t)x->count + 1, sizeof(*all));
    if (all == NULL)
        return NULL;
    size_t count = 0, offset = 0;
    for (struct name_record r; index_next(x, &offset, &r); count++) {
        CHECK(count < x->count);
        uint8_t starts[NAME_MAX_LABELS];
        all[count] = (struct pattern){r, name_labels(r.name, r.len, starts)};
    }
    CHECK(count == x->count);
    qsort(all, count, sizeof(*all), compare_patterns);
    return all;
}

static int tell_patterns(struct explain *x)
{
    struct pattern *all = sorted_patterns(&x->t->wild);
    if (all == NULL)
        return -1;
    int rc = 0;
    for (uint32_t i = 0; i < x->t->wild.count && rc == 0; i++) {
        const struct name_record *r = &all[i].record;
        x->sni.len = 0;
        bool ok = buf_printf(&x->sni, "%s%.*s", r->kind == NAME_ONE ? "*." : "**.", (int)r->len, r->name);
        rc = ok && buf_text(&x->sni) != NULL ? tell_set(x, r->value, (const char *)x->sni.data) : -1;
    }
    free(all);
    return rc;
}

int route_explain(const struct route_table *t, void (*each)(void *arg, const struct route_row *row),
                  void *arg)
{
    CHECK_MAGIC(t, ROUTE_TABLE_MAGIC);
    struct explain x = {.t = t, .each = each, .arg = arg};
    x.order = calloc((size_t)t->rule_count + 1, sizeof(*x.order));
    int rc = x.order != NULL ? 0 : -1;
    if (rc == 0)
        rc = tell_exact(&x);
    if (rc == 0)
        rc = tell_set(&x, t->none, "none");
    if (rc == 0)
        rc = tell_patterns(&x);
    if (rc == 0)
        rc = tell_set(&x, t->any, "any");
    free(x.order);
    buf_free(&x.alpn);
    buf_free(&x.sni);
    return rc;
}

/* ---- with one connection ---- */

struct trace {
    struct explain x; /* but for its `each` and `arg` */
    const struct route_query *q;
    void (*each)(void *arg, const struct route_trial *trial);
    void *arg;
    bool *told; /* of each rule, under some pattern */
    bool taken; /* a rule has taken the connection */
};

static int tell_trial(struct trace *r, uint32_t rule, const char *sni, enum route_verdict verdict)
{
    const struct rule *of = r->x.t->rules + rule;
    if (!alpn_text(&r->x, of))
        return -1;
    r->told[rule] = true;
    r->each(r->arg, &(struct route_trial){.route = of->id,
                                          .name = of->name,
                                          .sni = sni,
                                          .alpn = (const char *)r->x.alpn.data,
                                          .verdict = verdict});
    return 0;
}

/* Which of the first rules in order would take it? ROUTE_NONE: none. */
static uint32_t best_of(const struct trace *r, uint32_t count)
{
    uint32_t best = 0, found = ROUTE_NONE, rank;
    struct str alpn;
    for (uint32_t i = 0; i < count; i++) {
        enum route_verdict v = rule_judge(r->x.t, r->x.t->rules + r->x.order[i], r->q, &alpn, &rank);
        if (v == ROUTE_TAKES && rank > best) {
            best = rank;
            found = r->x.order[i];
        }
    }
    return found;
}

/* The rules of one pattern, which holds. */
static int trace_set(struct trace *r, uint32_t set, const char *sni)
{
    const struct route_table *t = r->x.t;
    uint32_t count = order_set(&r->x, set), best = best_of(r, count), rank;
    struct str alpn;
    int rc = 0;
    for (uint32_t i = 0; i < count && rc == 0; i++) {
        uint32_t rule = r->x.order[i];
        enum route_verdict v = rule_judge(t, t->rules + rule, r->q, &alpn, &rank);
        bool later = v == ROUTE_TAKES && (r->taken || rule != best);
        rc = tell_trial(r, rule, sni, later ? ROUTE_COMES_LATER : v);
    }
    r->taken = r->taken || best != ROUTE_NONE;
    return rc;
}

static int trace_pattern(struct trace *r, const struct split *s, enum name_kind kind, size_t skip)
{
    uint32_t set = pattern_set(r->x.t, s, kind, skip);
    if (set == 0)
        return 0;
    size_t start = s->starts[skip];
    r->x.sni.len = 0;
    bool ok = buf_printf(&r->x.sni, "%s%.*s", kind == NAME_ONE ? "*." : "**.", (int)(s->name.len - start),
                         s->name.p + start);
    return ok && buf_text(&r->x.sni) != NULL ? trace_set(r, set, (const char *)r->x.sni.data) : -1;
}

/* As find_by_name() in route.c, but to the end. */
static int trace_name(struct trace *r)
{
    const struct route_table *t = r->x.t;
    char name[NAME_MAX_LEN + 1];
    struct split s = {.name = r->q->sni};
    if (s.name.p[s.name.len - 1] == '.')
        s.name.len--;
    if (s.name.len == 0 || s.name.len > NAME_MAX_LEN)
        return 0;
    str_copy(name, sizeof(name), s.name.p, s.name.len);
    s.labels = name_labels(s.name.p, s.name.len, s.starts);
    uint32_t exact = digests_get(&t->exact, digests_seek(&t->exact, s.name.p, s.name.len));
    int rc = trace_set(r, exact, name);
    if (rc == 0)
        rc = trace_pattern(r, &s, NAME_ONE, 1);
    for (size_t skip = 1; skip < s.labels && rc == 0; skip++)
        rc = trace_pattern(r, &s, NAME_MANY, skip);
    return rc;
}

int route_trace(const struct route_table *t, const struct route_query *q,
                void (*each)(void *arg, const struct route_trial *trial), void *arg)
{
    CHECK_MAGIC(t, ROUTE_TABLE_MAGIC);
    CHECK(q->kind < ROUTE_KINDS_MAX);
    struct trace r = {.x = {.t = t}, .q = q, .each = each, .arg = arg};
    bool named = q->sni.p != NULL && q->sni.len > 0;
    r.told = calloc((size_t)t->rule_count + 1, sizeof(*r.told));
    r.x.order = calloc((size_t)t->rule_count + 1, sizeof(*r.x.order));
    int rc = r.told == NULL || r.x.order == NULL ? -1
             : named                             ? trace_name(&r)
                                                 : trace_set(&r, t->none, "none");
    if (rc == 0)
        rc = trace_set(&r, t->any, "any");
    for (uint32_t i = 0; i < t->rule_count && rc == 0; i++)
        if (!r.told[i])
            rc = tell_trial(&r, i, NULL, ROUTE_OTHER_NAME);
    CHECK(rc != 0 || r.taken == (route_find(t, q).route != ROUTE_NONE));
    free(r.told);
    free(r.x.order);
    buf_free(&r.x.alpn);
    buf_free(&r.x.sni);
    return rc;
}
