/* SPDX-License-Identifier: Apache-2.0 */
/* What of the policy can never match. Only what is certain by the configuration alone: nothing is known here
 * of who will come. */
#include <string.h>

#include "admin/tell_internal.h"
#include "base/check.h"
#include "base/str.h"
#include "policy/policy.h"
#include "session/snapshot.h"

/* ---- what rows before it decide ---- */

static bool has_targets(const struct config_route *rc)
{
    return rc->action == CONFIG_TUNNEL || rc->action == CONFIG_EXPOSE;
}

static bool targets_count(void *arg, size_t row)
{
    const struct telling *t = arg;
    const struct config *c = t->snap->config;
    for (size_t i = 0; i < c->routes.n; i++)
        if (has_targets(&c->routes.v[i]) && tell_row_is_for(&c->policy.v[row], c->routes.v[i].name.text))
            return true;
    return false;
}

static void on_shadow(void *arg, const struct policy_shadow *s)
{
    struct telling *t = arg;
    const struct config_policy_row *row = &t->snap->config->policy.v[s->row];
    const char *does = s->by_denies ? "denies" : "allows";
    if (s->target == SIZE_MAX)
        tell_warn(t, row->head.at, "rule %s can never decide: rule %s before it %s all that it is for",
                  row->name.text, s->by, does);
    else
        tell_warn(t, row->targets.v[s->target].at,
                  "target %s of rule %s can never match: rule %s before it %s it",
                  row->targets.v[s->target].text, row->name.text, s->by, does);
}

/* ---- what nobody asks about where the row counts ---- */

/* The action that all routes have which the row names; false when it names none, or they differ. */
static bool is_only_for(const struct config *c, const struct config_policy_row *row,
                        enum config_action action)
{
    for (size_t i = 0; i < row->routes.n; i++)
        if (config_route_find(c, row->routes.v[i].text)->action != action)
            return false;
    return row->routes.n > 0;
}

static bool may_be_name_there(const struct config *c, const struct config_policy_row *row, const char *target)
{
    for (size_t i = 0; i < row->routes.n; i++)
        if (tell_may_be_name_of(target, config_route_find(c, row->routes.v[i].text)))
            return true;
    return false;
}

/* May an agent offer, by some row, what this entry `name:NAME` speaks of? */
static bool may_be_offered(const struct config *c, const char *name)
{
    for (size_t i = 0; i < c->policy.n; i++)
        for (size_t k = 0; k < c->policy.v[i].targets.n && c->policy.v[i].effect == CONFIG_ALLOW; k++) {
            enum policy_space space;
            char offered[512];
            const char *rest = policy_target_of(c->policy.v[i].targets.v[k].text, &space);
            if (space != POLICY_OFFER && space != POLICY_PUBLIC)
                continue;
            if (!str_copy(offered, sizeof(offered), rest, strcspn(rest, ":")) ||
                str_globs_meet(offered, name))
                return true;
        }
    return false;
}

/* Is the port one of the door's own, over TCP and UDP alike? No agent gets it then. */
static bool is_port_of_door(const struct snapshot *snap, uint16_t port)
{
    const struct config *c = snap->config;
    bool tcp = c->admin.metrics.text.text != NULL && c->admin.metrics.port == port, udp = false;
    for (size_t i = 0; i < c->listeners.n; i++) {
        bool same = c->listeners.v[i].address.port == port;
        tcp |= same;
        udp |= same && snapshot_listens_udp(snap, i);
    }
    return tcp && udp;
}

static bool are_ports_of_door(const struct snapshot *snap, const struct policy_target_facts *f)
{
    uint32_t port = f->port_first;
    while (port > 0 && port <= f->port_last && is_port_of_door(snap, (uint16_t)port))
        port++;
    return f->port_first > 0 && port > f->port_last;
}

/* Why an entry can never match; NULL: it may. */
static const char *why_never(const struct snapshot *snap, const struct config_policy_row *row,
                             const char *target)
{
    const struct config *c = snap->config;
    struct policy_target_facts f;
    enum policy_space space;
    const char *rest = policy_target_of(target, &space);
    CHECK(policy_target_facts(target, &f));
    if (is_only_for(c, row, CONFIG_EXPOSE)) {
        if (f.space != POLICY_NAME)
            return f.space == POLICY_OFFER || f.space == POLICY_PUBLIC || f.space == POLICY_CERTIFY
                       ? "agents make offers on tunnel routes, and the row is for routes with expose only"
                       : "hosts are reached on tunnel routes, and the row is for routes with expose only; "
                         "visitors there are let in by 'name:NAME'";
        if (!may_be_name_there(c, row, target))
            return "no route that the row is for leads to such a name";
    }
    if (row->effect == CONFIG_DENY)
        return NULL;
    if (f.space == POLICY_NAME && !may_be_offered(c, rest))
        return "no row allows an agent to offer such a name ('offer:NAME')";
    if (f.space == POLICY_CERTIFY && (c->ca == NULL || c->ca->agents == NULL))
        return "this door's CA certifies nothing that agents offer ('agents' of 'ca' is missing)";
    if (f.space == POLICY_CERTIFY && !may_be_offered(c, rest))
        return "no row allows an agent to offer such a name ('offer:NAME')";
    if (f.space == POLICY_PUBLIC && are_ports_of_door(snap, &f))
        return "the door itself listens there, so no agent gets the port";
    return f.nowhere ? "that address is never connected to" : NULL;
}

static void warn_of_targets(struct telling *t, const struct config_policy_row *row)
{
    for (size_t i = 0; i < row->targets.n; i++) {
        const struct config_text *target = &row->targets.v[i];
        const char *why = why_never(t->snap, row, target->text);
        if (why != NULL)
            tell_warn(t, target->at, "target %s of rule %s can never match: %s", target->text, row->name.text,
                      why);
    }
}

void tell_idle_rows(struct telling *t)
{
    for (size_t i = 0; i < t->snap->config->policy.n; i++)
        warn_of_targets(t, &t->snap->config->policy.v[i]);
    policy_shadows(t->snap->policy, targets_count, on_shadow, t);
}
