/* SPDX-License-Identifier: Apache-2.0 */
/* A link towards a backend in which a relay (starttls/relay.h) looks at what both sides say. When the relay
 * has ended it is no more than what it stands on: bytes are not copied, and can be spliced again. */
#ifndef CARDEA_SESSION_RELAY_LINK_H
#define CARDEA_SESSION_RELAY_LINK_H

#include "base/buf.h"
#include "link/link.h"

struct starttls_relay;

/* On top of `far`; relay and link are the new link's from now on. `early`: what the backend has said already,
 * taken over. What the owner reads is for the client, what he writes is the client's. Holds no bytes but
 * parts of a unit, at most STARTTLS_UNIT_MAX of each side, where the client has to wait for the server the
 * rest of one write of his, and what the far side does not take yet. */
struct link *relay_link_new(struct starttls_relay *relay, struct link *far, struct buf *early);

#endif
