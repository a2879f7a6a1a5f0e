/* SPDX-License-Identifier: Apache-2.0 */
/* What another configuration, or another list of revocations, has done to what stood when it came. */
#ifndef CARDEA_SESSION_REVIEW_H
#define CARDEA_SESSION_REVIEW_H

#include <stddef.h>

struct review {
    size_t offers;    /* of agents, that were judged at once */
    size_t withdrawn; /* ... and fell */
    size_t later;     /* offers that are judged soon: there are too many for one go */
    size_t carriers;  /* connections that carry tunnels or offers: judged soon, or before their next tunnel */
    size_t unused;    /* connections whose clients had not said what they want: closed */
};

static inline void review_add(struct review *sum, const struct review *part)
{
    sum->offers += part->offers;
    sum->withdrawn += part->withdrawn;
    sum->later += part->later;
    sum->carriers += part->carriers;
    sum->unused += part->unused;
}

struct resident;
struct worker;

/* For a new worker. */
void review_init(struct worker *w);

/* Have the resident's `review` called soon: in the worker's thread, in turn with all others that wait for it,
 * a few at a time, so that nobody else has to wait for the many. It may be asked for more than once. */
void review_soon(struct worker *w, struct resident *r);

/* A new configuration is in force: all sessions of the worker are judged by it, as many as take a few
 * milliseconds now, the others soon. Counted in `sum`. */
void review_sessions(struct worker *w, struct review *sum);

#endif
