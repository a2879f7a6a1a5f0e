/* SPDX-License-Identifier: Apache-2.0 */
/* The relay of a UDP ASSOCIATE (RFC 1928, 7): a local UDP port whose datagrams name their destination. Each
 * destination is a flow through the door. */
#ifndef CARDEA_TUNNEL_SOCKS_RELAY_H
#define CARDEA_TUNNEL_SOCKS_RELAY_H

#include "base/err.h"
#include "net/addr.h"
#include "tunnel/flows.h"

struct socks_relay;

/* Relay for one client, on any free port of the address `here`. `client`: datagrams are taken from its
 * address only; and from its port only, which is the first that sends something when it is 0. `failed` is
 * told of flows that failed, and of ones that are too many. NULL with `err`. */
struct socks_relay *socks_relay_new(struct loop *loop, struct client_door *door, const struct net_addr *here,
                                    const struct net_addr *client,
                                    void (*failed)(void *owner, const char *text), void *owner,
                                    struct err *err);

/* Where the client is to send to. */
struct net_addr socks_relay_place(const struct socks_relay *r);

/* Take no more, and end the flows. The loop frees the relay in its next round. NULL is allowed. */
void socks_relay_close(struct socks_relay *r);

#endif
