/* SPDX-License-Identifier: Apache-2.0 */
/* tunnel/agent_wire.h: the control stream of an offer, and what announces a visitor. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/check.h"
#include "tunnel/agent_wire.h"

/* Where a parser's result goes: one of the two. */
union got {
    struct wire_control control;
    struct wire_visit visit;
};

/* Parse an exact heap copy, so that a sanitizer sees a read past the end. */
static enum wire_result parse(bool visit, const uint8_t *data, size_t len, union got *ret, size_t *ret_used,
                              struct err *err)
{
    uint8_t *copy = malloc(len > 0 ? len : 1);
    assert_non_null(copy);
    if (len > 0)
        memcpy(copy, data, len);
    enum wire_result r = visit ? wire_parse_visit(copy, len, &ret->visit, ret_used, err)
                               : wire_parse_control(copy, len, &ret->control, ret_used, err);
    free(copy);
    return r;
}

static enum wire_result parse_json(bool visit, const char *json, union got *ret, struct err *err)
{
    struct buf b = {0};
    size_t len = strlen(json), used;
    uint8_t head[2] = {(uint8_t)(len >> 8), (uint8_t)len};
    assert_true(buf_append(&b, head, 2) && buf_append(&b, json, len));
    enum wire_result r = parse(visit, b.data, b.len, ret, &used, err);
    if (r == WIRE_OK)
        assert_int_equal(used, b.len);
    buf_free(&b);
    return r;
}

/* MORE for every prefix, and the message behind is let be. */
static void check_splits(bool visit, const struct buf *b, union got *ret)
{
    struct buf two = {0};
    size_t used;
    assert_true(buf_append(&two, b->data, b->len) && buf_append(&two, b->data, b->len));
    for (size_t n = 0; n < b->len; n++)
        assert_int_equal(parse(visit, two.data, n, ret, &used, NULL), WIRE_MORE);
    for (size_t n = b->len; n <= two.len; n++) {
        assert_int_equal(parse(visit, two.data, n, ret, &used, NULL), WIRE_OK);
        assert_int_equal(used, b->len);
    }
    buf_free(&two);
}

static void test_control(void **state)
{
    static const struct {
        struct wire_control control;
        const char *json;
    } rows[] = {
        {{0}, "{\"v\":1}"},
        {{.says_ready = true}, "{\"v\":1,\"ready\":false}"},
        {{.says_ready = true, .ready = true}, "{\"v\":1,\"ready\":true}"},
        {{.says_ready = true, .down = FRONT_TIMEOUT}, "{\"v\":1,\"ready\":false,\"down\":\"timeout\"}"},
        {{.drain = true}, "{\"v\":1,\"drain\":true}"},
        {{.withdrawn = "no \"rule\""}, "{\"v\":1,\"withdrawn\":\"no \\\"rule\\\"\"}"},
        {{.says_fellows = true, .fellows = 2, .fellow = "bob"}, "{\"v\":1,\"fellows\":2,\"fellow\":\"bob\"}"},
        {{.says_fellows = true}, "{\"v\":1,\"fellows\":0}"},
        {{.spares = 2, .spare = {"aB-_9", "x"}}, "{\"v\":1,\"spares\":[\"aB-_9\",\"x\"]}"},
        {{.uncertified = FRONT_DENIED, .why = "rule", .again = 60},
         "{\"v\":1,\"uncertified\":\"denied\",\"text\":\"rule\",\"again\":60}"},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct buf b = {0};
        union got got;
        assert_true(wire_encode_control(&rows[i].control, &b));
        assert_string_equal(buf_text(&b) + 2, rows[i].json);
        check_splits(false, &b, &got);
        assert_memory_equal(&got.control.spare, &rows[i].control.spare, sizeof(got.control.spare));
        assert_int_equal(got.control.spares, rows[i].control.spares);
        assert_int_equal(got.control.says_ready, rows[i].control.says_ready);
        assert_int_equal(got.control.ready, rows[i].control.ready);
        assert_int_equal(got.control.drain, rows[i].control.drain);
        assert_int_equal(got.control.down, rows[i].control.down);
        assert_string_equal(got.control.withdrawn, rows[i].control.withdrawn);
        assert_int_equal(got.control.says_fellows, rows[i].control.says_fellows);
        assert_int_equal(got.control.fellows, rows[i].control.fellows);
        assert_string_equal(got.control.fellow, rows[i].control.fellow);
        assert_int_equal(got.control.uncertified, rows[i].control.uncertified);
        assert_string_equal(got.control.why, rows[i].control.why);
        assert_int_equal(got.control.again, rows[i].control.again);
        buf_free(&b);
    }
}

/* What follows a message belongs to it, and the longest is still waited for. */
static void test_control_bytes(void **state)
{
    static char bytes[WIRE_CHAIN_MAX];
    const struct wire_control rows[] = {{.csr = {bytes, 1}},
                                        {.csr = {bytes, WIRE_CSR_MAX}},
                                        {.chain = {bytes, 300}},
                                        {.chain = {bytes, WIRE_CHAIN_MAX}}};
    (void)state;
    memset(bytes, 'x', sizeof(bytes));
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct buf b = {0}, small = {.max = 16};
        struct wire_control got;
        size_t used;
        assert_true(wire_encode_control(&rows[i], &b) && b.len <= WIRE_CONTROL_MAX);
        assert_true(buf_append(&b, "next", 4));
        for (size_t n = 0; n < b.len - 4; n += 1 + n / 64)
            assert_int_equal(wire_parse_control(b.data, n, &got, &used, NULL), WIRE_MORE);
        assert_int_equal(wire_parse_control(b.data, b.len - 5, &got, &used, NULL), WIRE_MORE);
        assert_int_equal(wire_parse_control(b.data, b.len, &got, &used, NULL), WIRE_OK);
        assert_int_equal(used, b.len - 4);
        assert_int_equal(got.csr.len, rows[i].csr.len);
        assert_int_equal(got.chain.len, rows[i].chain.len);
        assert_memory_equal(got.csr.len > 0 ? got.csr.p : got.chain.p, bytes, got.csr.len + got.chain.len);
        assert_false(wire_encode_control(&rows[i], &small));
        assert_int_equal(small.len, 0);
        buf_free(&b);
        buf_free(&small);
    }
}

/* The most ids, each as long as can be, still make a message that is short enough. */
static void test_control_longest(void **state)
{
    (void)state;
    struct wire_control control = {.says_ready = true,
                                   .down = FRONT_NO_SUCH_HOST,
                                   .drain = true,
                                   .says_fellows = true,
                                   .fellows = OFFER_FELLOWS_MAX,
                                   .spares = OFFER_IDS_MAX};
    struct buf b = {0}, small = {.max = 100};
    union got got;
    for (size_t i = 0; i < OFFER_IDS_MAX; i++)
        memset(control.spare[i], 'a' + (int)i, OFFER_ID_TEXT - 1);
    memset(control.withdrawn, '\xff', sizeof(control.withdrawn) - 1);
    memset(control.fellow, '"', sizeof(control.fellow) - 1);
    assert_true(wire_encode_control(&control, &b));
    check_splits(false, &b, &got);
    assert_memory_equal(&got.control.spare, &control.spare, sizeof(control.spare));
    assert_false(wire_encode_control(&control, &small));
    assert_int_equal(small.len, 0);
    buf_free(&b);
    buf_free(&small);
}

static void test_visit(void **state)
{
    (void)state;
    struct wire_visit visit = {
        .name = "app.example.com", .identity = "alice", .sni = "App", .alpn = "http/1.1"};
    struct buf b = {0}, small = {.max = 60};
    union got got;
    assert_true(net_addr_parse("192.0.2.1", 5678, &visit.peer));
    assert_true(net_addr_parse("2001:db8::1", 443, &visit.local));
    assert_true(wire_encode_visit(&visit, &b));
    assert_string_equal(buf_text(&b) + 2,
                        "{\"v\":1,\"visit\":\"app.example.com\",\"peer\":\"192.0.2.1:5678\","
                        "\"local\":\"[2001:db8::1]:443\",\"identity\":\"alice\",\"sni\":\"App\","
                        "\"alpn\":\"http/1.1\",\"proto\":\"tcp\"}");
    check_splits(true, &b, &got);
    assert_memory_equal(&got.visit.peer, &visit.peer, sizeof(visit.peer));
    assert_memory_equal(&got.visit.local, &visit.local, sizeof(visit.local));
    assert_string_equal(got.visit.identity, "alice");
    assert_false(got.visit.udp);
    assert_false(wire_encode_visit(&visit, &small));
    assert_int_equal(small.len, 0);

    /* What is not known is not said. */
    b.len = 0;
    struct wire_visit bare = {.name = "g", .udp = true, .peer = {.family = AF_UNIX}};
    assert_true(wire_encode_visit(&bare, &b));
    assert_string_equal(buf_text(&b) + 2, "{\"v\":1,\"visit\":\"g\",\"proto\":\"udp\"}");
    check_splits(true, &b, &got);
    assert_true(got.visit.udp && got.visit.peer.family == AF_UNSPEC && got.visit.identity[0] == '\0');
    assert_false(got.visit.datagrams);

    b.len = 0;
    bare.datagrams = true;
    assert_true(wire_encode_visit(&bare, &b));
    assert_string_equal(buf_text(&b) + 2, "{\"v\":1,\"visit\":\"g\",\"proto\":\"udp\",\"datagrams\":true}");
    check_splits(true, &b, &got);
    assert_true(got.visit.datagrams);
    buf_free(&b);
    buf_free(&small);
}

/* Who is told of by a part of his name could be taken for another: rather by none. */
static void test_long_identity(void **state)
{
    char name[300];
    struct front_visit visit = {.name = "app.test", .identity = name};
    (void)state;
    for (size_t len = WIRE_IDENTITY_MAX - 2; len <= WIRE_IDENTITY_MAX + 1; len++) {
        struct buf b = {0};
        struct wire_visit got;
        struct err err;
        size_t used;
        memset(name, 'a', len);
        name[len] = '\0';
        assert_true(wire_greet_agent(&visit, &b));
        assert_int_equal(wire_parse_visit(b.data, b.len, &got, &used, &err), WIRE_OK);
        assert_string_equal(got.identity, len < WIRE_IDENTITY_MAX ? name : "");
        buf_free(&b);
    }
}

/* The worst that the texts can be still makes a message that is short enough, and fit for a terminal. */
static void test_visit_longest(void **state)
{
    static const char bytes[] = {'\xff', '"', '\x01', '\x7f', 'a'};
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(bytes); i++) {
        struct wire_visit visit = {.name = "a"};
        struct buf b = {0};
        union got got;
        memset(visit.identity, bytes[i], sizeof(visit.identity) - 1);
        memset(visit.sni, bytes[i], sizeof(visit.sni) - 1);
        memset(visit.alpn, bytes[i], sizeof(visit.alpn) - 1);
        assert_true(wire_encode_visit(&visit, &b) && b.len <= WIRE_MESSAGE_MAX);
        check_splits(true, &b, &got);
        assert_true(strlen(got.visit.identity) > 200 || bytes[i] == '\xff'); /* U+FFFD is longer */
        assert_null(strpbrk(got.visit.identity, "\x01\x7f"));
        buf_free(&b);
    }
}

static void test_hostile(void **state)
{
    static const struct {
        bool visit;
        const char *json, *why;
    } rows[] = {
        {false, "x", "not valid JSON"},
        {false, "[]", "not an object"},
        {false, "{}", "missing"},
        {false, "{\"v\":2}", "version 2"},
        {false, "{\"v\":1,\"ready\":1}", "\"ready\" is neither"},
        {false, "{\"v\":1,\"ready\":null}", "\"ready\" is neither"},
        {false, "{\"v\":1,\"ready\":true,\"ready\":false}", "twice"},
        {false, "{\"v\":1,\"drain\":\"yes\"}", "\"drain\" is neither"},
        {false, "{\"v\":1,\"ready\":false,\"down\":true}", "\"down\" is not a string"},
        {false, "{\"v\":1,\"withdrawn\":true}", "\"withdrawn\" is not a string"},
        {false, "{\"v\":1,\"fellows\":-1}", "\"fellows\" is not a number from 0 to 100"},
        {false, "{\"v\":1,\"fellows\":101}", "\"fellows\" is not a number from 0 to 100"},
        {false, "{\"v\":1,\"fellows\":4294967296}", "\"fellows\" is not a number from 0 to 100"},
        {false, "{\"v\":1,\"fellows\":\"1\"}", "\"fellows\" is not a number"},
        {false, "{\"v\":1,\"fellows\":1.5}", "\"fellows\" is not a number"},
        {false, "{\"v\":1,\"fellows\":1,\"fellow\":[]}", "\"fellow\" is not a string"},
        {false, "{\"v\":1,\"csr\":0}", "from 1 to 2048"},
        {false, "{\"v\":1,\"csr\":2049}", "from 1 to 2048"},
        {false, "{\"v\":1,\"csr\":-1}", "from 1 to 2048"},
        {false, "{\"v\":1,\"csr\":\"abc\"}", "from 1 to 2048"},
        {false, "{\"v\":1,\"chain\":32769}", "from 1 to 32768"},
        {false, "{\"v\":1,\"chain\":1.5}", "from 1 to 32768"},
        {false, "{\"v\":1,\"csr\":1,\"chain\":1}", "in one message"},
        {false, "{\"v\":1,\"uncertified\":1}", "not a string"},
        {false, "{\"v\":1,\"uncertified\":\"denied\",\"again\":-1}", "from 0 to 86400"},
        {false, "{\"v\":1,\"uncertified\":\"denied\",\"again\":86401}", "from 0 to 86400"},
        {false, "{\"v\":1,\"spares\":\"a\"}", "not a list"},
        {false, "{\"v\":1,\"spares\":[1]}", "not a string"},
        {false, "{\"v\":1,\"spares\":[\"a\",[]]}", "not a string"},
        {false, "{\"v\":1,\"spares\":[\"\"]}", "holds no id"},
        {false, "{\"v\":1,\"spares\":[\"a b\"]}", "holds no id"},
        {false, "{\"v\":1,\"spares\":[\"a\\u0000\"]}", "NUL"},
        {false, "{\"v\":1,\"spares\":[\"0123456789012345678901234567890123456789\"]}", "holds no id"},
        {false,
         "{\"v\":1,\"spares\":[\"a\",\"a\",\"a\",\"a\",\"a\",\"a\",\"a\",\"a\",\"a\",\"a\",\"a\",\"a\","
         "\"a\",\"a\",\"a\",\"a\",\"a\"]}",
         "17 ids"},
        {true, "{\"v\":1}", "\"visit\" is missing"},
        {true, "{\"v\":1,\"visit\":\"a\",\"datagrams\":1}", "\"datagrams\" is"},
        {true, "{\"v\":1,\"visit\":1}", "not a string"},
        {true, "{\"v\":1,\"visit\":\"\"}", "not a name"},
        {true, "{\"v\":1,\"visit\":\"10.0.0.1\"}", "not a name"},
        {true, "{\"v\":1,\"visit\":\"a\\nb\"}", "not a name"},
        {true, "{\"v\":1,\"visit\":\"a\",\"proto\":\"sctp\"}", "neither"},
        {true, "{\"v\":1,\"visit\":\"a\",\"peer\":1}", "not a string"},
        {true, "{\"v\":1,\"visit\":\"a\",\"peer\":\"\"}", "\"peer\" is not ADDRESS:PORT"},
        {true, "{\"v\":1,\"visit\":\"a\",\"peer\":\"b:1\"}", "\"peer\" is not ADDRESS:PORT"},
        {true, "{\"v\":1,\"visit\":\"a\",\"local\":\"10.0.0.1\"}", "\"local\" is not ADDRESS:PORT"},
        {true, "{\"v\":1,\"visit\":\"a\",\"local\":\"::1:1\"}", "\"local\" is not ADDRESS:PORT"},
        {true, "{\"v\":1,\"visit\":\"a\",\"identity\":[]}", "not a string"},
        {true, "{\"v\":1,\"visit\":\"a\",\"sni\":{}}", "not a string"},
        {true, "{\"v\":1,\"visit\":\"a\",\"alpn\":false}", "not a string"},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        union got got;
        struct err err = {""};
        if (parse_json(rows[i].visit, rows[i].json, &got, &err) != WIRE_BAD)
            fail_msg("taken: %s", rows[i].json);
        if (strstr(err.text, rows[i].why) == NULL)
            fail_msg("%s: said '%s', not '%s'", rows[i].json, err.text, rows[i].why);
    }
}

static void test_ignored(void **state)
{
    (void)state;
    union got got;
    assert_int_equal(parse_json(false, "{\"v\":1,\"later\":[{}],\"drain\":false}", &got, NULL), WIRE_OK);
    assert_false(got.control.drain || got.control.says_ready || got.control.spares > 0);
    assert_string_equal(got.control.withdrawn, "");
    /* What is down is not ready; ways to be down that are not known count as one. */
    assert_int_equal(parse_json(false, "{\"v\":1,\"ready\":true,\"down\":\"refused\"}", &got, NULL), WIRE_OK);
    assert_int_equal(got.control.down, FRONT_OK);
    assert_int_equal(parse_json(false, "{\"v\":1,\"ready\":false,\"down\":\"ok\"}", &got, NULL), WIRE_OK);
    assert_int_equal(got.control.down, FRONT_UNREACHABLE);
    assert_int_equal(parse_json(false, "{\"v\":1,\"withdrawn\":\"\"}", &got, NULL), WIRE_OK);
    assert_string_equal(got.control.withdrawn, "it may not be offered any more");
    assert_int_equal(parse_json(false, "{\"v\":1,\"withdrawn\":\"\\u001b[2J\"}", &got, NULL), WIRE_OK);
    assert_string_equal(got.control.withdrawn, "?[2J");
    assert_int_equal(parse_json(false, "{\"v\":1,\"fellows\":100,\"fellow\":\"\\u001b[2J\"}", &got, NULL),
                     WIRE_OK);
    assert_string_equal(got.control.fellow, "?[2J");
    assert_int_equal(got.control.fellows, OFFER_FELLOWS_MAX);
    assert_int_equal(
        parse_json(true, "{\"v\":1,\"visit\":\"A.b.\",\"later\":1,\"identity\":\"\\u001b[2J\"}", &got, NULL),
        WIRE_OK);
    assert_string_equal(got.visit.name, "a.b");
    assert_string_equal(got.visit.identity, "?[2J");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_control),         cmocka_unit_test(test_control_bytes),
        cmocka_unit_test(test_control_longest), cmocka_unit_test(test_visit),
        cmocka_unit_test(test_visit_longest),   cmocka_unit_test(test_long_identity),
        cmocka_unit_test(test_hostile),         cmocka_unit_test(test_ignored),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
