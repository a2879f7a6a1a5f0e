/* SPDX-License-Identifier: Apache-2.0 */
/* Datagrams in batches: many are received with one call (recvmmsg, UDP_GRO) and many are sent with one
 * (UDP_SEGMENT), each with both of its addresses and its ECN mark. What the kernel lacks is done without. And
 * plain ones, where there are few. */
#ifndef CARDEA_NET_UDP_H
#define CARDEA_NET_UDP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "net/addr.h"

/* What one packet may hold, and what one send may hold in segments. */
#define UDP_SEND_MAX 65000

/* Ask the kernel for room for what comes while we have no turn, of many peers at once; it gives what it may
 * (net.core.rmem_max). */
void udp_make_room(int fd);

/* A socket bound to host:port ("" is every address, IPv6 and IPv4 alike), non-blocking, close-on-exec, with
 * room. With `share` several sockets have the address (SO_REUSEPORT). -1 with `err`. */
int udp_listen(const char *host, uint16_t port, bool share, struct err *err);

/* A socket bound to any port of an address of this machine (family AF_INET or AF_INET6, all zero: let the
 * kernel choose by the route to `to`), and connected to `to`. -1 with errno set. */
int udp_connect(const struct net_addr *to);

/* Take what has come at a bound socket, datagram by datagram, but only so many that others have a turn.
 * `each` answers false when it wants no more: where it has closed the socket, above all. */
void udp_each(int fd, bool (*each)(void *arg, const struct net_addr *from, const uint8_t *data, size_t len),
              void *arg);

/* A bound socket and what sending over it depends on. */
struct udp_socket {
    int fd;
    int family;
    struct net_addr local; /* what it is bound to; the port is that of every packet that comes */
    bool gso;              /* the kernel splits what is sent into segments, as far as we know */
};

/* Make a bound socket one that is used with the calls below: packets come in batches and with their
 * addresses, and fragmentation is forbidden, as path MTU discovery wants it (RFC 9000, 14). */
struct udp_socket udp_socket_of(int fd);

/* Let the kernel choose among `count` sockets that share one address by what a packet says: the first byte of
 * its QUIC destination connection id, modulo `count` (RFC 9000, 17; RFC 8999). Any one of the sockets will
 * do. False where the kernel cannot. */
bool udp_steer(int fd, unsigned count);

/* What has come in with one call. */
struct udp_packets {
    uint8_t *data;
    size_t len;
    size_t segment; /* several packets, each this long but for the last, lie one after the other in `data` */
    struct net_addr from;
    struct net_addr to; /* our own address */
    uint8_t ecn;        /* the two bits of RFC 3168 */
};

/* Space that all sockets of a thread receive into by turns. */
struct udp_inbox;

struct udp_inbox *udp_inbox_new(void);
void udp_inbox_free(struct udp_inbox *inbox);

/* Receive what is there, as much as the inbox holds. Returns how many entries of *ret are filled (they live
 * until the next call), 0 when nothing is there, -1 when the network says that nobody listens where a
 * connected socket sends to (ICMP port unreachable). */
int udp_receive(const struct udp_socket *s, struct udp_inbox *inbox, const struct udp_packets **ret);

enum udp_status {
    UDP_SENT,  /* or dropped, as a network would */
    UDP_AGAIN, /* the socket's buffer is full: again when it is writable */
};

/* Send one packet, or several of `segment` bytes each but for the last. *ret_taken: how many bytes went
 * before UDP_AGAIN. Where the route turns out not to take segments, `gso` is given up. */
enum udp_status udp_send(struct udp_socket *s, const struct udp_packets *packets, size_t *ret_taken);

#endif
