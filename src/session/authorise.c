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
    char text[POLICY_TEXT_MAX];
    s->setup->rule = v->rule;
    session_detail(s, policy_denial(v, session_identity(s), action, text));
}

enum session_state session_deny(struct session *s, const struct policy_verdict *v, const char *action)
{
    explain_denial(s, v, action);
    if (s->setup->front == NULL) {
        link_refuse(s->down, ALERT_ACCESS_DENIED);
        return session_farewell(s, NULL, 0, CLOSE_DENIED);
    }
    struct front_answer answer = {.outcome = FRONT_DENIED, .rule = v->rule, .text = s->setup->detail};
    return session_answer_no(s, &answer, CLOSE_DENIED);
}

enum session_state step_authorise(struct session *s)
{
    const struct snapshot *snap = s->epoch->snap;
    uint32_t id = session_route_id(s);
    struct link_peer peer;
    link_peer(s->down, &peer);
    if (session_is_tunnel(s)) {
        struct str http = {"http/1.1", 8}; /* what a client without ALPN is taken to speak */
        s->setup->front = snapshot_front(s->worker->shared, peer.alpn.len > 0 ? peer.alpn : http);
        if (s->setup->front == NULL) {
            session_detail(s, "the negotiated ALPN has no way to name a target");
            return session_end(s, CLOSE_BAD_REQUEST);
        }
        s->setup->bytes.max = s->setup->front->max;
    }
    if (s->route->ask_policy) {
        struct policy_verdict v = session_is_tunnel(s) ? policy_use_tunnel(snap->policy, id, peer.identity)
                                                       : policy_use_route(snap->policy, id, peer.identity);
        bool settled_later =
            session_is_tunnel(s) && v.rule == NULL; /* the target will name the rule, or the nearest */
        if (v.effect != POLICY_ALLOW && !settled_later) {
            struct buf action = {0};
            buf_printf(&action, "use route %s", s->route->config->name.text);
            enum session_state next = session_deny(s, &v, buf_text(&action));
            buf_free(&action);
            return next;
        }
    }
    return session_is_tunnel(s) ? SESSION_ASK : SESSION_DIAL;
}

static void note_target(struct setup *p, const struct front_target *t)
{
    struct buf text = {0};
    CHECK(buf_printf(&text, "%s", t->udp ? "udp:" : "") && str_host_port_put(&text, t->host, t->port));
    str_copy(p->target, sizeof(p->target), (const char *)text.data, text.len);
    buf_free(&text);
}

/* The client has named its target: may it go there? */
static enum session_state judge_target(struct session *s)
{
    struct setup *p = s->setup;
    const struct front_target *t = &p->request.target;
    struct err err;
    note_target(p, t);
    if (policy_host_parse(t->host, strlen(t->host), &p->host, &err) != 0) {
        session_detail(s, err.text);
        return session_answer_no(s, &(struct front_answer){.outcome = FRONT_BAD_HELLO, .text = p->detail},
                                 CLOSE_BAD_REQUEST);
    }
    p->host.udp = t->udp;
    uint32_t id = session_route_id(s);
    struct policy_verdict v =
        policy_reach(s->epoch->snap->policy, id, session_identity(s), &p->host, t->port);
    if (v.effect != POLICY_DENY)
        return SESSION_DIAL;
    char action[sizeof(p->target) + 8];
    snprintf(action, sizeof(action), "reach %s", p->target);
    return session_deny(s, &v, action);
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
    for (;;) {
        struct err err;
        switch (p->front->ask(p->bytes.data, p->bytes.len, &p->request, &err)) {
        case FRONT_TARGET:
            buf_consume(&p->bytes, p->request.used);
            return judge_target(s);
        case FRONT_BAD:
            session_detail(s, err.text);
            return session_answer_no(s, &(struct front_answer){.outcome = p->request.bad, .text = err.text},
                                     CLOSE_BAD_REQUEST);
        case FRONT_MORE:
            break;
        }
        enum link_status status = read_request(s);
        if (status == LINK_AGAIN)
            return SESSION_ASK;
        if (status != LINK_OK)
            return session_end(s, status == LINK_EOF ? CLOSE_CLIENT_LEFT : CLOSE_CLIENT_RESET);
    }
}
