/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/check.h"
#include "tunnel/socks.h"

#define BYTES(text) (const uint8_t *)(text), sizeof(text) - 1

/* A copy of exactly so many bytes, so that a sanitizer sees what is read past the end. */
static uint8_t *exact(const uint8_t *data, size_t len)
{
    uint8_t *p = malloc(len > 0 ? len : 1);
    assert_non_null(p);
    memcpy(p, data, len);
    return p;
}

static enum socks_result request(const uint8_t *data, size_t len, struct socks_request *ret, struct err *err)
{
    uint8_t *p = exact(data, len);
    enum socks_result r = socks_parse_request(p, len, ret, err);
    free(p);
    return r;
}

static enum socks_result greeting(const uint8_t *data, size_t len, size_t *ret_size, bool *ret_answer,
                                  struct err *err)
{
    uint8_t *p = exact(data, len);
    enum socks_result r = socks_parse_greeting(p, len, ret_size, ret_answer, err);
    free(p);
    return r;
}

static const struct {
    const uint8_t *bytes;
    size_t len;
    const char *host; /* NULL: an ASSOCIATE */
    uint16_t port;
} good[] = {
    {BYTES("\5\1\0\1\x7f\0\0\1\0\x16"), "127.0.0.1", 22},
    {BYTES("\5\1\0\3\x0a"
           "DB.inside.\x15\x38"),
     "db.inside", 5432},
    {BYTES("\5\1\0\3\x09"
           "127.0.0.1\0\x50"),
     "127.0.0.1", 80},
    {BYTES("\5\1\0\3\7fd00::1\0\x50"), "fd00::1", 80},
    {BYTES("\5\1\0\4\xfd\0\0\0\0\0\0\0\0\0\0\0\0\0\0\1\xff\xff"), "fd00::1", 65535},
    {BYTES("\5\1\0\4\0\0\0\0\0\0\0\0\0\0\xff\xff\x0a\0\0\1\0\1"), "10.0.0.1", 1},
    {BYTES("\5\3\0\1\0\0\0\0\0\0"), NULL, 0},
    {BYTES("\5\3\0\1\x7f\0\0\1\x12\x34"), NULL, 0x1234},
    {BYTES("\5\3\0\3\0\0\0"), NULL, 0},
};

/* At every cut more is wanted, never beyond the end: so what follows is never taken. */
static void requests_are_read_at_every_split(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(good); i++) {
        struct socks_request r;
        struct err err;
        for (size_t cut = 0; cut < good[i].len; cut++) {
            assert_int_equal(request(good[i].bytes, cut, &r, &err), SOCKS_MORE);
            assert_true(r.size > cut && r.size <= good[i].len);
        }
        assert_int_equal(request(good[i].bytes, good[i].len, &r, &err), SOCKS_OK);
        assert_int_equal(r.size, good[i].len);
        if (good[i].host == NULL) {
            assert_int_equal(r.command, SOCKS_ASSOCIATE);
            assert_int_equal(r.port, good[i].port);
            continue;
        }
        assert_int_equal(r.command, SOCKS_CONNECT);
        assert_string_equal(r.target.host, good[i].host);
        assert_int_equal(r.target.port, good[i].port);
        assert_false(r.target.udp);
    }
}

static void hostile_requests_are_refused(void **state)
{
    (void)state;
    static const struct {
        const uint8_t *bytes;
        size_t len;
        uint8_t reply;
    } rows[] = {
        {BYTES("\4"), 1},
        {BYTES("\0\1\0"), 1},
        {BYTES("\5\1\1"), 1},
        {BYTES("\5\1\0\0"), 8},
        {BYTES("\5\1\0\2"), 8},
        {BYTES("\5\1\0\xff"), 8},
        {BYTES("\5\0\0\1\x7f\0\0\1\0\x16"), 7},
        {BYTES("\5\2\0\1\x7f\0\0\1\0\x16"), 7},
        {BYTES("\5\xff\0\1\x7f\0\0\1\0\x16"), 7},
        {BYTES("\5\1\0\1\x7f\0\0\1\0\0"), 1},
        {BYTES("\5\1\0\3\0\0\1"), 1},
        {BYTES("\5\1\0\3\3a b\0\1"), 1},
        {BYTES("\5\1\0\3\3a\0b\0\1"), 1},
        {BYTES("\5\1\0\3\2a\0\0\1"), 1},
        {BYTES("\5\1\0\3\2a:\0\1"), 1},
        {BYTES("\5\1\0\3\4h:22\0\1"), 1},
        {BYTES("\5\1\0\3\6[::1]:\0\1"), 1},
        {BYTES("\5\1\0\3\x08"
               "[::1]:22\0\1"),
         1},
        {BYTES("\5\1\0\3\5::1%1\0\1"), 1},
        {BYTES("\5\1\0\3\x05"
               "127.1\0\1"),
         1},
        {BYTES("\5\1\0\3\1.\0\1"), 1},
        {BYTES("\5\1\0\3\3a%s\0\1"), 1},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct socks_request r;
        struct err err = {""};
        assert_int_equal(request(rows[i].bytes, rows[i].len, &r, &err), SOCKS_BAD);
        assert_int_equal(r.reply, rows[i].reply);
        assert_true(err.text[0] != '\0');
    }
}

static void the_longest_request_has_its_bound(void **state)
{
    (void)state;
    uint8_t bytes[SOCKS_MESSAGE_MAX] = {5, 1, 0, 3, 255};
    struct socks_request r;
    struct err err;
    memset(bytes + 5, 'a', 255);
    assert_int_equal(request(bytes, sizeof(bytes) - 1, &r, &err), SOCKS_MORE);
    assert_int_equal(r.size, sizeof(bytes));
    assert_int_equal(request(bytes, sizeof(bytes), &r, &err), SOCKS_BAD);
    assert_int_equal(r.reply, SOCKS_FAILURE);
}

static void greetings_are_read_at_every_split(void **state)
{
    (void)state;
    static const struct {
        const uint8_t *bytes;
        size_t len;
        enum socks_result result;
        bool answer;
    } rows[] = {
        {BYTES("\5\1\0"), SOCKS_OK, true},      {BYTES("\5\3\1\2\0"), SOCKS_OK, true},
        {BYTES("\5\0"), SOCKS_BAD, true},       {BYTES("\5\1\2"), SOCKS_BAD, true},
        {BYTES("\5\2\1\xff"), SOCKS_BAD, true},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct err err = {""};
        size_t size;
        bool answer;
        for (size_t cut = 0; cut < rows[i].len; cut++) {
            assert_int_equal(greeting(rows[i].bytes, cut, &size, &answer, &err), SOCKS_MORE);
            assert_true(size > cut && size <= rows[i].len);
        }
        assert_int_equal(greeting(rows[i].bytes, rows[i].len, &size, &answer, &err), rows[i].result);
        assert_int_equal(size, rows[i].len);
        assert_int_equal(answer, rows[i].answer);
    }
    static const char *const others[] = {"\4", "GET / HTTP/1.1", "\x16\3\1", "\xff"};
    for (size_t i = 0; i < ARRAY_LEN(others); i++) {
        struct err err = {""};
        size_t size;
        bool answer;
        assert_int_equal(greeting((const uint8_t *)others[i], 1, &size, &answer, &err), SOCKS_BAD);
        assert_false(answer);
        assert_true(err.text[0] != '\0');
    }
}

static void answers_are_written(void **state)
{
    (void)state;
    uint8_t out[SOCKS_REPLY_MAX], method[2];
    struct net_addr v4 = {.family = AF_INET, .port = 0x1234, .ip = {127, 0, 0, 1}};
    struct net_addr v6 = {.family = AF_INET6, .port = 80, .ip = {[15] = 1}};
    assert_int_equal(socks_put_reply(5, NULL, out), 10);
    assert_memory_equal(out, "\5\5\0\1\0\0\0\0\0\0", 10);
    assert_int_equal(socks_put_reply(0, &v4, out), 10);
    assert_memory_equal(out, "\5\0\0\1\x7f\0\0\1\x12\x34", 10);
    assert_int_equal(socks_put_reply(0, &v6, out), 22);
    assert_memory_equal(out, "\5\0\0\4\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\1\0\x50", 22);
    socks_put_method(true, method);
    assert_memory_equal(method, "\5\0", 2);
    socks_put_method(false, method);
    assert_memory_equal(method, "\5\xff", 2);
}

/* What stood before the data stands before the answer's again. */
static void datagrams_come_and_go(void **state)
{
    (void)state;
    static const uint8_t bytes[] = "\0\0\0\3\x0a"
                                   "DNS.inside\0\x35query";
    struct socks_datagram d;
    uint8_t head[SOCKS_HEAD_MAX];
    assert_true(socks_parse_datagram(bytes, sizeof(bytes) - 1, &d));
    assert_string_equal(d.target.host, "dns.inside");
    assert_int_equal(d.target.port, 53);
    assert_true(d.target.udp);
    assert_int_equal(d.len, 5);
    assert_memory_equal(d.data, "query", 5);
    size_t n = socks_put_head(d.address, d.address_len, head);
    assert_int_equal(n, sizeof(bytes) - 1 - 5);
    assert_memory_equal(head, bytes, n);
}

static void hostile_datagrams_are_dropped(void **state)
{
    (void)state;
    static const struct {
        const uint8_t *bytes;
        size_t len;
    } rows[] = {
        {BYTES("")},
        {BYTES("\0\0\0")},
        {BYTES("\0\0\0\1")},
        {BYTES("\0\0\0\1\x7f\0\0\1\0")},
        {BYTES("\0\0\1\1\x7f\0\0\1\0\x35x")},
        {BYTES("\0\0\x80\1\x7f\0\0\1\0\x35x")},
        {BYTES("\1\0\0\1\x7f\0\0\1\0\x35x")},
        {BYTES("\0\1\0\1\x7f\0\0\1\0\x35x")},
        {BYTES("\0\0\0\2\x7f\0\0\1\0\x35x")},
        {BYTES("\0\0\0\1\x7f\0\0\1\0\0x")},
        {BYTES("\0\0\0\3\xff"
               "a\0\x35x")},
        {BYTES("\0\0\0\3\0\0\x35x")},
        {BYTES("\0\0\0\4\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\1\0")},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct socks_datagram d;
        uint8_t *p = exact(rows[i].bytes, rows[i].len);
        assert_false(socks_parse_datagram(p, rows[i].len, &d));
        free(p);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(requests_are_read_at_every_split),
        cmocka_unit_test(hostile_requests_are_refused),
        cmocka_unit_test(the_longest_request_has_its_bound),
        cmocka_unit_test(greetings_are_read_at_every_split),
        cmocka_unit_test(answers_are_written),
        cmocka_unit_test(datagrams_come_and_go),
        cmocka_unit_test(hostile_datagrams_are_dropped),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
