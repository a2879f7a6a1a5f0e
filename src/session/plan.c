/* SPDX-License-Identifier: Apache-2.0 */
#include "session/plan.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/file.h"
#include "config/config.h"
#include "policy/policy.h"
#include "route/route.h"

#define PLAN_MAGIC 0x91a40000u

/* The making of one plan. */
struct making {
    struct plan *plan;
    struct complaints said;
};

const char *const *plan_texts(const struct config_texts *texts)
{
    const char **v = calloc(texts->n + 1, sizeof(char *));
    CHECK(v != NULL);
    for (size_t i = 0; i < texts->n; i++)
        v[i] = texts->v[i].text;
    return v;
}

void plan_texts_done(const char *const *v)
{
    free((void *)(uintptr_t)v);
}

void plan_complain(const struct plan *plan, struct config_pos at, const struct err *why, struct buf *errors)
{
    struct err err;
    config_error(plan->config, at, &err, "%s", why->text);
    if (errors != NULL)
        buf_printf(errors, "%s\n", err.text);
}

void complain(struct complaints *said, struct config_pos at, const struct err *why)
{
    plan_complain(said->plan, at, why, said->errors);
    said->failed = true;
}

/* ---- the lookup table ---- */

static size_t listeners_of(const struct config *c, const struct config_route *rc, uint32_t *ret)
{
    size_t n = 0;
    for (size_t i = 0; i < rc->listeners.n; i++)
        for (size_t k = 0; k < c->listeners.n; k++)
            if (strcmp(rc->listeners.v[i].text, c->listeners.v[k].name.text) == 0)
                ret[n++] = (uint32_t)k;
    return n;
}

static int add_names_file(struct route_builder *builder, const struct config_route *rc, struct err *err)
{
    struct buf text = {0};
    if (rc->sni_file.text == NULL)
        return 0;
    if (file_read(rc->sni_file.text, PLAN_SNI_FILE_MAX, &text, NULL, err) != 0)
        return -1;
    int ret = route_builder_names(builder, (const char *)text.data, text.len, err);
    if (ret != 0)
        err_prefix(err, "%s", rc->sni_file.text);
    buf_free(&text);
    return ret;
}

/* No listener named: all that speak TLS. */
static void let_in(struct plan *plan, const struct route_rule *rule)
{
    for (size_t i = 0; rule->listener_count == 0 && i < plan->config->listeners.n; i++)
        plan->ports[i].kinds |= rule->kinds;
    for (size_t i = 0; i < rule->listener_count; i++)
        plan->ports[rule->listeners[i]].kinds |= rule->kinds;
}

static int add_rule(struct making *m, struct route_builder *builder, size_t i, struct err *err)
{
    const struct config *c = m->plan->config;
    const struct config_route *rc = &c->routes.v[i];
    uint32_t *listeners = calloc(c->listeners.n + rc->listeners.n + 1, sizeof(uint32_t));
    CHECK(listeners != NULL);
    struct route_rule rule = {
        .id = (uint32_t)i,
        .name = rc->name.text,
        .listeners = listeners,
        .listener_count = listeners_of(c, rc, listeners),
        .kinds = plan_kinds_of(m->plan, rc),
        .any_sni = rc->sni.n == 0 && rc->sni_file.text == NULL,
        .sni = plan_texts(&rc->sni),
        .sni_count = rc->sni.n,
        .alpn = plan_texts(&rc->alpn),
        .alpn_count = rc->alpn.n,
    };
    let_in(m->plan, &rule);
    int ret = route_builder_add(builder, &rule, err);
    if (ret == 0)
        ret = add_names_file(builder, rc, err);
    free(listeners);
    plan_texts_done(rule.sni);
    plan_texts_done(rule.alpn);
    return ret;
}

static void build_table(struct making *m)
{
    const struct config *c = m->plan->config;
    struct hash_key key = hash_random_key();
    struct route_builder *builder = route_builder_new(&key);
    CHECK(builder != NULL);
    struct err err;
    for (size_t i = 0; i < c->routes.n; i++)
        if (add_rule(m, builder, i, &err) != 0) {
            const struct config_route *rc = &c->routes.v[i];
            complain(&m->said, rc->sni_file.text != NULL ? rc->sni_file.at : rc->head.at, &err);
            route_builder_free(builder);
            return;
        }
    m->plan->table = route_builder_finish(builder, &err);
    if (m->plan->table == NULL)
        complain(&m->said, c->routes.n > 0 ? c->routes.v[0].head.at : c->head.at, &err);
}

/* ---- policy ---- */

static size_t who_of(const struct config_who *w, struct policy_who ret[IDENTITY_KINDS])
{
    const struct {
        enum identity_kind kind;
        const struct config_texts *texts;
    } keys[] = {{IDENTITY_NAME, &w->name},   {IDENTITY_DNS, &w->dns},       {IDENTITY_URI, &w->uri},
                {IDENTITY_EMAIL, &w->email}, {IDENTITY_ISSUER, &w->issuer}, {IDENTITY_GROUP, &w->group}};
    size_t n = 0;
    for (size_t i = 0; i < ARRAY_LEN(keys); i++)
        if (keys[i].texts->n > 0)
            ret[n++] = (struct policy_who){keys[i].kind, plan_texts(keys[i].texts), keys[i].texts->n};
    return n;
}

static void fill_row(const struct config *c, const struct config_policy_row *pc, struct policy_row *row)
{
    struct policy_who *who = calloc(IDENTITY_KINDS, sizeof(*who));
    uint32_t *routes = calloc(pc->routes.n + 1, sizeof(uint32_t));
    const char **targets = calloc(pc->targets.n + 1, sizeof(char *));
    CHECK(who != NULL && routes != NULL && targets != NULL);
    for (size_t i = 0; i < pc->routes.n; i++)
        routes[i] = (uint32_t)(config_route_find(c, pc->routes.v[i].text) - c->routes.v);
    for (size_t i = 0; i < pc->targets.n; i++)
        targets[i] = pc->targets.v[i].text;
    *row = (struct policy_row){
        .name = pc->name.text,
        .deny = pc->effect == CONFIG_DENY,
        .who_any = pc->who.any,
        .who_proven = pc->who.proven,
        .who = who,
        .who_count = who_of(&pc->who, who),
        .routes = routes,
        .route_count = pc->routes.n,
        .targets = targets,
        .target_count = pc->targets.n,
    };
}

static void row_done(struct policy_row *row)
{
    for (size_t i = 0; i < row->who_count; i++)
        plan_texts_done(row->who[i].patterns);
    free((void *)(uintptr_t)row->who);
    free((void *)(uintptr_t)row->routes);
    plan_texts_done(row->targets);
}

static void build_policy(struct making *m)
{
    const struct config_policy *p = &m->plan->config->policy;
    struct policy_row *rows = calloc(p->n + 1, sizeof(*rows));
    CHECK(rows != NULL);
    struct err err;
    for (size_t i = 0; i < p->n; i++) {
        fill_row(m->plan->config, &p->v[i], &rows[i]);
        for (size_t k = 0; k < p->v[i].targets.n; k++)
            if (policy_target_check(p->v[i].targets.v[k].text, &err) != 0)
                complain(&m->said, p->v[i].targets.v[k].at, &err);
    }
    if (!m->said.failed && (m->plan->policy = policy_build(rows, p->n, &err)) == NULL)
        complain(&m->said, p->n > 0 ? p->v[0].head.at : m->plan->config->head.at, &err);
    for (size_t i = 0; i < p->n; i++)
        row_done(&rows[i]);
    free(rows);
}

/* ---- life ---- */

struct plan *plan_new(struct config *config)
{
    struct plan *plan = calloc(1, sizeof(*plan));
    CHECK(plan != NULL && config != NULL);
    plan->magic = PLAN_MAGIC;
    atomic_store(&plan->refs, 1);
    plan->config = config;
    return plan;
}

int plan_make(struct plan *plan, struct buf *errors)
{
    struct making m = {.plan = plan, .said = {.plan = plan, .errors = errors}};
    CHECK_MAGIC(plan, PLAN_MAGIC);
    plan_ports_make(plan, &m.said);
    build_table(&m);
    build_policy(&m);
    return m.said.failed ? -1 : 0;
}

struct plan *plan_ref(struct plan *plan)
{
    CHECK_MAGIC(plan, PLAN_MAGIC);
    atomic_fetch_add(&plan->refs, 1);
    return plan;
}

void plan_unref(struct plan *plan)
{
    CHECK_MAGIC(plan, PLAN_MAGIC);
    if (atomic_fetch_sub(&plan->refs, 1) > 1)
        return;
    plan_ports_free(plan);
    policy_free(plan->policy);
    route_table_free(plan->table);
    config_free(plan->config);
    plan->magic = 0;
    free(plan);
}
