/* SPDX-License-Identifier: Apache-2.0 */
/* Where client and backend must hear each other: scripts with a relay (starttls/relay.h). It begins before
 * TLS where the client is to see the backend's own greeting, else within it; and from JOIN on it stands on
 * the backend's link (relay_link.h) until it ends.
 *
 * A listener in such a protocol reaches the backend of its one route first:
 *   NEW ROUTE DIAL GREET PREAMBLE PEEK ROUTE HANDSHAKE AUTHORISE DIAL JOIN
 * where DIAL finds the second time that there is a link, which goes through GREET once more where the backend
 * is to begin TLS of its own. */
#include "starttls/relay.h"

#include "session/plan.h"
#include "session/programs.h"
#include "session/relay_link.h"
#include "session/session_internal.h"
#include "session/worker.h"

#define READ_AT_ONCE 4096

static const char in_the_clear[] =
    "bytes of the server in the clear where TLS was to begin; somebody may have put them there";

bool relay_leads(const struct session *s)
{
    const struct plan_port *port = &s->epoch->snap->plan->ports[s->listener];
    return s->setup->talk.spoken != NULL && s->setup->talk.spoken == port->speaks && plan_port_leads(port);
}

bool relay_is_due(const struct session *s)
{
    return s->setup->talk.relay == NULL && relay_leads(s);
}

bool relay_asks(const struct session *s)
{
    const struct starttls *protocol = greet_asks(s);
    return protocol != NULL && s->setup->talk.spoken == NULL &&
           starttls_relay_switches(protocol, STARTTLS_RELAY_CLIENT);
}

static void begin(struct session *s, const struct starttls *protocol, enum starttls_section section)
{
    struct talk *t = &s->setup->talk;
    t->relay = starttls_relay_new(protocol, section);
    t->far_bytes.max = STARTTLS_UNIT_MAX + READ_AT_ONCE;
    preamble_describe(s, starttls_relay_run(t->relay));
}

/* ---- before TLS ---- */

/* What came of both sides' words. */
struct outcome {
    enum starttls_status status; /* STARTTLS_MORE: they are not at the end, and ... */
    enum session_state next;     /* ... that is what to do: to wait, or the client has gone */
    bool by_client;              /* it came of the client's words */
    bool far_ended;              /* the backend has gone */
};

/* What is there of both sides. */
static void step_both(struct session *s, struct outcome *o)
{
    struct setup *p = s->setup;
    struct buf to_far = {0}, to_near = {0};
    size_t used;
    o->status = starttls_relay_step(p->talk.relay, RELAY_FAR, p->talk.far_bytes.data, p->talk.far_bytes.len,
                                    &used, &to_far, &to_near);
    buf_consume(&p->talk.far_bytes, used);
    o->by_client = o->status == STARTTLS_MORE;
    if (o->by_client) {
        o->status = starttls_relay_step(p->talk.relay, RELAY_NEAR, (const uint8_t *)p->view.p, p->view.len,
                                        &used, &to_near, &to_far);
        session_consume(s, used);
    }
    session_say_all(s, s->down, &to_near);
    session_say_all(s, s->up, &to_far);
}

/* On as far as it goes. */
static struct outcome go_on(struct session *s)
{
    enum session_state here = s->state;
    struct outcome o = {.next = here};
    for (bool again = true; again && o.next == here;) {
        step_both(s, &o);
        if (o.status != STARTTLS_MORE)
            break;
        enum link_status far = link_read_buf(s->up, &s->setup->talk.far_bytes, READ_AT_ONCE);
        if (far == LINK_OK)
            continue;
        o.far_ended = far != LINK_AGAIN;
        if (o.far_ended)
            break;
        o.next = session_need_more(s, here, &again);
    }
    return o;
}

/* The client has seen a greeting: there is no other backend for it. */
static enum session_state end_relayed(struct session *s, const struct outcome *o)
{
    if (o->status == STARTTLS_BYE)
        return preamble_refuse(
            s, o->by_client ? "the client was turned away: it goes on without TLS, or takes its leave"
                            : "the server took its leave before TLS");
    const char *why = starttls_run_text(starttls_relay_run(s->setup->talk.relay));
    if (o->by_client)
        return preamble_refuse(s, why);
    session_detail(s, why);
    return session_unserved(s, CLOSE_STARTTLS);
}

enum session_state relay_preamble(struct session *s)
{
    struct setup *p = s->setup;
    if (p->talk.relay == NULL)
        begin(s, p->talk.spoken, greet_asks(s) != NULL ? STARTTLS_RELAY_BOTH : STARTTLS_RELAY_SERVER);
    p->reach_by = 0; /* how long the client takes is not the backend's time */
    struct outcome o = go_on(s);
    if (o.far_ended) {
        programs_tell(s);
        session_detail(s, "the backend closed before the client had come to TLS");
        return session_unserved(s, CLOSE_BACKEND_RESET);
    }
    switch (o.status) {
    case STARTTLS_MORE:
        return o.next;
    case STARTTLS_SWITCH:
        if (p->talk.far_bytes.len > 0)
            return preamble_refuse(s, in_the_clear);
        p->scan = hello_scan_start(session_limits(s)->hello_size);
        return SESSION_PEEK;
    case STARTTLS_PLAIN:
        p->talk.in_clear = true;
        return preamble_serve_plain(s);
    default:
        return end_relayed(s, &o);
    }
}

enum session_state relay_ask(struct session *s)
{
    struct talk *t = &s->setup->talk;
    if (t->relay == NULL)
        begin(s, greet_asks(s), STARTTLS_RELAY_CLIENT);
    struct outcome o = go_on(s);
    if (o.far_ended)
        return greet_broke_off(s, "the backend closed before TLS could begin", CLOSE_BACKEND_RESET);
    if (o.status == STARTTLS_MORE)
        return o.next;
    if (o.status == STARTTLS_SWITCH && t->far_bytes.len > 0)
        return greet_failed(s, in_the_clear, CLOSE_BACKEND_TLS);
    if (o.status == STARTTLS_SWITCH)
        return SESSION_JOIN;
    if (o.status == STARTTLS_BYE || o.by_client)
        return end_relayed(s, &o);
    return greet_failed(s, starttls_run_text(starttls_relay_run(t->relay)), CLOSE_BACKEND_TLS);
}

bool relay_awaits_client(const struct session *s)
{
    return relay_asks(s) && s->setup->talk.relay != NULL && s->down->bytes_written > 0 &&
           link_below(s->up) == NULL;
}

/* ---- within it ---- */

/* The section for what comes, where no relay has begun before TLS; STARTTLS_SECTIONS: none. */
static enum starttls_section section_within(const struct session *s, const struct starttls **ret)
{
    const struct talk *t = &s->setup->talk;
    if (session_is_tunnel(s) || session_visits(s) || t->in_clear || s->route->config->action == CONFIG_PASS)
        return STARTTLS_SECTIONS;
    *ret = s->route->tells;
    if (*ret != NULL && starttls_section(*ret, STARTTLS_RELAY_IDENTIFY) >= 0)
        return STARTTLS_RELAY_IDENTIFY;
    *ret = greet_asks(s);
    if (*ret != NULL && t->spoken == NULL)
        return STARTTLS_RELAY_CLIENT;
    if (*ret != NULL || t->spoken == NULL || s->route->backend_tls != NULL)
        return STARTTLS_SECTIONS;
    *ret = t->spoken;
    return STARTTLS_RELAY_SERVER;
}

void relay_begin_within(struct session *s)
{
    struct talk *t = &s->setup->talk;
    const struct starttls *protocol;
    enum starttls_section section = section_within(s, &protocol);
    if (section == STARTTLS_SECTIONS)
        return;
    if (t->relay == NULL && starttls_section(protocol, section) >= 0)
        begin(s, protocol, section);
    if (t->relay == NULL)
        return;
    s->up = relay_link_new(t->relay, s->up, &t->far_bytes);
    session_own(s, s->up);
    t->relay = NULL;
}
