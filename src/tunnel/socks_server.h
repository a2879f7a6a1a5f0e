/* SPDX-License-Identifier: Apache-2.0 */
/* A local SOCKS5 server (RFC 1928) whose connections go through a door: CONNECT and UDP ASSOCIATE. A client
 * connection is a small machine GREETING REQUEST, then WAIT (for the tunnel, which takes it over),
 * ASSOCIATED, or DRAIN after a refusal. */
#ifndef CARDEA_TUNNEL_SOCKS_SERVER_H
#define CARDEA_TUNNEL_SOCKS_SERVER_H

#include "base/err.h"
#include "loop/loop.h"
#include "net/addr.h"

struct client_door;
struct socks_server;

/* What did not work, once for each connection or flow; `text` lives during the call. */
typedef void socks_failed(void *owner, const char *text);

struct socks_server *socks_server_new(struct loop *loop, struct client_door *door, socks_failed *failed,
                                      void *owner);

/* Serve the client behind `fd` (taken), which connected from `peer`. */
void socks_server_take(struct socks_server *s, int fd, const struct net_addr *peer);

/* Close what has no tunnel yet, and free. After client_door_free(), which ends the tunnels; the loop must run
 * once more. NULL is allowed. */
void socks_server_free(struct socks_server *s);

#endif
