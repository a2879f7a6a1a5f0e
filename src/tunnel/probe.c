/* SPDX-License-Identifier: Apache-2.0 */
/* The service of an offer is connected to now and then: the door sends nobody while it is down. */
#include "base/clock.h"
#include "tunnel/exposer_internal.h"

/* That it goes on not to answer is told again after so long. */
#define AGAIN_NS (60 * NSEC_PER_SEC)

/* A service that turns away some visitors and takes others is told of no more often. */
#define CALM_NS (10 * NSEC_PER_SEC)

/* ---- telling ---- */

static void put_place(const struct agent_service *s, struct buf *b)
{
    if (s->path != NULL)
        CHECK(buf_printf(b, "the service unix:%s", s->path));
    else
        CHECK(buf_printf(b, "the service ") && str_host_port_put(b, s->host, s->port));
}

static void tell(struct exposer_offer *o, enum agent_event event, const char *what)
{
    struct probe *p = &o->probe;
    struct buf text = {0};
    put_place(&o->service, &text);
    CHECK(buf_printf(&text, " %s", what));
    struct agent_news news = {.event = event, .text = buf_text(&text), .turned_away = p->turned_away};
    p->told = loop_now(o->agent->loop);
    p->told_down = event == AGENT_DOWN;
    p->turned_away = 0;
    exposer_offer_tell(o, &news);
    buf_free(&text);
}

static void tell_down(struct exposer_offer *o, enum dial_status status, int64_t calm)
{
    static const char *const words[] = {
        [DIAL_WAIT] = "does not answer in time",
        [DIAL_NO_SUCH_HOST] = "is not found: there is no such host",
        [DIAL_UNRESOLVED] = "is not found: no name server tells its address",
        [DIAL_REFUSED] = "refuses connections: is it running?",
        [DIAL_UNREACHABLE] = "cannot be reached",
    };
    const struct probe *p = &o->probe;
    CHECK((size_t)status < ARRAY_LEN(words) && words[status] != NULL);
    int64_t quiet = p->told_down ? AGAIN_NS : calm;
    if (p->told == 0 || loop_now(o->agent->loop) - p->told >= quiet)
        tell(o, AGENT_DOWN, words[status]);
}

static void tell_up(struct exposer_offer *o)
{
    if (o->probe.told_down)
        tell(o, AGENT_UP, "answers again");
}

void probe_visitor_served(struct exposer_offer *o)
{
    if (o->probe.down == FRONT_OK) /* else the probe will tell */
        tell_up(o);
}

void probe_visitor_failed(struct exposer_offer *o, enum dial_status status)
{
    if (status == DIAL_NO_DESCRIPTOR)
        return; /* that says nothing about the service */
    o->probe.turned_away++;
    tell_down(o, status, CALM_NS);
}

/* ---- probing ---- */

static enum front_outcome outcome_of(enum dial_status status)
{
    switch (status) {
    case DIAL_OK:
    case DIAL_NO_DESCRIPTOR: /* that says nothing about the service */
        return FRONT_OK;
    case DIAL_WAIT:
        return FRONT_TIMEOUT;
    case DIAL_REFUSED:
        return FRONT_REFUSED;
    case DIAL_NO_SUCH_HOST:
        return FRONT_NO_SUCH_HOST;
    default:
        return FRONT_UNREACHABLE;
    }
}

static void conclude(struct probe *p, enum dial_status status)
{
    struct exposer_offer *o = p->offer;
    enum front_outcome was_down = p->down;
    dial_cancel(&p->dial);
    p->dialling = false;
    p->down = outcome_of(status);
    loop_set_timer(o->agent->loop, &p->timer, loop_now(o->agent->loop) + o->service.health);
    if (p->down == was_down)
        return;
    if (p->down != FRONT_OK)
        tell_down(o, status, 0);
    else
        tell_up(o);
    exposer_offer_ready(o);
}

static void step(struct probe *p)
{
    enum dial_status status = dial_step(&p->dial);
    if (status == DIAL_WAIT)
        return;
    if (status == DIAL_OK)
        link_close(dial_take(&p->dial), false);
    conclude(p, status);
}

static void on_wake(void *owner)
{
    step(owner);
}

static void begin(struct probe *p)
{
    struct exposer_offer *o = p->offer;
    p->dial = (struct dial){.loop = o->agent->loop, .wake = on_wake, .owner = p};
    p->dialling = true;
    loop_set_timer(o->agent->loop, &p->timer, loop_now(o->agent->loop) + o->service.dial_timeout);
    exposer_offer_dial(o, &p->dial);
    step(p);
}

static void on_timer(struct timer *t)
{
    struct probe *p = CONTAINER_OF(t, struct probe, timer);
    if (p->dialling)
        conclude(p, DIAL_WAIT);
    else
        begin(p);
}

void probe_start(struct exposer_offer *o)
{
    o->probe.offer = o;
    timer_init(&o->probe.timer, on_timer);
    if (o->service.health > 0 && !o->service.offer.udp)
        begin(&o->probe);
}

void probe_stop(struct exposer_offer *o)
{
    wheel_cancel(&o->probe.timer);
    if (o->probe.dialling)
        dial_cancel(&o->probe.dial);
    o->probe.dialling = false;
}
