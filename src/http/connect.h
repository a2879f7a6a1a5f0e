/* SPDX-License-Identifier: Apache-2.0 */
/* HTTP/1.1 CONNECT (RFC 9110, 9.3.6; RFC 9112), and its sister for UDP, an upgrade to connect-udp (RFC 9298,
 * 3.2), as a front. */
#ifndef CARDEA_HTTP_CONNECT_H
#define CARDEA_HTTP_CONNECT_H

#include "http1/head.h"
#include "session/front.h"

#define CONNECT_HEAD_MAX HEAD_MAX
#define CONNECT_FIELDS_MAX HEAD_FIELDS_MAX

extern const struct front front_connect;

#endif
