/* SPDX-License-Identifier: Apache-2.0 */
/* An offer is a small machine: IDLE REACH HELLO ANSWER STANDS, and back to IDLE when it is lost. */
#include "tunnel/exposer.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/hash.h"
#include "tunnel/carrier.h"
#include "tunnel/exposer_internal.h"

/* Over TCP each side says something at least so often, and gives the other up after so much silence. */
#define SAY_NS (15 * NSEC_PER_SEC)
#define SILENCE_NS (45 * NSEC_PER_SEC)

/* An offer that stood so long was no failure. Short, so that a door that is started several times within a
 * minute has its agents back as soon as the first time. */
#define STOOD_WELL_NS (5 * NSEC_PER_SEC)

#define OUT_MAX (64 * 1024)
#define STOP_LOOK_NS (100 * NSEC_PER_MSEC)

/* ---- telling ---- */

static void tell(struct agent_offer *o, enum agent_event event, const char *text, int64_t wait)
{
    struct agent_news news = {
        .event = event, .service = &o->service, .text = text, .quic = o->shared, .wait = wait};
    o->agent->events->news(o->agent->owner, &news);
}

/* ---- losing ---- */

static void drop_connection(struct agent_offer *o)
{
    wheel_cancel(&o->timer);
    way_cancel(&o->way);
    link_close(o->control, o->state != OFFER_STANDS);
    o->control = NULL;
    buf_free(&o->in);
    buf_free(&o->out);
}

static enum offer_state try_later(struct agent_offer *o, const char *text)
{
    struct loop *loop = o->agent->loop;
    if (o->state == OFFER_STANDS && loop_now(loop) - o->stood >= STOOD_WELL_NS)
        backoff_reset(&o->backoff);
    drop_connection(o);
    visit_drop(o->agent, o); /* the ids were given for the offer that is gone */
    if (o->agent->stopping)
        return OFFER_REFUSED;
    int64_t wait = backoff_next(&o->backoff, hash_random_key().k0);
    loop_set_timer(loop, &o->timer, loop_now(loop) + wait);
    tell(o, AGENT_LOST, text, wait);
    return OFFER_IDLE;
}

static enum offer_state far_failed(struct agent_offer *o)
{
    client_text_tls(o->agent->door, o->control, true, &o->agent->door->text);
    return try_later(o, o->agent->door->text.text);
}

/* ---- REACH, HELLO, ANSWER ---- */

static void offer_run(struct agent_offer *o);

static void on_link_wake(struct link *l)
{
    offer_run(l->owner);
}

static void on_way_wake(void *owner)
{
    offer_run(owner);
}

static void begin(struct agent_offer *o)
{
    struct loop *loop = o->agent->loop;
    o->state = OFFER_REACH;
    o->deadline = loop_now(loop) + o->agent->door->timeout;
    loop_set_timer(loop, &o->timer, o->deadline);
    o->way.tcp_only = false;
    way_start(&o->way, o->deadline);
}

static enum offer_state step_reach(struct agent_offer *o)
{
    struct client_door *d = o->agent->door;
    struct link_peer peer;
    enum way_status status = way_step(&o->way);
    if (status == WAY_WAIT)
        return OFFER_REACH;
    if (status != WAY_OK)
        return try_later(o, d->text.text);
    o->shared = way_is_shared(&o->way);
    o->carrier = d->carrier_turn;
    o->control = way_take(&o->way);
    o->control->wake = on_link_wake;
    o->control->owner = o;
    link_peer(o->control, &peer);
    if (!str_is(peer.alpn, WIRE_ALPN)) {
        err_set(&d->text, "%s at the door %s takes no agents: is the name right (--name)?", d->name,
                d->place);
        return try_later(o, d->text.text);
    }
    o->in.max = WIRE_MESSAGE_MAX + AGENT_ROOM;
    o->out.max = OUT_MAX;
    CHECK(wire_encode_offer(&o->service.offer, &o->out));
    return OFFER_HELLO;
}

/* LINK_OK once nothing is left to be sent. */
static enum link_status flush(struct agent_offer *o)
{
    enum link_status status = LINK_OK;
    while (o->out.len > 0 && status == LINK_OK) {
        size_t n = 0;
        status = link_write(o->control, o->out.data, o->out.len, &n);
        if (status == LINK_OK)
            buf_consume(&o->out, n);
    }
    return status;
}

static enum offer_state step_hello(struct agent_offer *o)
{
    enum link_status status = flush(o);
    if (status == LINK_AGAIN)
        return OFFER_HELLO;
    return status == LINK_OK ? OFFER_ANSWER : far_failed(o);
}

static enum link_status read_more(struct agent_offer *o)
{
    size_t n = 0;
    CHECK(o->in.len < WIRE_MESSAGE_MAX && buf_reserve(&o->in, AGENT_ROOM));
    enum link_status status = link_read(o->control, o->in.data + o->in.len, AGENT_ROOM, &n);
    o->in.len += status == LINK_OK ? n : 0;
    return status;
}

static enum offer_state stand(struct agent_offer *o)
{
    struct loop *loop = o->agent->loop;
    o->stood = o->heard = o->said = loop_now(loop);
    wheel_cancel(&o->timer);
    if (!o->shared) /* QUIC has signs of life of its own */
        loop_set_timer(loop, &o->timer, loop_now(loop) + SAY_NS);
    tell(o, AGENT_STANDS, "", 0);
    return OFFER_STANDS;
}

/* The door said no. Another agent's conflicting offer may go away; a policy does not change by asking. */
static enum offer_state refused(struct agent_offer *o, const struct wire_answer *answer)
{
    struct err text;
    bool named = answer->rule[0] == '\0' || strstr(answer->text, answer->rule) != NULL;
    err_set(&text, "the door %s refuses to offer %s: %s: %s%s%s%s", o->agent->door->place,
            o->service.offer.name, answer->code, answer->text, named ? "" : " (rule ",
            named ? "" : answer->rule, named ? "" : ")");
    bool final = (answer->outcome == FRONT_DENIED || answer->outcome == FRONT_BAD_HELLO) && !o->agent->retry;
    if (!final)
        return try_later(o, text.text);
    drop_connection(o);
    tell(o, AGENT_REFUSED, text.text, 0);
    return OFFER_REFUSED;
}

static enum offer_state step_answer(struct agent_offer *o)
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
            return answer.outcome == FRONT_OK ? stand(o) : refused(o, &answer);
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

static void say(struct agent_offer *o, const struct wire_control *control)
{
    if (wire_encode_control(control, &o->out))
        o->said = loop_now(o->agent->loop);
}

void agent_offer_ready(struct agent_offer *o)
{
    struct wire_control control = {.says_ready = true, .ready = !o->probe.down && !o->agent->stopping};
    if (o->state != OFFER_STANDS)
        return;
    say(o, &control);
    offer_run(o);
}

/* The door stops: the offer moves to a new connection, and what is open stays where it is. */
static enum offer_state move(struct agent_offer *o)
{
    struct client_door *d = o->agent->door;
    if (o->shared)
        client_door_renew(d, o->carrier);
    drop_connection(o);
    begin(o);
    loop_defer(o->agent->loop, &o->again);
    return OFFER_REACH;
}

/* Take what is complete. False when the door says something that cannot be read. */
static bool obey(struct agent_offer *o, bool *ret_drain, struct err *err)
{
    for (;;) {
        struct wire_control control;
        size_t used;
        enum wire_result r = wire_parse_control(o->in.data, o->in.len, &control, &used, err);
        if (r != WIRE_OK)
            return r == WIRE_MORE;
        buf_consume(&o->in, used);
        o->heard = loop_now(o->agent->loop);
        *ret_drain = *ret_drain || control.drain;
        for (size_t i = 0; i < control.spares && o->spares < AGENT_SPARES_MAX; i++)
            visit_bring(o, control.spare[i]);
    }
}

static enum offer_state step_stands(struct agent_offer *o)
{
    struct err *text = &o->agent->door->text;
    for (;;) {
        bool drain = false;
        if (!obey(o, &drain, text)) {
            err_prefix(text, "what the door %s says cannot be read", o->agent->door->place);
            return try_later(o, text->text);
        }
        if (drain && !o->agent->stopping)
            return move(o);
        if (flush(o) == LINK_ERROR)
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

static enum offer_state (*const steps[])(struct agent_offer *) = {
    [OFFER_REACH] = step_reach,
    [OFFER_HELLO] = step_hello,
    [OFFER_ANSWER] = step_answer,
    [OFFER_STANDS] = step_stands,
};

static void offer_run(struct agent_offer *o)
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
        if (stood && (o->probe.down || o->agent->stopping))
            say(o, &(struct wire_control){.says_ready = true});
    }
    o->running = false;
}

static void on_again(struct task *t)
{
    offer_run(CONTAINER_OF(t, struct agent_offer, again));
}

/* STANDS, over TCP: is the door still there, and does it know that we are? */
static void keep_alive(struct agent_offer *o)
{
    struct loop *loop = o->agent->loop;
    int64_t now = loop_now(loop);
    if (now - o->heard >= SILENCE_NS) {
        err_set(&o->agent->door->text, "the door %s has been silent for %d s", o->agent->door->place,
                (int)(SILENCE_NS / NSEC_PER_SEC));
        o->state = try_later(o, o->agent->door->text.text);
        return;
    }
    if (now - o->said >= SAY_NS)
        say(o, &(struct wire_control){0});
    loop_set_timer(loop, &o->timer, MIN(o->said + SAY_NS, o->heard + SILENCE_NS));
    offer_run(o);
}

static void on_timer(struct timer *t)
{
    struct agent_offer *o = CONTAINER_OF(t, struct agent_offer, timer);
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

/* ---- the whole ---- */

void agent_dial(const struct agent_offer *o, struct dial *dial)
{
    dial->resolver = o->agent->door->resolver;
    dial->datagrams = o->service.offer.udp;
    if (o->service.path != NULL)
        dial_start_unix(dial, o->service.path);
    else
        dial_start(dial, o->service.host, o->service.port);
}

static void on_visitor(void *owner, struct link *far)
{
    visit_take(owner, far);
}

static void offer_init(struct exposer *a, struct agent_offer *o, const struct agent_service *service)
{
    CHECK(service->path != NULL || service->host != NULL);
    CHECK((service->offer.kind == OFFER_END_TO_END) == (service->tls != NULL));
    *o = (struct agent_offer){.agent = a, .service = *service};
    o->way = (struct way){.door = a->door, .wake = on_way_wake, .owner = o};
    timer_init(&o->timer, on_timer);
    task_init(&o->again, on_again);
    if (service->bandwidth > 0)
        throttle_init(&o->throttle, a->loop, service->bandwidth);
    begin(o);
    loop_defer(a->loop, &o->again); /* so that nothing is told from within exposer_new() */
    probe_start(o);
}

static void on_stop_timer(struct timer *t)
{
    struct exposer *a = CONTAINER_OF(t, struct exposer, stop);
    int64_t now = loop_now(a->loop);
    if (a->visitors == 0 || now >= a->stop_by)
        a->events->stopped(a->owner);
    else
        loop_set_timer(a->loop, t, MIN(now + STOP_LOOK_NS, a->stop_by));
}

struct exposer *exposer_new(struct loop *loop, struct client_door *door, const struct agent_service *services,
                            size_t count, bool retry, const struct agent_events *events, void *owner)
{
    CHECK_MAGIC(door, CLIENT_DOOR_MAGIC);
    struct exposer *a = calloc(1, sizeof(*a));
    CHECK(a != NULL);
    *a = (struct exposer){.loop = loop, .door = door, .events = events, .owner = owner, .retry = retry};
    list_init(&a->visits);
    tls_scratch_init(&a->inner, loop);
    timer_init(&a->stop, on_stop_timer);
    client_door_visitors(door, on_visitor, a);
    a->offers = calloc(count, sizeof(*a->offers));
    CHECK(a->offers != NULL);
    for (; a->count < count; a->count++)
        offer_init(a, &a->offers[a->count], &services[a->count]);
    return a;
}

void exposer_stop(struct exposer *a, int64_t grace)
{
    int64_t now = loop_now(a->loop);
    if (a->stopping)
        return;
    a->stopping = true;
    a->stop_by = now + grace;
    for (size_t i = 0; i < a->count; i++) {
        struct agent_offer *o = &a->offers[i];
        if (o->state == OFFER_STANDS)
            agent_offer_ready(o);
        else
            drop_connection(o);
        if (o->state != OFFER_STANDS)
            o->state = OFFER_REFUSED;
    }
    /* Not at once: who was sent before the door heard of it is on the way. */
    loop_set_timer(a->loop, &a->stop, MIN(now + STOP_LOOK_NS, a->stop_by));
}

void exposer_free(struct exposer *a)
{
    if (a == NULL)
        return;
    client_door_visitors(a->door, NULL, NULL);
    visit_drop(a, NULL);
    wheel_cancel(&a->stop);
    for (size_t i = 0; i < a->count; i++) {
        struct agent_offer *o = &a->offers[i];
        probe_stop(o);
        drop_connection(o);
        list_remove(&o->again.node);
        throttle_end(&o->throttle);
    }
    tls_scratch_free(&a->inner);
    free(a->offers);
    free(a);
}
