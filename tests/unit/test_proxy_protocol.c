/* SPDX-License-Identifier: Apache-2.0 */
/* net/proxy_protocol.h: both versions, read and written. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <sys/un.h>

#include "hello_maker.h"
#include "net/proxy_protocol.h"

#define SIGNATURE "0d0a0d0a000d0a515549540a "

/* Read from an exact heap copy, so that a sanitizer sees a read past the end; `ret->tlvs` is valid in `data`.
 */
static enum proxy_result read_header(const uint8_t *data, size_t len, struct proxy_header *ret)
{
    uint8_t *copy = malloc(len > 0 ? len : 1);
    assert_non_null(copy);
    if (len > 0)
        memcpy(copy, data, len);
    enum proxy_result r = proxy_protocol_read(copy, len, PROXY_V2_MAX, ret);
    if (r == PROXY_DONE && cursor_left(&ret->tlvs) > 0)
        ret->tlvs = cursor_of(data + (ret->tlvs.p - copy), cursor_left(&ret->tlvs));
    free(copy);
    return r;
}

/* "1.2.3.4:5", "[2001:db8::1]:5", "unix:/path", or "-" for an address that was not told. */
static void format_address(const struct sockaddr_storage *a, char *ret, size_t cap)
{
    char ip[INET6_ADDRSTRLEN];
    const struct sockaddr_in *in = (const void *)a;
    const struct sockaddr_in6 *in6 = (const void *)a;
    const struct sockaddr_un *un = (const void *)a;
    if (a->ss_family == AF_INET)
        snprintf(ret, cap, "%s:%u", inet_ntop(AF_INET, &in->sin_addr, ip, sizeof(ip)), ntohs(in->sin_port));
    else if (a->ss_family == AF_INET6)
        snprintf(ret, cap, "[%s]:%u", inet_ntop(AF_INET6, &in6->sin6_addr, ip, sizeof(ip)),
                 ntohs(in6->sin6_port));
    else if (a->ss_family == AF_UNIX)
        snprintf(ret, cap, "unix:%.108s", un->sun_path);
    else
        snprintf(ret, cap, "-");
}

static void assert_addresses(const struct proxy_header *h, const char *src, const char *dst)
{
    char text[160];
    format_address(&h->src, text, sizeof(text));
    assert_string_equal(text, src);
    format_address(&h->dst, text, sizeof(text));
    assert_string_equal(text, dst);
}

/* The inverse, as far as tests need it. */
static struct sockaddr_storage address(const char *ip, uint16_t port)
{
    struct sockaddr_storage a = {0};
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons(port)};
    struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_port = htons(port)};
    if (inet_pton(AF_INET, ip, &in.sin_addr) == 1)
        memcpy(&a, &in, sizeof(in));
    else if (inet_pton(AF_INET6, ip, &in6.sin6_addr) == 1)
        memcpy(&a, &in6, sizeof(in6));
    else
        fail();
    return a;
}

/* Every prefix of a good header says MORE and asks for no more than the header has. */
static void assert_prefixes(const uint8_t *data, size_t len)
{
    struct proxy_header h;
    for (size_t n = 0; n < len; n++) {
        assert_int_equal(read_header(data, n, &h), PROXY_MORE);
        assert_true(h.need > n && h.need <= len);
    }
}

static void test_v1_good(void **state)
{
    (void)state;
    static const struct {
        const char *line, *src, *dst;
    } rows[] = {
        {"PROXY TCP4 192.0.2.1 198.51.100.2 56324 443\r\n", "192.0.2.1:56324", "198.51.100.2:443"},
        {"PROXY TCP4 255.255.255.255 255.255.255.255 65535 0\r\n", "255.255.255.255:65535",
         "255.255.255.255:0"},
        {"PROXY TCP6 2001:db8::1 ::1 1 2\r\n", "[2001:db8::1]:1", "[::1]:2"},
        {"PROXY TCP6 ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 "
         "65535\r\n",
         "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535",
         "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535"},
        {"PROXY UNKNOWN\r\n", "-", "-"},
        {"PROXY UNKNOWN ffff::1 whatever  else\r\n", "-", "-"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        char text[256];
        struct proxy_header h;
        int len = snprintf(text, sizeof(text), "%s\x16\x03\x01", rows[i].line);
        assert_int_equal(read_header((const uint8_t *)text, (size_t)len, &h), PROXY_DONE);
        assert_int_equal(h.len, strlen(rows[i].line));
        assert_int_equal(h.version, 1);
        assert_false(h.local || h.datagram);
        assert_addresses(&h, rows[i].src, rows[i].dst);
        assert_prefixes((const uint8_t *)rows[i].line, h.len);
    }
}

static void test_v1_bad(void **state)
{
    (void)state;
#define LINE(text, why)                               \
    {                                                 \
        text, sizeof(text) - 1, PROXY_REASON_V1_##why \
    }
    static const struct {
        const char *line;
        size_t len;
        enum proxy_reason reason;
    } rows[] = {
        LINE("PROXY \r\n", PROTOCOL),
        LINE("PROXY TCP5 1.2.3.4 1.2.3.4 1 2\r\n", PROTOCOL),
        LINE("PROXY UDP4 1.2.3.4 1.2.3.4 1 2\r\n", PROTOCOL),
        LINE("PROXY UNKNOWNS\r\n", PROTOCOL),
        LINE("PROXY TCP4 1.2.3.4 1.2.3.4 1 2\n", LINE_END),
        LINE("PROXY \n", LINE_END),
        LINE("PROXY TCP4\r\n", ADDRESS),
        LINE("PROXY TCP4 1.2.3.4\r\n", ADDRESS),
        LINE("PROXY TCP4  1.2.3.4 1.2.3.4 1 2\r\n", ADDRESS),
        LINE("PROXY TCP4 1.2.3 1.2.3.4 1 2\r\n", ADDRESS),
        LINE("PROXY TCP4 01.2.3.4 1.2.3.4 1 2\r\n", ADDRESS),
        LINE("PROXY TCP4 ::1 ::1 1 2\r\n", ADDRESS),
        LINE("PROXY TCP6 1.2.3.4 1.2.3.4 1 2\r\n", ADDRESS),
        LINE("PROXY TCP6 fe80::1%eth0 ::1 1 2\r\n", ADDRESS),
        LINE("PROXY TCP4 1.2.3.4 1.2.3.4 1\r\n", PORT),
        LINE("PROXY TCP4 1.2.3.4 1.2.3.4 1 65536\r\n", PORT),
        LINE("PROXY TCP4 1.2.3.4 1.2.3.4 01 2\r\n", PORT),
        LINE("PROXY TCP4 1.2.3.4 1.2.3.4 +1 2\r\n", PORT),
        LINE("PROXY TCP4 1.2.3.4 1.2.3.4 1  2\r\n", PORT),
        LINE("PROXY TCP4 1.2.3.4 1.2.3.4 1 2 \r\n", TRAILING),
        LINE("PROXY TCP4 1.2.3.4 1.2.3.4 1 2 3\r\n", TRAILING),
        LINE("PROXY TCP4 1.2.3.4 1.2.3.4 1 2\r\r\n", PORT),
        LINE("PROXY TCP4 1.2.3.4\0 1.2.3.4 1 2\r\n", NUL),
        LINE("PROXY UNKNOWN "
             "3456789012345678901234567890123456789012345678901234567890123456789012345678901234567890"
             "1234567890\r\n",
             TOO_LONG),
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct proxy_header h;
        enum proxy_result r = read_header((const uint8_t *)rows[i].line, rows[i].len, &h);
        if (r != PROXY_BAD || h.reason != rows[i].reason)
            fail_msg("%s: result %d, %s", rows[i].line, r, proxy_reason_text(h.reason));
    }
}

static void test_absent(void **state)
{
    (void)state;
    static const char *const rows[] = {"16 0301",       "47",       "50524f58 5920 20",
                                       "50524f5859 0a", "0d0a0d0b", "0d0a0d0a000d0a515549540b"};
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct proxy_header h;
        struct buf b = {0};
        put_hex(&b, rows[i]);
        /* Two spaces after PROXY are a v1 header still, with an empty protocol. */
        assert_int_equal(read_header(b.data, b.len, &h), i == 2 ? PROXY_MORE : PROXY_ABSENT);
        buf_free(&b);
    }
}

static void test_v2_good(void **state)
{
    (void)state;
    static const struct {
        const char *hex, *src, *dst;
        bool local, datagram;
        size_t tlvs;
    } rows[] = {
        {SIGNATURE "21 11 000c c0000201 c6336402 dc04 01bb", "192.0.2.1:56324", "198.51.100.2:443", 0, 0, 0},
        {SIGNATURE "21 12 000c c0000201 c6336402 dc04 01bb", "192.0.2.1:56324", "198.51.100.2:443", 0, 1, 0},
        {SIGNATURE "21 21 0024 20010db8000000000000000000000001 00000000000000000000000000000001 0001 0002",
         "[2001:db8::1]:1", "[::1]:2", 0, 0, 0},
        {SIGNATURE "21 11 0014 c0000201 c6336402 dc04 01bb 01 0002 6832 04 0000", "192.0.2.1:56324",
         "198.51.100.2:443", 0, 0, 2},
        {SIGNATURE "21 00 0000", "-", "-", 0, 0, 0},
        {SIGNATURE "21 00 0003 04 0000", "-", "-", 0, 0, 1},
        {SIGNATURE "20 00 0000", "-", "-", 1, 0, 0},
        /* The block of LOCAL is skipped unread. */
        {SIGNATURE "20 11 000c c0000201 c6336402 dc04 01bb", "-", "-", 1, 0, 0},
        {SIGNATURE "20 ff 0003 ffffff", "-", "-", 1, 0, 0},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct buf b = {0};
        struct proxy_header h;
        put_hex(&b, rows[i].hex);
        size_t len = b.len;
        put_hex(&b, "16 0301");
        assert_int_equal(read_header(b.data, b.len, &h), PROXY_DONE);
        assert_int_equal(h.len, len);
        assert_int_equal(h.version, 2);
        assert_int_equal(h.local, rows[i].local);
        assert_int_equal(h.datagram, rows[i].datagram);
        assert_addresses(&h, rows[i].src, rows[i].dst);
        struct proxy_tlv tlv;
        size_t tlvs = 0;
        while (proxy_next_tlv(&h.tlvs, &tlv))
            tlvs++;
        assert_int_equal(tlvs, rows[i].tlvs);
        assert_prefixes(b.data, len);
        buf_free(&b);
    }
}

static void test_v2_bad(void **state)
{
    (void)state;
    static const struct {
        const char *hex;
        enum proxy_reason reason;
    } rows[] = {
        {"11 11 000c", PROXY_REASON_V2_VERSION},
        {"31 11 000c", PROXY_REASON_V2_VERSION},
        {"22 11 000c", PROXY_REASON_V2_COMMAND},
        {"21 10 000c", PROXY_REASON_V2_FAMILY},
        {"21 13 000c", PROXY_REASON_V2_FAMILY},
        {"21 01 0000", PROXY_REASON_V2_FAMILY},
        {"21 41 0000", PROXY_REASON_V2_FAMILY},
        {"21 11 0ff1", PROXY_REASON_V2_TOO_LONG},
        {"20 00 ffff", PROXY_REASON_V2_TOO_LONG},
        {"21 11 000b c0000201 c6336402 dc04 01", PROXY_REASON_V2_TRUNCATED},
        {"21 11 0000", PROXY_REASON_V2_TRUNCATED},
        {"21 21 000c c0000201 c6336402 dc04 01bb", PROXY_REASON_V2_TRUNCATED},
        {"21 31 000c c0000201 c6336402 dc04 01bb", PROXY_REASON_V2_TRUNCATED},
        {"21 00 0001 04", PROXY_REASON_V2_TLV},
        {"21 00 0003 04 0001", PROXY_REASON_V2_TLV},
        {"21 00 0006 03 0003 000000", PROXY_REASON_V2_TLV},
        {"21 00 0007 03 0004 00000000", PROXY_REASON_V2_CHECKSUM},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct buf b = {0};
        struct proxy_header h;
        put_hex(&b, SIGNATURE);
        put_hex(&b, rows[i].hex);
        enum proxy_result r = read_header(b.data, b.len, &h);
        if (r != PROXY_BAD || h.reason != rows[i].reason)
            fail_msg("%s: result %d, %s", rows[i].hex, r, proxy_reason_text(h.reason));
        buf_free(&b);
    }
}

/* CRC-32C bit by bit, to check the table in the code against. */
static uint32_t slow_crc32c(const uint8_t *p, size_t len)
{
    uint32_t crc = UINT32_MAX;
    for (size_t i = 0; i < 8 * len; i++) {
        uint32_t bit = (crc ^ (uint32_t)(p[i / 8] >> (i % 8))) & 1;
        crc = crc >> 1 ^ (bit ? 0x82f63b78u : 0);
    }
    return ~crc;
}

static void test_v2_checksum(void **state)
{
    (void)state;
    /* The check value that every catalogue of CRCs gives for CRC-32C. */
    assert_int_equal(slow_crc32c((const uint8_t *)"123456789", 9), 0xe3069283);
    struct buf b = {0};
    struct proxy_header h;
    put_hex(&b, SIGNATURE "21 11 0018 c0000201 c6336402 dc04 01bb 01 0002 6832 03 0004 00000000");
    uint32_t crc = slow_crc32c(b.data, b.len);
    for (int i = 0; i < 4; i++)
        b.data[b.len - 4 + (size_t)i] = (uint8_t)(crc >> (24 - 8 * i));
    assert_int_equal(read_header(b.data, b.len, &h), PROXY_DONE);
    size_t type = b.len - 7;
    for (size_t bit = 0; bit < 8 * b.len; bit++) {
        /* Without its type the checksum is some other TLV. */
        if (bit / 8 == type)
            continue;
        b.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
        enum proxy_result r = read_header(b.data, b.len, &h);
        /* PROXY and LOCAL differ in one bit, and a LOCAL block goes unread. */
        assert_true(r != PROXY_DONE || h.local);
        b.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    buf_free(&b);
}

static void test_write_v1(void **state)
{
    (void)state;
    static const struct {
        const char *src, *dst, *line;
    } rows[] = {
        {"192.0.2.1", "198.51.100.2", "PROXY TCP4 192.0.2.1 198.51.100.2 56324 443\r\n"},
        {"::ffff:192.0.2.1", "::ffff:198.51.100.2", "PROXY TCP4 192.0.2.1 198.51.100.2 56324 443\r\n"},
        {"::ffff:192.0.2.1", "198.51.100.2", "PROXY TCP4 192.0.2.1 198.51.100.2 56324 443\r\n"},
        {"2001:db8::1", "::1", "PROXY TCP6 2001:db8::1 ::1 56324 443\r\n"},
        {"2001:db8::1", "192.0.2.1", "PROXY UNKNOWN\r\n"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct sockaddr_storage src = address(rows[i].src, 56324), dst = address(rows[i].dst, 443);
        uint8_t out[PROXY_V1_MAX + 1] = {0};
        size_t len = strlen(rows[i].line);
        assert_int_equal(proxy_protocol_write_v1(out, PROXY_V1_MAX, &src, &dst), len);
        assert_string_equal((char *)out, rows[i].line);
        assert_int_equal(proxy_protocol_write_v1(out, len - 1, &src, &dst), 0);
        assert_int_equal(proxy_protocol_write_v1(out, len, &src, &dst), len);
    }
    uint8_t out[PROXY_V1_MAX];
    assert_int_equal(proxy_protocol_write_v1(out, sizeof(out), NULL, NULL), 15);
    assert_memory_equal(out, "PROXY UNKNOWN\r\n", 15);
}

static void test_write_v2(void **state)
{
    (void)state;
    static const struct {
        const char *src, *dst, *read_src, *read_dst;
    } rows[] = {
        {"192.0.2.1", "198.51.100.2", "192.0.2.1:56324", "198.51.100.2:443"},
        {"::ffff:192.0.2.1", "::ffff:198.51.100.2", "192.0.2.1:56324", "198.51.100.2:443"},
        {"2001:db8::1", "::1", "[2001:db8::1]:56324", "[::1]:443"},
        {"2001:db8::1", "192.0.2.1", "[2001:db8::1]:56324", "[::ffff:192.0.2.1]:443"},
    };
    static const struct proxy_tlv tlvs[] = {
        {PROXY_TLV_ALPN, 2, "h2"},
        {PROXY_TLV_AUTHORITY, 11, "example.com"},
        {PROXY_TLV_NOOP, 0, NULL},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct sockaddr_storage src = address(rows[i].src, 56324), dst = address(rows[i].dst, 443);
        struct proxy_header h;
        struct proxy_tlv tlv;
        uint8_t out[256];
        size_t len = proxy_protocol_write_v2(out, sizeof(out), &src, &dst, tlvs, ARRAY_LEN(tlvs));
        assert_int_equal(read_header(out, len, &h), PROXY_DONE);
        assert_int_equal(h.len, len);
        assert_false(h.local || h.datagram);
        assert_addresses(&h, rows[i].read_src, rows[i].read_dst);
        for (size_t j = 0; j < ARRAY_LEN(tlvs); j++) {
            assert_true(proxy_next_tlv(&h.tlvs, &tlv));
            assert_true(tlv.type == tlvs[j].type && tlv.len == tlvs[j].len);
            if (tlv.len > 0)
                assert_memory_equal(tlv.value, tlvs[j].value, tlv.len);
        }
        assert_false(proxy_next_tlv(&h.tlvs, &tlv));
        for (size_t cap = 0; cap < len; cap++)
            assert_int_equal(proxy_protocol_write_v2(out, cap, &src, &dst, tlvs, ARRAY_LEN(tlvs)), 0);
        assert_int_equal(proxy_protocol_write_v2(out, len, &src, &dst, tlvs, ARRAY_LEN(tlvs)), len);
    }
}

static void test_write_v2_others(void **state)
{
    (void)state;
    struct sockaddr_storage unix_address = {0}, in = address("192.0.2.1", 1);
    struct sockaddr_un un = {.sun_family = AF_UNIX, .sun_path = "/run/app.sock"};
    memcpy(&unix_address, &un, sizeof(un));
    struct proxy_header h;
    uint8_t out[256];
    size_t len = proxy_protocol_write_v2(out, sizeof(out), &unix_address, &unix_address, NULL, 0);
    assert_int_equal(len, 16 + 216);
    assert_int_equal(read_header(out, len, &h), PROXY_DONE);
    assert_addresses(&h, "unix:/run/app.sock", "unix:/run/app.sock");
    assert_prefixes(out, len);

    len = proxy_protocol_write_v2(out, sizeof(out), &unix_address, &in, NULL, 0);
    assert_int_equal(len, 16);
    assert_int_equal(read_header(out, len, &h), PROXY_DONE);
    assert_false(h.local);
    assert_addresses(&h, "-", "-");

    len = proxy_protocol_write_v2(out, sizeof(out), NULL, &in, NULL, 0);
    assert_int_equal(len, 16);
    assert_int_equal(read_header(out, len, &h), PROXY_DONE);
    assert_true(h.local);
}

static void test_write_v2_too_long(void **state)
{
    (void)state;
    static uint8_t value[UINT16_MAX], out[3 * UINT16_MAX];
    struct sockaddr_storage a = address("192.0.2.1", 1);
    struct proxy_tlv tlv = {PROXY_TLV_NOOP, UINT16_MAX - 12 - 3, value};
    assert_int_equal(proxy_protocol_write_v2(out, sizeof(out), &a, &a, &tlv, 1), 16 + UINT16_MAX);
    tlv.len++;
    assert_int_equal(proxy_protocol_write_v2(out, sizeof(out), &a, &a, &tlv, 1), 0);
}

/* Section 2.2.6: flags, verify, and TLVs within the TLV; what is not known is left out. */
static void test_write_ssl(void **state)
{
    (void)state;
    static const uint8_t der[] = {0x30, 0x03, 0x02, 0x01, 0x07};
    const struct proxy_ssl full = {.flags = PROXY_SSL_TLS | PROXY_SSL_CERT_CONN | PROXY_SSL_CERT_SESSION,
                                   .verified = true,
                                   .version = "TLSv1.3",
                                   .cn = "alice",
                                   .cipher = "TLS_AES_128_GCM_SHA256",
                                   .sig_alg = "RSA-SHA256",
                                   .key_alg = "RSA2048",
                                   .group = "x25519",
                                   .scheme = "rsa_pss_rsae_sha256",
                                   .cert = {0, sizeof(der), der}};
    static const struct {
        uint8_t type;
        const char *text;
    } rows[] = {{0x21, "TLSv1.3"}, {0x22, "alice"},  {0x23, "TLS_AES_128_GCM_SHA256"}, {0x24, "RSA-SHA256"},
                {0x25, "RSA2048"}, {0x26, "x25519"}, {0x27, "rsa_pss_rsae_sha256"}};
    uint8_t out[256];
    struct proxy_tlv tlv;
    size_t len = proxy_ssl_write(out, sizeof(out), &full);
    assert_memory_equal(out, "\x07\0\0\0\0", 5);
    struct cursor list = cursor_of(out + 5, len - 5);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        assert_true(proxy_next_tlv(&list, &tlv));
        assert_int_equal(tlv.type, rows[i].type);
        assert_int_equal(tlv.len, strlen(rows[i].text));
        assert_memory_equal(tlv.value, rows[i].text, tlv.len);
    }
    assert_true(proxy_next_tlv(&list, &tlv));
    assert_true(tlv.type == 0x28 && tlv.len == sizeof(der));
    assert_memory_equal(tlv.value, der, sizeof(der));
    assert_int_equal(cursor_left(&list), 0);
    for (size_t cap = 0; cap < len; cap++)
        assert_int_equal(proxy_ssl_write(out, cap, &full), 0);

    const struct proxy_ssl little = {.flags = PROXY_SSL_TLS, .version = "TLSv1.2", .cn = ""};
    len = proxy_ssl_write(out, sizeof(out), &little);
    assert_int_equal(len, 5 + 3 + 7);
    assert_memory_equal(out, "\x01\0\0\0\x01\x21\0\x07TLSv1.2", len);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_v1_good),         cmocka_unit_test(test_v1_bad),
        cmocka_unit_test(test_absent),          cmocka_unit_test(test_v2_good),
        cmocka_unit_test(test_v2_bad),          cmocka_unit_test(test_v2_checksum),
        cmocka_unit_test(test_write_v1),        cmocka_unit_test(test_write_v2),
        cmocka_unit_test(test_write_v2_others), cmocka_unit_test(test_write_v2_too_long),
        cmocka_unit_test(test_write_ssl),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
