/* SPDX-License-Identifier: Apache-2.0 */
/* A client's link on which an encrypted ClientHello was opened: who reads from it gets the inner hello as if
 * the client had sent it, and may terminate TLS or pass it on. Once no second hello can come, it is no more
 * than what it stands on: bytes are not copied, and can be spliced. */
#ifndef CARDEA_ECH_ECH_LINK_H
#define CARDEA_ECH_ECH_LINK_H

#include "ech/open.h"
#include "link/link.h"

/* On top of `lower`, which is the new link's from now on; `opened` is used up. `rest`: what the client has
 * sent behind its hello. `hello_max` bounds the second hello, in bytes of its records. A second hello that is
 * not as it must be breaks the link; the client is told by an alert. */
struct link *ech_link_new(struct link *lower, struct ech_opened *opened, struct str rest, size_t hello_max);

#endif
