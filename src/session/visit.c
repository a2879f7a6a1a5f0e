/* SPDX-License-Identifier: Apache-2.0 */
/* To an agent: who offers the name is looked up, an errand brings a link to one of them, the agent is told of
 * the visitor and answers once its service has taken him. One that cannot serve is left for the next. Where
 * nobody offers the name just now, but somebody did lately, the visitor waits. */
#include <ctype.h>
#include <string.h>

#include "net/socket.h"
#include "session/session_internal.h"

#define ANSWER_ROOM 1024

static const char no_agent[] = "no agent offers this name",
                  not_back[] = "no agent that offers this name came back in time";

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

/* ---- MEET: a visitor by server name ---- */

static enum session_state nobody(struct session *s, const char *text)
{
    session_detail(s, text);
    return session_refuse_hello(s, ALERT_UNRECOGNIZED_NAME, CLOSE_NO_AGENT);
}

static enum session_state meet_with(struct session *s, const struct hello *h)
{
    enum offer_kind kind = OFFER_PRIVATE;
    if (s->setup->visit.name[0] == '\0')
        return nobody(s, no_agent);
    switch (agents_find(view_of(s), s->setup->visit.name, grace_of(s), &kind)) {
    case AGENTS_NONE:
        return nobody(s, s->setup->expired ? not_back : no_agent);
    case AGENTS_EXPECTED:
        if (s->setup->expired)
            return nobody(s, not_back);
        wait_for_news(s);
        return SESSION_MEET;
    case AGENTS_PRESENT:
        break;
    }
    s->setup->expired = false;
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

static void leave_agent(struct session *s)
{
    struct visit *v = &s->setup->visit;
    agent_exit(s->agent);
    if (v->tried_len < AGENTS_TRIED_MAX)
        v->tried[v->tried_len++] = agent_id(s->agent);
    agent_unref(s->agent);
    s->agent = NULL;
    v->errand = NULL;
    v->back = false;
}

/* Nobody is left to try. Who named the target is told. */
static enum session_state unserved(struct session *s, enum front_outcome outcome, const char *text)
{
    session_detail(s, text);
    if (s->setup->front == NULL)
        return session_end(s, CLOSE_NO_AGENT);
    struct front_answer answer = {.outcome = outcome, .text = text};
    return session_answer_no(s, &answer, CLOSE_NO_AGENT);
}

/* Offers of a name can change: whom a visitor was let in to is the kind that he is led to. */
static struct agent *pick(struct session *s)
{
    struct visit *v = &s->setup->visit;
    if (v->tried_len == AGENTS_TRIED_MAX)
        return NULL;
    struct agent *a = agents_pick(view_of(s), v->name, v->tried, v->tried_len);
    if (a == NULL || v->kind == VISIT_ANY_KIND || (int)agent_offer(a)->kind == v->kind)
        return a;
    agent_unref(a);
    return NULL;
}

/* The one that is being tried, and others after it. */
size_t visit_left(const struct session *s)
{
    const struct visit *v = &s->setup->visit;
    return MAX(agents_left(view_of(s), v->name, v->tried, v->tried_len), (size_t)1);
}

static enum session_state find_agent(struct session *s)
{
    struct visit *v = &s->setup->visit;
    enum offer_kind kind;
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
    if (agents_find(view_of(s), v->name, grace_of(s), &kind) == AGENTS_NONE)
        return unserved(s, FRONT_NO_SUCH_HOST, no_agent);
    wait_for_news(s);
    return SESSION_DIAL;
}

static enum session_state no_link(struct session *s, enum front_outcome outcome, const char *text)
{
    struct visit *v = &s->setup->visit;
    agent_failed(s->agent, loop_now(s->worker->loop));
    leave_agent(s);
    v->last.outcome = outcome;
    str_copy(v->last.text, sizeof(v->last.text), text, strlen(text));
    return find_agent(s);
}

/* This agent's share of the time is over. */
static enum session_state dial_late(struct session *s)
{
    struct visit *v = &s->setup->visit;
    if (s->agent == NULL)
        return unserved(s, FRONT_TIMEOUT, not_back);
    s->setup->expired = false;
    if (!v->back)
        errand_cancel(v->errand);
    link_close(v->arrived, true);
    v->arrived = NULL;
    return no_link(s, FRONT_TIMEOUT, "the agent did not answer in time");
}

enum session_state visit_dial(struct session *s)
{
    struct visit *v = &s->setup->visit;
    if (s->setup->expired)
        return dial_late(s);
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

/* This agent cannot serve: leave it and try another. */
static enum session_state not_served(struct session *s, enum front_outcome outcome, const char *text)
{
    struct visit *v = &s->setup->visit;
    v->last.outcome = outcome;
    if (text != v->last.text)
        str_copy(v->last.text, sizeof(v->last.text), text, strlen(text));
    agent_failed(s->agent, loop_now(s->worker->loop));
    link_close(s->up, true);
    s->up = NULL;
    buf_free(&s->setup->say_up);
    buf_free(&v->answer);
    s->setup->greeted = false;
    leave_agent(s);
    return SESSION_DIAL;
}

static enum session_state served(struct session *s)
{
    struct visit *v = &s->setup->visit;
    agent_succeeded(s->agent);
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
    if (s->setup->expired) {
        s->setup->expired = false;
        return not_served(s, FRONT_TIMEOUT, "the agent's service did not answer in time");
    }
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
            return not_served(s, FRONT_UNREACHABLE, "the agent went away before it had answered");
    }
}
