/* SPDX-License-Identifier: Apache-2.0 */
/* HTTP/2 (RFC 9113) as a front that stays on the client's connection: each CONNECT (8.5) and each extended
 * CONNECT for UDP (RFC 8441; RFC 9298, 3.4) becomes a session on a stream. */
#ifndef CARDEA_HTTP_H2_H
#define CARDEA_HTTP_H2_H

#include "session/front.h"

#define H2_ALPN "h2"

extern const struct front front_h2;

#endif
