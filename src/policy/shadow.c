/* SPDX-License-Identifier: Apache-2.0 */
/* A row stands in the shadow of one before it when that one is for everybody, on every route and about every
 * target that it is for. A pattern that is read as a text, its asterisks as a character of their own, is
 * matched by another only where that one matches all that it stands for. */
#include "base/check.h"
#include "base/str.h"
#include "policy/rows.h"

#define COMPARED_MAX 1000000 /* targets of rows: some tens of milliseconds */

struct looking {
    const struct policy *policy;
    size_t compared;
    bool datagrams; /* some row allows some */
};

static bool pattern_is_within(const struct who *wide, const char *pattern)
{
    for (size_t i = 0; i < wide->count; i++)
        if (wide->kind == IDENTITY_DNS ? str_glob_nocase(wide->patterns[i], pattern)
                                       : str_glob(wide->patterns[i], pattern))
            return true;
    return false;
}

static bool who_is_within(const struct who *wide, const struct who *w)
{
    if (wide->kind != w->kind)
        return false;
    for (size_t i = 0; i < w->count; i++)
        if (!pattern_is_within(wide, w->patterns[i]))
            return false;
    return true;
}

/* Each key of `wide` holds where one of `r` does. */
static bool is_for_all_of(const struct row *wide, const struct row *r)
{
    if (wide->proven && !r->proven && r->who_count == 0)
        return false;
    for (size_t i = 0; i < wide->who_count; i++) {
        size_t k = 0;
        while (k < r->who_count && !who_is_within(&wide->who[i], &r->who[k]))
            k++;
        if (k == r->who_count)
            return false;
    }
    return true;
}

static bool is_on_routes_of(const struct row *wide, const struct row *r)
{
    if (wide->route_count == 0)
        return true;
    for (size_t i = 0; i < r->route_count; i++) {
        size_t k = 0;
        while (k < wide->route_count && wide->routes[k] != r->routes[i])
            k++;
        if (k == wide->route_count)
            return false;
    }
    return r->route_count > 0;
}

/* Does the row decide all that `t` of `r` is for? */
static bool decides(struct looking *l, const struct row *wide, const struct row *r, const struct target *t)
{
    if (wide->target_count == 0)
        return wide->deny;
    for (size_t i = 0; i < wide->target_count; i++, l->compared++)
        if (target_covers(&wide->targets[i], wide->deny, t, r->deny, l->datagrams))
            return true;
    return false;
}

/* The first row that decides it in place of row `at`; NULL: none does. */
static const struct row *decider_of_target(struct looking *l, size_t at, const struct target *t)
{
    const struct row *r = &l->policy->rows[at];
    for (size_t i = 0; i < at && l->compared < COMPARED_MAX; i++, l->compared++) {
        const struct row *wide = &l->policy->rows[i];
        if (is_on_routes_of(wide, r) && is_for_all_of(wide, r) && decides(l, wide, r, t))
            return wide;
    }
    return NULL;
}

/* Of a row without targets. One that allows says who may use a route; one that denies closes every target. */
static const struct row *decider_of_row(struct looking *l, size_t at, bool targets_count)
{
    const struct row *r = &l->policy->rows[at];
    for (size_t i = 0; i < at && l->compared < COMPARED_MAX; i++, l->compared++) {
        const struct row *wide = &l->policy->rows[i];
        if (wide->target_count == 0 && (wide->deny || !r->deny || !targets_count) &&
            is_on_routes_of(wide, r) && is_for_all_of(wide, r))
            return wide;
    }
    return NULL;
}

static bool allows_datagrams(const struct policy *p)
{
    for (size_t i = 0; i < p->row_count; i++)
        for (size_t k = 0; k < p->rows[i].target_count; k++)
            if (!p->rows[i].deny && p->rows[i].targets[k].space == POLICY_UDP)
                return true;
    return false;
}

void policy_shadows(const struct policy *p, bool (*targets_count)(void *arg, size_t row),
                    void (*told)(void *arg, const struct policy_shadow *shadow), void *arg)
{
    CHECK_MAGIC(p, POLICY_MAGIC);
    struct looking l = {.policy = p, .datagrams = allows_datagrams(p)};
    for (size_t at = 1; at < p->row_count; at++) {
        const struct row *r = &p->rows[at], *by = NULL;
        bool asked = targets_count(arg, at);
        size_t decided = 0;
        if (r->target_count == 0)
            by = decider_of_row(&l, at, asked);
        for (size_t i = 0; i < r->target_count && asked; i++) {
            const struct row *other = decider_of_target(&l, at, &r->targets[i]);
            by = by == NULL ? other : by;
            decided += other != NULL;
        }
        if (by != NULL && decided == r->target_count) {
            told(arg, &(struct policy_shadow){at, SIZE_MAX, by->name, by->deny});
            continue;
        }
        for (size_t i = 0; i < r->target_count && decided > 0; i++) {
            by = decider_of_target(&l, at, &r->targets[i]);
            if (by != NULL && by->deny != r->deny)
                told(arg, &(struct policy_shadow){at, i, by->name, by->deny});
        }
    }
}
