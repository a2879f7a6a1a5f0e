/* SPDX-License-Identifier: Apache-2.0 */
/* Socket addresses in a form small enough to keep one per connection. */
#ifndef CARDEA_NET_ADDR_H
#define CARDEA_NET_ADDR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

/* An IPv4 or IPv6 address with a port, or AF_UNSPEC / AF_UNIX without either. IPv4-mapped IPv6 becomes IPv4.
 * AF_UNIX may have the process of a peer in `ip`: see net_addr_set_process(). */
struct net_addr {
    uint16_t family; /* AF_INET, AF_INET6, AF_UNIX or AF_UNSPEC */
    uint16_t port;   /* host order */
    uint8_t ip[16];  /* network order; AF_INET uses the first four */
};

#define NET_ADDR_TEXT_MAX 64

/* Of any family; one without an address leaves only the family. */
struct net_addr net_addr_from(const struct sockaddr_storage *sa);

/* Fill a sockaddr and return its length; 0 for families without an address. */
socklen_t net_addr_to(const struct net_addr *a, struct sockaddr_storage *ret);

/* Of a peer on a unix socket: the process that connected (unix(7), SO_PEERCRED), whose id is not 0. */
void net_addr_set_process(struct net_addr *a, uint32_t pid, uint32_t uid);

/* "192.0.2.1:443", "[2001:db8::1]:443", "unix", "unix:pid=1234,uid=1000" or "unknown". Returns `text`. */
const char *net_addr_format(const struct net_addr *a, char text[NET_ADDR_TEXT_MAX]);

/* "192.0.2.1" or "2001:db8::1", as net_addr_parse() reads it; "unix" or "unknown" where there is none.
 * Returns `text`. */
const char *net_addr_host(const struct net_addr *a, char text[NET_ADDR_TEXT_MAX]);

/* Read a literal IPv4 or IPv6 address (no brackets); false when `host` is none. */
bool net_addr_parse(const char *host, uint16_t port, struct net_addr *ret);

/* True when the first `prefix` bits agree (same family). */
bool net_addr_in(const struct net_addr *a, int family, const uint8_t *network, uint8_t prefix);

#endif
