/* SPDX-License-Identifier: Apache-2.0 */
/* Takes a captured frame apart down to TCP and UDP. Pure: bytes in, facts out, nothing allocated; what is cut
 * off, or lies about its lengths, is no packet. */
#ifndef CARDEA_CAPTURE_PACKET_H
#define CARDEA_CAPTURE_PACKET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cursor.h"
#include "net/addr.h"

/* What a frame begins with: link types as libpcap numbers them (pcap-linktype(7), DLT_*). */
enum packet_link {
    PACKET_LINK_NULL = 0, /* BSD loopback, the family in the host's order */
    PACKET_LINK_ETHERNET = 1,
    PACKET_LINK_RAW = 12, /* an IP packet; 14 and 101 elsewhere */
    PACKET_LINK_RAW_BSD = 14,
    PACKET_LINK_RAW_FILE = 101,
    PACKET_LINK_LOOP = 108,   /* OpenBSD loopback, the family in network order */
    PACKET_LINK_COOKED = 113, /* Linux, "any" */
    PACKET_LINK_IPV4 = 228,
    PACKET_LINK_IPV6 = 229,
    PACKET_LINK_COOKED_2 = 276,
};

enum packet_kind {
    PACKET_OTHER,    /* no IP, or neither TCP nor UDP */
    PACKET_BROKEN,   /* malformed, or cut off by the capture before the end of its headers */
    PACKET_FRAGMENT, /* a piece of an IP packet: `fragment` */
    PACKET_TCP,
    PACKET_UDP,
};

enum packet_tcp_flag { PACKET_FIN = 1, PACKET_SYN = 2, PACKET_RST = 4, PACKET_ACK = 16 };

/* A piece of an IP packet (RFC 791, 3.2; RFC 8200, 4.5); what it belongs together with has the same
 * addresses, `id` and `protocol`. */
struct packet_fragment {
    uint32_t id;
    uint32_t offset; /* in bytes */
    uint8_t protocol;
    bool last;
    struct cursor data;
};

struct packet {
    enum packet_kind kind;
    struct net_addr from; /* a fragment's have no port */
    struct net_addr to;
    struct cursor payload; /* PACKET_TCP, PACKET_UDP: what was captured of it */
    size_t missing;        /* bytes of the payload that the capture has cut off */
    uint32_t sequence;     /* PACKET_TCP */
    uint8_t flags;         /* PACKET_TCP: enum packet_tcp_flag */
    struct packet_fragment fragment;
};

/* Are frames of this link type understood? */
bool packet_knows_link(int link);

/* Read a frame of which `len` bytes were captured. The cursors point into it. */
void packet_read(int link, const uint8_t *frame, size_t len, struct packet *ret);

/* Read the payload of an IP packet that was put together out of fragments; `ret` has the addresses already.
 */
void packet_read_transport(uint8_t protocol, struct cursor data, struct packet *ret);

#endif
