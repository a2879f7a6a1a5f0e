/* SPDX-License-Identifier: Apache-2.0 */
/* Makes the ClientHelloInner out of what was encrypted and of the ClientHelloOuter that it came in (RFC
 * 9849, 5.1). Pure: bytes in, bytes out. */
#ifndef CARDEA_ECH_INNER_H
#define CARDEA_ECH_INNER_H

#include "base/buf.h"
#include "hello/hello.h"

/* `encoded` is an EncodedClientHelloInner: what the client has decided, without a session id, and with
 * references to extensions of `outer` in the place of those that are the same. Appends the handshake message
 * with its header of 4 to `ret`, at most as long as both together. Returns NULL, or what is wrong (the peer
 * is told illegal_parameter; `ret` then has nothing that is of use). */
const char *ech_inner_decode(struct cursor encoded, const struct hello *outer, struct buf *ret);

#endif
