/* SPDX-License-Identifier: Apache-2.0 */
/* The door's side of an offer: what lives on an agent's control stream, and what is said on the links that
 * lead visitors to the agent (doc/internals/tunnel-protocol.md, "Agents"). These are the hooks of
 * front_cardea. */
#ifndef CARDEA_TUNNEL_DOOR_OFFER_H
#define CARDEA_TUNNEL_DOOR_OFFER_H

#include "session/front.h"

/* struct front: reside, greet, greeted. */
struct resident *door_offer_reside(struct worker *w, struct link *link, const struct session_origin *origin,
                                   struct str early, struct err *err);
bool door_offer_greet(const struct front_visit *visit, struct buf *out);
enum front_result door_offer_greeted(const uint8_t *data, size_t len, struct front_greeted *ret,
                                     struct err *err);

#endif
