/* SPDX-License-Identifier: Apache-2.0 */
/* What is said of an offer besides yes and no: that it is hardly meant, and what stands in its way. */
#ifndef CARDEA_TUNNEL_OFFER_ADVICE_H
#define CARDEA_TUNNEL_OFFER_ADVICE_H

#include <stdbool.h>

#include "base/err.h"
#include "mux/offer.h"

struct agent;
struct agents;
struct snapshot;

/* Will no visitor come by server name, though the offer has no port either? True: `ret` says why, and what
 * to do. */
bool offer_warning(const struct snapshot *snap, const struct offer *offer, struct err *ret);

/* The door itself has the port of the offer already, by a listener or by another offer: `ret` says which.
 * False: it has not. */
bool offer_port_is_ours(const struct snapshot *snap, struct agents *view, const struct offer *offer,
                        struct err *ret);

/* An offer of the name that this one does not go with; `ret` says how it is offered, and by whom. */
void offer_rival(struct agents *view, const struct offer *offer, struct err *ret);

/* How what `by` offers stands in the way of another offer of the name. */
void offer_is_taken(const struct agent *by, struct err *ret);

#endif
