/* SPDX-License-Identifier: Apache-2.0 */
/* The door's side of a renewal (renew_wire.h): a resident of the connection or stream that it is asked on. */
#ifndef CARDEA_TUNNEL_DOOR_RENEWAL_H
#define CARDEA_TUNNEL_DOOR_RENEWAL_H

#include "base/str.h"

struct link;
struct resident;
struct session_origin;
struct worker;

/* For the connection that `origin->request` names; `early` (borrowed) has been read already. Never NULL. */
struct resident *door_renewal_reside(struct worker *w, struct link *link, const struct session_origin *origin,
                                     struct str early);

#endif
