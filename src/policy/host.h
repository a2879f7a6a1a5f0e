/* SPDX-License-Identifier: Apache-2.0 */
/* A host that a peer asks for, read so that what is checked is what is dialled: a name or an address as
 * base/hostname.h has them. What only looks like a name ("127.1", "0x7f.1", "2130706433") is refused, because
 * resolvers take it for an address. Beyond what base/hostport.h refuses, so are the unspecified addresses,
 * which reach this machine, and "127.0.0.1.", which is no address and must not become one here. */
#ifndef CARDEA_POLICY_HOST_H
#define CARDEA_POLICY_HOST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "base/err.h"
#include "base/hostname.h"

#define POLICY_HOST_MAX (HOSTNAME_MAX + 1) /* bytes of a name with its NUL */

/* What is asked for at a host, or of a name: each has targets of its own. */
enum policy_space {
    POLICY_TCP,     /* HOST:PORTS */
    POLICY_UDP,     /* udp:HOST:PORTS */
    POLICY_NAME,    /* name:NAME: to visit what an agent offers under the name; no port (0) */
    POLICY_OFFER,   /* offer:NAME: to offer it, in private or end-to-end; no port (0) */
    POLICY_PUBLIC,  /* public:NAME: to offer it to everybody; public:NAME:PORTS: at a port of the door */
    POLICY_CERTIFY, /* certify:NAME: to have the door's CA certify a key for it, once it is offered; no port
                     */
};

/* 16 bytes, IPv4 as ::ffff:a.b.c.d. */
struct policy_address {
    uint8_t bytes[16];
};

struct policy_host {
    char name[POLICY_HOST_MAX]; /* resolve and dial this: lower case, no last dot, addresses in RFC 5952 form
                                 */
    bool is_address;
    struct policy_address address; /* if is_address */
    enum policy_space space;       /* what is asked for there; set by the caller */
};

/* Read a host (not NUL-terminated, without port; an IPv6 address may stand in brackets). -1 with `err` when
 * it is neither a name nor an address that policy can judge. */
int policy_host_parse(const char *text, size_t len, struct policy_host *ret, struct err *err);

/* The address inside an AF_INET or AF_INET6 socket address. */
struct policy_address policy_address_of(const struct sockaddr *address);

/* Read an address from its text alone, without brackets; a dotted quad only in its usual form. -1 when it is
 * none. */
int policy_address_parse(const char *text, struct policy_address *ret);

#define POLICY_ADDRESS_MAX 46 /* bytes of an address as text, with its NUL */

/* IPv4, mapped or not, as a dotted quad; IPv6 as RFC 5952 wants it. */
void policy_address_text(const struct policy_address *a, char ret_text[POLICY_ADDRESS_MAX]);

bool policy_address_is_v4(const struct policy_address *a);

#define POLICY_EMBEDDED_MAX 4

/* The IPv4 addresses that packets to an IPv6 address may end at, because a translator or tunnel takes them
 * from its bits: NAT64 (RFC 6052 and 8215), 6to4 (RFC 3056), Teredo (RFC 4380; its server as well),
 * IPv4-translated (RFC 2765, 2.1), IPv4-compatible (RFC 4291, 2.5.5.1). Several where the form has several
 * readings. Returns how many; none for IPv4. */
size_t policy_address_embedded(const struct policy_address *a,
                               struct policy_address ret[POLICY_EMBEDDED_MAX]);

/* 0.0.0.0 or ::, also the first one mapped. */
bool policy_address_is_unspecified(const struct policy_address *a);

#endif
