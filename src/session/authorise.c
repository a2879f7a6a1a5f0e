/* SPDX-License-Identifier: Apache-2.0 */
/* Who the client is, and whether it may have what it asks for: handshake, policy, the request for a target.
 */
#include <stdio.h>
#include <string.h>

#include "audit/record.h"
#include "base/clock.h"
#include "session/pages.h"
#include "session/session_internal.h"
#include "session/standing.h"
#include "session/worker.h"

const struct identity *session_identity(const struct session *s)
{
    struct link_peer peer;
    session_peer(s, &peer);
    return peer.identity;
}

/* ---- HANDSHAKE ---- */

static enum session_state handshake_failed(struct session *s)
{
    struct link_peer peer;
    link_peer(s->down, &peer);
    session_detail(s, *peer.failure != '\0' ? peer.failure : link_error(s->down));
    enum close_reason reason = CLOSE_HANDSHAKE_FAILED;
    if (peer.no_certificate) {
        counter_add(&worker_counters(s->worker, s->route->stats)->n[COUNTER_NO_CERTIFICATE], 1);
        reason = CLOSE_NO_CERTIFICATE;
    } else if (*peer.failure != '\0') {
        reason = CLOSE_BAD_CERTIFICATE;
    }
    return session_farewell(s, NULL, 0, reason); /* the alert is on its way: let it arrive */
}

static void count_handshake(struct session *s)
{
    struct counters *c = worker_counters(s->worker, s->route->stats);
    struct link_peer peer;
    link_peer(s->down, &peer);
    worker_count_handshake(c, &peer, s->when.opened - s->when.routed);
    if (peer.identity == NULL && s->route->ask_policy)
        counter_add(&c->n[COUNTER_NO_CERTIFICATE], 1);
}

enum session_state step_handshake(struct session *s)
{
    switch (link_open(s->down)) {
    case LINK_AGAIN:
        return SESSION_HANDSHAKE;
    case LINK_OK:
        s->when.opened = loop_now(s->worker->loop);
        count_handshake(s);
        return SESSION_AUTHORISE;
    default:
        return handshake_failed(s);
    }
}

/* ---- AUTHORISE, ASK ---- */

static void explain_denial(struct session *s, const struct policy_verdict *v, const char *action,
                           const char *missing)
{
    char text[POLICY_TEXT_MAX], both[POLICY_TEXT_MAX + HOST_MAX + 32];
    const char *denial = policy_denial(v, session_identity(s), action, missing, text);
    s->setup->rule = v->rule;
    if (s->setup->visit.missed) {
        snprintf(both, sizeof(both), "no agent offers %s, and %s", s->setup->request.target.host, denial);
        denial = both;
    }
    session_detail(s, denial);
}

enum session_state session_deny(struct session *s, const struct policy_verdict *v, const char *action,
                                const char *missing)
{
    explain_denial(s, v, action, missing);
    if (s->setup->front == NULL || (s->setup->front->ask == NULL && s->setup->front->tell == NULL)) {
        link_refuse(s->down, ALERT_ACCESS_DENIED);
        return session_farewell(s, NULL, 0, CLOSE_DENIED);
    }
    struct front_answer answer = {.outcome = FRONT_DENIED, .rule = v->rule, .text = s->setup->detail};
    return session_answer_no(s, &answer, CLOSE_DENIED);
}

/* The front that the client has chosen by ALPN. */
static bool choose_front(struct session *s, const struct link_peer *peer)
{
    struct setup *p = s->setup;
    struct str http = {"http/1.1", 8}; /* what a client without ALPN is taken to speak */
    if (p->front == NULL)
        p->front = snapshot_front(s->worker->shared, peer->alpn.len > 0 ? peer->alpn : http);
    if (p->front != NULL && p->front->tenant != NULL && s->carrier == 0)
        p->front = NULL; /* not on a stream of bytes */
    if (p->front != NULL)
        p->bytes.max = p->front->max;
    return p->front != NULL;
}

static enum session_state refuse_route(struct session *s, const struct policy_verdict *v)
{
    struct buf action = {0};
    buf_printf(&action, "use route %s", s->route->config->name.text);
    enum session_state next = session_deny(s, v, buf_text(&action), NULL);
    buf_free(&action);
    return next;
}

/* To the door's own pages. Of a client that came without TLS the first bytes may have been peeked at. */
static enum session_state begin_pages(struct session *s)
{
    struct session_origin origin = session_origin(s);
    return session_house(s, pages_new(s->worker, s->down, &origin, s->when.opened != 0, s->setup->view));
}

static enum session_state let_in(struct session *s)
{
    const struct front *front = s->setup->front;
    if (s->route->config->action == CONFIG_SERVE)
        return begin_pages(s);
    if (front == NULL)
        return SESSION_DIAL;
    if (front->ask != NULL || s->setup->request.target.host[0] != '\0')
        return SESSION_ASK;
    struct session_origin origin = session_origin(s);
    struct str early = {(const char *)s->setup->bytes.data, s->setup->bytes.len};
    struct err err;
    struct resident *r = front->reside(s->worker, s->down, &origin, early, &err);
    CHECK(r != NULL);
    return session_house(s, r);
}

static void note_target(struct setup *p, const char *space, const char *host, uint16_t port)
{
    struct buf text = {0};
    CHECK(buf_printf(&text, "%s", space) &&
          (port != 0 ? str_host_port_put(&text, host, port) : buf_printf(&text, "%s", host)));
    str_copy(p->target, sizeof(p->target), (const char *)text.data, text.len);
    buf_free(&text);
}

static enum session_state refuse_request(struct session *s, enum front_outcome outcome, const char *text)
{
    session_detail(s, text);
    return session_answer_no(s, &(struct front_answer){.outcome = outcome, .text = text}, CLOSE_BAD_REQUEST);
}

/* No: with the words that lead to the row that would allow it. */
static enum session_state refuse_target(struct session *s, const struct policy_verdict *v)
{
    struct setup *p = s->setup;
    char action[POLICY_TEXT_MAX];
    if (p->host.space == POLICY_NAME) {
        snprintf(action, sizeof(action), "visit %s on route %s", p->host.name, s->route->config->name.text);
        return session_deny(s, v, action, p->target);
    }
    snprintf(action, sizeof(action), "reach %s", p->target);
    return session_deny(s, v, action, NULL);
}

/* What does the policy say? False when the host is none that it can judge. */
static bool judge(struct session *s, const char *host, enum policy_space space, uint16_t port,
                  struct policy_verdict *ret, struct err *err)
{
    struct setup *p = s->setup;
    if (policy_host_parse(host, strlen(host), &p->host, err) != 0)
        return false;
    p->host.space = space;
    *ret = policy_reach(s->epoch->snap->policy, session_route_id(s), session_identity(s), &p->host, port);
    p->by_address = ret->effect == POLICY_NEED_ADDRESS && !ret->by_name;
    return true;
}

/* May it have that, or else what an agent offers under a host's name? True: go on; else *ret_next says no. */
static bool is_allowed(struct session *s, const char *host, enum policy_space space, uint16_t port,
                       enum session_state *ret_next)
{
    struct err err;
    struct policy_verdict v;
    if (!judge(s, host, space, port, &v, &err)) {
        *ret_next = refuse_request(s, FRONT_BAD_HELLO, err.text);
        return false;
    }
    if (v.effect != POLICY_DENY || (space == POLICY_TCP && session_turn_to_offer(s)))
        return true;
    *ret_next = refuse_target(s, &v);
    return false;
}

/* What is offered to everybody is open to whoever the tunnel admits; of anything else the policy speaks. Whom
 * it does not let in waits only for what may come back for everybody: that he waits is not to tell him that
 * a name has been offered in private. */
static enum session_state judge_name(struct session *s)
{
    struct setup *p = s->setup;
    enum session_state next = SESSION_DIAL;
    enum offer_kind kind = OFFER_PRIVATE;
    int64_t grace = s->epoch->snap->config->agents.grace;
    session_visit(s, p->request.target.host, OFFER_PUBLIC);
    enum agents_presence there = agents_find(s->worker->agents, p->visit.name, grace, &kind);
    if (there == AGENTS_PRESENT && kind == OFFER_PUBLIC)
        return next;
    struct err err;
    struct policy_verdict v;
    if (!judge(s, p->request.target.host, POLICY_NAME, 0, &v, &err))
        return refuse_request(s, FRONT_BAD_HELLO, err.text);
    if (v.effect != POLICY_DENY)
        p->visit.kind = VISIT_ANY_KIND;
    else if (agents_may_be_public(s->worker->agents, p->visit.name, grace))
        p->visit.uninvited = true;
    else
        return refuse_target(s, &v);
    return next;
}

enum session_state session_refuse_visit(struct session *s)
{
    enum session_state next = SESSION_CLOSED;
    bool allowed = is_allowed(s, s->setup->visit.name, POLICY_NAME, 0, &next);
    CHECK(!allowed); /* by the same policy as before */
    return next;
}

/* By server name. In public there is nobody to ask about; in private the policy speaks of the name. */
static enum session_state judge_visit(struct session *s, const struct link_peer *peer)
{
    enum session_state next = SESSION_DIAL;
    if (s->setup->visit.kind == OFFER_PUBLIC)
        return next;
    CHECK(peer->identity != NULL);
    is_allowed(s, s->setup->visit.name, POLICY_NAME, 0, &next);
    return next;
}

/* May it use the route at all? False with the step that says no. */
static bool may_use_route(struct session *s, enum session_state *ret_next)
{
    struct policy_verdict v;
    if (routing_admits(s->epoch->snap, s->route, session_identity(s), &v))
        return true;
    *ret_next = refuse_route(s, &v);
    return false;
}

/* Has the client just proven who he is, under what is in force? */
static bool is_fresh(const struct session *s)
{
    return s->epoch == s->worker->epoch && loop_now(s->worker->loop) - s->when.opened < NSEC_PER_SEC;
}

bool session_move_on(struct session *s, const struct hello_note *hello, struct session_denial *ret)
{
    struct standing st = {0};
    bool welcome = is_fresh(s) || session_renew(s, &st, hello);
    *ret = (struct session_denial){.reason = st.refused};
    if (!welcome)
        str_copy(ret->text, sizeof(ret->text), st.why->text, strnlen(st.why->text, sizeof(ret->text) - 1));
    standing_free(&st);
    return welcome;
}

/* A tunnel's client may take his time to say where to, over TCP as on a carrier. The configuration that has
 * come meanwhile decides, about his certificates as well; and these may have expired. */
static bool is_still_welcome(struct session *s)
{
    struct setup *p = s->setup;
    struct session_denial denial;
    if (p->refused == CLOSE_DONE && !session_move_on(s, &p->hello, &denial)) {
        p->refused = denial.reason;
        session_detail(s, denial.text);
    }
    return p->refused == CLOSE_DONE;
}

static enum session_state turn_away(struct session *s)
{
    struct front_answer answer = {.outcome = FRONT_UNWELCOME, .text = s->setup->detail};
    return session_answer_no(s, &answer, s->setup->refused);
}

/* Whose certificate has run out may still show a newer one. */
static bool may_renew(const struct session *s)
{
    enum close_reason why = s->setup->refused;
    return s->setup->front != NULL && s->setup->front->renews &&
           (why == CLOSE_BAD_CERTIFICATE || why == CLOSE_EXPIRED);
}

uint64_t session_connection(const struct session *s)
{
    struct link_peer peer;
    bool can = s->setup->request.renews && link_peer(s->down, &peer) && peer.version == 0x0304 &&
               peer.identity != NULL;
    return !can ? 0 : s->carrier != 0 ? s->carrier : s->id;
}

enum session_state step_authorise(struct session *s)
{
    enum session_state next;
    struct link_peer peer;
    link_peer(s->down, &peer);
    if (session_is_tunnel(s) && !choose_front(s, &peer)) {
        session_detail(s, "the negotiated ALPN has no way to name a target");
        return session_end(s, CLOSE_BAD_REQUEST);
    }
    if (session_visits(s))
        return judge_visit(s, &peer);
    if (s->setup->refused != CLOSE_DONE && !may_renew(s))
        return turn_away(s);
    return may_use_route(s, &next) ? let_in(s) : next;
}

/* The client has named its target: may it go there? */
static enum session_state judge_target(struct session *s)
{
    const struct front_target *t = &s->setup->request.target;
    enum session_state next = SESSION_DIAL;
    note_target(s->setup, t->offered ? "name:" : t->udp ? "udp:" : "", t->host, t->port);
    if (t->offered)
        return judge_name(s);
    is_allowed(s, t->host, t->udp ? POLICY_UDP : POLICY_TCP, t->port, &next);
    return next;
}

/* ---- agents ---- */

static enum session_state refuse_offer(struct session *s, const struct session_denial *denial)
{
    s->setup->rule = denial->rule;
    session_detail(s, denial->text);
    struct front_answer answer = {.outcome = FRONT_DENIED, .rule = denial->rule, .text = denial->text};
    return session_answer_no(s, &answer, CLOSE_DENIED);
}

/* May this identity offer that name? Then the offer lives on the client's link. */
static enum session_state judge_offer(struct session *s)
{
    struct setup *p = s->setup;
    const struct offer *o = &p->request.offer;
    struct session_denial denial;
    struct err bad;
    session_offer_target(o, p->target, sizeof(p->target));
    if (policy_host_parse(o->name, strlen(o->name), &p->host, &bad) != 0)
        return refuse_request(s, FRONT_BAD_HELLO, bad.text);
    struct session_origin origin = session_origin(s);
    if (!p->request.proves && !session_may_offer(s, &origin, o, &denial))
        return refuse_offer(s, &denial);
    struct str early = {(const char *)p->bytes.data, p->bytes.len};
    struct err err;
    origin.transport = s->transport;
    origin.front = p->front;
    origin.request = &p->request;
    origin.connection = session_connection(s);
    struct resident *r = p->front->reside(s->worker, s->down, &origin, early, &err);
    if (r != NULL)
        return session_house(s, r);
    session_detail(s, err.text);
    return session_answer_no(s, &(struct front_answer){.outcome = FRONT_CONFLICT, .text = err.text},
                             CLOSE_CONFLICT);
}

/* The client has something to prove, on this connection or another of his: that one judges it (renewal.h). */
static enum session_state judge_renewal(struct session *s)
{
    struct setup *p = s->setup;
    char id[AUDIT_ID_MAX];
    struct err err;
    note_target(p, "renew:", audit_id_text(p->request.renew, id), 0);
    struct session_origin origin = session_origin(s);
    struct str early = {(const char *)p->bytes.data, p->bytes.len};
    origin.request = &p->request;
    struct resident *r = p->front->reside(s->worker, s->down, &origin, early, &err);
    CHECK(r != NULL);
    return session_house(s, r);
}

/* A connection that an agent brings for a visitor to come: it waits at the agent's home. */
static enum session_state take_spare(struct session *s)
{
    uint8_t who[AGENT_FINGERPRINT];
    struct setup *p = s->setup;
    const struct identity *id = session_identity(s);
    note_target(p, "spare", "", 0);
    if (id != NULL && link_moves(s->down)) {
        identity_digest(id, who);
        s->spare_for = agents_redeem(s->worker->agents, p->request.spare, who);
    }
    if (s->spare_for == NULL) {
        static const char text[] =
            "the id is not good here: ids are for one connection, soon, of the agent that was given them";
        session_detail(s, text);
        return session_answer_no(s, &(struct front_answer){.outcome = FRONT_DENIED, .text = text},
                                 CLOSE_DENIED);
    }
    struct buf out = {0};
    CHECK(p->front->answer(&(struct front_answer){.outcome = FRONT_OK}, &out));
    session_say(s, s->down, out.data, out.len);
    buf_free(&out);
    return session_end(s, CLOSE_DONE);
}

/* ---- connections that clients keep ready ---- */

/* A client who has proven himself may have a connection ready before he knows what for: the next request on
 * it needs no handshake. It is counted as any other. */
static bool may_be_ready(const struct session *s)
{
    return s->carrier == 0 && s->setup->front->readied && s->setup->bytes.len == 0 &&
           session_identity(s) != NULL && session_limits(s)->ready_timeout > 0 && !s->worker->draining &&
           s->worker->epoch == s->epoch && worker_crowd(s->worker) == WORKER_ROOMY;
}

static void await_request(struct session *s)
{
    if (s->setup->ready || !may_be_ready(s))
        return;
    s->setup->ready = true;
    session_deadline(s, session_limits(s)->ready_timeout);
}

/* The whole of it must come as soon as if the handshake had only just begun. */
static void request_has_begun(struct session *s)
{
    if (s->setup->ready)
        session_deadline(s, session_limits(s)->handshake_timeout);
    s->setup->ready = false;
}

/* The request is whole. */
static enum session_state judge_request(struct session *s, enum front_result what)
{
    struct setup *p = s->setup;
    enum session_state next;
    struct epoch *before = s->epoch;
    buf_consume(&p->bytes, p->request.used);
    if (what == FRONT_RENEW)
        return judge_renewal(s);
    if (!is_still_welcome(s))
        return turn_away(s);
    if (s->epoch != before && !may_use_route(s, &next))
        return next;
    return what == FRONT_TARGET ? judge_target(s) : what == FRONT_OFFER ? judge_offer(s) : take_spare(s);
}

/* Read a little more of the request. */
static enum link_status read_request(struct session *s)
{
    struct buf *b = &s->setup->bytes;
    enum link_status status = link_read_buf(s->down, b, MIN(b->max - b->len, (size_t)1024));
    if (status == LINK_OK)
        request_has_begun(s);
    return status;
}

enum session_state step_ask(struct session *s)
{
    struct setup *p = s->setup;
    if (p->request.target.host[0] != '\0')
        return judge_target(s);
    for (;;) {
        struct err err;
        enum front_result what = p->front->ask(p->bytes.data, p->bytes.len, &p->request, &err);
        switch (what) {
        case FRONT_TARGET:
        case FRONT_OFFER:
        case FRONT_SPARE:
        case FRONT_RENEW:
            return judge_request(s, what);
        case FRONT_BAD:
            return refuse_request(s, p->request.bad, err.text);
        case FRONT_MORE:
            p->request = (struct front_request){0}; /* what half a request says is nothing yet */
            break;
        }
        enum link_status status = read_request(s);
        if (status == LINK_AGAIN) {
            await_request(s);
            return SESSION_ASK;
        }
        if (status == LINK_EOF && p->ready)
            return session_end(s, CLOSE_UNUSED);
        if (status != LINK_OK)
            return session_end(s, status == LINK_EOF ? CLOSE_CLIENT_LEFT : CLOSE_CLIENT_RESET);
    }
}
