/* SPDX-License-Identifier: Apache-2.0 */
/* HTTP/1.1 CONNECT (RFC 9110, 9.3.6; RFC 9112) as a front. A strict reader of our own: it takes one request
 * head and refuses whatever two readers could understand differently. */
#ifndef CARDEA_HTTP_CONNECT_H
#define CARDEA_HTTP_CONNECT_H

#include "session/front.h"

#define CONNECT_HEAD_MAX 8192
#define CONNECT_FIELDS_MAX 100

extern const struct front front_connect;

#endif
