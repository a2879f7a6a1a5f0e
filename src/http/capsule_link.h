/* SPDX-License-Identifier: Apache-2.0 */
/* A link of frames (link/frames.h), as targets over UDP have them, on top of a link of capsules (capsule.h),
 * as HTTP has them. */
#ifndef CARDEA_HTTP_CAPSULE_LINK_H
#define CARDEA_HTTP_CAPSULE_LINK_H

#include "base/str.h"
#include "link/link.h"
#include "session/front.h"

/* Put it on `down`, which it owns from then on. `early` (copied) has been read from `down` already; `unsent`
 * (copied) was to be written to it and goes first. What `down` knows of its peer, this one knows. */
struct link *capsule_link_new(struct link *down, struct str early, struct str unsent);

/* The same as the `wrap` of a front: where the target is one over UDP. */
struct link *capsule_link_wrap(struct link *down, const struct front_target *target, struct str early,
                               struct str unsent);

#endif
