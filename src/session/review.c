/* SPDX-License-Identifier: Apache-2.0 */
#include "session/review.h"

#include "base/clock.h"
#include "session/resident.h"
#include "session/session.h"
#include "session/worker.h"

/* A verification of a chain takes about a tenth of a millisecond. */
#define AT_ONCE 64 /* whoever reloads hears what became of a few offers, and waits for no more */
#define IN_TURN 4  /* ... every TURN_NS after that */
#define TURN_NS NSEC_PER_MSEC

static void review_some(struct worker *w, size_t count, struct review *sum)
{
    for (size_t i = 0; i < count; i++) {
        struct list *n = list_pop(&w->unreviewed);
        if (n == NULL)
            return;
        struct resident *r = CONTAINER_OF(n, struct resident, unreviewed);
        r->ops->review(r, sum);
    }
    if (!list_empty(&w->unreviewed) && !timer_is_set(&w->review))
        loop_set_timer(w->loop, &w->review, loop_now(w->loop) + TURN_NS);
}

static void on_turn(struct timer *t)
{
    struct worker *w = CONTAINER_OF(t, struct worker, review);
    struct review sum = {0}; /* the log tells of each offer that falls */
    review_some(w, IN_TURN, &sum);
}

void review_init(struct worker *w)
{
    list_init(&w->unreviewed);
    timer_init(&w->review, on_turn);
}

void review_soon(struct worker *w, struct resident *r)
{
    if (list_empty(&r->unreviewed))
        list_insert(&w->unreviewed, &r->unreviewed);
    if (!timer_is_set(&w->review))
        loop_set_timer(w->loop, &w->review, loop_now(w->loop) + TURN_NS);
}

void review_sessions(struct worker *w, struct review *sum)
{
    for (struct list *n = w->sessions.next; n != &w->sessions; n = n->next)
        session_review(session_of_node(n), sum); /* none ends within */
    review_some(w, AT_ONCE, sum);
    for (struct list *n = w->unreviewed.next; n != &w->unreviewed; n = n->next)
        sum->later += CONTAINER_OF(n, struct resident, unreviewed)->ops->transport == NULL;
}
