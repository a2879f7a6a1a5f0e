/* SPDX-License-Identifier: Apache-2.0 */
/* Visitors whom the agent itself does not let in. The door sees no more of them than a connection that ended,
 * so who runs the agent hears of it here: of the first at once, of those that follow once a minute. */
#include "base/clock.h"
#include "tunnel/exposer_internal.h"

#define AGAIN_NS (60 * NSEC_PER_SEC)

static void tell(struct exposer_offer *o)
{
    struct turned_away *t = &o->turned_away;
    struct agent_news news = {.event = AGENT_TURNED_AWAY,
                              .text = t->last.text,
                              .peer = t->peer,
                              .again = t->told,
                              .turned_away = t->count};
    t->count = 0;
    t->told = true;
    exposer_offer_tell(o, &news);
}

static void on_timer(struct timer *timer)
{
    struct exposer_offer *o = CONTAINER_OF(timer, struct exposer_offer, turned_away.timer);
    if (o->turned_away.count == 0) { /* a minute of peace: the next is told of at once */
        o->turned_away.told = false;
        return;
    }
    tell(o);
    loop_set_timer(o->agent->loop, timer, loop_now(o->agent->loop) + AGAIN_NS);
}

void turned_away_start(struct exposer_offer *o)
{
    timer_init(&o->turned_away.timer, on_timer);
}

void turned_away_stop(struct exposer_offer *o)
{
    wheel_cancel(&o->turned_away.timer);
    if (o->turned_away.count > 0)
        tell(o);
}

void turned_away_note(struct exposer_offer *o, const struct net_addr *peer, const char *why)
{
    struct turned_away *t = &o->turned_away;
    t->count++;
    t->peer = *peer;
    err_set(&t->last, "%s", why);
    if (t->told)
        return;
    tell(o);
    loop_set_timer(o->agent->loop, &t->timer, loop_now(o->agent->loop) + AGAIN_NS);
}
