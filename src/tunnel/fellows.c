/* SPDX-License-Identifier: Apache-2.0 */
/* Other agents that offer the same name, as the door tells of them. */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/str.h"
#include "tunnel/exposer_internal.h"

/* False: it is known. */
static bool note(struct exposer_offer *o, size_t count, const char *one)
{
    if (o->fellows == count && strcmp(one, o->fellow == NULL ? "" : o->fellow) == 0)
        return false;
    o->fellows = count;
    free(o->fellow);
    o->fellow = str_dup(*one == '\0' ? NULL : one);
    return true;
}

/* An honest door says it once a second. What another says beyond that is told when it is due: the last of
 * it. */
static void tell(struct exposer_offer *o)
{
    int64_t now = loop_now(o->agent->loop);
    struct agent_news news = {
        .event = AGENT_FELLOWS, .text = o->fellow == NULL ? "" : o->fellow, .fellows = o->fellows};
    if (patience_bear(&o->whims, now))
        exposer_offer_tell(o, &news);
    else
        loop_set_timer(o->agent->loop, &o->fellows_due, now + NSEC_PER_SEC / AGENT_WHIMS_A_SECOND);
}

static void on_due(struct timer *t)
{
    tell(CONTAINER_OF(t, struct exposer_offer, fellows_due));
}

void fellows_hear(struct exposer_offer *o, const struct wire_control *control)
{
    if (control->says_fellows && note(o, control->fellows, control->fellow) && !timer_is_set(&o->fellows_due))
        tell(o);
}

void fellows_forget(struct exposer_offer *o)
{
    note(o, 0, "");
}

void fellows_init(struct exposer_offer *o)
{
    timer_init(&o->fellows_due, on_due);
}

void fellows_lost(struct exposer_offer *o)
{
    wheel_cancel(&o->fellows_due);
}

void fellows_end(struct exposer_offer *o)
{
    free(o->fellow);
}
