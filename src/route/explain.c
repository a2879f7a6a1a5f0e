/* SPDX-License-Identifier: Apache-2.0 */
/* Telling people what the table does, rule by rule in order of precedence. */
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

/* The rules of one set for one pattern. */
static int tell_set(struct explain *x, uint32_t set, const char *sni)
{
    CHECK(set < x->t->sets_len);
    uint32_t count = x->t->sets[set];
    CHECK(count <= x->t->rule_count);
    memcpy(x->order, x->t->sets + set + 1, count * sizeof(*x->order));
    qsort_r(x->order, count, sizeof(*x->order), compare_rules, (void *)(uintptr_t)x->t);
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
