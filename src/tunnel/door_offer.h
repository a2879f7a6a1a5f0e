/* SPDX-License-Identifier: Apache-2.0 */
/* The door's side of an offer: what lives on an agent's control stream (doc/internals/tunnel-protocol.md,
 * "Agents"). */
#ifndef CARDEA_TUNNEL_DOOR_OFFER_H
#define CARDEA_TUNNEL_DOOR_OFFER_H

#include "session/front.h"

/* struct front: reside. */
struct resident *door_offer_reside(struct worker *w, struct link *link, const struct session_origin *origin,
                                   struct str early, struct err *err);

#endif
