/* SPDX-License-Identifier: Apache-2.0 */
/* capture/capture.h: hellos are found however frames, packets and segments lie around them, and hostile
 * frames find nothing to break. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/clock.h"
#include "capture/capture.h"
#include "capture/packet.h"
#include "capture_maker.h"

#define START 1000u /* sequence number of the first byte, but where a test says otherwise */

/* What came out of it. */
struct seen {
    size_t count;
    struct sighting last;
    struct reply answer;
};

static void on_seen(void *owner, const struct sighting *s)
{
    struct seen *seen = owner;
    seen->count++;
    seen->last = *s;
    seen->answer = *s->answer;
}

static struct capture *start(struct seen *seen)
{
    const struct capture_limits limits = {.flow = CAPTURE_FLOW_DEFAULT, .total = CAPTURE_TOTAL_DEFAULT};
    memset(seen, 0, sizeof(*seen));
    return capture_new(&limits, on_seen, seen);
}

/* Frames of one second after the other. Takes `frame`. */
static void give(struct capture *c, int link, struct buf frame)
{
    int64_t now = (int64_t)(capture_counts(c)->frames + 1) * NSEC_PER_SEC;
    capture_frame(c, link, now, frame.data, frame.len, frame.len);
    buf_free(&frame);
}

static void give_tcp(struct capture *c, bool from_client, uint32_t sequence, unsigned flags, const void *data,
                     size_t len)
{
    struct buf tcp = make_tcp(from_client, CLIENT_PORT, sequence, flags, "", data, len);
    give(c, PACKET_LINK_ETHERNET, make_frame(ETHERNET_IPV4, make_ipv4(from_client, 6, 0, tcp)));
}

static void finish(struct capture *c)
{
    capture_end(c);
    capture_free(c);
}

/* Links and packets ---------------------------------------------------------------------------------- */

static void test_links(void **state)
{
    (void)state;
    static const struct {
        int link;
        const char *head;
        bool six;
        uint8_t next;
        const char *extensions;
    } rows[] = {
        {PACKET_LINK_ETHERNET, ETHERNET "0800", false, 0, ""},
        {PACKET_LINK_ETHERNET, ETHERNET "86dd", true, 6, ""},
        {PACKET_LINK_ETHERNET, ETHERNET "8100 0064 0800", false, 0, ""},
        {PACKET_LINK_ETHERNET, ETHERNET "88a8 0064 8100 0065 86dd", true, 6, ""},
        {PACKET_LINK_ETHERNET, ETHERNET "9100 0064 8100 0065 0800", false, 0, ""},
        {PACKET_LINK_ETHERNET, ETHERNET "8864 11 00 0001 ffff 0021", false, 0, ""},
        {PACKET_LINK_ETHERNET, ETHERNET "8100 0007 8864 11 00 0001 ffff 0057", true, 6, ""},
        {PACKET_LINK_COOKED, "0000 0001 0006 0200000000010000 0800", false, 0, ""},
        {PACKET_LINK_COOKED, "0000 0001 0006 0200000000010000 8100 0005 86dd", true, 6, ""},
        {PACKET_LINK_COOKED_2, "0800 0000 00000001 0001 00 06 0200000000010000", false, 0, ""},
        {PACKET_LINK_COOKED_2, "86dd 0000 00000001 0001 00 06 0200000000010000", true, 6, ""},
        {PACKET_LINK_RAW, "", false, 0, ""},
        {PACKET_LINK_RAW_BSD, "", true, 6, ""},
        {PACKET_LINK_RAW_FILE, "", false, 0, ""},
        {PACKET_LINK_IPV4, "", false, 0, ""},
        {PACKET_LINK_IPV6, "", true, 6, ""},
        {PACKET_LINK_NULL, "02000000", false, 0, ""},
        {PACKET_LINK_NULL, "1e000000", true, 6, ""},
        {PACKET_LINK_LOOP, "00000002", false, 0, ""},
        /* Hop-by-hop options, routing, destination options, authentication. */
        {PACKET_LINK_IPV6, "", true, 0, "06 00 0104 00000000"},
        {PACKET_LINK_IPV6, "", true, 0, "2b 00 0104 00000000 3c 00 00000000 0000 06 00 0104 00000000"},
        {PACKET_LINK_IPV6, "", true, 51, "06 04 0000 00000001 00000001 00000000 00000000 00000000"},
        /* A fragment that is alone. */
        {PACKET_LINK_IPV6, "", true, 44, "06 00 0000 00000007"},
    };
    struct buf hello = load_sample("curl-7.88");
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct seen seen;
        struct capture *c = start(&seen);
        struct buf tcp = make_tcp(true, CLIENT_PORT, START, ACK, "", hello.data, hello.len);
        struct buf ip =
            rows[i].six ? make_ipv6(true, rows[i].next, rows[i].extensions, tcp) : make_ipv4(true, 6, 0, tcp);
        assert_true(packet_knows_link(rows[i].link));
        give(c, rows[i].link, make_frame(rows[i].head, ip));
        finish(c);
        if (seen.count != 1 || seen.last.hello == NULL)
            fail_msg("row %zu: %zu hellos", i, seen.count);
        char text[NET_ADDR_TEXT_MAX];
        assert_string_equal(net_addr_format(&seen.last.server, text),
                            rows[i].six ? "[2001:db8::2]:443" : "192.0.2.2:443");
        assert_string_equal(net_addr_format(&seen.last.client, text),
                            rows[i].six ? "[2001:db8::1]:50000" : "192.0.2.1:50000");
    }
    assert_false(packet_knows_link(105)); /* IEEE 802.11 */
    buf_free(&hello);
}

/* Options of IPv4 and TCP, padding of the link, a length that offloading has left out. */
static void test_headers(void **state)
{
    (void)state;
    struct buf hello = load_sample("curl-7.88");
    struct seen seen;
    for (int i = 0; i < 3; i++) {
        struct capture *c = start(&seen);
        struct buf ip = make_ipv4(
            true, 6, 0, make_tcp(true, CLIENT_PORT, START, ACK, "01010101 01010101", hello.data, hello.len));
        struct buf frame = {0};
        put_hex(&frame, ETHERNET_IPV4);
        if (i == 0) { /* four bytes of options */
            ip.data[0] = 0x46;
            ip.data[3] = (uint8_t)(ip.data[3] + 4);
            put(&frame, ip.data, 20);
            put_hex(&frame, "01010101");
            put(&frame, ip.data + 20, ip.len - 20);
        } else {
            if (i == 1)
                ip.data[2] = ip.data[3] = 0;
            put(&frame, ip.data, ip.len);
            if (i == 2)
                put_hex(&frame, "0000 0000 0000");
        }
        buf_free(&ip);
        give(c, PACKET_LINK_ETHERNET, frame);
        finish(c);
        assert_int_equal(seen.count, 1);
        assert_non_null(seen.last.hello);
    }
    buf_free(&hello);
}

static void test_fragments(void **state)
{
    (void)state;
    static const int orders[][3] = {{0, 1, 2}, {2, 1, 0}, {1, 2, 0}};
    struct buf hello = load_sample("curl-7.88");
    for (size_t o = 0; o < ARRAY_LEN(orders); o++)
        for (int six = 0; six < 2; six++) {
            struct seen seen;
            struct capture *c = start(&seen);
            struct buf tcp = make_tcp(true, CLIENT_PORT, START, ACK, "", hello.data, hello.len);
            for (int i = 0; i < 3; i++) {
                size_t n = (size_t)orders[o][i], at = n * 200, len = n == 2 ? tcp.len - at : 200;
                struct buf piece = {0};
                put(&piece, tcp.data + at, len);
                char extension[64];
                snprintf(extension, sizeof(extension), "06 00 %04zx 00000009", at | (n < 2));
                give(c, PACKET_LINK_RAW,
                     six ? make_ipv6(true, 44, extension, piece)
                         : make_ipv4(true, 6, (unsigned)(at / 8 | (n < 2 ? 0x2000u : 0)), piece));
            }
            buf_free(&tcp);
            finish(c);
            if (seen.count != 1 || seen.last.hello == NULL)
                fail_msg("order %zu, IPv%d: %zu hellos", o, six ? 6 : 4, seen.count);
        }
    buf_free(&hello);
}

/* Each frame is no packet of ours; nothing is found, and nothing breaks. */
static void test_hostile_frames(void **state)
{
    (void)state;
    static const struct {
        int link;
        const char *hex;
        bool broken; /* else it is of no interest */
    } rows[] = {
        {PACKET_LINK_ETHERNET, "", true},
        {PACKET_LINK_ETHERNET, "020000000001 020000000002 08", true},
        {PACKET_LINK_ETHERNET, ETHERNET "0800", true},
        {PACKET_LINK_ETHERNET, ETHERNET "0806 0001", false},
        {PACKET_LINK_ETHERNET, ETHERNET "8100 00", true},
        {PACKET_LINK_ETHERNET, ETHERNET "8864 11 00 0001", true},
        {PACKET_LINK_ETHERNET, ETHERNET "8864 11 00 0001 0004 c021 0101", false},
        /* More tags than anybody stacks: what is behind is not looked at. */
        {PACKET_LINK_ETHERNET, ETHERNET "8100 0001 8100 0001 8100 0001 8100 0001 8100 0001 0800 45", false},
        {PACKET_LINK_COOKED, "0000", true},
        {PACKET_LINK_COOKED_2, "0800 0000", true},
        {PACKET_LINK_NULL, "0200", true},
        {PACKET_LINK_RAW, "", true},
        {PACKET_LINK_RAW, "70 00 0014", true},
        /* A header length below 20, beyond the packet, a total length below the header. */
        {PACKET_LINK_RAW, "41 00 0028 0000 0000 40 06 0000 c0000201 c0000202", true},
        {PACKET_LINK_RAW, "4f 00 0028 0000 0000 40 06 0000 c0000201 c0000202", true},
        {PACKET_LINK_RAW, "45 00 0010 0000 0000 40 06 0000 c0000201 c0000202", true},
        /* ICMP. */
        {PACKET_LINK_RAW, "45 00 0018 0000 0000 40 01 0000 c0000201 c0000202 00000000", false},
        /* TCP that is cut off, whose data begin before its header ends, and beyond its end. */
        {PACKET_LINK_RAW, "45 00 0018 0000 0000 40 06 0000 c0000201 c0000202 c35001bb", true},
        {PACKET_LINK_RAW,
         "45 00 0028 0000 0000 40 06 0000 c0000201 c0000202 c35001bb 00000001 00000000 4010 ffff 0000 0000",
         true},
        {PACKET_LINK_RAW,
         "45 00 0028 0000 0000 40 06 0000 c0000201 c0000202 c35001bb 00000001 00000000 f010 ffff 0000 0000",
         true},
        /* UDP shorter than its header, longer than the packet. */
        {PACKET_LINK_RAW, "45 00 001c 0000 0000 40 11 0000 c0000201 c0000202 c35001bb 0007 0000", true},
        {PACKET_LINK_RAW, "45 00 001c 0000 0000 40 11 0000 c0000201 c0000202 c35001bb 0009 0000", true},
        {PACKET_LINK_RAW, "45 00 001c 0000 0000 40 11 0000 c0000201 c0000202 c35001bb 0000 0000", false},
        /* IPv6: cut off, an extension header that is, one that is longer than the packet, and more than
           anybody has. */
        {PACKET_LINK_RAW, "60000000 0008 06 40 20010db8", true},
        {PACKET_LINK_RAW,
         "60000000 0008 00 40 20010db8000000000000000000000001 20010db8000000000000000000000002 06", true},
        {PACKET_LINK_RAW,
         "60000000 0008 00 40 20010db8000000000000000000000001 20010db8000000000000000000000002 06ff 0104 "
         "00000000",
         true},
        {PACKET_LINK_RAW,
         "60000000 0048 00 40 20010db8000000000000000000000001 20010db8000000000000000000000002 "
         "0000010400000000 0000010400000000 0000010400000000 0000010400000000 0000010400000000 "
         "0000010400000000 "
         "0000010400000000 0000010400000000 0000010400000000",
         false},
        {PACKET_LINK_RAW,
         "60000000 0004 2c 40 20010db8000000000000000000000001 20010db8000000000000000000000002 06000000",
         true},
        /* A fragment whose bytes were not captured. */
        {PACKET_LINK_RAW, "45 00 0030 0001 2000 40 06 0000 c0000201 c0000202 c35001bb", true},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct seen seen;
        struct buf frame = {0};
        struct capture *c = start(&seen);
        put_hex(&frame, rows[i].hex);
        uint8_t *exact = malloc(MAX(frame.len, 1)); /* so that a sanitizer sees each byte too many */
        if (frame.len > 0)
            memcpy(exact, frame.data, frame.len);
        capture_frame(c, rows[i].link, 0, exact, frame.len, frame.len);
        if (capture_counts(c)->broken != rows[i].broken || seen.count != 0)
            fail_msg("row %zu: %s", i, rows[i].broken ? "was taken for good" : "was taken for malformed");
        free(exact);
        buf_free(&frame);
        finish(c);
    }
}

/* Fragments that overlap, end beyond what IP can have, or never come to an end: bounded, and of no harm. */
static void test_hostile_fragments(void **state)
{
    (void)state;
    struct seen seen;
    struct capture *c = start(&seen);
    uint8_t block[1024] = {0};
    for (unsigned i = 0; i < 2000; i++) {
        struct buf piece = {0};
        put(&piece, block, sizeof(block) - i % 7);
        struct buf ip = make_ipv4(true, 6, 0x2000u | (i * 37 & 0x1fff), piece);
        ip.data[5] = (uint8_t)i; /* of many packets at once */
        give(c, PACKET_LINK_RAW, ip);
    }
    finish(c);
    assert_int_equal(seen.count, 0);
}

/* TCP ------------------------------------------------------------------------------------------------ */

static void test_segments(void **state)
{
    (void)state;
    struct buf hello = load_sample("curl-7.88");
    /* Across the end of the sequence numbers too. */
    static const uint32_t starts[] = {START, UINT32_MAX - 100};
    for (size_t s = 0; s < ARRAY_LEN(starts); s++)
        for (size_t size = 1; size < hello.len + 50; size += size < 8 ? 1 : 61) {
            struct seen seen;
            struct capture *c = start(&seen);
            give_tcp(c, true, starts[s] - 1, SYN, NULL, 0);
            for (size_t at = 0; at < hello.len; at += size)
                give_tcp(c, true, starts[s] + (uint32_t)at, ACK, hello.data + at, MIN(size, hello.len - at));
            finish(c);
            if (seen.count != 1 || seen.last.hello == NULL)
                fail_msg("in pieces of %zu: %zu hellos", size, seen.count);
        }
    buf_free(&hello);
}

/* The same in records of their own. */
static void test_records(void **state)
{
    (void)state;
    struct buf hello = load_sample("curl-7.88");
    struct buf wire = make_records(hello.data + 5, hello.len - 5, 100);
    struct seen seen;
    struct capture *c = start(&seen);
    for (size_t at = 0; at < wire.len; at += 77)
        give_tcp(c, true, START + (uint32_t)at, ACK, wire.data + at, MIN((size_t)77, wire.len - at));
    finish(c);
    assert_int_equal(seen.count, 1);
    assert_non_null(seen.last.hello);
    buf_free(&wire);
    buf_free(&hello);
}

/* Behind a SYN any order will do; what comes twice, whole or overlapping, counts once, and the first one
 * counts. */
static void test_disorder(void **state)
{
    (void)state;
    struct buf hello = load_sample("curl-7.88");
    uint8_t other[400];
    memset(other, 0xff, sizeof(other));
    srand(1);
    for (int round = 0; round < 200; round++) {
        struct seen seen;
        struct capture *c = start(&seen);
        give_tcp(c, true, START - 1, SYN, NULL, 0);
        for (int i = 0; i < 40; i++) {
            size_t at = (size_t)rand() % (hello.len - 1), want = 1 + (size_t)rand() % 120;
            size_t len = MIN(want, hello.len - at);
            give_tcp(c, true, START + (uint32_t)at, ACK, hello.data + at, len);
            give_tcp(c, true, START + (uint32_t)at, ACK, other, len);
        }
        give_tcp(c, true, START, ACK, hello.data, hello.len);
        finish(c);
        if (seen.count != 1 || seen.last.hello == NULL)
            fail_msg("round %d: %zu hellos", round, seen.count);
    }
    buf_free(&hello);
}

static void test_missing(void **state)
{
    (void)state;
    struct buf hello = load_sample("curl-7.88");
    struct seen seen;
    struct capture *c = start(&seen);
    give_tcp(c, true, START - 1, SYN, NULL, 0);
    give_tcp(c, true, START, ACK, hello.data, 100);
    give_tcp(c, true, START + 200, ACK, hello.data + 200, hello.len - 200);
    give_tcp(c, false, 77, RST, NULL, 0);
    finish(c);
    assert_int_equal(seen.count, 1);
    assert_false(seen.last.complete);
    assert_null(seen.last.hello);
    assert_int_equal(seen.last.have, 95);
    assert_int_equal(seen.last.wanted, hello.len - 5);
    buf_free(&hello);
}

/* A hello behind a hole in plain text is found all the same. */
static void test_behind_a_hole(void **state)
{
    (void)state;
    struct buf hello = load_sample("curl-7.88");
    struct seen seen;
    struct capture *c = start(&seen);
    give_tcp(c, true, START - 1, SYN, NULL, 0);
    give_tcp(c, true, START, ACK, "EHLO there\r\n", 12);
    give_tcp(c, true, START + 22, ACK, hello.data, hello.len);
    finish(c);
    assert_int_equal(seen.count, 1);
    assert_non_null(seen.last.hello);
    assert_int_equal(seen.last.plain, 12);
    buf_free(&hello);
}

static void test_before_it(void **state)
{
    (void)state;
    static const struct {
        const char *first; /* in hexadecimal */
        bool together;     /* with the hello in one segment */
        bool postgres;
        uint8_t proxy;
        uint64_t plain;
        bool found;
    } rows[] = {
        {"00000008 04d2162f", false, true, 0, 0, true},
        {"00000008 04d2162f", true, true, 0, 0, true},
        {"45484c4f0d0a", false, false, 0, 6, true},
        /* Within a segment of plain text it may be anything. */
        {"45484c4f0d0a", true, false, 0, 0, false},
        /* "PROXY TCP4 10.0.0.1 10.0.0.2 1 2\r\n" */
        {"50524f58592054435034 2031302e302e302e31 2031302e302e302e32 203120320d0a", false, false, 1, 0, true},
        {"50524f58592054435034 2031302e302e302e31 2031302e302e302e32 203120320d0a", true, false, 1, 0, true},
        {"0d0a0d0a000d0a515549540a 21 11 000c 0a000001 0a000002 0001 0002", true, false, 2, 0, true},
        {"0d0a0d0a000d0a515549540a 21 11 000c 0a000001 0a000002 0001 0002 00000008 04d2162f", true, true, 2,
         0, true},
        /* One byte that a record could begin with. */
        {"16", false, false, 0, 1, true},
        {"16 03 01 00 05 02", false, false, 0, 0, false},
        {"17 03 03 00 05", false, false, 0, 5, true},
    };
    struct buf hello = load_sample("curl-7.88");
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct seen seen;
        struct buf bytes = {0};
        struct capture *c = start(&seen);
        give_tcp(c, true, START - 1, SYN, NULL, 0);
        put_hex(&bytes, rows[i].first);
        size_t first = bytes.len;
        put(&bytes, hello.data, hello.len);
        size_t cut = rows[i].together ? bytes.len : first;
        give_tcp(c, true, START, ACK, bytes.data, cut);
        give_tcp(c, true, START + (uint32_t)cut, ACK, bytes.data + cut, bytes.len - cut);
        finish(c);
        if (seen.count != rows[i].found)
            fail_msg("row %zu: %zu hellos", i, seen.count);
        if (rows[i].found && (seen.last.hello == NULL || seen.last.postgres != rows[i].postgres ||
                              seen.last.proxy != rows[i].proxy || seen.last.plain != rows[i].plain))
            fail_msg("row %zu: %d, version %d, %d bytes", i, seen.last.postgres, seen.last.proxy,
                     (int)seen.last.plain);
        if (rows[i].proxy != 0) {
            char text[NET_ADDR_TEXT_MAX];
            assert_string_equal(net_addr_format(&seen.last.proxy_from, text), "10.0.0.1:1");
        }
        buf_free(&bytes);
    }
    buf_free(&hello);
}

/* Other connections between the same ports, and many at once; told of in the order in which they began. */
static void test_several(void **state)
{
    (void)state;
    struct buf hello = load_sample("curl-7.88");
    struct seen seen;
    struct capture *c = start(&seen);
    for (uint32_t i = 0; i < 5; i++) {
        give_tcp(c, true, START * i, SYN, NULL, 0);
        give_tcp(c, true, START * i, SYN, NULL, 0); /* sent again */
        give_tcp(c, true, START * i + 1, ACK, hello.data, hello.len);
        give_tcp(c, true, START * i + 1, ACK, hello.data, hello.len);
    }
    assert_int_equal(seen.count, 4);
    finish(c);
    assert_int_equal(seen.count, 5);

    c = start(&seen);
    for (uint16_t i = 0; i < 1000; i++) {
        struct buf tcp = make_tcp(true, (uint16_t)(1024 + i), START, ACK, "", hello.data, hello.len);
        give(c, PACKET_LINK_RAW, make_ipv4(true, 6, 0, tcp));
    }
    /* The clock has gone on: whoever is silent for long is told of. */
    assert_true(seen.count > 800 && seen.count < 1000);
    finish(c);
    assert_int_equal(seen.count, 1000);
    assert_int_equal(seen.last.frame, 1000);
    buf_free(&hello);
}

/* A byte a segment, behind a hole, and then segments over all of them, again and again: what is there already
 * is passed over at once. */
static void test_tiny_segments(void **state)
{
    (void)state;
    enum { BYTES = 16000, TIMES = 200 };
    struct seen seen = {0};
    const struct capture_limits limits = {.flow = CAPTURE_MAX / 16, .total = CAPTURE_TOTAL_DEFAULT};
    struct capture *c = capture_new(&limits, on_seen, &seen);
    uint8_t *bytes = calloc(1, BYTES);
    assert_non_null(bytes);
    give_tcp(c, true, START - 1, SYN, NULL, 0);
    for (uint32_t i = 0; i < BYTES; i += 2)
        give_tcp(c, true, START + 1 + i, ACK, bytes, 1);
    for (uint32_t i = 0; i < TIMES; i++)
        give_tcp(c, true, START + 1, ACK, bytes, BYTES);
    finish(c);
    assert_int_equal(seen.count, 0);
    free(bytes);
}

/* Connections whose hellos never end are given up once there are too many bytes of them. */
static void test_bounds(void **state)
{
    (void)state;
    struct seen seen = {0};
    const struct capture_limits limits = {.flow = CAPTURE_FLOW_MIN, .total = CAPTURE_TOTAL_MIN};
    struct capture *c = capture_new(&limits, on_seen, &seen);
    uint8_t bytes[1000] = {22, 3, 1, 0x3f, 0xff, 1, 0, 0x3f, 0xfb};
    for (uint16_t i = 0; i < 2000; i++) {
        struct buf tcp = make_tcp(true, (uint16_t)(1024 + i), START, ACK, "", bytes, sizeof(bytes));
        capture_frame(c, PACKET_LINK_RAW, 0, bytes, 0, 0);
        struct buf frame = make_ipv4(true, 6, 0, tcp);
        capture_frame(c, PACKET_LINK_RAW, 0, frame.data, frame.len, frame.len);
        buf_free(&frame);
    }
    assert_true(capture_counts(c)->evicted > 1000);
    capture_end(c);
    assert_int_equal(seen.count, 2000);
    /* One that cannot fit into what a connection may hold is refused at once. */
    assert_true(seen.last.complete);
    assert_int_equal(seen.last.reason, HELLO_REASON_TOO_LONG);

    /* Segments far ahead of a hole: what a connection may hold, and then the hole is given up. */
    seen.count = 0;
    give_tcp(c, true, START - 1, SYN, NULL, 0);
    for (uint32_t i = 0; i < 100; i++)
        give_tcp(c, true, START + 10 + 1000 * i, ACK, bytes + 10, 900);
    capture_end(c);
    capture_free(c);
    assert_int_equal(seen.count, 0);
}

/* Answers -------------------------------------------------------------------------------------------- */

#define RECORD(len) "16 0303 " len " "
#define SERVER_HELLO_1_3 "02 000056 0303 R 00 1301 00 002e 0033 0024 001d 0020 R 002b 0002 0304 "
#define RETRY                                                                                               \
    "02 000034 0303 cf21ad74e59a6111be1d8c021e65b891c2a211167abb8c5e079e09e2c8a8339c 00 1301 00 000c 002b " \
    "0002 0304 "                                                                                            \
    "0033 0002 0017 "

static void test_answers(void **state)
{
    (void)state;
    static const struct {
        const char *hex;
        enum reply_kind kind;
        uint16_t version, cipher, group, retry_group;
        uint8_t alert;
        bool retry;
    } rows[] = {
        {RECORD("005a") SERVER_HELLO_1_3, REPLY_HELLO, 0x0304, 0x1301, 0x001d, 0, 0, false},
        {RECORD("0038") RETRY "14 0303 0001 01 " RECORD("005a") SERVER_HELLO_1_3, REPLY_HELLO, 0x0304, 0x1301,
         0x001d, 0x0017, 0, true},
        {RECORD("0038") RETRY, REPLY_NONE, 0, 0, 0, 0x0017, 0, true},
        /* TLS 1.2: ServerHello with ALPN, a Certificate, ServerKeyExchange, in one record. */
        {RECORD("0047") "02 000031 0303 R 00 c02f 00 0009 0010 0005 0003 02 6832 0b 000004 deadbeef "
                        "0c 000006 03 0018 02 aabb",
         REPLY_HELLO, 0x0303, 0xc02f, 0x0018, 0, 0, false},
        /* ... by RSA alone, and resumed. */
        {RECORD("002a") "02 000026 0303 R 00 002f 00 " RECORD("0004") "0e 000000", REPLY_HELLO, 0x0303,
         0x002f, 0, 0, 0, false},
        {RECORD("002a") "02 000026 0303 R 00 c02f 00 14 0303 0001 01 16 0303 0004 ffffffff", REPLY_HELLO,
         0x0303, 0xc02f, 0, 0, 0, false},
        /* Messages that nobody wants, many in one record, and some over the end of one. */
        {RECORD("0038") RETRY RECORD("0013") "04 000000 00 000000 04 000002 abcd 04 000003 ab " RECORD(
             "005c") "cdef " SERVER_HELLO_1_3,
         REPLY_HELLO, 0x0304, 0x1301, 0x001d, 0x0017, 0, true},
        {"15 0301 0002 02 28", REPLY_ALERT, 0, 0, 0, 0, 40, false},
        {RECORD("0038") RETRY "15 0303 0002 02 2f", REPLY_ALERT, 0, 0, 0, 0x0017, 47, true},
        /* Malformed. */
        {RECORD("0006") "02 000002 0303", REPLY_NONE, 0, 0, 0, 0, 0, false},
        {RECORD("0008") "02 ffffff 0303 0000", REPLY_NONE, 0, 0, 0, 0, 0, false},
    };
    struct buf hello = load_sample("curl-7.88");
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        for (size_t size = 1; size < 400; size += 57) {
            struct seen seen;
            struct buf bytes = {0};
            struct capture *c = start(&seen);
            put_hex(&bytes, rows[i].hex);
            give_tcp(c, true, START, ACK, hello.data, hello.len);
            for (size_t at = 0; at < bytes.len; at += size)
                give_tcp(c, false, 7 + (uint32_t)at, ACK, bytes.data + at, MIN(size, bytes.len - at));
            finish(c);
            buf_free(&bytes);
            assert_int_equal(seen.count, 1);
            const struct reply *a = &seen.answer;
            if (a->kind != rows[i].kind || a->version != rows[i].version || a->cipher != rows[i].cipher ||
                a->group != rows[i].group || a->retry_group != rows[i].retry_group ||
                a->retry != rows[i].retry || a->alert != rows[i].alert)
                fail_msg("row %zu in pieces of %zu: kind %d, %04x %04x %04x %04x alert %d", i, size, a->kind,
                         a->version, a->cipher, a->group, a->retry_group, a->alert);
        }
    buf_free(&hello);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_links),
        cmocka_unit_test(test_headers),
        cmocka_unit_test(test_fragments),
        cmocka_unit_test(test_hostile_frames),
        cmocka_unit_test(test_hostile_fragments),
        cmocka_unit_test(test_segments),
        cmocka_unit_test(test_records),
        cmocka_unit_test(test_disorder),
        cmocka_unit_test(test_missing),
        cmocka_unit_test(test_behind_a_hole),
        cmocka_unit_test(test_before_it),
        cmocka_unit_test(test_several),
        cmocka_unit_test(test_tiny_segments),
        cmocka_unit_test(test_bounds),
        cmocka_unit_test(test_answers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
