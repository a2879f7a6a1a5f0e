/* SPDX-License-Identifier: Apache-2.0 */
/* The service of an offer is connected to now and then: the door sends nobody while it is down. */
#include "base/clock.h"
#include "tunnel/exposer_internal.h"

static void conclude(struct probe *p, enum front_outcome down)
{
    struct agent_offer *o = p->offer;
    enum front_outcome was_down = p->down;
    dial_cancel(&p->dial);
    p->dialling = false;
    p->down = down;
    loop_set_timer(o->agent->loop, &p->timer, loop_now(o->agent->loop) + o->service.health);
    if (p->down != was_down)
        agent_offer_ready(o);
}

static void step(struct probe *p)
{
    enum dial_status status = dial_step(&p->dial);
    switch (status) {
    case DIAL_WAIT:
        return;
    case DIAL_OK:
        link_close(dial_take(&p->dial), false);
        conclude(p, FRONT_OK);
        return;
    case DIAL_NO_DESCRIPTOR: /* that says nothing about the service */
        conclude(p, FRONT_OK);
        return;
    default:
        conclude(p, status == DIAL_REFUSED        ? FRONT_REFUSED
                    : status == DIAL_NO_SUCH_HOST ? FRONT_NO_SUCH_HOST
                                                  : FRONT_UNREACHABLE);
    }
}

static void on_wake(void *owner)
{
    step(owner);
}

static void begin(struct probe *p)
{
    struct agent_offer *o = p->offer;
    p->dial = (struct dial){.loop = o->agent->loop, .wake = on_wake, .owner = p};
    p->dialling = true;
    loop_set_timer(o->agent->loop, &p->timer, loop_now(o->agent->loop) + o->service.dial_timeout);
    agent_dial(o, &p->dial);
    step(p);
}

static void on_timer(struct timer *t)
{
    struct probe *p = CONTAINER_OF(t, struct probe, timer);
    if (p->dialling)
        conclude(p, FRONT_TIMEOUT);
    else
        begin(p);
}

void probe_start(struct agent_offer *o)
{
    o->probe.offer = o;
    timer_init(&o->probe.timer, on_timer);
    if (o->service.health > 0 && !o->service.offer.udp)
        begin(&o->probe);
}

void probe_stop(struct agent_offer *o)
{
    wheel_cancel(&o->probe.timer);
    if (o->probe.dialling)
        dial_cancel(&o->probe.dial);
    o->probe.dialling = false;
}
