/* SPDX-License-Identifier: Apache-2.0 */
/* Reaching the backend or target: dial it, join the two ends.
 *
 * How time is shared: a route's dial_timeout covers all that is left to try, from the first name that is
 * looked up to the last backend's greeting. With 10 s, two backends and two addresses each, the first address
 * gets 10 s / 3 (its sibling and the other backend count one each), the next a half of what is left then, and
 * so on. An agent has a second while there is another, the last one all that is left. */
#include <stdio.h>
#include <string.h>

#include "http1/http1_link.h"
#include "quic/quic.h"
#include "session/backend_ech.h"
#include "session/backend_pool.h"
#include "session/hand_on.h"
#include "session/programs.h"
#include "session/session_internal.h"
#include "session/worker.h"

/* ---- answers ---- */

enum session_state session_answer_no(struct session *s, const struct front_answer *answer,
                                     enum close_reason reason)
{
    struct buf out = {0};
    const struct front *front = s->setup->front;
    if (front->tell != NULL)
        front->tell(s->down, answer);
    else if (!front->answer(answer, &out))
        return session_end(s, reason);
    enum session_state next = session_farewell(s, out.data, out.len, reason);
    buf_free(&out);
    return next;
}

/* For the audit line: what the name servers said, where that is why, or where nobody answered. */
static void detail_of_dial(struct session *s, enum dial_status status)
{
    const struct dial *d = &s->setup->dial;
    char text[sizeof(s->setup->detail)];
    if (status == DIAL_REFUSED && s->last != NULL) {
        snprintf(text, sizeof(text), "nobody listens at %s", s->last->key);
        session_detail(s, text);
    }
    if (status == DIAL_NO_SUCH_HOST || status == DIAL_UNRESOLVED)
        session_detail(s, resolve_status_text(dial_resolved(d)));
    else if (status == DIAL_WAIT && dial_is_resolving(d))
        session_detail(s, "no name server tells about the name in time");
}

/* The policy allows no address of the target, or, where it allows no more than addresses, there is none. In
 * that case the client hears the same of both: else the door would tell what names there are that are none of
 * his business. Where they lead he never hears; the audit line has it. */
static enum session_state forbidden(struct session *s, enum close_reason reason)
{
    struct setup *p = s->setup;
    const struct policy_verdict none = {.effect = POLICY_DENY}, *v = p->by_address ? &none : &p->verdict;
    char action[sizeof(p->target) + 32], denial[POLICY_TEXT_MAX], text[POLICY_TEXT_MAX + HOST_MAX + 32] = "";
    snprintf(action, sizeof(action), "reach %s%s", p->target, p->by_address ? " or an address of it" : "");
    if (p->visit.missed)
        snprintf(text, sizeof(text), "no agent offers %s, and ", p->request.target.host);
    size_t n = strlen(text);
    snprintf(text + n, sizeof(text) - n, "%s", policy_denial(v, session_identity(s), action, NULL, denial));
    struct front_answer answer = {.outcome = FRONT_DENIED, .rule = v->rule, .text = text};
    return session_answer_no(s, &answer, reason);
}

/* Nothing could be reached. Who named a target is told; others as session_unserved() can. */
static enum session_state unreached(struct session *s, enum dial_status status)
{
    static const struct {
        enum front_outcome outcome;
        enum close_reason reason;
    } rows[] = {[DIAL_WAIT] = {FRONT_TIMEOUT, CLOSE_DIAL_TIMEOUT},
                [DIAL_NO_SUCH_HOST] = {FRONT_NO_SUCH_HOST, CLOSE_NO_SUCH_HOST},
                [DIAL_UNRESOLVED] = {FRONT_UNRESOLVED, CLOSE_UNREACHABLE},
                [DIAL_REFUSED] = {FRONT_REFUSED, CLOSE_REFUSED},
                [DIAL_UNREACHABLE] = {FRONT_UNREACHABLE, CLOSE_UNREACHABLE},
                [DIAL_NO_DESCRIPTOR] = {FRONT_LIMIT, CLOSE_NO_DESCRIPTOR},
                [DIAL_FULL] = {FRONT_LIMIT, CLOSE_LIMIT_PROGRAMS},
                [DIAL_FORBIDDEN] = {FRONT_DENIED, CLOSE_DENIED}};
    if (s->setup->front == NULL) {
        detail_of_dial(s, status);
        return session_unserved(s, rows[status].reason);
    }
    if ((status == DIAL_NO_SUCH_HOST || status == DIAL_FORBIDDEN) && session_turn_to_offer(s)) {
        dial_cancel(&s->setup->dial);
        return visit_dial(s);
    }
    detail_of_dial(s, status);
    if (status == DIAL_FORBIDDEN || (status == DIAL_NO_SUCH_HOST && s->setup->by_address))
        return forbidden(s, rows[status].reason);
    struct front_answer answer = {.outcome = rows[status].outcome};
    if (status == DIAL_WAIT && dial_is_resolving(&s->setup->dial))
        answer.outcome = FRONT_UNRESOLVED;
    if (status == DIAL_NO_SUCH_HOST && s->setup->visit.missed)
        answer.text = "no such host, and no agent offers the name";
    return session_answer_no(s, &answer, rows[status].reason);
}

/* ---- DIAL ---- */

/* The policy may have rules on addresses that a name alone could not settle. */
static bool may_dial(void *owner, const struct net_addr *addr)
{
    struct session *s = owner;
    struct sockaddr_storage sa;
    net_addr_to(addr, &sa);
    uint32_t id = session_route_id(s);
    const struct front_target *t = &s->setup->request.target;
    struct policy_verdict v = policy_reach_address(s->epoch->snap->policy, id, session_identity(s),
                                                   &s->setup->host, (const struct sockaddr *)&sa, t->port);
    if (v.effect == POLICY_ALLOW)
        return true;
    char place[NET_ADDR_TEXT_MAX], action[sizeof(s->setup->target) + NET_ADDR_TEXT_MAX + 12],
        text[POLICY_TEXT_MAX];
    snprintf(action, sizeof(action), "reach %s (%s)", s->setup->target, net_addr_format(addr, place));
    s->setup->rule = v.rule;
    s->setup->verdict = v;
    session_detail(s, policy_denial(&v, session_identity(s), action, NULL, text));
    return false;
}

static void prepare(struct session *s)
{
    struct dial *d = &s->setup->dial;
    d->loop = s->worker->loop;
    d->resolver = s->worker->resolver;
    d->wake = session_wake_dial;
    d->owner = s;
    d->allow = session_is_tunnel(s) ? may_dial : NULL;
    d->datagrams = session_is_tunnel(s) && s->setup->request.target.udp;
    d->speaks_first = s->setup->talk.spoken == NULL && s->route->asks == NULL &&
                      (s->route->config->action == CONFIG_PASS || s->route->backend_tls != NULL);
    s->setup->backend = -1;
}

/* A connection that stands ready needs no TLS at GREET; the client hears what its backend has said already,
 * unless he has had a greeting from us, which GREET makes up for. When it breaks from here on the session
 * does: what the backend has taken of it nobody can tell. */
static bool take_spare(struct session *s)
{
    struct buf said = {0};
    if (s->route->backend_tls == NULL || relay_leads(s))
        return false;
    struct backend_pools *pools = backend_pools_of(s->worker, s->epoch);
    s->up = backend_pool_take(pools, s->route, (size_t)s->setup->backend, &said);
    if (s->up == NULL)
        return false;
    session_own(s, s->up);
    s->spare = true;
    if (said.len > 0 && greet_settles(s))
        CHECK(buf_append(&s->setup->talk.far_bytes, said.data, said.len));
    else if (said.len > 0)
        session_say(s, s->down, said.data, said.len);
    buf_free(&said);
    return true;
}

static void start_backend(struct session *s)
{
    struct setup *p = s->setup;
    const struct backend *b = s->backend;
    const struct config_address *to = &config_route_backend(s->route->config)->to.v[p->backend];
    if (to->place == CONFIG_AT_PROGRAM)
        programs_start(s, to);
    else if (b->host == NULL)
        dial_start_unix(&p->dial, backend_unix_path(b));
    else
        dial_start(&p->dial, b->host, b->port);
}

/* It may not be reached without Encrypted ClientHello, and nobody knows its keys. */
static void refuse_unencrypted(struct session *s)
{
    struct err why, text;
    ech_offer_is_unknown(&s->route->ech->v[s->setup->backend], &why);
    err_set(&text, "%s: %s", s->setup->ech.why, why.text);
    session_detail(s, text.text);
    dial_start_failed(&s->setup->dial, DIAL_UNREACHABLE);
}

/* Begin with the next backend; false when there is none left. */
static bool next_backend(struct session *s)
{
    struct setup *p = s->setup;
    const struct upstream *u = &s->route->upstream;
    p->backend = upstream_pick(u, loop_now(s->worker->loop), p->tried);
    if (p->backend < 0)
        return false;
    struct backend *b = u->v[p->backend];
    p->detail[0] = '\0'; /* it is about the one before */
    p->talk.disbelieved = false;
    s->last = s->backend = b;
    backend_acquire(b);
    if (take_spare(s))
        return true;
    if (s->route->ech != NULL && !ech_attempt_begin(&p->ech, &s->route->ech->v[p->backend]))
        refuse_unencrypted(s);
    else
        start_backend(s);
    return true;
}

static bool begin(struct session *s)
{
    prepare(s);
    if (!session_is_tunnel(s))
        return next_backend(s);
    dial_start(&s->setup->dial, s->setup->host.name, s->setup->request.target.port);
    return true;
}

/* What was tried has failed: note it and try the next backend. False when there is nothing more to try. */
static bool go_on(struct session *s)
{
    struct setup *p = s->setup;
    if (p->backend < 0)
        return false;
    programs_leave(s);
    backend_failed(s->backend, loop_now(s->worker->loop));
    backend_release(s->backend);
    s->backend = NULL;
    p->tried |= UINT64_C(1) << p->backend;
    dial_cancel(&p->dial);
    return next_backend(s);
}

/* What is still to be tried, the present one included: addresses of this backend (one, while its name is
 * being looked up), and other backends. */
static size_t left_to_try(const struct session *s)
{
    const struct setup *p = s->setup;
    size_t left = MAX(dial_left(&p->dial), (size_t)1), tried = (size_t)__builtin_popcountll(p->tried);
    bool begun = p->dial.loop != NULL;
    if (begun && p->backend >= 0 && s->route->upstream.n > tried)
        left += s->route->upstream.n - 1 - tried;
    return left;
}

void session_share_deadline(struct session *s)
{
    struct setup *p = s->setup;
    int64_t now = loop_now(s->worker->loop);
    if (p->reach_by == 0)
        p->reach_by = now + s->route->config->limits.dial_timeout;
    int64_t share = visit_share(s, MAX(p->reach_by - now, 0) / (int64_t)left_to_try(s));
    session_deadline(s, MAX(share, 1)); /* 0 would be: no deadline */
}

/* A new name, address or backend is being tried: it has a share of its own. */
static void share_anew(struct session *s)
{
    struct setup *p = s->setup;
    size_t attempt = (size_t)__builtin_popcountll(p->tried) * (RESOLVE_ADDRS_MAX + 1) + p->dial.next + 1;
    if (attempt == p->attempt)
        return;
    p->attempt = attempt;
    session_share_deadline(s);
}

static enum session_state dialled(struct session *s)
{
    struct setup *p = s->setup;
    s->up = dial_take(&p->dial);
    s->near_port = 0;
    session_own(s, s->up);
    if (s->backend != NULL)
        backend_succeeded(s->backend);
    return SESSION_GREET;
}

enum session_state step_dial(struct session *s)
{
    struct setup *p = s->setup;
    if (s->up != NULL && relay_leads(s)) /* since before the client's TLS; its own may be to come */
        return greet_asks(s) != NULL ? SESSION_GREET : SESSION_JOIN;
    if (session_visits(s))
        return visit_dial(s);
    if (p->dial.loop == NULL && !begin(s)) {
        session_detail(s, "every backend of the route is down");
        return session_unserved(s, CLOSE_NO_BACKEND);
    }
    for (;;) {
        if (s->up != NULL)
            return SESSION_GREET;
        enum dial_status status = dial_step(&p->dial);
        if (status == DIAL_WAIT && p->expired) {
            p->expired = false;
            if (dial_left(&p->dial) > 1) {
                dial_skip(&p->dial);
                continue;
            }
        } else if (status == DIAL_WAIT) {
            share_anew(s);
            return SESSION_DIAL;
        }
        if (status == DIAL_OK)
            return dialled(s);
        if (status == DIAL_NO_DESCRIPTOR || !go_on(s))
            return unreached(s, status);
    }
}

enum session_state session_next_backend(struct session *s, enum close_reason reason)
{
    return go_on(s) ? SESSION_DIAL : session_unserved(s, reason);
}

enum session_state session_same_backend(struct session *s)
{
    programs_leave(s);
    dial_cancel(&s->setup->dial);
    start_backend(s);
    return SESSION_DIAL;
}

/* ---- JOIN ---- */

/* Say yes to a client that named a target. */
static bool answer_yes(struct session *s)
{
    struct buf out = {0};
    const struct front *front = s->setup->front;
    struct front_answer answer = {
        .outcome = FRONT_OK,
        .datagrams = s->setup->request.datagrams,
        .udp = s->setup->request.target.udp,
        .connection = session_connection(s),
        .tls = s->agent != NULL && agent_offer(s->agent)->kind == OFFER_END_TO_END,
    };
    if (front->tell != NULL) {
        front->tell(s->down, &answer);
        return true;
    }
    bool ok = front->answer(&answer, &out);
    if (ok)
        session_say(s, s->down, out.data, out.len);
    buf_free(&out);
    return ok;
}

/* The front may carry the bytes in a way of its own: on a link that takes over what is on its way. */
static void wrap_down(struct session *s, struct str *early)
{
    struct setup *p = s->setup;
    if (p->front == NULL || p->front->wrap == NULL)
        return;
    struct str unsent = {(const char *)p->say_down.data, p->say_down.len};
    struct link *link = p->front->wrap(s->down, &p->request, *early, unsent);
    if (link == s->down)
        return;
    s->down = link;
    session_own(s, link);
    buf_free(&p->say_down);
    *early = (struct str){NULL, 0};
}

/* The backend is told of the client in each request: what is early goes through that too. */
static void follow_requests(struct session *s, struct str *early)
{
    if (!s->route->config->hand_on.headers)
        return;
    s->down = http1_link_new(s->down, *early, hand_on_headers, s);
    session_own(s, s->down);
    *early = (struct str){NULL, 0};
}

/* What the client sent before this moment goes first: straight to the far side, or as far as it takes it. */
static bool send_early(struct session *s, const void *data, size_t len)
{
    size_t n = 0;
    enum link_status status = len == 0 ? LINK_OK : link_write(s->up, data, len, &n);
    if (status == LINK_ERROR)
        return false;
    pipe_prime(&s->pipe, PIPE_A, (const uint8_t *)data + n, len - n);
    return true;
}

/* What has come from the client that nobody has consumed. */
static struct str early_bytes(const struct setup *p)
{
    if (p->visit.first.len > 0)
        return (struct str){(const char *)p->visit.first.data, p->visit.first.len};
    return p->view.len > 0 ? p->view : (struct str){(const char *)p->bytes.data, p->bytes.len};
}

enum session_state step_join(struct session *s)
{
    struct setup *p = s->setup;
    struct str early = early_bytes(p);
    if (p->say_up.len > 0) /* in all its time it has not taken what it was told */
        return session_unserved(s, p->unheard ? CLOSE_BACKEND_RESET : CLOSE_DIAL_TIMEOUT);
    p->request.datagrams =
        p->request.datagrams && p->request.target.udp && quic_stream_datagram_max(s->down) > 0;
    if (p->front != NULL && !answer_yes(s))
        return session_end(s, CLOSE_CLIENT_RESET);
    if (s->agent != NULL) { /* count what is carried, not what was said to get here */
        s->up->bytes_read = 0;
        s->up->bytes_written = p->visit.sent;
    }
    wrap_down(s, &early);
    follow_requests(s, &early);
    if (p->front != NULL) { /* count what is carried, not what was said to get here */
        s->down->bytes_read = early.len;
        s->down->bytes_written = 0;
    }
    if (p->visit.answer.len > 0)
        session_say(s, s->down, p->visit.answer.data, p->visit.answer.len);
    relay_begin_within(s);
    greet_hand_over(s);
    pipe_init(&s->pipe, s->down, s->up);
    pipe_prime(&s->pipe, PIPE_B, p->say_down.data, p->say_down.len);
    if (p->visit.ended)
        pipe_prime_end(&s->pipe, PIPE_A);
    size_t sent = MIN(p->visit.sent, early.len); /* an agent has had that already */
    if (!send_early(s, early.p + sent, early.len - sent))
        return session_end(s, CLOSE_BACKEND_RESET);
    s->datagrams = p->dial.datagrams || (s->agent != NULL && agent_offer(s->agent)->udp);
    if (link_branches(link_bottom(s->up))) /* a stream of the agent's connection */
        session_keep_descriptors(s, s->descriptors - FAR_FDS);
    session_settle(s);
    return SESSION_PIPE;
}
