/* SPDX-License-Identifier: Apache-2.0 */
/* Packets of QUIC that came to a worker whose connection they are not for: each is handed to the one that its
 * connection id names. As a rule the kernel has done that (udp_steer()); where it cannot, or where it has put
 * packets for several connections together, we do. */
#ifndef CARDEA_SESSION_ASTRAY_H
#define CARDEA_SESSION_ASTRAY_H

#include "net/udp.h"

struct worker;

/* Bytes of such packets that may wait at a worker; what comes beyond is dropped, as by a network. */
#define ASTRAY_MAX ((size_t)2 * 1024 * 1024)

/* Hand a packet (copied) that came to the listener with this key on to worker `owner`, whose listener of the
 * same key takes it (quic_carriers_take()). In the thread of `from`. */
void astray_send(struct worker *from, unsigned owner, const char *key, const struct udp_packets *packet);

#endif
