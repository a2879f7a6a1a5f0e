/* SPDX-License-Identifier: Apache-2.0 */
/* Whom a visitor comes to: which name he asks for, who offers it and in which kind. Where nobody does just
 * now, but somebody did lately, he waits. */
#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "session/session_internal.h"
#include "session/worker.h"

static struct agents *view_of(const struct session *s)
{
    return s->worker->agents;
}

int64_t visit_grace(const struct session *s)
{
    return s->epoch->snap->config->agents.grace;
}

/* Names that agents offer are in lower case. */
void session_visit(struct session *s, const char *name, int kind)
{
    struct visit *v = &s->setup->visit;
    v->kind = kind;
    for (size_t i = 0; i + 1 < sizeof(v->name) && name[i] != '\0'; i++)
        v->name[i] = (char)tolower((unsigned char)name[i]);
}

bool session_turn_to_offer(struct session *s)
{
    struct setup *p = s->setup;
    struct front_target *t = &p->request.target;
    struct policy_host name = p->host;
    enum offer_kind kind;
    if (!session_is_tunnel(s) || t->udp || t->offered || name.is_address)
        return false;
    name.space = POLICY_NAME;
    enum agents_presence there = agents_find(view_of(s), t->host, visit_grace(s), &kind);
    bool open = there == AGENTS_PRESENT && kind == OFFER_PUBLIC;
    if (!open &&
        policy_reach(s->epoch->snap->policy, session_route_id(s), session_identity(s), &name, 0).effect !=
            POLICY_ALLOW)
        return false;
    p->visit.missed = there == AGENTS_NONE;
    if (p->visit.missed)
        return false;
    t->offered = true;
    t->port = 0;
    p->rule = NULL; /* what was said of the host */
    p->detail[0] = '\0';
    snprintf(p->target, sizeof(p->target), "name:%s", t->host);
    session_visit(s, t->host, open ? OFFER_PUBLIC : VISIT_ANY_KIND);
    return true;
}

/* ---- waiting ---- */

static void on_news(struct agents_waiter *w)
{
    struct visit *v = CONTAINER_OF(w, struct visit, waiter);
    session_run(v->session);
}

void visit_wait(struct session *s)
{
    struct visit *v = &s->setup->visit;
    v->session = s;
    v->waiter.wake = on_news;
    if (list_empty(&v->waiter.node))
        agents_wait(view_of(s), v->name, &v->waiter);
}

void visit_drain(struct session *s)
{
    if (s->setup != NULL && !list_empty(&s->setup->visit.waiter.node))
        loop_defer(s->worker->loop, &s->again);
}

/* ---- MEET: a visitor by server name ---- */

const char *visit_absence(const struct session *s)
{
    static const char *const texts[] = {
        [AGENTS_NEVER] = "no agent offers this name",
        [AGENTS_LOST] = "the agent that offered this name was lost, and none came back in time",
        [AGENTS_STOPPED] = "the agent that offered this name was stopped, and none came back in time",
        [AGENTS_BARRED] = "no agent offers this name: the door does not allow the one that did any more",
        [AGENTS_BEATEN] =
            "the agents that offered this name did so in different ways, and none came back in time",
    };
    enum offer_kind kind;
    const char *name = s->setup->visit.name;
    if (agents_find(view_of(s), name, 0, &kind) != AGENTS_PRESENT)
        return texts[agents_left(view_of(s), name)];
    struct agent *a = agents_first(view_of(s), name);
    bool unheard = agent_is_unheard(a);
    agent_unref(a);
    return unheard ? "the agent that offers this name does not answer, and no other came in time"
                   : "the agent that offers this name stops, and no other came in time";
}

static enum session_state nobody(struct session *s)
{
    session_detail(s, visit_absence(s));
    return session_refuse_hello(s, ALERT_UNRECOGNIZED_NAME, CLOSE_NO_AGENT);
}

static enum session_state meet_with(struct session *s, const struct hello *h)
{
    enum offer_kind kind = OFFER_PRIVATE;
    if (s->setup->visit.name[0] == '\0' || s->setup->expired)
        return nobody(s);
    switch (agents_find(view_of(s), s->setup->visit.name, visit_grace(s), &kind)) {
    case AGENTS_NONE:
        return nobody(s);
    case AGENTS_EXPECTED:
        if (s->worker->draining) {
            session_detail(s, VISIT_DOOR_STOPS);
            return session_refuse_hello(s, ALERT_UNRECOGNIZED_NAME, CLOSE_SHUTDOWN);
        }
        visit_wait(s);
        return SESSION_MEET;
    case AGENTS_PRESENT:
        break;
    }
    s->setup->visit.kind = (int)kind;
    snprintf(s->setup->target, sizeof(s->setup->target), "name:%s", s->setup->visit.name);
    if (kind == OFFER_END_TO_END)
        return SESSION_DIAL;
    if (kind == OFFER_PUBLIC)
        return session_begin_tls(s, s->route->tls_open, h);
    if (s->route->tls != NULL)
        return session_begin_tls(s, s->route->tls, h);
    session_detail(s,
                   "the name is offered in private, and the route has no 'clients' to tell who may visit it");
    return session_refuse_hello(s, ALERT_ACCESS_DENIED, CLOSE_DENIED);
}

enum session_state step_meet(struct session *s)
{
    return session_with_hello(s, meet_with);
}
