/* SPDX-License-Identifier: Apache-2.0 */
/* What another configuration, or another list of revocations, has done to what stood when it came. */
#ifndef CARDEA_SESSION_REVIEW_H
#define CARDEA_SESSION_REVIEW_H

#include <stddef.h>

struct review {
    size_t offers;    /* of agents, that were judged at once */
    size_t withdrawn; /* ... and fell */
    size_t carriers;  /* connections that carry tunnels or offers: judged soon, or before their next tunnel */
    size_t unused;    /* connections whose clients had not said what they want: closed */
};

static inline void review_add(struct review *sum, const struct review *part)
{
    sum->offers += part->offers;
    sum->withdrawn += part->withdrawn;
    sum->carriers += part->carriers;
    sum->unused += part->unused;
}

#endif
