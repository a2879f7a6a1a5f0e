/* SPDX-License-Identifier: Apache-2.0 */
/* Frames for tests: links, IP and TCP or UDP around some bytes. */
#ifndef CARDEA_TESTS_CAPTURE_MAKER_H
#define CARDEA_TESTS_CAPTURE_MAKER_H

#include "hello_maker.h"

#define CLIENT_PORT 50000
#define SERVER_PORT 443

enum { FIN = 1, SYN = 2, RST = 4, ACK = 16 };

static inline void put_ports(struct buf *b, bool from_client, uint16_t client_port)
{
    put_uint(b, 2, from_client ? client_port : SERVER_PORT);
    put_uint(b, 2, from_client ? SERVER_PORT : client_port);
}

/* A segment; `options` are in hexadecimal, a multiple of 4 bytes. */
static inline struct buf make_tcp(bool from_client, uint16_t client_port, uint32_t sequence, unsigned flags,
                                  const char *options, const void *data, size_t len)
{
    struct buf b = {0}, extra = {0};
    put_hex(&extra, options);
    put_ports(&b, from_client, client_port);
    put_uint(&b, 4, sequence);
    put_uint(&b, 4, 0);
    put_uint(&b, 1, (5 + extra.len / 4) << 4);
    put_uint(&b, 1, flags);
    put_hex(&b, "ffff 0000 0000");
    put(&b, extra.data, extra.len);
    put(&b, data, len);
    buf_free(&extra);
    return b;
}

static inline struct buf make_udp(bool from_client, const void *data, size_t len)
{
    struct buf b = {0};
    put_ports(&b, from_client, CLIENT_PORT);
    put_uint(&b, 2, 8 + len);
    put_uint(&b, 2, 0);
    put(&b, data, len);
    return b;
}

/* 192.0.2.1 is the client, 192.0.2.2 the server. `place`: flags and offset of a fragment. Takes `payload`. */
static inline struct buf make_ipv4(bool from_client, uint8_t protocol, unsigned place, struct buf payload)
{
    struct buf b = {0};
    put_hex(&b, "45 00");
    put_uint(&b, 2, 20 + payload.len);
    put_hex(&b, "1234");
    put_uint(&b, 2, place);
    put_hex(&b, "40");
    put_uint(&b, 1, protocol);
    put_hex(&b, from_client ? "0000 c0000201 c0000202" : "0000 c0000202 c0000201");
    put(&b, payload.data, payload.len);
    buf_free(&payload);
    return b;
}

/* 2001:db8::1 and ::2; `extensions` in hexadecimal stand between, the first of which is `next`. Takes
 * `payload`. */
static inline struct buf make_ipv6(bool from_client, uint8_t next, const char *extensions, struct buf payload)
{
    static const char one[] = "20010db8 00000000 00000000 00000001",
                      two[] = "20010db8 00000000 00000000 00000002";
    struct buf b = {0}, extra = {0};
    put_hex(&extra, extensions);
    put_hex(&b, "60000000");
    put_uint(&b, 2, extra.len + payload.len);
    put_uint(&b, 1, next);
    put_hex(&b, "40");
    put_hex(&b, from_client ? one : two);
    put_hex(&b, from_client ? two : one);
    put(&b, extra.data, extra.len);
    put(&b, payload.data, payload.len);
    buf_free(&payload);
    buf_free(&extra);
    return b;
}

/* What a link puts before a packet, in hexadecimal. Takes `packet`. */
static inline struct buf make_frame(const char *head, struct buf packet)
{
    struct buf b = {0};
    put_hex(&b, head);
    put(&b, packet.data, packet.len);
    buf_free(&packet);
    return b;
}

#define ETHERNET "020000000001 020000000002 "
#define ETHERNET_IPV4 ETHERNET "0800"

#endif
