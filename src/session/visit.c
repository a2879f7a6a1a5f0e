/* SPDX-License-Identifier: Apache-2.0 */
/* A visitor on the way to an agent. In DIAL an errand brings a link to one that offers the name; in GREET the
 * agent is told of the visitor, and answers once its service has taken him.
 *
 * How an agent that does not serve is left for another: each that is picked is an attempt. It fails when
 * there is no link to be had, when the link breaks, when the answer is a no or cannot be read, and when its
 * time is over. That is how an agent is found out that was killed and says nothing: while there is another to
 * try an attempt may take half of what is left of dial_timeout, at most PATIENCE_NS; the last one has all
 * that is left. Whatever made it fail,
 *
 * - all visitors prefer others to this agent for a while (agent_failed(), mux/agents.h),
 * - this visitor does not come back to it, and goes on with the best of the others,
 * - when none is left he is told what the last one has said.
 *
 * One failure is not the agent's. Over TCP the link is a connection that it has brought some time ago, and
 * that may have died unnoticed since. So the machine at its other end has to acknowledge the announcement
 * within ACK_NS, however long the service takes to answer; a connection that breaks before there is a byte of
 * an answer counts as one that was dead, and the visitor may come back to the agent, which may have others
 * that live. That is so DEAD_MAX times.
 *
 * Over QUIC the agent's home sees the same (agents_set_unheard()): its machine acknowledges nothing. Then a
 * visitor goes on with another agent and, where there is none, waits: until this one is heard again, or has
 * found out that it is not and come back another way.
 *
 * What the visitor has said by then goes right behind the announcement, but only where no other agent is
 * there to be tried; and once it may have arrived there is no further attempt: no service hears it twice.
 */
#include <string.h>

#include "base/clock.h"
#include "net/socket.h"
#include "session/session_internal.h"
#include "session/worker.h"

#define ANSWER_ROOM 1024
#define PATIENCE_NS NSEC_PER_SEC
#define ACK_NS (2 * NSEC_PER_SEC)
#define ACK_PART 4 /* ... and this part of the dial_timeout at most */
#define DEAD_MAX 4

#define FIRST_MAX ((size_t)16 * 1024) /* of the visitor's bytes that go before the agent's answer */
#define FIRST_READ ((size_t)4 * 1024)

static struct agents *view_of(const struct session *s)
{
    return s->worker->agents;
}

void visit_cancel(struct session *s)
{
    struct visit *v = &s->setup->visit;
    list_remove(&v->waiter.node);
    if (!v->back)
        errand_cancel(v->errand);
    link_close(v->arrived, true);
    buf_free(&v->answer);
    buf_free(&v->first);
}

/* ---- ending ---- */

/* The visit ends here. Who named the target is told. */
static enum session_state end_visit(struct session *s, enum front_outcome outcome, const char *text,
                                    enum close_reason reason)
{
    session_detail(s, text);
    if (s->setup->front == NULL)
        return session_unserved(s, reason);
    struct front_answer answer = {.outcome = outcome, .text = text};
    return session_answer_no(s, &answer, reason);
}

/* Nobody is left to try. */
static enum session_state unserved(struct session *s, enum front_outcome outcome, const char *text)
{
    return end_visit(s, outcome, text, CLOSE_NO_AGENT);
}

/* All who could be tried have been: the last one's fault is told. */
static enum session_state tried_in_vain(struct session *s)
{
    const struct visit *v = &s->setup->visit;
    return end_visit(s, v->last.outcome, v->last.text, v->service_down ? CLOSE_SERVICE_DOWN : CLOSE_NO_AGENT);
}

/* Nobody is there. Whom the policy had not let in for any other than a public offer is told that. */
static enum session_state unmet(struct session *s, enum front_outcome outcome)
{
    return s->setup->visit.uninvited ? session_refuse_visit(s) : unserved(s, outcome, visit_absence(s));
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
    enum agents_presence there = agents_find(view_of(s), v->name, visit_grace(s), &kind);
    if (v->uninvited && !agents_may_be_public(view_of(s), v->name, visit_grace(s)))
        return session_refuse_visit(s);
    if (there == AGENTS_NONE) /* there is such a name where an agent was sent away */
        return unmet(s, agents_left(view_of(s), v->name) == AGENTS_BARRED ? FRONT_UNREACHABLE
                                                                          : FRONT_NO_SUCH_HOST);
    unsigned down;
    struct agent *a = agents_down(view_of(s), v->name, &down);
    if (a != NULL) {
        enum session_state next = service_is_down(s, a, down);
        agent_unref(a);
        return next;
    }
    visit_wait(s);
    return SESSION_DIAL;
}

/* ---- attempts ---- */

static void on_arrived(void *owner, struct link *link, bool gone)
{
    struct session *s = owner;
    struct visit *v = &s->setup->visit;
    v->arrived = link;
    v->gone = gone;
    v->back = true;
    loop_defer(s->worker->loop, &s->again);
}

/* Whoever has come to a port speaks what was offered there, and is a stranger: nothing else may take its
 * place. An offer over UDP is said no to in attempt(). */
static bool is_what_was_sought(const struct visit *v, const struct offer *o)
{
    return v->port == 0 || (o->port == v->port && o->udp == v->udp);
}

/* The agent to try now, or NULL. Offers of a name can change: whom a visitor was let in to is the kind that
 * he is led to. */
static struct agent *pick(const struct session *s)
{
    const struct visit *v = &s->setup->visit;
    if (v->tried_len == AGENTS_TRIED_MAX)
        return NULL;
    struct agent *a = agents_pick(view_of(s), v->name, v->kind, v->tried, v->tried_len);
    if (a == NULL || is_what_was_sought(v, agent_offer(a)))
        return a;
    agent_unref(a);
    return NULL;
}

static bool others_are_left(const struct session *s)
{
    struct agent *a = pick(s);
    agent_unref(a);
    return a != NULL;
}

int64_t visit_share(const struct session *s, int64_t left)
{
    return s->agent != NULL && others_are_left(s) ? MIN(left / 2, PATIENCE_NS) : left;
}

/* `a` is taken over. */
static enum session_state attempt(struct session *s, struct agent *a)
{
    struct visit *v = &s->setup->visit;
    if (agent_offer(a)->udp && v->port == 0) {
        struct err text;
        err_set(&text, "this is offered over UDP: it is reached at UDP port %u of the door only",
                agent_offer(a)->port);
        agent_unref(a);
        return unserved(s, FRONT_REFUSED, text.text);
    }
    s->agent = a;
    agent_enter(a);
    v->tried[v->tried_len++] = agent_id(a);
    v->errand = agents_visit(view_of(s), a, s->unproven, on_arrived, s);
    session_share_deadline(s);
    return SESSION_DIAL;
}

static enum session_state find_agent(struct session *s)
{
    struct visit *v = &s->setup->visit;
    size_t limit = s->epoch->snap->config->agents.connections;
    if (limit > 0 && agents_visitors(view_of(s), v->name) >= limit)
        return unserved(s, FRONT_LIMIT, "the name has as many visitors as it may");
    struct agent *a = pick(s);
    if (a != NULL)
        return attempt(s, a);
    if (v->waits_for_another && !s->worker->draining) {
        visit_wait(s);
        return SESSION_DIAL;
    }
    if (v->tried_len > 0)
        return tried_in_vain(s);
    if (s->worker->draining)
        return end_visit(s, FRONT_UNREACHABLE, VISIT_DOOR_STOPS, CLOSE_SHUTDOWN);
    return await_agent(s);
}

/* Let go of the agent and of all that was under way with it, and go on with the next. `back`: this one may be
 * it. */
static enum session_state next_attempt(struct session *s, bool back)
{
    struct setup *p = s->setup;
    struct visit *v = &p->visit;
    agent_failed(s->agent, loop_now(s->worker->loop));
    agent_exit(s->agent);
    agent_unref(s->agent);
    s->agent = NULL;
    if (back)
        v->tried_len--;
    if (!v->back)
        errand_cancel(v->errand);
    link_close(v->arrived, true);
    link_close(s->up, true);
    v->arrived = s->up = NULL;
    v->errand = NULL;
    buf_free(&p->say_up);
    v->sent = 0;
    buf_free(&v->answer);
    v->back = p->visit.greeted = p->unheard = p->expired = false;
    return find_agent(s);
}

static enum session_state attempt_failed(struct session *s, enum front_outcome outcome, const char *text)
{
    struct visit *v = &s->setup->visit;
    v->last.outcome = outcome;
    v->service_down = v->waits_for_another = false;
    str_copy(v->last.text, sizeof(v->last.text), text, strlen(text));
    return next_attempt(s, false);
}

#define UNHEARD_TEXT "the agent did not answer"

/* Nothing arrives at the agent, or nothing from it: which of the two is not known. */
static enum session_state agent_unheard(struct session *s)
{
    struct visit *v = &s->setup->visit;
    if (v->sent > 0)
        return unserved(s, FRONT_TIMEOUT, UNHEARD_TEXT);
    v->last.outcome = FRONT_TIMEOUT;
    str_copy(v->last.text, sizeof(v->last.text), UNHEARD_TEXT, strlen(UNHEARD_TEXT));
    v->waits_for_another = true;
    v->service_down = false;
    return next_attempt(s, true); /* nobody is led to it before it is heard again */
}

/* The agent is there and says no: of its own accord, or for its service. */
static enum session_state agent_declined(struct session *s)
{
    struct visit *v = &s->setup->visit;
    enum front_outcome how = v->last.outcome;
    v->waits_for_another = false;
    v->service_down = how == FRONT_REFUSED || how == FRONT_TIMEOUT || how == FRONT_UNREACHABLE;
    return next_attempt(s, false);
}

static enum session_state out_of_time(struct session *s, const char *text)
{
    if (s->setup->visit.sent == 0 && others_are_left(s))
        return attempt_failed(s, FRONT_TIMEOUT, text);
    agent_failed(s->agent, loop_now(s->worker->loop));
    return unserved(s, FRONT_TIMEOUT, text);
}

/* May the agent have read what was sent to it? */
static bool has_arrived(const struct session *s)
{
    const struct visit *v = &s->setup->visit;
    struct socket_path path;
    return !socket_path(link_socket(link_bottom(s->up)), &path) || path.acked != v->acked;
}

static enum session_state link_broke(struct session *s)
{
    struct visit *v = &s->setup->visit;
    static const char text[] = "the agent went away before it had answered";
    bool was_ready = link_socket(link_bottom(s->up)) >= 0;
    if (v->sent > 0 && has_arrived(s))
        return unserved(s, FRONT_UNREACHABLE, text);
    if (was_ready && v->answer.len == 0 && v->dead++ < DEAD_MAX)
        return next_attempt(s, true);
    return attempt_failed(s, FRONT_UNREACHABLE, text);
}

/* ---- DIAL ---- */

enum session_state visit_dial(struct session *s)
{
    struct visit *v = &s->setup->visit;
    if (s->agent == NULL && v->udp && link_open(s->down) == LINK_ERROR)
        return unmet(s, FRONT_UNREACHABLE); /* the flow has ended, or its port is closed */
    if (s->agent == NULL && s->setup->expired)
        return v->tried_len > 0 ? tried_in_vain(s) : unmet(s, FRONT_TIMEOUT);
    if (s->agent == NULL)
        return find_agent(s);
    if (s->setup->expired)
        return out_of_time(s, "the agent did not answer in time");
    if (!v->back)
        return SESSION_DIAL;
    if (v->arrived == NULL && v->gone)
        return next_attempt(s, true); /* it was never tried: another may have come in its place, or will */
    if (v->arrived == NULL)
        return attempt_failed(s, FRONT_UNREACHABLE, "the agent could not be reached");
    s->up = v->arrived;
    v->arrived = NULL;
    session_own(s, s->up);
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
    bool fits = agent_protocol(s->agent)->greet(&visit, &out);
    if (fits)
        session_say(s, s->up, out.data, out.len);
    buf_free(&out);
    return fits;
}

/* ---- what the visitor has said already ---- */

/* It goes right behind the message about him, but only to an agent that has no other beside it: to the next
 * one it could not be said again. */
static void let_speak(struct session *s)
{
    struct visit *v = &s->setup->visit;
    struct setup *p = s->setup;
    struct str early = p->view.len > 0 ? p->view : (struct str){(const char *)p->bytes.data, p->bytes.len};
    struct socket_path path;
    CHECK(buf_append(&v->first, early.p, early.len));
    p->view = (struct str){NULL, 0};
    buf_free(&p->bytes);
    v->speaks = !agent_offer(s->agent)->udp && !others_are_left(s);
    socket_path(link_socket(link_bottom(s->up)), &path);
    v->acked = path.acked;
}

/* False when there is no more of it now; a link that is broken stays so, and the pipe will say it. */
static bool hear_visitor(struct session *s)
{
    struct visit *v = &s->setup->visit;
    if (v->ended || v->first.len >= FIRST_MAX)
        return false;
    enum link_status status = link_read_buf(s->down, &v->first, MIN(FIRST_READ, FIRST_MAX - v->first.len));
    v->ended = status == LINK_EOF;
    return status == LINK_OK;
}

/* Send what there is of it. False when the agent takes no more: it may have said why. */
static bool speak(struct session *s)
{
    struct visit *v = &s->setup->visit;
    if (!v->speaks)
        return true;
    do {
        while (v->sent < v->first.len) {
            size_t n = 0;
            enum link_status status = link_write(s->up, v->first.data + v->sent, v->first.len - v->sent, &n);
            v->sent += status == LINK_OK ? n : 0;
            v->speaks = status != LINK_ERROR;
            if (status != LINK_OK)
                return status == LINK_AGAIN;
        }
    } while (hear_visitor(s));
    return true;
}

/* ---- the agent's answer ---- */

static enum session_state served(struct session *s)
{
    struct visit *v = &s->setup->visit;
    agent_succeeded(s->agent);
    list_remove(&v->waiter.node);
    socket_expect_ack(link_socket(link_bottom(s->up)), 0);
    buf_consume(&v->answer, v->last.used); /* the rest comes from the service: JOIN passes it on */
    return SESSION_JOIN;
}

static enum link_status read_answer(struct session *s)
{
    return link_read_buf(s->up, &s->setup->visit.answer, ANSWER_ROOM);
}

enum session_state visit_greet(struct session *s)
{
    struct visit *v = &s->setup->visit;
    if (s->setup->expired)
        return out_of_time(s, "the agent's service did not answer in time");
    if (s->setup->unheard)
        return link_broke(s);
    if (agent_is_unheard(s->agent))
        return agent_unheard(s);
    visit_wait(s); /* for news of that */
    if (!s->setup->visit.greeted) {
        if (!announce(s))
            return unserved(s, FRONT_LIMIT, "the visitor's names are too long to be told to the agent");
        s->setup->visit.greeted = true;
        let_speak(s);
        return s->setup->say_up.len > 0 ? SESSION_GREET : visit_greet(s);
    }
    for (;;) {
        struct err err;
        switch (agent_protocol(s->agent)->greeted(v->answer.data, v->answer.len, &v->last, &err)) {
        case FRONT_MORE:
            break;
        case FRONT_BAD:
            return attempt_failed(s, FRONT_UNREACHABLE, err.text);
        default:
            if (v->last.outcome == FRONT_OK)
                return served(s);
            return agent_declined(s);
        }
        enum link_status status = read_answer(s);
        if (status == LINK_AGAIN && speak(s))
            return SESSION_GREET;
        if (status != LINK_OK && status != LINK_AGAIN)
            return link_broke(s);
    }
}
