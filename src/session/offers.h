/* SPDX-License-Identifier: Apache-2.0 */
/* All offers of agents, for whoever tells the operator of them. Control thread only. */
#ifndef CARDEA_SESSION_OFFERS_H
#define CARDEA_SESSION_OFFERS_H

#include <stddef.h>

struct agent;
struct crew;
struct loop;

/* Called with every offer that stands, those of a name together, the oldest first; borrowed for the call. */
typedef void offers_told(void *arg, struct agent *const *offers, size_t count);

/* Ask the workers of the crew, then call `done` in the thread of `control`, later. */
void offers_ask(struct crew *crew, struct loop *control, offers_told *done, void *arg);

#endif
