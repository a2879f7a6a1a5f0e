/* SPDX-License-Identifier: Apache-2.0 */
/* A session that runs is let alone by another policy. Would that one let it in? */
#include <string.h>
#include <sys/socket.h>

#include "session/session_internal.h"
#include "session/worker.h"

/* The route of that name that is in force; NULL: there is none, or nobody is asked who he is there. */
static const struct route_runtime *route_now(const struct session *s, const struct snapshot *now)
{
    const struct config *c = now->config;
    const struct config_route *r = config_route_find(c, s->route->config->name.text);
    if (r == NULL || r->action != s->route->config->action)
        return NULL;
    const struct route_runtime *route = &now->routes[r - c->routes.v];
    return route->ask_policy ? route : NULL;
}

/* What was asked for, from the text that is kept of it; false where there is none. */
static bool read_target(const struct session *s, struct policy_host *ret, uint16_t *ret_port)
{
    char text[HOST_MAX + 12], host[HOST_MAX];
    struct str note = session_note(s, NOTE_TARGET);
    enum policy_space space;
    if (note.len == 0 || note.len >= sizeof(text))
        return false;
    str_copy(text, sizeof(text), note.p, note.len);
    const char *place = policy_target_of(text, &space);
    if (str_host_port(place, strlen(place), host, ret_port, NULL) != 0 ||
        policy_host_parse(host, strlen(host), ret, NULL) != 0)
        return false;
    ret->space = space;
    return true;
}

/* A name is judged by the address that it has led to, too. */
static bool is_target_denied(const struct session *s, const struct policy *policy, uint32_t route)
{
    const struct identity *who = session_identity(s);
    struct policy_host host;
    struct sockaddr_storage at;
    socklen_t len = sizeof(at);
    uint16_t port;
    if (!read_target(s, &host, &port))
        return false;
    struct policy_verdict v = policy_reach(policy, route, who, &host, port);
    int fd = link_socket(link_bottom(s->up));
    if (v.effect == POLICY_NEED_ADDRESS && fd >= 0 && getpeername(fd, (struct sockaddr *)&at, &len) == 0)
        v = policy_reach_address(policy, route, who, &host, (const struct sockaddr *)&at, port);
    return v.effect == POLICY_DENY;
}

/* What is offered to everybody needs no row. */
static bool is_visit_denied(const struct session *s, const struct policy *policy, uint32_t route)
{
    const struct offer *o = agent_offer(s->agent);
    struct policy_host host;
    if (o->kind == OFFER_PUBLIC || policy_host_parse(o->name, strlen(o->name), &host, NULL) != 0)
        return false;
    host.space = POLICY_NAME;
    return policy_reach(policy, route, session_identity(s), &host, 0).effect == POLICY_DENY;
}

const struct route_runtime *session_route_now(const struct session *s)
{
    return route_now(s, s->worker->epoch->snap);
}

bool session_is_denied_now(const struct session *s)
{
    const struct snapshot *now = s->worker->epoch->snap;
    if (s->state != SESSION_PIPE || s->epoch == s->worker->epoch)
        return false;
    const struct route_runtime *route = route_now(s, now);
    if (route == NULL)
        return false;
    uint32_t id = (uint32_t)(route - now->routes);
    const struct identity *who = session_identity(s);
    if (route->config->action == CONFIG_TERMINATE || route->config->action == CONFIG_SERVE)
        return policy_use_route(now->policy, id, who).effect == POLICY_DENY;
    struct policy_verdict v = policy_use_tunnel(now->policy, id, who);
    if (who != NULL && session_is_tunnel(s) && v.effect == POLICY_DENY && v.rule != NULL)
        return true;
    return s->agent != NULL ? is_visit_denied(s, now->policy, id) : is_target_denied(s, now->policy, id);
}
