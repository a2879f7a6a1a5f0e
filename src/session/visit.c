/* SPDX-License-Identifier: Apache-2.0 */
/* To an agent: who offers the name is looked up, an errand brings a link to one of them, the agent is told of
 * the visitor and answers once its service has taken him. One that cannot serve is left for the next. Where
 * nobody offers the name just now, but somebody did lately, the visitor waits. */
#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "net/socket.h"
#include "session/session_internal.h"
#include "session/worker.h"

#define ANSWER_ROOM 1024
#define PATIENCE_NS NSEC_PER_SEC /* with an agent, while there is another */

/* A connection that an agent had brought may have died unnoticed: the agent's machine has to acknowledge the
 * message within that time, and this part of the dial_timeout, whatever its service takes to answer. So many
 * of one visitor may be dead. */
#define ACK_NS (2 * NSEC_PER_SEC)
#define ACK_PART 4
#define DEAD_MAX 4

static struct agents *view_of(const struct session *s)
{
    return s->worker->agents;
}

static int64_t grace_of(const struct session *s)
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
    enum agents_presence there = agents_find(view_of(s), t->host, grace_of(s), &kind);
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

void visit_cancel(struct session *s)
{
    struct visit *v = &s->setup->visit;
    list_remove(&v->waiter.node);
    if (!v->back)
        errand_cancel(v->errand);
    link_close(v->arrived, true);
    buf_free(&v->answer);
}

static void on_news(struct agents_waiter *w)
{
    struct visit *v = CONTAINER_OF(w, struct visit, waiter);
    session_run(v->session);
}

static void wait_for_news(struct session *s)
{
    struct visit *v = &s->setup->visit;
    v->session = s;
    v->waiter.wake = on_news;
    if (list_empty(&v->waiter.node))
        agents_wait(view_of(s), v->name, &v->waiter);
}

/* A door that stops is not one that agents come back to. */
static const char door_stops[] = "the door stops";

void visit_drain(struct session *s)
{
    if (s->setup != NULL && !list_empty(&s->setup->visit.waiter.node))
        loop_defer(s->worker->loop, &s->again);
}

/* ---- MEET: a visitor by server name ---- */

/* Why nobody is there, and how the last one went. */
static const char *absence(const struct session *s)
{
    static const char *const texts[] = {
        [AGENTS_NEVER] = "no agent offers this name",
        [AGENTS_LOST] = "the agent that offered this name was lost, and none came back in time",
        [AGENTS_STOPPED] = "the agent that offered this name was stopped, and none came back in time",
        [AGENTS_BARRED] = "no agent offers this name: the policy does not allow the one that did any more",
    };
    enum offer_kind kind;
    const char *name = s->setup->visit.name;
    if (agents_find(view_of(s), name, 0, &kind) == AGENTS_PRESENT)
        return "the agent that offers this name stops, and no other came in time";
    return texts[agents_left(view_of(s), name)];
}

static enum session_state nobody(struct session *s)
{
    session_detail(s, absence(s));
    return session_refuse_hello(s, ALERT_UNRECOGNIZED_NAME, CLOSE_NO_AGENT);
}

static enum session_state meet_with(struct session *s, const struct hello *h)
{
    enum offer_kind kind = OFFER_PRIVATE;
    if (s->setup->visit.name[0] == '\0' || s->setup->expired)
        return nobody(s);
    switch (agents_find(view_of(s), s->setup->visit.name, grace_of(s), &kind)) {
    case AGENTS_NONE:
        return nobody(s);
    case AGENTS_EXPECTED:
        if (s->worker->draining) {
            session_detail(s, door_stops);
            return session_refuse_hello(s, ALERT_UNRECOGNIZED_NAME, CLOSE_SHUTDOWN);
        }
        wait_for_news(s);
        return SESSION_MEET;
    case AGENTS_PRESENT:
        break;
    }
    s->setup->visit.kind = (int)kind;
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

/* ---- DIAL ---- */

static void on_arrived(void *owner, struct link *link)
{
    struct session *s = owner;
    struct visit *v = &s->setup->visit;
    v->arrived = link;
    v->back = true;
    loop_defer(s->worker->loop, &s->again);
}

/* `again`: it may be picked once more. */
static void leave_agent(struct session *s, bool again)
{
    struct visit *v = &s->setup->visit;
    agent_exit(s->agent);
    if (!again && v->tried_len < AGENTS_TRIED_MAX)
        v->tried[v->tried_len++] = agent_id(s->agent);
    agent_unref(s->agent);
    s->agent = NULL;
    v->errand = NULL;
    v->back = false;
}

/* The visit ends here. Who named the target is told. */
static enum session_state end_visit(struct session *s, enum front_outcome outcome, const char *text,
                                    enum close_reason reason)
{
    session_detail(s, text);
    if (s->setup->front == NULL)
        return session_end(s, reason);
    struct front_answer answer = {.outcome = outcome, .text = text};
    return session_answer_no(s, &answer, reason);
}

/* Nobody is left to try. */
static enum session_state unserved(struct session *s, enum front_outcome outcome, const char *text)
{
    return end_visit(s, outcome, text, CLOSE_NO_AGENT);
}

/* Nobody is there. Whom the policy had not let in for any other than a public offer is told that. */
static enum session_state unmet(struct session *s, enum front_outcome outcome)
{
    return s->setup->visit.uninvited ? session_refuse_visit(s) : unserved(s, outcome, absence(s));
}

static enum session_state service_is_down(struct session *s, const struct agent *a, unsigned down)
{
    struct err text;
    CHECK(down > FRONT_OK && down < FRONT_OUTCOMES);
    err_set(&text, "the service behind %s is down (health check of agent %s: %s)", s->setup->visit.name,
            agent_identity(a), front_code((enum front_outcome)down));
    return end_visit(s, (enum front_outcome)down, text.text, CLOSE_SERVICE_DOWN);
}

/* No agent takes visitors now: wait for one, unless that would be in vain. */
static enum session_state await_agent(struct session *s)
{
    struct visit *v = &s->setup->visit;
    enum offer_kind kind;
    enum agents_presence there = agents_find(view_of(s), v->name, grace_of(s), &kind);
    if (there == AGENTS_NONE)
        return unmet(s, FRONT_NO_SUCH_HOST);
    if (there == AGENTS_PRESENT && v->uninvited && kind != OFFER_PUBLIC)
        return session_refuse_visit(s);
    unsigned down;
    struct agent *a = agents_down(view_of(s), v->name, &down);
    if (a != NULL) {
        enum session_state next = service_is_down(s, a, down);
        agent_unref(a);
        return next;
    }
    wait_for_news(s);
    return SESSION_DIAL;
}

/* Offers of a name can change: whom a visitor was let in to is the kind that he is led to. */
static struct agent *pick(struct session *s)
{
    struct visit *v = &s->setup->visit;
    if (v->tried_len == AGENTS_TRIED_MAX)
        return NULL;
    return agents_pick(view_of(s), v->name, v->kind, v->tried, v->tried_len);
}

/* Is there another agent than the present one? */
static bool others_are_left(const struct session *s)
{
    const struct visit *v = &s->setup->visit;
    uint64_t tried[AGENTS_TRIED_MAX + 1];
    memcpy(tried, v->tried, v->tried_len * sizeof(*tried));
    tried[v->tried_len] = agent_id(s->agent);
    struct agent *a = agents_pick(view_of(s), v->name, v->kind, tried, v->tried_len + 1);
    bool left = a != NULL && agent_offer(a)->kind == agent_offer(s->agent)->kind;
    agent_unref(a);
    return left && v->tried_len + 1 < AGENTS_TRIED_MAX;
}

int64_t visit_share(const struct session *s, int64_t left)
{
    return s->agent != NULL && others_are_left(s) ? MIN(left / 2, PATIENCE_NS) : left;
}

static enum session_state find_agent(struct session *s)
{
    struct visit *v = &s->setup->visit;
    size_t limit = s->epoch->snap->config->agents.connections;
    if (limit > 0 && agents_visitors(view_of(s), v->name) >= limit)
        return unserved(s, FRONT_LIMIT, "the name has as many visitors as it may");
    s->agent = pick(s);
    if (s->agent != NULL && agent_offer(s->agent)->udp && !v->at_port) {
        agent_unref(s->agent);
        s->agent = NULL;
        return unserved(s, FRONT_REFUSED,
                        "this is offered over UDP: it is reached at its port of the door only");
    }
    if (s->agent != NULL) {
        agent_enter(s->agent);
        v->errand = agents_visit(view_of(s), s->agent, on_arrived, s);
        session_share_deadline(s);
        return SESSION_DIAL;
    }
    if (v->tried_len > 0)
        return unserved(s, v->last.outcome, v->last.text);
    if (s->worker->draining)
        return end_visit(s, FRONT_UNREACHABLE, door_stops, CLOSE_SHUTDOWN);
    return await_agent(s);
}

static enum session_state no_link(struct session *s, enum front_outcome outcome, const char *text)
{
    struct visit *v = &s->setup->visit;
    if (!v->back)
        errand_cancel(v->errand);
    link_close(v->arrived, true);
    v->arrived = NULL;
    agent_failed(s->agent, loop_now(s->worker->loop));
    leave_agent(s, false);
    v->last.outcome = outcome;
    str_copy(v->last.text, sizeof(v->last.text), text, strlen(text));
    return find_agent(s);
}

/* Time is over. An agent that has gone without a word is found out like this only: there may be another. */
static bool may_go_on(struct session *s)
{
    bool left = s->agent != NULL && others_are_left(s);
    s->setup->expired = !left;
    return left;
}

enum session_state visit_dial(struct session *s)
{
    struct visit *v = &s->setup->visit;
    static const char late[] = "the agent did not answer in time";
    if (s->setup->expired && may_go_on(s))
        return no_link(s, FRONT_TIMEOUT, late);
    if (s->setup->expired)
        return s->agent == NULL ? unmet(s, FRONT_TIMEOUT) : unserved(s, FRONT_TIMEOUT, late);
    if (s->agent == NULL)
        return find_agent(s);
    if (!v->back)
        return SESSION_DIAL;
    if (v->arrived == NULL)
        return no_link(s, FRONT_UNREACHABLE, "the agent could not be reached");
    s->up = v->arrived;
    v->arrived = NULL;
    s->up->wake = session_wake_link;
    s->up->owner = s;
    socket_expect_ack(link_socket(link_bottom(s->up)),
                      MIN(ACK_NS, s->route->config->limits.dial_timeout / ACK_PART));
    return SESSION_GREET;
}

/* ---- GREET ---- */

/* False when what is to be said of the visitor does not fit a message. */
static bool announce(struct session *s)
{
    struct buf out = {0};
    int fd = link_socket(link_bottom(s->down));
    struct link_peer peer;
    link_peer(s->down, &peer);
    struct net_addr local = s->setup->local;
    if (local.family == AF_UNSPEC && fd >= 0)
        local = socket_local(fd);
    struct front_visit visit = {
        .name = s->setup->visit.name,
        .peer = s->peer,
        .local = local,
        .identity = peer.identity == NULL ? NULL : identity_label(peer.identity),
        .sni = session_note(s, NOTE_SNI),
        .alpn = peer.alpn,
        .udp = agent_offer(s->agent)->udp,
    };
    bool fits = agent_front(s->agent)->greet(&visit, &out);
    if (fits)
        session_say(s, s->up, out.data, out.len);
    buf_free(&out);
    return fits;
}

/* Leave the agent and try another; or the same one `again`, where there is no other. */
static enum session_state try_next(struct session *s, bool again)
{
    agent_failed(s->agent, loop_now(s->worker->loop));
    link_close(s->up, true);
    s->up = NULL;
    buf_free(&s->setup->say_up);
    buf_free(&s->setup->visit.answer);
    s->setup->greeted = s->setup->unheard = false;
    leave_agent(s, again);
    return SESSION_DIAL;
}

/* This agent cannot serve. */
static enum session_state not_served(struct session *s, enum front_outcome outcome, const char *text)
{
    struct visit *v = &s->setup->visit;
    v->last.outcome = outcome;
    if (text != v->last.text)
        str_copy(v->last.text, sizeof(v->last.text), text, strlen(text));
    return try_next(s, false);
}

/* The link broke before there was an answer. Was it a connection that had waited, so was it that which died:
 * the agent may have others that are alive. Nothing that the visitor has sent went into it. */
static enum session_state went_away(struct session *s)
{
    struct visit *v = &s->setup->visit;
    bool waited = link_socket(link_bottom(s->up)) >= 0;
    if (waited && v->answer.len == 0 && v->dead++ < DEAD_MAX)
        return try_next(s, true);
    return not_served(s, FRONT_UNREACHABLE, "the agent went away before it had answered");
}

static enum session_state served(struct session *s)
{
    struct visit *v = &s->setup->visit;
    agent_succeeded(s->agent);
    socket_expect_ack(link_socket(link_bottom(s->up)), 0);
    buf_consume(&v->answer, v->last.used); /* the rest comes from the service: JOIN passes it on */
    return SESSION_JOIN;
}

static enum link_status read_answer(struct session *s)
{
    struct buf *b = &s->setup->visit.answer;
    size_t n = 0;
    CHECK(buf_reserve(b, ANSWER_ROOM));
    enum link_status status = link_read(s->up, b->data + b->len, ANSWER_ROOM, &n);
    b->len += status == LINK_OK ? n : 0;
    return status;
}

enum session_state visit_greet(struct session *s)
{
    struct visit *v = &s->setup->visit;
    static const char late[] = "the agent's service did not answer in time";
    if (s->setup->expired)
        return may_go_on(s) ? not_served(s, FRONT_TIMEOUT, late) : unserved(s, FRONT_TIMEOUT, late);
    if (s->setup->unheard)
        return went_away(s);
    if (!s->setup->greeted) {
        if (!announce(s))
            return unserved(s, FRONT_LIMIT, "the visitor's names are too long to be told to the agent");
        s->setup->greeted = true;
        return s->setup->say_up.len > 0 ? SESSION_GREET : visit_greet(s);
    }
    for (;;) {
        struct err err;
        switch (agent_front(s->agent)->greeted(v->answer.data, v->answer.len, &v->last, &err)) {
        case FRONT_MORE:
            break;
        case FRONT_BAD:
            return not_served(s, FRONT_UNREACHABLE, err.text);
        default:
            if (v->last.outcome == FRONT_OK)
                return served(s);
            return not_served(s, v->last.outcome, v->last.text);
        }
        enum link_status status = read_answer(s);
        if (status == LINK_AGAIN)
            return SESSION_GREET;
        if (status != LINK_OK)
            return went_away(s);
    }
}
