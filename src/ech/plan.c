/* SPDX-License-Identifier: Apache-2.0 */
#include "ech/plan.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/ech_limits.h"
#include "base/str.h"
#include "net/hook.h"

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
