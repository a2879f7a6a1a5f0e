/* SPDX-License-Identifier: Apache-2.0 */
/* The door's side of an offer for which the agent proves another identity than the connection's
 * (renew_wire.h): a resident that makes way for the offer. */
#ifndef CARDEA_TUNNEL_DOOR_PROOF_H
#define CARDEA_TUNNEL_DOOR_PROOF_H

#include "base/str.h"

struct link;
struct resident;
struct session_origin;
struct worker;

/* For the offer of `origin->request`; `early` (borrowed) has been read already. Never NULL. */
struct resident *door_proof_reside(struct worker *w, struct link *link, const struct session_origin *origin,
                                   struct str early);

#endif
