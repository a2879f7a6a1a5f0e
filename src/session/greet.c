/* SPDX-License-Identifier: Apache-2.0 */
/* What a backend hears before the client's own bytes, in this order, each where it is asked for: the PROXY
 * header; in the clear, the request to begin TLS (of a client whose TLS is passed on, or for TLS of ours);
 * TLS; and what makes up for the greeting that the client has had from us already. */
#include <string.h>

#include "base/clock.h"
#include "session/backend_pool.h"
#include "session/hand_on.h"
#include "session/plan.h"
#include "session/programs.h"
#include "session/session_internal.h"
#include "session/worker.h"
#include "starttls/relay.h"

#define READ_AT_ONCE 4096

/* ---- failing ---- */

static void forget_dialogue(struct talk *t)
{
    starttls_run_free(t->far);
    t->far = NULL;
    buf_free(&t->far_bytes);
    starttls_relay_free(t->relay);
    t->relay = NULL;
    t->greet = GREET_HEADER;
    t->settling = false;
}

/* Let go of the connection to the backend. */
static void drop_backend(struct session *s)
{
    struct setup *p = s->setup;
    link_close(s->up, true);
    s->up = NULL;
    forget_dialogue(&p->talk);
    buf_free(&p->say_up);
    p->expired = p->unheard = s->spare = s->reaped = false;
}

/* Does the client know this one's greeting? Then no other connection can take its place. */
static bool has_greeted(const struct session *s)
{
    return (relay_asks(s) || relay_leads(s)) && s->down->bytes_written > 0;
}

enum session_state greet_failed(struct session *s, const char *why, enum close_reason reason)
{
    programs_tell(s); /* how it exited says more */
    session_detail(s, why);
    drop_backend(s);
    return has_greeted(s) ? session_unserved(s, reason) : session_next_backend(s, reason);
}

enum session_state greet_broke_off(struct session *s, const char *why, enum close_reason reason)
{
    if (!programs_runs(s) || s->setup->expired)
        return greet_failed(s, why, reason);
    if (!s->reaped)
        session_deadline(s, SESSION_REAP_NS);
    s->reaped = true;
    return s->state;
}

/* One that speaks TLS from the first byte on may close, at words that are none, without a word of its own. */
const char *greet_closed_before_tls(const struct session *s)
{
    return s->up->bytes_read > 0
               ? "the backend closed before TLS could begin"
               : "the backend closed before TLS could begin, without a word; perhaps TLS begins "
                 "at once there: leave 'starttls' out";
}

static enum session_state greet_broken(struct session *s)
{
    struct link_peer peer;
    char text[STARTTLS_CLEAR_MAX];
    if (ech_attempt_again(&s->setup->ech) && !has_greeted(s)) {
        drop_backend(s);
        return session_same_backend(s);
    }
    link_peer(s->up, &peer);
    s->setup->talk.disbelieved = *peer.failure != '\0';
    const char *why = s->setup->talk.disbelieved ? peer.failure : link_error(s->up);
    if (peer.found.len > 0)
        why = starttls_found_clear(peer.found, s->route->asks == NULL ? "starttls: " : NULL, text);
    return greet_broke_off(s, why, s->route->backend_tls != NULL ? CLOSE_BACKEND_TLS : CLOSE_BACKEND_RESET);
}

/* ---- PROXY header ---- */

static void say_proxy_header(struct session *s)
{
    uint8_t out[HAND_ON_PROXY_MAX];
    struct hand_on_client client;
    bool cut;
    hand_on_client(s, &client);
    size_t len = hand_on_proxy(&s->route->config->hand_on, &client, out, &cut);
    if (cut)
        worker_notice(
            s->worker,
            "route %s: a client's certificate is too large for a PROXY header of %d bytes and was left out",
            s->route->config->name.text, HAND_ON_PROXY_MAX);
    session_say(s, s->up, out, len);
}

static enum session_state say_header(struct session *s)
{
    link_more(s->up, true); /* the client's bytes, or a ClientHello, follow at once */
    if (s->route->config->hand_on.proxy != CONFIG_SEND_PROXY_NONE)
        say_proxy_header(s);
    link_more(s->up, false);
    return s->setup->unheard ? greet_broken(s) : SESSION_JOIN;
}

/* ---- dialogues in the backend's protocol ---- */

const struct starttls *greet_asks(const struct session *s)
{
    const struct talk *t = &s->setup->talk;
    bool passes = s->route->config->action == CONFIG_PASS && !t->in_clear;
    return passes ? t->spoken : s->route->asks;
}

/* What makes up for a greeting: -1 where there is nothing to make up for, or the script has nothing. */
static int settling_section(const struct session *s, const struct starttls **ret)
{
    const struct talk *t = &s->setup->talk;
    bool tells =
        s->route->tells != NULL && !t->in_clear && starttls_section(s->route->tells, STARTTLS_IDENTIFY) >= 0;
    *ret = greet_asks(s) != NULL ? greet_asks(s) : tells ? s->route->tells : t->spoken;
    if (*ret == NULL)
        return -1;
    if (tells)
        return starttls_section(*ret, STARTTLS_IDENTIFY);
    if (greet_asks(s) !=
        NULL) /* it has greeted us before TLS; a section of the client's protocol is none of its */
        return t->spoken == NULL ? starttls_section(*ret, STARTTLS_SETTLE) : -1;
    if (t->in_clear)
        return starttls_run_onward(t->near);
    return starttls_section(*ret, STARTTLS_GREET);
}

bool greet_settles(const struct session *s)
{
    const struct starttls *protocol;
    return settling_section(s, &protocol) >= 0;
}

/* A dialogue with the backend that goes on where that with the client has come to. */
static void begin_dialogue(struct session *s, const struct starttls *protocol, int section)
{
    struct talk *t = &s->setup->talk;
    struct buf say = {0};
    if (t->far == NULL) {
        t->far = starttls_run_new(protocol);
        preamble_describe(s, t->far);
        if (t->near != NULL && protocol == t->spoken)
            starttls_run_follow(t->far, t->near);
    }
    t->far_bytes.max = STARTTLS_UNIT_MAX + READ_AT_ONCE;
    starttls_run_begin(t->far, section, &say);
    session_say_all(s, s->up, &say);
}

/* Where it was asked for TLS, that is what it does not give. */
static enum session_state dialogue_failed(struct session *s)
{
    bool asked = s->setup->talk.greet == GREET_ASK;
    return greet_failed(s, starttls_run_text(s->setup->talk.far),
                        asked ? CLOSE_BACKEND_TLS : CLOSE_BACKEND_RESET);
}

static enum session_state greet_late(struct session *s)
{
    struct talk *t = &s->setup->talk;
    char text[STARTTLS_WAITING_MAX] = "";
    struct str pending = {(const char *)t->far_bytes.data, t->far_bytes.len};
    if (t->relay != NULL)
        starttls_run_waiting(starttls_relay_run(t->relay), &pending, text);
    else if (t->far != NULL && (t->greet == GREET_ASK || t->greet == GREET_SETTLE))
        starttls_run_waiting(t->far, &pending, text);
    const char *why = *text != '\0' ? text
                      : t->greet == GREET_TLS && t->far != NULL
                          ? "the backend agreed to begin TLS, and did not finish its handshake in time"
                          : "the backend took the connection and then said nothing";
    return greet_failed(s, why, CLOSE_DIAL_TIMEOUT);
}

/* SESSION_JOIN: it is over. */
static enum session_state step_dialogue(struct session *s)
{
    struct talk *t = &s->setup->talk;
    for (;;) {
        struct buf say = {0};
        size_t used;
        enum starttls_status status =
            starttls_run_step(t->far, t->far_bytes.data, t->far_bytes.len, &used, &say);
        buf_consume(&t->far_bytes, used);
        session_say_all(s, s->up, &say);
        if (status == STARTTLS_DONE &&
            t->greet == GREET_ASK) /* what has come in the clear would pass for TLS */
            return greet_failed(s, "the script's section 'ask' ends with 'done', expected 'switch'",
                                CLOSE_BACKEND_TLS);
        if (status == STARTTLS_SWITCH || status == STARTTLS_DONE)
            return SESSION_JOIN;
        if (status != STARTTLS_MORE)
            return dialogue_failed(s);
        enum link_status read = link_read_buf(s->up, &t->far_bytes, READ_AT_ONCE);
        if (read == LINK_AGAIN)
            return SESSION_GREET;
        if (read == LINK_EOF)
            return greet_broke_off(s,
                                   t->greet == GREET_ASK
                                       ? greet_closed_before_tls(s)
                                       : "the backend closed before it had been told of the client",
                                   CLOSE_BACKEND_RESET);
        if (read != LINK_OK)
            return greet_broken(s);
    }
}

static enum session_state ask(struct session *s)
{
    const struct starttls *protocol = greet_asks(s);
    if (protocol == NULL)
        return SESSION_JOIN;
    if (relay_leads(s)) /* what the client says will ask for it */
        return SESSION_JOIN;
    if (relay_asks(s))
        return relay_ask(s);
    if (s->setup->talk.far == NULL)
        begin_dialogue(s, protocol, starttls_section(protocol, STARTTLS_ASK));
    return step_dialogue(s);
}

/* ---- TLS ---- */

static void begin_backend_tls(struct session *s)
{
    struct backend_pools *pools = backend_pools_of(s->worker, s->epoch);
    struct setup *p = s->setup;
    s->up = backend_pool_connect(pools, s->route, (size_t)p->backend, s->up, &p->ech);
    session_own(s, s->up);
}

static enum session_state open_up(struct session *s)
{
    if (s->route->backend_tls != NULL && link_below(s->up) == NULL)
        begin_backend_tls(s);
    switch (link_open(s->up)) {
    case LINK_AGAIN:
        return SESSION_GREET;
    case LINK_OK:
        if (s->route->backend_tls != NULL && !s->spare)
            backend_pool_opened(backend_pools_of(s->worker, s->epoch), s->route, (size_t)s->setup->backend,
                                s->up, &s->setup->ech);
        return SESSION_JOIN;
    default:
        return greet_broken(s);
    }
}

/* ---- after it ---- */

static enum session_state settle(struct session *s)
{
    const struct starttls *protocol;
    int section = settling_section(s, &protocol);
    if (section < 0)
        return SESSION_JOIN;
    if (!s->setup->talk.settling) {
        begin_dialogue(s, protocol, section);
        s->setup->talk.settling = true;
    }
    return step_dialogue(s);
}

void greet_hand_over(struct session *s)
{
    struct talk *t = &s->setup->talk;
    struct buf say = {0};
    if (t->far == NULL)
        return;
    if (t->spoken == NULL)
        starttls_run_welcome(t->far, &say);
    session_say_all(s, s->down, &say);
    if (t->far_bytes.len > 0)
        session_say(s, s->down, t->far_bytes.data, t->far_bytes.len);
}

/* ---- the step ---- */

enum session_state step_greet(struct session *s)
{
    static enum session_state (*const phases[])(struct session *) = {
        [GREET_HEADER] = say_header, [GREET_ASK] = ask, [GREET_TLS] = open_up, [GREET_SETTLE] = settle};
    struct setup *p = s->setup;
    if (session_visits(s))
        return visit_greet(s);
    if (session_is_tunnel(s))
        return SESSION_JOIN;
    if (p->unheard)
        return greet_broken(s);
    if (p->expired && relay_awaits_client(s)) {
        session_detail(s, "the client does not answer the server's greeting in time");
        return session_end(s, CLOSE_HELLO_TIMEOUT);
    }
    if (p->expired && s->reaped)
        return greet_failed(s, "the program has closed its output, and goes on", CLOSE_BACKEND_RESET);
    if (p->expired)
        return greet_late(s);
    for (; p->talk.greet < GREET_OVER; p->talk.greet++) {
        if (p->say_up.len > 0)
            return SESSION_GREET; /* the driver calls again when it is out */
        if (p->talk.greet == GREET_TLS && relay_is_due(s) && greet_asks(s) != NULL)
            return SESSION_PREAMBLE;
        enum session_state next = phases[p->talk.greet](s);
        if (next != SESSION_JOIN)
            return next;
    }
    if (p->say_up.len > 0) /* the last words too */
        return SESSION_GREET;
    return relay_is_due(s) ? SESSION_PREAMBLE : SESSION_JOIN;
}
