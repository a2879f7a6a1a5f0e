/* SPDX-License-Identifier: Apache-2.0 */
/* A local UDP port that leads through the door: what comes from one source address is a flow, which goes
 * through the door on its own and ends when it has been silent for a while. */
#ifndef CARDEA_TUNNEL_UDP_PORT_H
#define CARDEA_TUNNEL_UDP_PORT_H

#include <stdint.h>

#include "base/err.h"
#include "loop/loop.h"
#include "net/addr.h"
#include "session/front.h"

struct client_door;
struct udp_port;

/* Called when a flow failed; `text` says why, and lives during the call. */
typedef void udp_port_failed(void *owner, const char *text);

/* Lead what comes on the bound socket `fd` (taken, also on failure) to `target` (which must live as long as
 * the port). `idle`: nanoseconds of silence that end a flow. NULL with `err`. */
struct udp_port *udp_port_new(struct loop *loop, int fd, struct client_door *door,
                              const struct front_target *target, int64_t idle, udp_port_failed *failed,
                              void *owner, struct err *err);

/* What visitors of a name at a port of the door may do; their addresses are not proven (flows.h). */
struct udp_port_visitors {
    int64_t idle; /* as above */
    size_t flows; /* at a time */
    size_t waits; /* bytes of a flow that wait to be taken, while it is unproven */
    size_t factor;
};

/* The same for them: `begin` is given the link of each new flow, and the address that it comes from. */
typedef void udp_port_begin(void *owner, const struct net_addr *source, struct link *link);
struct udp_port *udp_port_for_visitors(struct loop *loop, int fd, const struct udp_port_visitors *visitors,
                                       udp_port_begin *begin, void *owner, struct err *err);

/* From now on visitors may do that; `waits` stays as it was. Flows that are there stay. */
void udp_port_refit(struct udp_port *p, const struct udp_port_visitors *visitors);

/* Take no more datagrams, and end the flows. The loop frees the port in its next round. NULL is allowed. */
void udp_port_close(struct udp_port *p);

#endif
