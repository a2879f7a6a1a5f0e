/* SPDX-License-Identifier: Apache-2.0 */
/* HTTP/3 (RFC 9114) at the door, on nghttp3: CONNECT for targets over TCP (4.4), extended CONNECT with
 * connect-udp for those over UDP (RFC 9220, RFC 9298) with HTTP datagrams and capsules (RFC 9297). */
#ifndef CARDEA_HTTP_H3_H
#define CARDEA_HTTP_H3_H

#include "session/front.h"

#define H3_ALPN "h3"

/* Spoken on QUIC only. */
extern const struct front front_h3;

#endif
