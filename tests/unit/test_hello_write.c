/* SPDX-License-Identifier: Apache-2.0 */
/* hello/write.h: what is written our own reader takes, and it says what was asked for. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/buf.h"
#include "hello/hello.h"
#include "hello/scan.h"
#include "hello/write.h"

static const uint16_t versions[] = {0x0304, 0x0303}, suites[] = {0x1301, 0xc02b}, groups[] = {0x001d},
                      schemes[] = {0x0403};
static uint8_t random_bytes[HELLO_RANDOM_MAX];

#define CODES(list)                              \
    {                                            \
        (list), sizeof(list) / sizeof((list)[0]) \
    }

static struct hello_offer usual(void)
{
    return (struct hello_offer){.legacy_version = 0x0303,
                                .versions = CODES(versions),
                                .suites = CODES(suites),
                                .groups = CODES(groups),
                                .schemes = CODES(schemes),
                                .name = "www.example.com",
                                .share = true,
                                .random = random_bytes};
}

static struct hello parse(const struct hello_offer *offer, struct buf *message)
{
    struct hello h;
    assert_true(hello_write(offer, message));
    assert_int_equal(hello_parse(message->data, message->len, &h), HELLO_REASON_NONE);
    return h;
}

static bool has_extension(const struct hello *h, uint16_t wanted)
{
    struct cursor list = h->extensions, body;
    uint16_t type;
    while (hello_next_extension(&list, &type, &body))
        if (type == wanted)
            return true;
    return false;
}

static void test_usual(void **state)
{
    (void)state;
    struct buf message = {0};
    struct hello_offer offer = usual();
    struct hello h = parse(&offer, &message);
    assert_string_equal(h.name, "www.example.com");
    assert_int_equal(h.version, 0x0304);
    assert_int_equal(h.legacy_version, 0x0303);
    assert_true(hello_has_u16(h.cipher_suites, 0xc02b) && hello_has_u16(h.groups, 0x001d) &&
                hello_has_u16(h.signatures, 0x0403));
    struct cursor shares = h.key_shares, key;
    uint16_t group;
    assert_true(hello_next_key_share(&shares, &group, &key));
    assert_int_equal(group, 0x001d);
    assert_int_equal(cursor_left(&key), 32);
    assert_int_equal(h.ech, HELLO_ECH_NONE);
    buf_free(&message);
}

static void test_odd(void **state)
{
    (void)state;
    struct buf message = {0};
    struct hello_offer offer = usual();
    offer.grease = offer.ech = true;
    offer.at_least = 1900;
    struct hello h = parse(&offer, &message);
    assert_int_equal(message.len, 1900);
    assert_int_equal(h.ech, HELLO_ECH_OUTER);
    assert_true(hello_has_u16(h.cipher_suites, 0x3a3a) && hello_has_u16(h.versions, 0x3a3a) &&
                hello_has_u16(h.groups, 0x3a3a) && has_extension(&h, 0x3a3a) && has_extension(&h, 0x6a6a));
    buf_free(&message);
}

/* Without versions there is neither that extension nor a share; an address is not sent as a name. */
static void test_older(void **state)
{
    (void)state;
    struct buf message = {0};
    struct hello_offer offer = usual();
    offer.versions.len = 0;
    offer.name = "192.0.2.1";
    struct hello h = parse(&offer, &message);
    assert_int_equal(h.version, 0x0303);
    assert_int_equal(h.name_kind, HELLO_NAME_NONE);
    assert_false(has_extension(&h, 43) || has_extension(&h, 51));
    buf_free(&message);
}

/* An empty list of shares asks for a HelloRetryRequest; SSL 3.0 knows no extensions. */
static void test_without(void **state)
{
    (void)state;
    struct buf message = {0};
    struct hello_offer offer = usual();
    offer.share = false;
    struct hello h = parse(&offer, &message);
    assert_true(has_extension(&h, 51));
    assert_int_equal(cursor_left(&h.key_shares), 0);
    buf_free(&message);
    offer.legacy_version = 0x0300;
    offer.compression = true;
    assert_true(hello_write(&offer, &message));
    assert_int_equal(message.len, 4 + 2 + 32 + 1 + 32 + 2 + 4 + 1 + 2);
    assert_memory_equal(message.data + message.len - 3, "\2\1\0", 3);
    buf_free(&message);
}

static void test_records(void **state)
{
    (void)state;
    static const size_t firsts[] = {0, 1, 100, 1200};
    for (size_t i = 0; i < sizeof(firsts) / sizeof(firsts[0]); i++) {
        struct buf message = {0}, wire = {0};
        struct hello_offer offer = usual();
        offer.at_least = 1900;
        assert_true(hello_write(&offer, &message));
        assert_true(hello_put_records(message.data, message.len, 0x0303, firsts[i], &wire));
        struct hello_scan scan = hello_scan_start(HELLO_SIZE_MAX);
        uint8_t scratch[4096];
        assert_int_equal(hello_scan(&scan, wire.data, wire.len), HELLO_DONE);
        assert_int_equal(scan.records, firsts[i] == 0 ? 1 : 2);
        assert_int_equal(scan.wire_len, wire.len);
        assert_memory_equal(hello_scan_message(&scan, wire.data, scratch), message.data, message.len);
        assert_memory_equal(wire.data, "\x16\3\1", 3);
        buf_free(&message);
        buf_free(&wire);
    }
}

static void test_full(void **state)
{
    (void)state;
    struct buf message = {.max = 100};
    struct hello_offer offer = usual();
    assert_false(hello_write(&offer, &message));
    assert_int_equal(message.len, 0);
    buf_free(&message);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_usual),   cmocka_unit_test(test_odd),
                                       cmocka_unit_test(test_older),   cmocka_unit_test(test_without),
                                       cmocka_unit_test(test_records), cmocka_unit_test(test_full)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
