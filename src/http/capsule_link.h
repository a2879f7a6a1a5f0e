/* SPDX-License-Identifier: Apache-2.0 */
/* Links of frames (link/datagram_link.h), as targets over UDP have them, on top of links of capsules
 * (capsule.h), as HTTP has them. */
#ifndef CARDEA_HTTP_CAPSULE_LINK_H
#define CARDEA_HTTP_CAPSULE_LINK_H

#include "base/str.h"
#include "http/capsule.h"
#include "link/datagram_link.h"
#include "session/front.h"

/* Put one on `down`, which it owns from then on. `early` (copied) has been read from `down` already; `unsent`
 * (copied) was to be written to it and goes first. What `down` knows of its peer, this one knows. */
struct link *capsule_link_new(struct link *down, struct str early, struct str unsent);

/* The same as the `wrap` of a front: where the target is one over UDP. */
struct link *capsule_link_wrap(struct link *down, const struct front_request *request, struct str early,
                               struct str unsent);

/* The same in a form of its own, whose calls for the stream are these. */
struct link *capsule_link_in(const struct datagram_form *form, struct link *down, struct str early,
                             struct str unsent);
const char *capsule_link_feed(struct datagram_link *d, const void *data, size_t len);
const char *capsule_link_check_end(struct datagram_link *d);
bool capsule_link_put(struct buf *out, const void *data, size_t len, size_t most);
void capsule_link_free(struct datagram_link *d);

#endif
