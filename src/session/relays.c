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
#include "session/relay_link.h"
#include "session/session_internal.h"
#include "session/worker.h"

#define READ_AT_ONCE 4096

static const char in_the_clear[] =
    "bytes of the server in the clear where TLS was to begin; somebody may have put them there";

bool relay_leads(const struct session *s)
{
    const struct plan_port *port = &s->epoch->snap->plan->ports[s->listener];
    return s->setup->spoken != NULL && s->setup->spoken == port->speaks && plan_port_leads(port);
}

bool relay_is_due(const struct session *s)
{
    return s->setup->relay == NULL && relay_leads(s);
}

bool relay_asks(const struct session *s)
{
    const struct starttls *protocol = greet_asks(s);
    return protocol != NULL && s->setup->spoken == NULL &&
           starttls_relay_switches(protocol, starttls_section(protocol, "relay-client"));
}

static void begin(struct session *s, const struct starttls *protocol, const char *section)
{
    struct setup *p = s->setup;
    p->relay = starttls_relay_new(protocol, starttls_section(protocol, section));
    p->far_bytes.max = STARTTLS_UNIT_MAX + READ_AT_ONCE;
    preamble_describe(s, starttls_relay_run(p->relay));
}

/* ---- before TLS ---- */

static void say(struct session *s, struct link *to, struct buf *words)
{
    if (words->len > 0)
        session_say(s, to, words->data, words->len);
    buf_free(words);
}

/* What is there of both sides. */
static enum starttls_status step_both(struct session *s)
{
    struct setup *p = s->setup;
    struct buf to_far = {0}, to_near = {0};
    size_t used;
    enum starttls_status status = starttls_relay_step(p->relay, RELAY_FAR, p->far_bytes.data,
                                                      p->far_bytes.len, &used, &to_far, &to_near);
    buf_consume(&p->far_bytes, used);
    if (status == STARTTLS_MORE) {
        status = starttls_relay_step(p->relay, RELAY_NEAR, (const uint8_t *)p->view.p, p->view.len, &used,
                                     &to_near, &to_far);
        session_consume(s, used);
    }
    say(s, s->down, &to_near);
    say(s, s->up, &to_far);
    return status;
}

/* On as far as it goes. True with *ret: that came of it; false: with *next, which may be `here` to wait. */
static bool go_on(struct session *s, enum session_state here, enum starttls_status *ret,
                  enum session_state *next, enum link_status *ret_far)
{
    struct setup *p = s->setup;
    for (bool again = true;;) {
        *ret_far = LINK_AGAIN;
        *ret = step_both(s);
        if (*ret != STARTTLS_MORE)
            return true;
        *ret_far = link_read_buf(s->up, &p->far_bytes, READ_AT_ONCE);
        if (*ret_far == LINK_OK)
            continue;
        if (*ret_far != LINK_AGAIN)
            return false;
        *next = session_need_more(s, here, &again);
        if (*next != here || !again)
            return false;
    }
}

static enum session_state refuse(struct session *s, const char *why)
{
    session_detail(s, why);
    return session_farewell(s, NULL, 0, CLOSE_STARTTLS);
}

/* The client has seen a greeting: there is no other backend for it. */
static enum session_state end_relayed(struct session *s, enum starttls_status status)
{
    if (status == STARTTLS_BYE)
        return refuse(s, "one of the two took its leave before TLS");
    return refuse(s, starttls_run_text(starttls_relay_run(s->setup->relay)));
}

enum session_state relay_preamble(struct session *s)
{
    struct setup *p = s->setup;
    enum starttls_status status;
    enum session_state next = SESSION_PREAMBLE;
    enum link_status far;
    if (p->relay == NULL)
        begin(s, p->spoken, greet_asks(s) != NULL ? "relay-both" : "relay-server");
    p->reach_by = 0; /* how long the client takes is not the backend's time */
    if (!go_on(s, SESSION_PREAMBLE, &status, &next, &far)) {
        if (far == LINK_AGAIN)
            return next;
        session_detail(s, "the backend closed before TLS could begin");
        return session_unserved(s, CLOSE_BACKEND_RESET);
    }
    if (status == STARTTLS_SWITCH && p->far_bytes.len > 0)
        return refuse(s, in_the_clear);
    if (status == STARTTLS_SWITCH) {
        p->scan = hello_scan_start(session_limits(s)->hello_size);
        return SESSION_PEEK;
    }
    if (status != STARTTLS_PLAIN)
        return end_relayed(s, status);
    p->in_clear = true;
    next = preamble_serve_plain(s);
    return next;
}

enum session_state relay_ask(struct session *s)
{
    struct setup *p = s->setup;
    enum starttls_status status;
    enum session_state next = SESSION_GREET;
    enum link_status far;
    if (p->relay == NULL)
        begin(s, greet_asks(s), "relay-client");
    if (!go_on(s, SESSION_GREET, &status, &next, &far)) {
        if (far == LINK_AGAIN)
            return next;
        return greet_failed(s, "the backend closed before TLS could begin", CLOSE_BACKEND_RESET);
    }
    if (status == STARTTLS_SWITCH && p->far_bytes.len == 0)
        return SESSION_JOIN;
    if (status == STARTTLS_SWITCH)
        return greet_failed(s, in_the_clear, CLOSE_BACKEND_TLS);
    if (status == STARTTLS_BYE)
        return end_relayed(s, status);
    return greet_failed(s, starttls_run_text(starttls_relay_run(p->relay)), CLOSE_BACKEND_TLS);
}

/* ---- within it ---- */

/* The relay for what comes, where it has not begun before TLS; NULL: none. */
static const char *section_within(const struct session *s, const struct starttls **ret)
{
    const struct setup *p = s->setup;
    if (session_is_tunnel(s) || session_visits(s) || p->in_clear || s->route->config->action == CONFIG_PASS)
        return NULL;
    *ret = greet_asks(s);
    if (*ret != NULL && p->spoken == NULL)
        return "relay-client";
    if (*ret != NULL || p->spoken == NULL || s->route->backend_tls != NULL)
        return NULL;
    *ret = p->spoken;
    return "relay-server";
}

void relay_begin_within(struct session *s)
{
    struct setup *p = s->setup;
    const struct starttls *protocol;
    const char *section = section_within(s, &protocol);
    if (section == NULL)
        return;
    if (p->relay == NULL && starttls_section(protocol, section) >= 0)
        begin(s, protocol, section);
    if (p->relay == NULL)
        return;
    s->up = relay_link_new(p->relay, s->up, &p->far_bytes);
    s->up->wake = session_wake_link;
    s->up->owner = s;
    p->relay = NULL;
}
