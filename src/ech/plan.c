/* SPDX-License-Identifier: Apache-2.0 */
#include "ech/plan.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/ech_limits.h"
#include "base/str.h"
#include "ech/records.h"
#include "net/hook.h"

#define WAIT_MIN 1 /* seconds until a record that failed is tried again, then twice as long each time */
#define WAIT_MAX 300

void ech_plan_free(struct ech_plan *plan)
{
    for (size_t i = 0; i < plan->n; i++)
        free(plan->targets[i].name);
    hook_words_free(plan->hook);
    free(plan->targets);
    free(plan->alpn);
    free(plan->zone);
    free(plan->key_name);
    free(plan->secret_file);
    *plan = (struct ech_plan){0};
}

void ech_plan_make(struct ech_plan *plan, const struct ech_publisher_settings *s)
{
    CHECK(s->names_len <= ECH_NAMES_MAX);
    *plan = (struct ech_plan){.n = s->names_len,
                              .alpn = str_dup(s->alpn),
                              .zone = str_dup(s->zone),
                              .key_name = str_dup(s->key_name),
                              .secret_file = str_dup(s->secret_file),
                              .hook = hook_words_copy(s->hook),
                              .hook_timeout = s->hook_timeout,
                              .ttl = s->ttl,
                              .settle = s->settle,
                              .server = s->server};
    plan->targets = calloc(plan->n + 1, sizeof(*plan->targets));
    CHECK(plan->targets != NULL);
    for (size_t i = 0; i < plan->n; i++)
        plan->targets[i].name = str_dup(s->names[i]);
}

static bool is_same_text(const char *a, const char *b)
{
    return a == NULL || b == NULL ? a == b : strcmp(a, b) == 0;
}

/* To a NULL each; NULL: there are none. */
static bool is_same_words(char *const *a, char *const *b)
{
    size_t i = 0;
    if (a == NULL || b == NULL)
        return a == b;
    while (a[i] != NULL && is_same_text(a[i], b[i]))
        i++;
    return is_same_text(a[i], b[i]);
}

bool ech_plan_goes_as(const struct ech_plan *a, const struct ech_plan *b)
{
    char at[NET_ADDR_TEXT_MAX], other[NET_ADDR_TEXT_MAX];
    return is_same_words(a->hook, b->hook) && a->hook_timeout == b->hook_timeout &&
           strcmp(net_addr_format(&a->server, at), net_addr_format(&b->server, other)) == 0 &&
           is_same_text(a->zone, b->zone) && is_same_text(a->key_name, b->key_name) &&
           is_same_text(a->secret_file, b->secret_file);
}

bool ech_plan_is(const struct ech_plan *a, const struct ech_plan *b)
{
    bool same = ech_plan_goes_as(a, b) && a->n == b->n && is_same_text(a->alpn, b->alpn) &&
                a->ttl == b->ttl && a->settle == b->settle;
    for (size_t i = 0; same && i < a->n; i++)
        same = strcmp(a->targets[i].name, b->targets[i].name) == 0;
    return same;
}

struct ech_target *ech_plan_target(const struct ech_plan *plan, const char *name)
{
    for (size_t i = 0; i < plan->n; i++)
        if (strcmp(plan->targets[i].name, name) == 0)
            return &plan->targets[i];
    return NULL;
}

void ech_plan_keep_waits(struct ech_plan *plan, const struct ech_plan *before)
{
    for (size_t i = 0; i < plan->n; i++) {
        struct ech_target *t = &plan->targets[i];
        const struct ech_target *was = ech_plan_target(before, t->name);
        if (was == NULL)
            continue;
        t->retry_at = was->retry_at;
        t->wait = was->wait;
        memcpy(t->error, was->error, sizeof(t->error));
    }
}

/* ---- what is due ---- */

void ech_plan_said(const struct ech_plan *plan, char ret[ECH_SAID_MAX])
{
    snprintf(ret, ECH_SAID_MAX, "%lld %s", (long long)plan->ttl, plan->alpn);
}

static int64_t due(const struct ech_plan *plan, const struct ech_target *t, const struct ech_records *known,
                   const struct ech_plan_time *when)
{
    char said[ECH_SAID_MAX];
    int64_t key = ech_records_due(known, t->name, when->newest);
    const struct ech_record *n = ech_records_find(known, t->name);
    if (when->newest == 0)
        return 0;
    if (when->hurry)
        return key != 0 ? key : when->newest;
    ech_plan_said(plan, said);
    if (key == 0 && when->anew && strcmp(n->said, said) != 0)
        key = when->newest;
    return when->now >= t->retry_at ? key : 0;
}

bool ech_plan_find_due(struct ech_plan *plan, const struct ech_records *known,
                       const struct ech_plan_time *when)
{
    bool any = false;
    for (size_t i = 0; i < plan->n; i++) {
        plan->targets[i].due = due(plan, &plan->targets[i], known, when);
        any = any || plan->targets[i].due != 0;
    }
    return any;
}

/* ---- what has failed ---- */

void ech_target_failed(struct ech_target *t, const char *why, int64_t now)
{
    snprintf(t->error, sizeof(t->error), "%s", why);
    t->wait = MIN(MAX(2 * t->wait, (int64_t)WAIT_MIN), (int64_t)WAIT_MAX);
    t->retry_at = now + t->wait;
}

void ech_target_done(struct ech_target *t)
{
    t->error[0] = '\0';
    t->retry_at = t->wait = 0;
}

void ech_plan_failures(const struct ech_plan *plan, struct err *ret)
{
    size_t failed = 0;
    const struct ech_target *first = NULL;
    for (size_t i = plan->n; i-- > 0;)
        if (plan->targets[i].error[0] != '\0') {
            first = &plan->targets[i];
            failed++;
        }
    ret->text[0] = '\0';
    if (first != NULL)
        err_set(ret, "ech.publish: %zu of %zu records could not be replaced; they are tried again. %s: %s",
                failed, plan->n, first->name, first->error);
}
