/* SPDX-License-Identifier: Apache-2.0 */
/* A flow of datagrams as a link whose bytes are frames (link/frames.h), on top of a stream: each frame that
 * the path carries goes as a datagram of the stream (quic.h), the others in the stream itself. What comes
 * either way is read as frames, each whole. */
#ifndef CARDEA_QUIC_FLOW_LINK_H
#define CARDEA_QUIC_FLOW_LINK_H

#include "link/link.h"

/* Turn a stream whose set-up is over into a flow; the stream is the flow's from then on. `came`: what was
 * read of it already, frames whole or not; `unsent`: what must still be written to it before any frame. Both
 * are copied. The bytes of `came` are counted when they are read from the flow.
 *
 * Writing never waits: what cannot leave in time is lost, as on a network. The flow ends with the stream. */
struct link *flow_link(struct link *stream, struct str came, struct str unsent);

/* The same on a stream that is fresh, for the side that speaks first in messages that look like frames: each
 * its length, then that many bytes. All travels in the stream until the peer's first message is here, which
 * is read like any frame; `agrees` is asked about it, head included, and says whether datagrams go either way
 * from then on. */
struct link *flow_link_greeting(struct link *stream, bool (*agrees)(struct str answer));

#endif
