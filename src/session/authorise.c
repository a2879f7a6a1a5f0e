/* SPDX-License-Identifier: Apache-2.0 */
/* Who the client is, and whether it may have what it asks for: handshake, policy, the request for a target.
 */
#include <stdio.h>
#include <string.h>

#include "session/session_internal.h"

const struct identity *session_identity(const struct session *s)
{
    struct link_peer peer;
    link_peer(s->down, &peer);
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
    counters_handshake(c, peer.version, peer.group, s->opened - s->routed);
    counter_add(&c->n[COUNTER_RESUMED], peer.resumed);
    if (peer.identity == NULL && s->route->ask_policy)
        counter_add(&c->n[COUNTER_NO_CERTIFICATE], 1);
}

enum session_state step_handshake(struct session *s)
{
    switch (link_open(s->down)) {
    case LINK_AGAIN:
        return SESSION_HANDSHAKE;
    case LINK_OK:
        s->opened = loop_now(s->worker->loop);
        count_handshake(s);
        return SESSION_AUTHORISE;
    default:
        return handshake_failed(s);
    }
}

/* ---- AUTHORISE, ASK ---- */

static void explain_denial(struct session *s, const struct policy_verdict *v, const char *action)
{
    char text[POLICY_TEXT_MAX], both[POLICY_TEXT_MAX + HOST_MAX + 32];
    const char *denial = policy_denial(v, session_identity(s), action, text);
    s->setup->rule = v->rule;
    if (s->setup->visit.missed) {
        snprintf(both, sizeof(both), "no agent offers %s, and %s", s->setup->request.target.host, denial);
        denial = both;
    }
    session_detail(s, denial);
}

enum session_state session_deny(struct session *s, const struct policy_verdict *v, const char *action)
{
    explain_denial(s, v, action);
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
    enum session_state next = session_deny(s, v, buf_text(&action));
    buf_free(&action);
    return next;
}

static enum session_state let_in(struct session *s)
{
    const struct front *front = s->setup->front;
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

/* May it have that, or else what an agent offers under a host's name? `word` reads on from "lets NAME". True:
 * go on; else *ret_next says no. */
static bool is_allowed(struct session *s, const char *host, enum policy_space space, uint16_t port,
                       const char *word, enum session_state *ret_next)
{
    struct setup *p = s->setup;
    struct err err;
    if (policy_host_parse(host, strlen(host), &p->host, &err) != 0) {
        *ret_next = refuse_request(s, FRONT_BAD_HELLO, err.text);
        return false;
    }
    p->host.space = space;
    struct policy_verdict v =
        policy_reach(s->epoch->snap->policy, session_route_id(s), session_identity(s), &p->host, port);
    if (v.effect != POLICY_DENY || (space == POLICY_TCP && session_turn_to_offer(s)))
        return true;
    char action[sizeof(p->target) + 24];
    snprintf(action, sizeof(action), "%s %s", word, p->target);
    *ret_next = session_deny(s, &v, action);
    return false;
}

/* By server name. In public there is nobody to ask about; in private the policy speaks of the name. */
static enum session_state judge_visit(struct session *s, const struct link_peer *peer)
{
    enum session_state next = SESSION_DIAL;
    note_target(s->setup, "name:", s->setup->visit.name, 0);
    if (s->setup->visit.kind == OFFER_PUBLIC)
        return next;
    CHECK(peer->identity != NULL);
    is_allowed(s, s->setup->visit.name, POLICY_NAME, 0, "visit", &next);
    return next;
}

enum session_state step_authorise(struct session *s)
{
    const struct snapshot *snap = s->epoch->snap;
    uint32_t id = session_route_id(s);
    bool tunnel = session_is_tunnel(s);
    struct link_peer peer;
    link_peer(s->down, &peer);
    if (tunnel && !choose_front(s, &peer)) {
        session_detail(s, "the negotiated ALPN has no way to name a target");
        return session_end(s, CLOSE_BAD_REQUEST);
    }
    if (session_visits(s))
        return judge_visit(s, &peer);
    if (s->route->ask_policy) {
        struct policy_verdict v = tunnel ? policy_use_tunnel(snap->policy, id, peer.identity)
                                         : policy_use_route(snap->policy, id, peer.identity);
        bool settled_later = tunnel && v.rule == NULL; /* the target will name the rule, or the nearest */
        if (v.effect != POLICY_ALLOW && !settled_later)
            return refuse_route(s, &v);
    }
    return let_in(s);
}

/* The client has named its target: may it go there? */
static enum session_state judge_target(struct session *s)
{
    const struct front_target *t = &s->setup->request.target;
    enum session_state next = SESSION_DIAL;
    enum policy_space space = t->offered ? POLICY_NAME : t->udp ? POLICY_UDP : POLICY_TCP;
    note_target(s->setup, t->offered ? "name:" : t->udp ? "udp:" : "", t->host, t->port);
    if (is_allowed(s, t->host, space, t->port, "reach", &next) && t->offered)
        session_visit(s, t->host, VISIT_ANY_KIND);
    return next;
}

/* ---- agents ---- */

/* May this identity offer that name? Then the offer lives on the client's link. */
static enum session_state judge_offer(struct session *s)
{
    struct setup *p = s->setup;
    const struct offer *o = &p->request.offer;
    enum session_state next = SESSION_ASK;
    bool open = o->kind == OFFER_PUBLIC;
    note_target(p, open ? "public:" : "offer:", o->name, o->port);
    if (!is_allowed(s, o->name, open ? POLICY_PUBLIC : POLICY_OFFER, o->port, "offer", &next))
        return next;
    struct session_origin origin = session_origin(s);
    struct str early = {(const char *)p->bytes.data, p->bytes.len};
    struct err err;
    origin.front = p->front;
    origin.request = &p->request;
    struct resident *r = p->front->reside(s->worker, s->down, &origin, early, &err);
    if (r != NULL)
        return session_house(s, r);
    session_detail(s, err.text);
    return session_answer_no(s, &(struct front_answer){.outcome = FRONT_CONFLICT, .text = err.text},
                             CLOSE_BAD_REQUEST);
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

/* Read a little more of the request. */
static enum link_status read_request(struct session *s)
{
    struct buf *b = &s->setup->bytes;
    size_t n = 0, room = MIN(b->max - b->len, (size_t)1024);
    CHECK(room > 0 && buf_reserve(b, room));
    enum link_status status = link_read(s->down, b->data + b->len, room, &n);
    b->len += status == LINK_OK ? n : 0;
    return status;
}

enum session_state step_ask(struct session *s)
{
    struct setup *p = s->setup;
    if (p->request.target.host[0] != '\0')
        return judge_target(s);
    for (;;) {
        struct err err;
        switch (p->front->ask(p->bytes.data, p->bytes.len, &p->request, &err)) {
        case FRONT_TARGET:
            buf_consume(&p->bytes, p->request.used);
            return judge_target(s);
        case FRONT_OFFER:
            buf_consume(&p->bytes, p->request.used);
            return judge_offer(s);
        case FRONT_SPARE:
            return take_spare(s);
        case FRONT_BAD:
            return refuse_request(s, p->request.bad, err.text);
        case FRONT_MORE:
            p->request = (struct front_request){0}; /* what half a request says is nothing yet */
            break;
        }
        enum link_status status = read_request(s);
        if (status == LINK_AGAIN)
            return SESSION_ASK;
        if (status != LINK_OK)
            return session_end(s, status == LINK_EOF ? CLOSE_CLIENT_LEFT : CLOSE_CLIENT_RESET);
    }
}
