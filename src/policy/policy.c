/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/policy.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/str.h"
#include "policy/rows.h"

static void row_free(struct row *r)
{
    for (size_t i = 0; i < r->who_count; i++) {
        for (size_t k = 0; k < r->who[i].count; k++)
            free(r->who[i].patterns[k]);
        free(r->who[i].patterns);
    }
    for (size_t i = 0; i < r->target_count; i++)
        target_free(r->targets + i);
    free(r->name);
    free(r->who);
    free(r->routes);
    free(r->targets);
}

void policy_free(struct policy *p)
{
    if (p == NULL)
        return;
    CHECK_MAGIC(p, POLICY_MAGIC);
    for (size_t i = 0; i < p->row_count; i++)
        row_free(p->rows + i);
    p->magic = 0;
    free(p);
}

/* Counts go up as things are made, so that row_free() undoes a row that was built in part. */
static int build_who(struct row *r, const struct policy_row *from, struct err *err)
{
    if (from->who_count == 0 && !from->who_any && !from->who_proven)
        return err_set(
            err, "who is empty, so the row would match nobody: expected a key such as group, or any: true");
    r->who = calloc(from->who_count + 1, sizeof(*r->who));
    if (r->who == NULL)
        return err_set(err, "out of memory");
    for (size_t i = 0; i < from->who_count; i++) {
        const struct policy_who *in = from->who + i;
        struct who *w = r->who + r->who_count++;
        CHECK((unsigned)in->kind < IDENTITY_KINDS);
        w->kind = in->kind;
        if (in->count == 0)
            return err_set(err, "who: %s is an empty list: expected at least one pattern",
                           identity_kind_name(in->kind));
        w->patterns = calloc(in->count, sizeof(*w->patterns));
        for (; w->patterns != NULL && w->count < in->count; w->count++) {
            w->patterns[w->count] = strdup(in->patterns[w->count]);
            if (w->patterns[w->count] == NULL)
                break;
        }
        if (w->count < in->count)
            return err_set(err, "out of memory");
    }
    return 0;
}

static int build_targets(struct row *r, const struct policy_row *from, struct err *err)
{
    r->targets = calloc(from->target_count + 1, sizeof(*r->targets));
    if (r->targets == NULL)
        return err_set(err, "out of memory");
    for (size_t i = 0; i < from->target_count; i++)
        if (target_parse(from->targets[i], r->targets + r->target_count++, err) != 0)
            return -1;
    return 0;
}

static int build_row(struct row *r, const struct policy_row *from, struct err *err)
{
    CHECK(from->name != NULL && from->name[0] != '\0');
    r->name = strdup(from->name);
    r->routes = calloc(from->route_count + 1, sizeof(*r->routes));
    if (r->name == NULL || r->routes == NULL)
        return err_set(err, "out of memory");
    r->deny = from->deny;
    r->proven = from->who_proven;
    r->route_count = from->route_count;
    if (from->route_count > 0)
        memcpy(r->routes, from->routes, from->route_count * sizeof(*r->routes));
    if (build_who(r, from, err) != 0 || build_targets(r, from, err) != 0)
        return err_prefix(err, "policy row %s", from->name);
    return 0;
}

struct policy *policy_build(const struct policy_row *rows, size_t count, struct err *err)
{
    struct policy *p = calloc(1, sizeof(*p) + count * sizeof(p->rows[0]));
    if (p == NULL) {
        err_set(err, "out of memory");
        return NULL;
    }
    p->magic = POLICY_MAGIC;
    for (size_t i = 0; i < count; i++)
        if (build_row(p->rows + p->row_count++, rows + i, err) != 0) {
            policy_free(p);
            return NULL;
        }
    return p;
}

static bool who_has(const struct who *w, const struct identity *id)
{
    for (uint32_t f = 0; f < id->count; f++) {
        if (id->facts[f].kind != w->kind)
            continue;
        for (size_t i = 0; i < w->count; i++) {
            bool fits = w->kind == IDENTITY_DNS ? str_glob_nocase(w->patterns[i], id->facts[f].value)
                                                : str_glob(w->patterns[i], id->facts[f].value);
            if (fits)
                return true;
        }
    }
    return false;
}

/* Is the row for this identity on this route? */
static bool row_is_for(const struct row *r, uint32_t route, const struct identity *id)
{
    bool on_route = r->route_count == 0;
    for (size_t i = 0; i < r->route_count && !on_route; i++)
        on_route = r->routes[i] == route;
    if (!on_route || (r->proven && id == NULL))
        return false;
    for (size_t i = 0; i < r->who_count; i++)
        if (id == NULL || !who_has(r->who + i, id))
            return false;
    return true;
}

static struct policy_verdict verdict(enum policy_effect effect, const struct row *r)
{
    return (struct policy_verdict){.effect = effect, .rule = r != NULL ? r->name : NULL};
}

static struct policy_verdict use(const struct policy *p, uint32_t route, const struct identity *id,
                                 bool tunnel)
{
    CHECK_MAGIC(p, POLICY_MAGIC);
    CHECK(id == NULL || id->magic == IDENTITY_MAGIC);
    for (size_t i = 0; i < p->row_count; i++) {
        const struct row *r = p->rows + i;
        if (r->target_count > 0 && (r->deny || !tunnel))
            continue;
        if (row_is_for(r, route, id))
            return verdict(r->deny ? POLICY_DENY : POLICY_ALLOW, r);
    }
    return verdict(POLICY_DENY, NULL);
}

struct policy_verdict policy_use_route(const struct policy *p, uint32_t route, const struct identity *id)
{
    return use(p, route, id, false);
}

struct policy_verdict policy_use_tunnel(const struct policy *p, uint32_t route, const struct identity *id)
{
    return use(p, route, id, true);
}

/* What is asked for. */
struct question {
    const struct policy_host *host;
    const struct policy_address *address; /* NULL: not known yet */
    uint16_t port;
};

static enum target_match row_match(const struct row *r, const struct question *q)
{
    enum target_match best = r->deny && r->target_count == 0 ? TARGET_YES : TARGET_NO;
    for (size_t i = 0; i < r->target_count && best != TARGET_YES; i++)
        if (target_match_port(r->targets + i, q->port))
            best = MAX(best, target_match_host(r->targets + i, q->host, q->address, r->deny));
    return best;
}

/* Remember an allow row that came near: one with the right host and other ports beats one with the right host
 * beats one with the right port beats the first one. */
static void consider_near(const struct row *r, const struct question *q, int *best, struct policy_verdict *v)
{
    if (r->deny)
        return;
    if (*best < 0 && r->target_count == 0) {
        *best = 0;
        v->near_rule = r->name;
    }
    for (size_t i = 0; i < r->target_count; i++) {
        const struct target *t = r->targets + i;
        if (t->space != q->host->space)
            continue;
        bool other_ports = q->port > 0 && t->port_first > 0; /* else one is of no port at all */
        int nearness = target_match_host(t, q->host, q->address, false) == TARGET_YES ? 3 + other_ports
                       : target_match_port(t, q->port)                                ? 2
                                                                                      : 1;
        if (nearness > *best) {
            *best = nearness;
            v->near_rule = r->name;
            v->near_target = t->text;
            v->near_port = nearness > 3;
        }
    }
}

/* The first row that matches decides. A row that may match, if the address is right, decides nothing by
 * itself; but when it would decide otherwise than the first row that surely matches, the answer waits for the
 * address. */
static struct policy_verdict decide(const struct policy *p, uint32_t route, const struct identity *id,
                                    const struct question *q)
{
    CHECK_MAGIC(p, POLICY_MAGIC);
    CHECK(id == NULL || id->magic == IDENTITY_MAGIC);
    struct policy_verdict near = verdict(POLICY_DENY, NULL);
    bool may_allow = false, may_deny = false;
    int nearness = -1;
    for (size_t i = 0; i < p->row_count; i++) {
        const struct row *r = p->rows + i;
        if (!row_is_for(r, route, id))
            continue;
        switch (row_match(r, q)) {
        case TARGET_YES:
            if (r->deny ? may_allow : may_deny)
                return (struct policy_verdict){.effect = POLICY_NEED_ADDRESS, .by_name = !r->deny};
            return verdict(r->deny ? POLICY_DENY : POLICY_ALLOW, r);
        case TARGET_MAYBE:
            CHECK(q->address == NULL);
            *(r->deny ? &may_deny : &may_allow) = true;
            break;
        case TARGET_NO:
            consider_near(r, q, &nearness, &near);
            break;
        }
    }
    return may_allow ? verdict(POLICY_NEED_ADDRESS, NULL) : near;
}

struct policy_verdict policy_reach(const struct policy *p, uint32_t route, const struct identity *id,
                                   const struct policy_host *host, uint16_t port)
{
    struct question q = {host, host->is_address ? &host->address : NULL, port};
    if (q.address != NULL && policy_address_is_unspecified(q.address))
        return verdict(POLICY_DENY, NULL);
    return decide(p, route, id, &q);
}

struct policy_verdict policy_reach_address(const struct policy *p, uint32_t route, const struct identity *id,
                                           const struct policy_host *host, const struct sockaddr *address,
                                           uint16_t port)
{
    struct policy_address a = policy_address_of(address);
    if (policy_address_is_unspecified(&a))
        return verdict(POLICY_DENY, NULL);
    struct question q = {host, &a, port};
    struct policy_verdict v = decide(p, route, id, &q);
    CHECK(v.effect != POLICY_NEED_ADDRESS);
    return v;
}

const char *policy_denial(const struct policy_verdict *v, const struct identity *id, const char *action,
                          const char *missing, char text[POLICY_TEXT_MAX])
{
    CHECK(v->effect == POLICY_DENY);
    const char *who = id != NULL ? identity_label(id) : "a client without a certificate";
    char would[POLICY_TEXT_MAX] = "", near[POLICY_TEXT_MAX] = "";
    if (v->rule != NULL) {
        snprintf(text, POLICY_TEXT_MAX, "rule %s does not let %s %s", v->rule, who, action);
        return text;
    }
    if (missing != NULL)
        snprintf(would, sizeof(would), ": a row for %s with the target %s would", who, missing);
    if (v->near_target != NULL)
        snprintf(near, sizeof(near), " (rule %s allows %s%s)", v->near_rule,
                 v->near_port ? "other ports of it: " : "", v->near_target);
    else if (v->near_rule != NULL)
        snprintf(near, sizeof(near), " (rule %s has no targets)", v->near_rule);
    int n = snprintf(text, POLICY_TEXT_MAX, "no rule lets %s %s%s", who, action, would);
    if (n > 0 && n < POLICY_TEXT_MAX)
        snprintf(text + n, (size_t)(POLICY_TEXT_MAX - n), "%s", near);
    return text;
}
