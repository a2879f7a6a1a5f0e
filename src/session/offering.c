/* SPDX-License-Identifier: Apache-2.0 */
/* What a client on a tunnel route may offer as an agent, by the policy in force. */
#include <stdio.h>
#include <string.h>

#include "session/session_internal.h"
#include "session/worker.h"

void session_offer_target(const struct offer *o, char *ret, size_t cap)
{
    const char *word = o->kind == OFFER_PUBLIC ? "public:" : "offer:";
    if (o->port != 0)
        snprintf(ret, cap, "%s%s:%u", word, o->name, o->port);
    else
        snprintf(ret, cap, "%s%s", word, o->name);
}

/* By the policy of the session's configuration. */
static struct policy_verdict ask_policy(const struct session *s, const struct offer *o,
                                        enum policy_space space)
{
    struct policy_host host;
    struct err err;
    CHECK(policy_host_parse(o->name, strlen(o->name), &host, &err) == 0);
    host.space = space;
    return policy_reach(s->epoch->snap->policy, session_route_id(s), session_identity(s), &host, o->port);
}

static void deny(const struct session *s, const struct policy_verdict *v, const char *action,
                 const char *target, struct session_denial *ret)
{
    *ret = (struct session_denial){.reason = CLOSE_DENIED, .rule = v->rule};
    policy_denial(v, session_identity(s), action, target, ret->text);
}

static bool is_offer_allowed(const struct session *s, const struct offer *o, struct session_denial *ret)
{
    char action[POLICY_TEXT_MAX], target[HOST_MAX + 16];
    struct policy_verdict v = ask_policy(s, o, o->kind == OFFER_PUBLIC ? POLICY_PUBLIC : POLICY_OFFER);
    if (v.effect != POLICY_DENY)
        return true;
    session_offer_target(o, target, sizeof(target));
    snprintf(action, sizeof(action), "offer %s%s on route %s", o->name,
             o->kind == OFFER_PUBLIC ? " to everybody" : "", s->route->config->name.text);
    deny(s, &v, action, target, ret);
    return false;
}

bool session_may_offer(struct session *s, struct session_origin *at, const struct offer *o,
                       struct session_denial *ret)
{
    bool allowed =
        session_move_on(s, at->hello, ret) && session_believes_further(s, ret) && is_offer_allowed(s, o, ret);
    at->epoch = s->epoch;
    at->listener = s->listener;
    at->route = s->route;
    return allowed;
}

bool session_may_certify(struct session *s, struct session_origin *at, const struct offer *o,
                         struct session_denial *ret)
{
    char action[POLICY_TEXT_MAX], target[HOST_MAX + 16];
    if (!session_may_offer(s, at, o, ret))
        return false;
    struct policy_verdict v = ask_policy(s, o, POLICY_CERTIFY);
    if (v.effect != POLICY_DENY)
        return true;
    snprintf(target, sizeof(target), "certify:%s", o->name);
    snprintf(action, sizeof(action), "have %s certified by the door's CA", o->name);
    deny(s, &v, action, target, ret);
    return false;
}
