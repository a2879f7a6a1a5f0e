/* SPDX-License-Identifier: Apache-2.0 */
/* An offer is a small machine: IDLE REACH HELLO ANSWER STANDS, and back to IDLE when it is lost. */
#include <stdlib.h>
#include <string.h>

#include "audit/reason.h"
#include "base/clock.h"
#include "base/hash.h"
#include "base/str.h"
#include "quic/quic.h"
#include "tunnel/agent_tls.h"
#include "tunnel/carrier.h"
#include "tunnel/client_internal.h"
#include "tunnel/exposer_internal.h"

/* An offer that stood so long was no failure. Short, so that a door that is started several times within a
 * minute has its agents back as soon as the first time. */
#define STOOD_WELL_NS (5 * NSEC_PER_SEC)

/* How often an offer that stands over TCP looks whether QUIC is there: while it is tried, and else. */
#define LOOK_NS NSEC_PER_SEC
#define LOOK_RARELY_NS (15 * NSEC_PER_SEC)

#define OUT_MAX (64 * 1024)

/* The door's word alone is not to fill a disk or keep a processor busy. What a slow network has held up may
 * come at once. */
#define WHIMS_AT_ONCE 10
#define WHIMS_A_SECOND 1

/* ---- telling ---- */

void exposer_offer_tell(struct exposer_offer *o, const struct agent_news *news)
{
    struct agent_news whole = *news;
    whole.service = &o->service;
    o->agent->events->news(o->agent->owner, &whole);
}

static void tell_lost(struct exposer_offer *o, const char *text, int64_t wait)
{
    struct agent_news news = {.event = AGENT_LOST, .text = text, .wait = wait};
    news.again = o->complaint != NULL && strcmp(o->complaint, text) == 0;
    if (!news.again) {
        free(o->complaint);
        o->complaint = strdup(text);
    }
    exposer_offer_tell(o, &news);
}

/* ---- losing ---- */

static void drop_connection(struct exposer_offer *o)
{
    wheel_cancel(&o->timer);
    wheel_cancel(&o->fellows_due);
    way_cancel(&o->way);
    renewer_leave(&o->part);
    link_close(o->control, o->state != OFFER_STANDS);
    o->control = NULL;
    buf_free(&o->in);
    buf_free(&o->out);
}

/* What makes the next try worthwhile is that somebody changes something. */
#define REFUSED_FACTOR 4

static enum offer_state try_after(struct exposer_offer *o, const char *text, int64_t factor)
{
    struct loop *loop = o->agent->loop;
    if (o->state == OFFER_STANDS && loop_now(loop) - o->stood >= STOOD_WELL_NS)
        backoff_reset(&o->backoff);
    drop_connection(o);
    exposer_visit_drop(o->agent, o); /* the ids were given for the offer that is gone */
    if (o->agent->stopping)
        return OFFER_REFUSED;
    int64_t wait = factor * backoff_next(&o->backoff, hash_random_key().k0);
    loop_set_timer(loop, &o->timer, loop_now(loop) + wait);
    tell_lost(o, text, wait);
    return OFFER_IDLE;
}

static enum offer_state try_later(struct exposer_offer *o, const char *text)
{
    return try_after(o, text, 1);
}

/* The door does not want the offer, and will not by itself. At the first try whoever has started us is there
 * to read it; an offer that has stood is one that somebody relies on, and whoever has changed the door's mind
 * may change it back. */
static enum offer_state turned_down(struct exposer_offer *o, const char *text)
{
    if (o->agent->retry || o->has_stood)
        return try_after(o, text, REFUSED_FACTOR);
    drop_connection(o);
    o->state = OFFER_REFUSED;
    exposer_offer_tell(o, &(struct agent_news){.event = AGENT_REFUSED, .text = text});
    return OFFER_REFUSED;
}

static enum offer_state far_failed(struct exposer_offer *o)
{
    struct err *text = &o->agent->door->text;
    struct link_peer peer;
    if (o->shared && quic_stream_peer_code(link_bottom(o->control)) == CLOSE_CODE_NOT_BEGUN)
        client_door_renew(o->agent->door, o->carrier); /* the door stops; another may listen there */
    link_peer(o->control, &peer);
    client_text_tls(o->agent->door, o->control, true, text);
    return client_is_refused(&peer) ? turned_down(o, text->text) : try_later(o, text->text);
}

/* ---- REACH, HELLO, ANSWER ---- */

static void offer_run(struct exposer_offer *o);

static void on_link_wake(struct link *l)
{
    offer_run(l->owner);
}

static void on_way_wake(void *owner)
{
    offer_run(owner);
}

static void begin(struct exposer_offer *o)
{
    struct loop *loop = o->agent->loop;
    o->state = OFFER_REACH;
    o->deadline = loop_now(loop) + o->agent->door->timeout;
    loop_set_timer(loop, &o->timer, o->deadline);
    o->way.tcp_only = false;
    o->until = o->agent->door->cert == NULL ? 0 : o->agent->door->cert->not_after;
    way_start(&o->way, o->deadline);
}

static enum offer_state step_reach(struct exposer_offer *o)
{
    struct client_door *d = o->agent->door;
    struct link_peer peer;
    enum way_status status = way_step(&o->way);
    if (status == WAY_WAIT)
        return OFFER_REACH;
    if (status != WAY_OK)
        return o->way.refused ? turned_down(o, d->text.text) : try_later(o, d->text.text);
    o->shared = way_is_shared(&o->way);
    if (o->shared)
        o->until = carrier_certificate(d->carrier);
    o->carrier = d->carrier_turn;
    o->control = way_take(&o->way);
    o->control->wake = on_link_wake;
    o->control->owner = o;
    link_peer(o->control, &peer);
    if (!str_is(peer.alpn, WIRE_ALPN)) {
        err_set(&d->text, "%s at the door %s takes no agents: is the name right (--name)?", d->name,
                d->place);
        return turned_down(o, d->text.text);
    }
    o->in.max = WIRE_MESSAGE_MAX + AGENT_ROOM;
    o->out.max = OUT_MAX;
    CHECK(wire_encode_offer(&o->service.offer, o->agent->door->cert != NULL, &o->out));
    return OFFER_HELLO;
}

static enum offer_state step_hello(struct exposer_offer *o)
{
    if (link_write_buf(o->control, &o->out) == LINK_AGAIN)
        return OFFER_HELLO;
    return OFFER_ANSWER; /* where that broke, what the door said before says why */
}

static enum link_status read_more(struct exposer_offer *o)
{
    CHECK(o->in.len < WIRE_MESSAGE_MAX);
    return link_read_buf(o->control, &o->in, AGENT_ROOM);
}

/* Over TCP: when to look for QUIC again. */
static int64_t next_look(const struct exposer_offer *o, int64_t now)
{
    const struct carrier *c = o->agent->door->carrier;
    if (c == NULL)
        return INT64_MAX;
    return now + (carrier_is_under_way(c) ? LOOK_NS : LOOK_RARELY_NS);
}

/* False: it is known. */
static bool note_fellows(struct exposer_offer *o, size_t count, const char *one)
{
    if (o->fellows == count && strcmp(one, o->fellow == NULL ? "" : o->fellow) == 0)
        return false;
    o->fellows = count;
    free(o->fellow);
    o->fellow = str_dup(*one == '\0' ? NULL : one);
    return true;
}

static enum offer_state stand(struct exposer_offer *o, const char *warning)
{
    struct loop *loop = o->agent->loop;
    o->stood = o->heard = o->said = loop_now(loop);
    wheel_cancel(&o->timer);
    if (!o->shared) /* QUIC has signs of life of its own */
        loop_set_timer(loop, &o->timer, MIN(o->said + SIGN_OF_LIFE_NS, next_look(o, o->said)));
    o->has_stood = true;
    free(o->complaint);
    o->complaint = NULL;
    note_fellows(o, 0, "");
    exposer_offer_tell(o, &(struct agent_news){.event = AGENT_STANDS, .text = warning, .quic = o->shared});
    return OFFER_STANDS;
}

/* The door said no. Another agent's conflicting offer may go away; a policy does not change by asking. */
static enum offer_state refused(struct exposer_offer *o, const struct wire_answer *answer)
{
    struct err text;
    bool named = answer->rule[0] == '\0' || strstr(answer->text, answer->rule) != NULL;
    err_set(&text, "the door %s refuses to offer %s: %s: %s%s%s%s", o->agent->door->place,
            o->service.offer.name, answer->code, answer->text, named ? "" : " (rule ",
            named ? "" : answer->rule, named ? "" : ")");
    return answer->outcome == FRONT_DENIED || answer->outcome == FRONT_BAD_HELLO ? turned_down(o, text.text)
                                                                                 : try_later(o, text.text);
}

static enum offer_state step_answer(struct exposer_offer *o)
{
    struct err *text = &o->agent->door->text;
    for (;;) {
        struct wire_answer answer;
        size_t used;
        enum wire_result r = wire_parse_answer(o->in.data, o->in.len, &answer, &used, text);
        if (r == WIRE_BAD) {
            err_prefix(text, "the door's answer cannot be read");
            return try_later(o, text->text);
        }
        if (r == WIRE_OK) {
            buf_consume(&o->in, used);
            if (answer.outcome == FRONT_OK)
                renewer_join(o->agent->door->renewer, &o->part, answer.connection, o->until, o->control,
                             o->shared);
            return answer.outcome == FRONT_OK ? stand(o, answer.warning) : refused(o, &answer);
        }
        enum link_status status = read_more(o);
        if (status == LINK_AGAIN)
            return OFFER_ANSWER;
        if (status == LINK_EOF) {
            err_set(text, "the door %s closed the connection without an answer", o->agent->door->place);
            return try_later(o, text->text);
        }
        if (status != LINK_OK)
            return far_failed(o);
    }
}

/* ---- STANDS ---- */

static void say(struct exposer_offer *o, const struct wire_control *control)
{
    if (wire_encode_control(control, &o->out))
        o->said = loop_now(o->agent->loop);
}

/* One that stops says no more of its service: it will be back, or not, whatever that does. */
static void say_ready(struct exposer_offer *o)
{
    bool stopping = o->agent->stopping;
    say(o, &(struct wire_control){.says_ready = true,
                                  .ready = o->probe.down == FRONT_OK && !stopping,
                                  .down = stopping ? FRONT_OK : o->probe.down});
}

void exposer_offer_ready(struct exposer_offer *o)
{
    if (o->state != OFFER_STANDS)
        return;
    say_ready(o);
    offer_run(o);
}

/* Over and over it would be as any failure. */
static enum offer_state stop_moving(struct exposer_offer *o)
{
    struct err text;
    err_set(
        &text,
        "the door %s stops again and again, as soon as it has taken the offer: is it restarted in a loop?",
        o->agent->door->place);
    return try_later(o, text.text);
}

/* The door stops: the offer moves to a new connection, and what is open stays where it is. */
static enum offer_state move(struct exposer_offer *o)
{
    struct client_door *d = o->agent->door;
    if (o->shared)
        client_door_renew(d, o->carrier);
    if (!patience_bear(&o->whims, loop_now(o->agent->loop)))
        return stop_moving(o);
    drop_connection(o);
    begin(o);
    loop_defer(o->agent->loop, &o->again);
    return OFFER_REACH;
}

void exposer_offer_unheard(struct exposer_offer *o, unsigned turn)
{
    bool waits = o->state == OFFER_HELLO || o->state == OFFER_ANSWER || o->state == OFFER_STANDS;
    if (!waits || !o->shared || o->carrier != turn || o->agent->stopping)
        return;
    drop_connection(o);
    begin(o);
    loop_defer(o->agent->loop, &o->again);
}

/* The door's policy does not allow the offer any more. Whoever visits already may stay; and a slip in the
 * door's configuration is not to lose for good a machine that nobody else can reach. */
static enum offer_state withdrawn(struct exposer_offer *o)
{
    struct err text = o->agent->door->text;
    return try_after(o, text.text, REFUSED_FACTOR);
}

/* What the door has said that ends the state. */
struct orders {
    bool drain;
    bool withdrawn; /* the door's text says why */
};

/* An honest door says it once a second. What another says beyond that is told when it is due: the last of
 * it. */
static void tell_fellows(struct exposer_offer *o)
{
    int64_t now = loop_now(o->agent->loop);
    struct agent_news news = {
        .event = AGENT_FELLOWS, .text = o->fellow == NULL ? "" : o->fellow, .fellows = o->fellows};
    if (patience_bear(&o->whims, now))
        exposer_offer_tell(o, &news);
    else
        loop_set_timer(o->agent->loop, &o->fellows_due, now + NSEC_PER_SEC / WHIMS_A_SECOND);
}

static void on_fellows_due(struct timer *t)
{
    tell_fellows(CONTAINER_OF(t, struct exposer_offer, fellows_due));
}

static void hear_of_fellows(struct exposer_offer *o, const struct wire_control *control)
{
    if (control->says_fellows && note_fellows(o, control->fellows, control->fellow) &&
        !timer_is_set(&o->fellows_due))
        tell_fellows(o);
}

/* Take what is complete. False when the door says something that cannot be read. */
static bool obey(struct exposer_offer *o, struct orders *ret, struct err *err)
{
    for (;;) {
        struct wire_control control;
        size_t used;
        enum wire_result r = wire_parse_control(o->in.data, o->in.len, &control, &used, err);
        if (r != WIRE_OK)
            return r == WIRE_MORE;
        buf_consume(&o->in, used);
        o->heard = loop_now(o->agent->loop);
        ret->drain = ret->drain || control.drain;
        hear_of_fellows(o, &control);
        if (control.withdrawn[0] != '\0') {
            ret->withdrawn = true;
            err_set(err, "the door %s has withdrawn the offer of %s: %s", o->agent->door->place,
                    o->service.offer.name, control.withdrawn);
            return true;
        }
        for (size_t i = 0; i < control.spares && o->spares < AGENT_SPARES_MAX; i++)
            exposer_visit_bring(o, control.spare[i]);
    }
}

static enum offer_state step_stands(struct exposer_offer *o)
{
    struct err *text = &o->agent->door->text;
    for (;;) {
        struct orders orders = {0};
        if (!obey(o, &orders, text)) {
            err_prefix(text, "what the door %s says cannot be read", o->agent->door->place);
            return try_later(o, text->text);
        }
        if (orders.withdrawn)
            return withdrawn(o);
        if (orders.drain && !o->agent->stopping)
            return move(o);
        if (link_write_buf(o->control, &o->out) == LINK_ERROR)
            return far_failed(o);
        enum link_status status = read_more(o);
        if (status == LINK_AGAIN)
            return OFFER_STANDS;
        if (status == LINK_EOF) {
            err_set(text, "the door %s has closed the connection", o->agent->door->place);
            return try_later(o, text->text);
        }
        if (status != LINK_OK)
            return far_failed(o);
    }
}

/* ---- the driver ---- */

static enum offer_state (*const steps[])(struct exposer_offer *) = {
    [OFFER_REACH] = step_reach,
    [OFFER_HELLO] = step_hello,
    [OFFER_ANSWER] = step_answer,
    [OFFER_STANDS] = step_stands,
};

static void offer_run(struct exposer_offer *o)
{
    if (o->running) { /* woken by what a step did: look again when it is done */
        loop_defer(o->agent->loop, &o->again);
        return;
    }
    o->running = true;
    while (o->state != OFFER_IDLE && o->state != OFFER_REFUSED) {
        enum offer_state next = steps[o->state](o);
        bool stood = o->state != OFFER_STANDS && next == OFFER_STANDS;
        if (next == o->state)
            break;
        o->state = next;
        if (stood && (o->probe.down != FRONT_OK || o->agent->stopping))
            say_ready(o);
    }
    o->running = false;
}

static void on_again(struct task *t)
{
    struct exposer_offer *o = CONTAINER_OF(t, struct exposer_offer, again);
    if (!o->gone)
        offer_run(o);
    else if (o->visitors == 0)
        exposer_offer_free(o);
}

/* An offer that stands over TCP although QUIC may be used: QUIC is tried from time to time. True: it is
 * there, and the offer moves to it. What is open stays where it is. */
static bool return_to_quic(struct exposer_offer *o)
{
    struct carrier *c = o->agent->door->carrier;
    if (c == NULL || o->agent->stopping)
        return false;
    if (!carrier_is_open(c)) {
        carrier_try(c);
        return false;
    }
    exposer_visit_drop(o->agent, o); /* what waits was brought for the offer over TCP */
    o->state = move(o);
    return true;
}

/* STANDS, over TCP: is the door still there, and does it know that we are? */
static void keep_alive(struct exposer_offer *o)
{
    struct loop *loop = o->agent->loop;
    int64_t now = loop_now(loop);
    if (return_to_quic(o))
        return;
    if (now - o->heard >= DOOR_SILENT_NS) {
        err_set(&o->agent->door->text, "the door %s has been silent for %d s", o->agent->door->place,
                (int)(DOOR_SILENT_NS / NSEC_PER_SEC));
        o->state = try_later(o, o->agent->door->text.text);
        return;
    }
    if (now - o->said >= SIGN_OF_LIFE_NS)
        say(o, &(struct wire_control){0});
    loop_set_timer(loop, &o->timer,
                   MIN(MIN(o->said + SIGN_OF_LIFE_NS, o->heard + DOOR_SILENT_NS), next_look(o, now)));
    offer_run(o);
}

static void on_timer(struct timer *t)
{
    struct exposer_offer *o = CONTAINER_OF(t, struct exposer_offer, timer);
    struct client_door *d = o->agent->door;
    if (o->state == OFFER_STANDS) {
        keep_alive(o);
        return;
    }
    if (o->state == OFFER_IDLE) {
        begin(o);
        loop_defer(o->agent->loop, &o->again);
        return;
    }
    err_set(&d->text, "after %.3g s the door %s %s", (double)d->timeout / NSEC_PER_SEC, d->place,
            o->state == OFFER_REACH ? way_late(&o->way) : "did not say whether it takes the offer");
    o->state = try_later(o, d->text.text);
}

/* ---- its life ---- */

void exposer_offer_dial(const struct exposer_offer *o, struct dial *dial)
{
    dial->resolver = o->agent->door->resolver;
    dial->datagrams = o->service.offer.udp;
    if (o->service.path != NULL)
        dial_start_unix(dial, o->service.path);
    else
        dial_start(dial, o->service.host, o->service.port);
}

void exposer_offer_add(struct exposer *a, const struct agent_service *service)
{
    struct exposer_offer *o = calloc(1, sizeof(*o));
    CHECK(o != NULL && (service->path != NULL || service->host != NULL));
    CHECK((service->offer.kind == OFFER_END_TO_END) == (service->tls != NULL));
    *o = (struct exposer_offer){.agent = a, .service = *service};
    if (service->offer.udp) /* strangers take these places: the door keeps them for who is there */
        o->service.offer.connections = (uint32_t)MIN(service->connections, (size_t)UINT32_MAX);
    o->service.offer.instance = a->instance;
    o->service.host = str_dup(service->host);
    o->service.path = str_dup(service->path);
    o->service.tls = agent_tls_ref(service->tls);
    o->way = (struct way){.door = a->door, .wake = on_way_wake, .owner = o};
    timer_init(&o->timer, on_timer);
    timer_init(&o->fellows_due, on_fellows_due);
    patience_init_as(&o->whims, WHIMS_AT_ONCE, WHIMS_A_SECOND, loop_now(a->loop));
    task_init(&o->again, on_again);
    list_insert(&a->offers, &o->node);
    if (service->bandwidth > 0)
        throttle_init(&o->throttle, a->loop, service->bandwidth);
    begin(o);
    loop_defer(a->loop, &o->again); /* so that nothing is told from within exposer_new() */
    probe_start(o);
    turned_away_start(o);
}

void exposer_offer_free(struct exposer_offer *o)
{
    probe_stop(o);
    turned_away_stop(o);
    drop_connection(o);
    list_remove(&o->again.node);
    list_remove(&o->node);
    throttle_end(&o->throttle);
    agent_tls_unref(o->service.tls);
    free((void *)(uintptr_t)o->service.host);
    free((void *)(uintptr_t)o->service.path);
    free(o->complaint);
    free(o->fellow);
    free(o);
}

void exposer_offer_left(struct exposer_offer *o)
{
    o->visitors--;
    if (o->gone)
        loop_defer(o->agent->loop, &o->again);
}

void exposer_offer_withdraw(struct exposer_offer *o)
{
    o->gone = true;
    probe_stop(o);
    if (o->state == OFFER_STANDS) { /* that it is meant so; where the link does not take it, it is lost */
        say(o, &(struct wire_control){.says_ready = true});
        link_write_buf(o->control, &o->out);
    }
    drop_connection(o);
    o->state = OFFER_REFUSED;
    exposer_visit_drop(o->agent, o);
    exposer_offer_tell(o, &(struct agent_news){.event = AGENT_WITHDRAWN, .text = ""});
    loop_defer(o->agent->loop, &o->again);
}

void exposer_offer_go_on(struct exposer_offer *o, struct agent_tls *tls)
{
    agent_tls_ref(tls);
    agent_tls_unref(o->service.tls);
    o->service.tls = tls;
    if (o->state != OFFER_REFUSED)
        return;
    begin(o);
    loop_defer(o->agent->loop, &o->again);
}

void exposer_offer_stop(struct exposer_offer *o)
{
    if (o->state == OFFER_STANDS)
        exposer_offer_ready(o);
    else
        drop_connection(o);
    if (o->state != OFFER_STANDS)
        o->state = OFFER_REFUSED;
}
