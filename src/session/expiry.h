/* SPDX-License-Identifier: Apache-2.0 */
/* Connections that stand when their client's certificate runs out: on a route with `clients.expired: close`
 * they end then, with the reason CLOSE_EXPIRED, unless a newer certificate has been proven on them
 * (renewal.h). Each session over TCP and each stream of QUIC has a timer for it; what HTTP/2 carries ends
 * with its connection. */
#ifndef CARDEA_SESSION_EXPIRY_H
#define CARDEA_SESSION_EXPIRY_H

#include <stdbool.h>
#include <stdint.h>

struct config_route;
struct link_peer;

/* When a connection with that peer ends on that route, the grace included: nanoseconds since 1970; 0: never,
 * for the route keeps such connections or the peer has proven nothing. */
int64_t expiry_of(const struct config_route *route, const struct link_peer *peer);

/* The same in monotonic time, if the wall clock is not set anew until then; INT64_MAX: never. */
int64_t expiry_due(int64_t expires, int64_t now);

/* By the wall clock. */
bool expiry_is_past(int64_t expires);

#endif
