/* SPDX-License-Identifier: Apache-2.0 */
#include "capture/packet.h"

#include <netinet/in.h>

#include "base/check.h"

#define TAGS_MAX 4       /* VLAN tags and MPLS labels behind each other */
#define EXTENSIONS_MAX 8 /* extension headers of IPv6 */

enum ether_type {
    ETHER_IPV4 = 0x0800,
    ETHER_VLAN = 0x8100,
    ETHER_IPV6 = 0x86dd,
    ETHER_PPPOE = 0x8864,
    ETHER_VLAN_OUTER = 0x88a8,
    ETHER_VLAN_OLD = 0x9100,
};

static void broken(struct packet *p)
{
    p->kind = PACKET_BROKEN;
}

/* Transport ------------------------------------------------------------------------------------------ */

/* What was captured of a payload of `len` bytes. */
static void put_payload(struct packet *p, struct cursor c, size_t len)
{
    size_t have = MIN(len, cursor_left(&c));
    p->payload = cursor_of(c.p, have);
    p->missing = len - have;
}

/* RFC 9293, 3.1. `len`: of header and payload, as IP has it. */
static void read_tcp(struct cursor c, size_t len, struct packet *p)
{
    uint64_t sequence;
    uint8_t offset;
    if (!cursor_u16(&c, &p->from.port) || !cursor_u16(&c, &p->to.port) || !cursor_uint(&c, 4, &sequence) ||
        !cursor_skip(&c, 4) || !cursor_u8(&c, &offset) || !cursor_u8(&c, &p->flags) || !cursor_skip(&c, 6)) {
        broken(p);
        return;
    }
    size_t head = 4u * (offset >> 4);
    p->sequence = (uint32_t)sequence;
    if (head < 20 || head > len || !cursor_skip(&c, head - 20)) {
        broken(p);
        return;
    }
    p->kind = PACKET_TCP;
    put_payload(p, c, len - head);
}

/* RFC 768. */
static void read_udp(struct cursor c, size_t len, struct packet *p)
{
    uint16_t size;
    if (!cursor_u16(&c, &p->from.port) || !cursor_u16(&c, &p->to.port) || !cursor_u16(&c, &size) ||
        !cursor_skip(&c, 2)) {
        broken(p);
        return;
    }
    /* 0: larger than the field can say, as offloading makes it. */
    if (size != 0 && (size < 8 || size > len)) {
        broken(p);
        return;
    }
    p->kind = PACKET_UDP;
    put_payload(p, c, (size != 0 ? size : len) - 8);
}

static void read_transport(uint8_t protocol, struct cursor c, size_t len, struct packet *p)
{
    if (protocol == IPPROTO_TCP)
        read_tcp(c, len, p);
    else if (protocol == IPPROTO_UDP)
        read_udp(c, len, p);
}

void packet_read_transport(uint8_t protocol, struct cursor data, struct packet *ret)
{
    ret->kind = PACKET_OTHER;
    read_transport(protocol, data, cursor_left(&data), ret);
}

/* IP ------------------------------------------------------------------------------------------------- */

static bool read_address(struct cursor *c, uint16_t family, size_t len, struct net_addr *ret)
{
    const uint8_t *p;
    if (!cursor_bytes(c, len, &p))
        return false;
    *ret = (struct net_addr){.family = family};
    memcpy(ret->ip, p, len);
    return true;
}

static void put_fragment(struct packet *p, struct packet_fragment fragment, struct cursor c, size_t len)
{
    if (cursor_left(&c) < len) {
        broken(p);
        return;
    }
    fragment.data = cursor_of(c.p, len);
    p->fragment = fragment;
    p->kind = PACKET_FRAGMENT;
}

/* RFC 791, 3.1. Segmentation offload leaves a total length of 0: then the frame says how long it is. */
static void read_ipv4(struct cursor c, struct packet *p)
{
    struct cursor whole = c;
    uint8_t first, ignored, protocol;
    uint16_t total, id, place;
    if (!cursor_u8(&c, &first) || !cursor_u8(&c, &ignored) || !cursor_u16(&c, &total) ||
        !cursor_u16(&c, &id) || !cursor_u16(&c, &place) || !cursor_skip(&c, 1) || !cursor_u8(&c, &protocol) ||
        !cursor_skip(&c, 2) || !read_address(&c, AF_INET, 4, &p->from) ||
        !read_address(&c, AF_INET, 4, &p->to)) {
        broken(p);
        return;
    }
    size_t head = 4u * (first & 15), len = total != 0 ? total : cursor_left(&whole);
    if (first >> 4 != 4 || head < 20 || len < head || !cursor_skip(&c, head - 20)) {
        broken(p);
        return;
    }
    len -= head;
    if (cursor_left(&c) > len)
        c.end = c.p + len; /* padding of the link */
    if ((place & 0x3fff) != 0)
        put_fragment(p,
                     (struct packet_fragment){.id = id,
                                              .offset = 8u * (place & 0x1fff),
                                              .protocol = protocol,
                                              .last = (place & 0x2000) == 0},
                     c, len);
    else
        read_transport(protocol, c, len, p);
}

/* The fragment header (RFC 8200, 4.5). True when the packet is whole all the same (RFC 6946): go on behind
 * it. */
static bool read_fragment6(struct cursor *c, size_t *len, uint8_t *next, struct packet *p)
{
    uint8_t protocol, ignored;
    uint16_t place;
    uint64_t id;
    if (*len < 8 || !cursor_u8(c, &protocol) || !cursor_u8(c, &ignored) || !cursor_u16(c, &place) ||
        !cursor_uint(c, 4, &id)) {
        broken(p);
        return false;
    }
    *len -= 8;
    *next = protocol;
    if ((place & 0xfff9) == 0)
        return true;
    put_fragment(
        p,
        (struct packet_fragment){
            .id = (uint32_t)id, .offset = place & 0xfff8u, .protocol = protocol, .last = (place & 1) == 0},
        *c, *len);
    return false;
}

/* Step over an extension header that is known by its length (RFC 8200, 4; RFC 4302, 2.2). */
static bool skip_extension(struct cursor *c, size_t *len, uint8_t *next)
{
    struct cursor at = *c;
    uint8_t following, size;
    if (!cursor_u8(&at, &following) || !cursor_u8(&at, &size))
        return false;
    size_t bytes = *next == IPPROTO_AH ? 4u * (size + 2u) : 8u * (size + 1u);
    if (bytes > *len || !cursor_skip(c, bytes))
        return false;
    *len -= bytes;
    *next = following;
    return true;
}

static bool is_extension(uint8_t protocol)
{
    return protocol == IPPROTO_HOPOPTS || protocol == IPPROTO_ROUTING || protocol == IPPROTO_DSTOPTS ||
           protocol == IPPROTO_AH;
}

/* RFC 8200, 3. */
static void read_ipv6(struct cursor c, struct packet *p)
{
    uint8_t first, next;
    uint16_t payload;
    if (!cursor_u8(&c, &first) || !cursor_skip(&c, 3) || !cursor_u16(&c, &payload) || !cursor_u8(&c, &next) ||
        !cursor_skip(&c, 1) || !read_address(&c, AF_INET6, 16, &p->from) ||
        !read_address(&c, AF_INET6, 16, &p->to) || first >> 4 != 6) {
        broken(p);
        return;
    }
    size_t len = payload != 0 ? payload : cursor_left(&c);
    if (cursor_left(&c) > len)
        c.end = c.p + len;
    for (int i = 0; i < EXTENSIONS_MAX && (is_extension(next) || next == IPPROTO_FRAGMENT); i++) {
        if (next == IPPROTO_FRAGMENT) {
            if (!read_fragment6(&c, &len, &next, p))
                return;
        } else if (!skip_extension(&c, &len, &next)) {
            broken(p);
            return;
        }
    }
    read_transport(next, c, len, p);
}

/* By the version in its first bits. */
static void read_ip(struct cursor c, struct packet *p)
{
    if (cursor_left(&c) == 0)
        broken(p);
    else if (*c.p >> 4 == 4)
        read_ipv4(c, p);
    else if (*c.p >> 4 == 6)
        read_ipv6(c, p);
    else
        broken(p);
}

/* Links ---------------------------------------------------------------------------------------------- */

/* PPP behind PPPoE (RFC 2516, 4; RFC 1332; RFC 5072). */
static bool read_pppoe(struct cursor *c, uint16_t *type)
{
    uint16_t protocol;
    if (!cursor_skip(c, 6) || !cursor_u16(c, &protocol))
        return false;
    *type = protocol == 0x21 ? ETHER_IPV4 : protocol == 0x57 ? ETHER_IPV6 : 0;
    return true;
}

/* What follows an EtherType. */
static void read_ether_type(uint16_t type, struct cursor c, struct packet *p)
{
    for (int i = 0; i < TAGS_MAX; i++) {
        bool tag = type == ETHER_VLAN || type == ETHER_VLAN_OUTER || type == ETHER_VLAN_OLD;
        if (!tag && type != ETHER_PPPOE)
            break;
        if (tag ? !cursor_skip(&c, 2) || !cursor_u16(&c, &type) : !read_pppoe(&c, &type)) {
            broken(p);
            return;
        }
    }
    if (type == ETHER_IPV4)
        read_ipv4(c, p);
    else if (type == ETHER_IPV6)
        read_ipv6(c, p);
}

/* An EtherType that stands `at` bytes behind the beginning of a header of `head` bytes. */
static void read_typed(struct cursor c, size_t at, size_t head, struct packet *p)
{
    struct cursor type_at = c;
    uint16_t type;
    if (!cursor_skip(&type_at, at) || !cursor_u16(&type_at, &type) || !cursor_skip(&c, head))
        broken(p);
    else
        read_ether_type(type, c, p);
}

bool packet_knows_link(int link)
{
    switch (link) {
    case PACKET_LINK_NULL:
    case PACKET_LINK_ETHERNET:
    case PACKET_LINK_RAW:
    case PACKET_LINK_RAW_BSD:
    case PACKET_LINK_RAW_FILE:
    case PACKET_LINK_LOOP:
    case PACKET_LINK_COOKED:
    case PACKET_LINK_IPV4:
    case PACKET_LINK_IPV6:
    case PACKET_LINK_COOKED_2:
        return true;
    default:
        return false;
    }
}

void packet_read(int link, const uint8_t *frame, size_t len, struct packet *ret)
{
    struct cursor c = cursor_of(frame, len);
    *ret = (struct packet){.kind = PACKET_OTHER, .payload = cursor_of(frame, 0)};
    switch (link) {
    case PACKET_LINK_ETHERNET:
        read_typed(c, 12, 14, ret);
        break;
    case PACKET_LINK_COOKED:
        read_typed(c, 14, 16, ret);
        break;
    case PACKET_LINK_COOKED_2:
        read_typed(c, 0, 20, ret);
        break;
    case PACKET_LINK_NULL:
    case PACKET_LINK_LOOP:
        /* The family's number differs between systems and its order between machines; the packet tells by
         * itself. */
        if (cursor_skip(&c, 4))
            read_ip(c, ret);
        else
            broken(ret);
        break;
    default:
        read_ip(c, ret);
    }
}
