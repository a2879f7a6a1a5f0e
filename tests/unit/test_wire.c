/* SPDX-License-Identifier: Apache-2.0 */
/* tunnel/wire.h: hello and answer of cardea/1. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/check.h"
#include "tunnel/wire.h"

/* A message of this JSON; the caller frees it. */
static struct buf message(const char *json, size_t len)
{
    struct buf b = {0};
    uint8_t head[2] = {(uint8_t)(len >> 8), (uint8_t)len};
    assert_true(buf_append(&b, head, 2) && buf_append(&b, json, len));
    return b;
}

/* Ask on an exact heap copy, so that a sanitizer sees a read past the end. */
static enum front_result ask(const uint8_t *data, size_t len, struct front_request *ret, struct err *err)
{
    uint8_t *copy = malloc(len > 0 ? len : 1);
    assert_non_null(copy);
    if (len > 0)
        memcpy(copy, data, len);
    enum front_result r = front_cardea.ask(copy, len, ret, err);
    free(copy);
    return r;
}

static enum front_result ask_json(const char *json, size_t len, struct front_request *ret, struct err *err)
{
    struct buf b = message(json, len);
    enum front_result r = ask(b.data, b.len, ret, err);
    if (r == FRONT_TARGET)
        assert_int_equal(ret->used, b.len);
    buf_free(&b);
    return r;
}

static void test_hello_good(void **state)
{
    static const struct {
        const char *json, *host;
        uint16_t port;
        bool udp;
    } rows[] = {
        {"{\"v\":1,\"target\":\"db.inside:5432\",\"proto\":\"tcp\"}", "db.inside", 5432, false},
        {"{\"v\":1,\"target\":\"db.inside:5432\"}", "db.inside", 5432, false},
        {"{\"v\":1,\"target\":\"db.inside:53\",\"proto\":\"udp\"}", "db.inside", 53, true},
        {" { \"proto\" : \"tcp\" , \"target\" : \"[::1]:22\" , \"v\" : 1 } ", "::1", 22, false},
        {"{\"v\":1,\"target\":\"a:1\",\"later\":{\"v\":2,\"x\":[1,null,true]}}", "a", 1, false},
        {"{\"v\":1,\"target\":\"\\u0061.B:1\"}", "a.b", 1, false},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct front_request got;
        struct err err = {""};
        if (ask_json(rows[i].json, strlen(rows[i].json), &got, &err) != FRONT_TARGET)
            fail_msg("%s: %s", rows[i].json, err.text);
        assert_string_equal(got.target.host, rows[i].host);
        assert_int_equal(got.target.port, rows[i].port);
        assert_int_equal(got.target.udp, rows[i].udp);
    }
}

static void test_hello_bad(void **state)
{
    static const struct {
        const char *json, *why;
    } rows[] = {
        {"x", "not valid JSON"},
        {"{}", "missing"},
        {"[]", "not an object"},
        {"1", "not valid JSON"},
        {"\"v\"", "not valid JSON"},
        {"null", "not valid JSON"},
        {"{\"v\":1,\"target\":\"a:1\"", "not valid JSON"},
        {"{\"v\":1,\"target\":\"a:1\"}}", "not valid JSON"},
        {"{\"v\":1,\"target\":\"a:1\"}{}", "not valid JSON"},
        {"{\"v\":1,\"target\":\"a:1\",}", "not valid JSON"},
        {"{'v':1,'target':'a:1'}", "not valid JSON"},
        {"{\"v\":1,\"target\":\"a:1\",\"target\":\"b:1\"}", "twice"},
        {"{\"v\":1,\"target\":\"a:1\",\"\\u0074arget\":\"b:1\"}", "twice"},
        {"{\"v\":1,\"target\":\"a:1\",\"x\":{\"y\":1,\"y\":2}}", "twice"},
        {"{\"v\":1,\"target\":\"a\\u0000.ok:1\"}", "NUL"},
        {"{\"v\":1,\"target\":\"a:1\",\"x\\u0000\":1}", "NUL"},
        {"{\"v\":1,\"target\":\"\xff:1\"}", "not valid JSON"},
        {"{\"v\":2,\"target\":\"a:1\"}", "version 2 of the tunnel protocol is not known here"},
        {"{\"v\":0,\"target\":\"a:1\"}", "version 0"},
        {"{\"v\":-1,\"whatever\":1}", "version -1"},
        {"{\"v\":\"1\",\"target\":\"a:1\"}", "not an integer"},
        {"{\"v\":1.0,\"target\":\"a:1\"}", "not an integer"},
        {"{\"v\":true,\"target\":\"a:1\"}", "not an integer"},
        {"{\"v\":99999999999999999999,\"target\":\"a:1\"}", "not valid JSON"},
        {"{\"target\":\"a:1\"}", "missing"},
        {"{\"v\":1}", "\"target\" is missing"},
        {"{\"v\":1,\"target\":null}", "not a string"},
        {"{\"v\":1,\"target\":[\"a:1\"]}", "not a string"},
        {"{\"v\":1,\"target\":\"a:1\",\"proto\":1}", "not a string"},
        {"{\"v\":1,\"target\":\"a:1\",\"proto\":\"TCP\"}", "neither"},
        {"{\"v\":1,\"target\":\"a:1\",\"proto\":\"\"}", "neither"},
        {"{\"v\":1,\"target\":\"a:1\",\"proto\":\"name\"}", "\"target\" is not a name"},
        {"{\"v\":1,\"target\":\"10.0.0.1\",\"proto\":\"name\"}", "\"target\" is not a name"},
        {"{\"v\":1,\"target\":\"\",\"proto\":\"name\"}", "\"target\" is not a name"},
        {"{\"v\":1,\"target\":\"*.app\",\"proto\":\"name\"}", "\"target\" is not a name"},
        {"{\"v\":1,\"target\":\"a:1\",\"offer\":\"a\"}", "more than one"},
        {"{\"v\":1,\"spare\":\"a\",\"offer\":\"a\"}", "more than one"},
        {"{\"v\":1,\"target\":\"a:1\",\"spare\":\"a\"}", "more than one"},
        {"{\"v\":1,\"target\":\"a:1\",\"offer\":null}", "\"offer\" is not a string"},
        {"{\"v\":1,\"spare\":1}", "\"spare\" is not a string"},
        {"{\"v\":1,\"spare\":\"\"}", "holds no id"},
        {"{\"v\":1,\"spare\":\"a+b/\"}", "holds no id"},
        {"{\"v\":1,\"spare\":\"a=\"}", "holds no id"},
        {"{\"v\":1,\"spare\":\"0123456789012345678901234567890123456789\"}", "holds no id"},
        {"{\"v\":1,\"offer\":\"\"}", "\"offer\" is not a name"},
        {"{\"v\":1,\"offer\":\".\"}", "\"offer\" is not a name"},
        {"{\"v\":1,\"offer\":\"a..b\"}", "\"offer\" is not a name"},
        {"{\"v\":1,\"offer\":\"a:1\"}", "\"offer\" is not a name"},
        {"{\"v\":1,\"offer\":\"*.example.com\"}", "\"offer\" is not a name"},
        {"{\"v\":1,\"offer\":\"127.0.0.1\"}", "\"offer\" is not a name"},
        {"{\"v\":1,\"offer\":\"::1\"}", "\"offer\" is not a name"},
        {"{\"v\":1,\"offer\":\"a\",\"kind\":\"Public\"}",
         "\"kind\" is none of \"private\" \"public\" \"end-to-end\""},
        {"{\"v\":1,\"offer\":\"a\",\"kind\":1}", "not a string"},
        {"{\"v\":1,\"offer\":\"a\",\"proto\":\"name\"}", "neither"},
        {"{\"v\":1,\"offer\":\"a\",\"proto\":\"udp\"}", "needs a \"port\""},
        {"{\"v\":1,\"offer\":\"a\",\"kind\":\"public\",\"proto\":\"udp\"}", "needs a \"port\""},
        {"{\"v\":1,\"offer\":\"a\",\"port\":1}", "goes with"},
        {"{\"v\":1,\"offer\":\"a\",\"kind\":\"end-to-end\",\"port\":1}", "goes with"},
        {"{\"v\":1,\"offer\":\"a\",\"kind\":\"public\",\"port\":0}", "1 to 65535"},
        {"{\"v\":1,\"offer\":\"a\",\"kind\":\"public\",\"port\":-1}", "1 to 65535"},
        {"{\"v\":1,\"offer\":\"a\",\"kind\":\"public\",\"port\":65536}", "1 to 65535"},
        {"{\"v\":1,\"offer\":\"a\",\"kind\":\"public\",\"port\":\"1\"}", "1 to 65535"},
        {"{\"v\":1,\"offer\":\"a\",\"kind\":\"public\",\"port\":1.0}", "1 to 65535"},
        {"{\"v\":1,\"offer\":\"a\",\"kind\":\"public\",\"port\":null}", "1 to 65535"},
        {"{\"v\":1,\"offer\":\"a\",\"connections\":0}", "number from 1"},
        {"{\"v\":1,\"offer\":\"a\",\"connections\":-1}", "number from 1"},
        {"{\"v\":1,\"offer\":\"a\",\"connections\":\"1\"}", "number from 1"},
        {"{\"v\":1,\"offer\":\"a\",\"instance\":0}", "number from 1"},
        {"{\"v\":1,\"offer\":\"a\",\"instance\":-1}", "number from 1"},
        {"{\"v\":1,\"offer\":\"a\",\"instance\":9007199254740992}", "number from 1"},
        {"{\"v\":1,\"offer\":\"a\",\"instance\":\"1\"}", "number from 1"},
        {"{\"v\":1,\"target\":\"\"}", "HOST:PORT"},
        {"{\"v\":1,\"target\":\"a\"}", "HOST:PORT"},
        {"{\"v\":1,\"target\":\"127.1:22\"}", "HOST:PORT"},
        {"{\"v\":1,\"target\":\"a b:22\"}", "HOST:PORT"},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct front_request got;
        struct err err = {""};
        if (ask_json(rows[i].json, strlen(rows[i].json), &got, &err) != FRONT_BAD)
            fail_msg("taken: %s", rows[i].json);
        if (strstr(err.text, rows[i].why) == NULL)
            fail_msg("%s: said '%s', not '%s'", rows[i].json, err.text, rows[i].why);
        assert_int_equal(got.bad, FRONT_BAD_HELLO);
    }
}

static void test_hello_raw_nul(void **state)
{
    static const char in_string[] = "{\"v\":1,\"target\":\"a\0b:1\"}";
    static const char after[] = "{\"v\":1,\"target\":\"a:1\"}\0";
    (void)state;
    struct front_request got;
    assert_int_equal(ask_json(in_string, sizeof(in_string) - 1, &got, NULL), FRONT_BAD);
    assert_int_equal(ask_json(after, sizeof(after) - 1, &got, NULL), FRONT_BAD);
}

static void test_hello_length(void **state)
{
    static const uint8_t zero[] = {0, 0}, over[] = {0x10, 0x01}, http[] = "GET / HTTP/1.1\r\n",
                         tls[] = {0x16, 3, 1};
    (void)state;
    struct front_request got;
    struct err err = {""};
    assert_int_equal(ask(zero, 1, &got, &err), FRONT_MORE);
    assert_int_equal(ask(zero, 2, &got, &err), FRONT_BAD);
    assert_int_equal(ask(over, 2, &got, &err), FRONT_BAD);
    assert_int_equal(ask(http, 4, &got, &err), FRONT_BAD);
    assert_int_equal(ask(tls, 2, &got, &err), FRONT_BAD);
    assert_non_null(strstr(err.text, "cardea/1"));

    /* The longest that is taken, padded with spaces; and an over-long host in it. */
    char json[WIRE_JSON_MAX];
    static const char hello[] = "{\"v\":1,\"target\":\"a:1\"}";
    memset(json, ' ', sizeof(json));
    memcpy(json, hello, sizeof(hello) - 1);
    assert_int_equal(ask_json(json, sizeof(json), &got, &err), FRONT_TARGET);
    assert_int_equal(got.used, front_cardea.max);
    int n = snprintf(json, sizeof(json), "{\"v\":1,\"target\":\"%0254d:1\"}", 0);
    assert_int_equal(ask_json(json, (size_t)n, &got, &err), FRONT_BAD);
    n = snprintf(json, sizeof(json), "{\"v\":1,\"target\":\"%04000d:1\"}", 0);
    assert_int_equal(ask_json(json, (size_t)n, &got, &err), FRONT_BAD);
    assert_non_null(strstr(err.text, "253"));

    /* As deep as the length allows. */
    memset(json, '[', sizeof(json));
    assert_int_equal(ask_json(json, sizeof(json), &got, &err), FRONT_BAD);
}

/* Whatever the split: MORE for every prefix, and payload behind the hello is let be. */
static void test_hello_splits(void **state)
{
    (void)state;
    static const struct front_target target = {.host = "fd00::1", .port = 22};
    struct buf b = {0};
    struct front_request got;
    assert_true(wire_encode_hello(&target, (struct wire_client){0}, &b));
    size_t hello = b.len;
    for (size_t n = 0; n < hello; n++)
        assert_int_equal(ask(b.data, n, &got, NULL), FRONT_MORE);
    assert_true(buf_append(&b, "SSH-2.0-x\r\n\0\1", 13));
    for (size_t n = hello; n <= b.len; n++) {
        assert_int_equal(ask(b.data, n, &got, NULL), FRONT_TARGET);
        assert_int_equal(got.used, hello);
        assert_string_equal(got.target.host, "fd00::1");
    }
    buf_free(&b);
}

static void test_hello_bytes(void **state)
{
    (void)state;
    static const struct front_target target = {.host = "db.inside", .port = 22, .udp = true};
    struct buf b = {0}, small = {.max = 20};
    assert_true(wire_encode_hello(&target, (struct wire_client){0}, &b));
    assert_string_equal(buf_text(&b) + 2, "{\"v\":1,\"target\":\"db.inside:22\",\"proto\":\"udp\"}");
    assert_int_equal(b.data[0], 0);
    assert_int_equal(b.data[1], b.len - 2);
    struct front_request got;
    assert_int_equal(ask(b.data, b.len, &got, NULL), FRONT_TARGET);
    assert_false(got.datagrams);
    b.len = 0;
    assert_true(wire_encode_hello(&target, (struct wire_client){.datagrams = true}, &b));
    assert_string_equal(buf_text(&b) + 2,
                        "{\"v\":1,\"target\":\"db.inside:22\",\"proto\":\"udp\",\"datagrams\":true}");
    assert_int_equal(ask(b.data, b.len, &got, NULL), FRONT_TARGET);
    assert_true(got.datagrams);
    assert_false(wire_encode_hello(&target, (struct wire_client){0}, &small));
    assert_int_equal(small.len, 0);
    buf_free(&b);
    buf_free(&small);
}

/* ---- agents: offers and spare connections ---- */

static void test_offer_good(void **state)
{
    static const struct {
        const char *json, *name;
        enum offer_kind kind;
        bool udp;
        uint16_t port;
        uint32_t connections;
    } rows[] = {
        {"{\"v\":1,\"offer\":\"App.Example.com.\"}", "app.example.com", OFFER_PRIVATE, false, 0, 0},
        {"{\"v\":1,\"offer\":\"a\",\"kind\":\"private\",\"proto\":\"tcp\"}", "a", OFFER_PRIVATE, false, 0, 0},
        {"{\"v\":1,\"offer\":\"a\",\"kind\":\"public\"}", "a", OFFER_PUBLIC, false, 0, 0},
        {"{\"v\":1,\"offer\":\"a\",\"kind\":\"end-to-end\",\"later\":1}", "a", OFFER_END_TO_END, false, 0, 0},
        {"{\"v\":1,\"offer\":\"a\",\"kind\":\"public\",\"port\":65535}", "a", OFFER_PUBLIC, false, 65535, 0},
        {"{\"v\":1,\"offer\":\"a\",\"kind\":\"public\",\"port\":53,\"proto\":\"udp\"}", "a", OFFER_PUBLIC,
         true, 53, 0},
        {"{\"v\":1,\"offer\":\"a\",\"connections\":99999999999}", "a", OFFER_PRIVATE, false, 0, UINT32_MAX},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct front_request got;
        struct err err = {""};
        if (ask_json(rows[i].json, strlen(rows[i].json), &got, &err) != FRONT_OFFER)
            fail_msg("%s: %s", rows[i].json, err.text);
        assert_string_equal(got.offer.name, rows[i].name);
        assert_int_equal(got.offer.kind, rows[i].kind);
        assert_int_equal(got.offer.udp, rows[i].udp);
        assert_int_equal(got.offer.port, rows[i].port);
        assert_int_equal(got.offer.connections, rows[i].connections);
    }
}

/* What the agent writes is what the door reads, at every split. */
static void check_request(const struct buf *b, enum front_result want, struct front_request *ret)
{
    for (size_t n = 0; n < b->len; n++)
        assert_int_equal(ask(b->data, n, ret, NULL), FRONT_MORE);
    assert_int_equal(ask(b->data, b->len, ret, NULL), want);
    assert_int_equal(ret->used, b->len);
}

static void test_agent_hello_bytes(void **state)
{
    (void)state;
    static const struct offer offer = {.name = "game.example.com",
                                       .kind = OFFER_PUBLIC,
                                       .udp = true,
                                       .port = 27015,
                                       .instance = OFFER_INSTANCES - 1,
                                       .connections = 256};
    static const struct front_target target = {.host = "app.example.com", .offered = true};
    struct front_request got;
    struct buf b = {0}, small = {.max = 20};
    assert_true(wire_encode_offer(&offer, false, false, &b));
    check_request(&b, FRONT_OFFER, &got);
    assert_string_equal(buf_text(&b) + 2, "{\"v\":1,\"offer\":\"game.example.com\",\"kind\":\"public\","
                                          "\"proto\":\"udp\",\"port\":27015,\"instance\":9007199254740991,"
                                          "\"connections\":256}");
    assert_int_equal(got.offer.port, 27015);
    assert_int_equal(got.offer.connections, 256);
    assert_true(got.offer.instance == OFFER_INSTANCES - 1);
    assert_false(got.renews || got.proves);
    b.len = 0;
    assert_true(wire_encode_offer(&offer, true, true, &b));
    check_request(&b, FRONT_OFFER, &got);
    assert_true(got.renews && got.proves);
    b.len = 0;
    assert_true(wire_encode_spare("a-Z_9", &b));
    check_request(&b, FRONT_SPARE, &got);
    assert_string_equal(got.spare, "a-Z_9");
    b.len = 0;
    assert_true(wire_encode_hello(&target, (struct wire_client){0}, &b));
    check_request(&b, FRONT_TARGET, &got);
    assert_string_equal(buf_text(&b) + 2, "{\"v\":1,\"target\":\"app.example.com\",\"proto\":\"name\"}");
    assert_true(got.target.offered && got.target.port == 0 && !got.target.udp);
    assert_string_equal(got.target.host, "app.example.com");

    assert_false(wire_encode_offer(&offer, false, false, &small) || wire_encode_spare("0123456789", &small));
    assert_int_equal(small.len, 0);
    buf_free(&b);
    buf_free(&small);
}

/* ---- answers ---- */

static void test_answer_bytes(void **state)
{
    static const struct {
        struct front_answer answer;
        const char *json;
    } rows[] = {
        {{.outcome = FRONT_OK}, "{\"v\":1,\"ok\":true}"},
        {{.outcome = FRONT_OK, .rule = "ops", .text = "x"}, "{\"v\":1,\"ok\":true}"},
        {{.outcome = FRONT_OK, .tls = true}, "{\"v\":1,\"ok\":true,\"tls\":true}"},
        {{.outcome = FRONT_OK, .datagrams = true}, "{\"v\":1,\"ok\":true,\"datagrams\":true}"},
        {{.outcome = FRONT_OK, .warning = "no\nroute"}, "{\"v\":1,\"ok\":true,\"warning\":\"no?route\"}"},
        {{.outcome = FRONT_DENIED, .text = "x", .warning = "w"},
         "{\"v\":1,\"ok\":false,\"code\":\"denied\",\"text\":\"x\"}"},
        {{.outcome = FRONT_DENIED, .text = "x", .datagrams = true},
         "{\"v\":1,\"ok\":false,\"code\":\"denied\",\"text\":\"x\"}"},
        {{.outcome = FRONT_DENIED, .rule = "ops", .text = "no", .tls = true},
         "{\"v\":1,\"ok\":false,\"code\":\"denied\",\"rule\":\"ops\",\"text\":\"no\"}"},
        {{.outcome = FRONT_DENIED},
         "{\"v\":1,\"ok\":false,\"code\":\"denied\",\"text\":\"the policy does not allow it\"}"},
        {{.outcome = FRONT_REFUSED, .rule = "ops", .text = "a\"b\n"},
         "{\"v\":1,\"ok\":false,\"code\":\"refused\",\"text\":\"a\\\"b?\"}"},
        {{.outcome = FRONT_BAD_METHOD, .text = "x"},
         "{\"v\":1,\"ok\":false,\"code\":\"bad_hello\",\"text\":\"x\"}"},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct buf b = {0};
        assert_true(buf_append(&b, "before", 6) && front_cardea.answer(&rows[i].answer, &b));
        assert_string_equal(buf_text(&b) + 8, rows[i].json);
        assert_int_equal(b.data[6] << 8 | b.data[7], b.len - 8);
        buf_free(&b);
    }
}

/* Every outcome comes back as itself, at every split, with payload behind it. */
static void test_answer_splits(void **state)
{
    (void)state;
    for (unsigned o = 0; o < FRONT_OUTCOMES; o++) {
        struct front_answer answer = {
            .outcome = (enum front_outcome)o, .rule = "ops", .text = "because", .tls = true};
        struct buf b = {0};
        struct wire_answer got;
        size_t used;
        assert_true(front_cardea.answer(&answer, &b));
        size_t len = b.len;
        for (size_t n = 0; n < len; n++)
            assert_int_equal(wire_parse_answer(b.data, n, &got, &used, NULL), WIRE_MORE);
        assert_true(buf_append(&b, "payload", 7));
        assert_int_equal(wire_parse_answer(b.data, b.len, &got, &used, NULL), WIRE_OK);
        assert_int_equal(used, len);
        bool bad = o == FRONT_BAD_METHOD || o == FRONT_BAD_PROTOCOL; /* the code of FRONT_BAD_HELLO */
        assert_int_equal(got.outcome, bad ? FRONT_BAD_HELLO : o == FRONT_UNWELCOME ? FRONT_DENIED : o);
        assert_string_equal(got.rule, o == FRONT_DENIED ? "ops" : "");
        assert_int_equal(got.tls, o == FRONT_OK);
        if (o != FRONT_OK)
            assert_string_equal(got.text, "because");
        buf_free(&b);
    }
}

/* The worst that rule and text can be still makes a message that is short enough. */
static void test_answer_longest(void **state)
{
    static const char bytes[] = {'\xff', '"', '\x01', '\x7f', 'a'};
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(bytes); i++) {
        char text[6000];
        memset(text, bytes[i], sizeof(text) - 1);
        text[sizeof(text) - 1] = '\0';
        struct front_answer answer = {.outcome = FRONT_DENIED, .rule = text, .text = text};
        struct buf b = {0}, small = {.max = 100};
        struct wire_answer got;
        size_t used;
        assert_true(front_cardea.answer(&answer, &b));
        assert_true(b.len <= WIRE_MESSAGE_MAX);
        assert_int_equal(wire_parse_answer(b.data, b.len, &got, &used, NULL), WIRE_OK);
        assert_true(strlen(got.rule) > 200 && strlen(got.text) > 900);
        assert_false(front_cardea.answer(&answer, &small));
        assert_int_equal(small.len, 0);
        buf_free(&b);
        buf_free(&small);
    }
}

static void test_answer_read(void **state)
{
    static const struct {
        const char *json;
        enum wire_result result;
        enum front_outcome outcome;
        const char *code, *text;
    } rows[] = {
        {"{\"v\":1,\"ok\":true,\"later\":[]}", WIRE_OK, FRONT_OK, "ok", "connected"},
        {"{\"v\":1,\"ok\":true,\"code\":\"denied\"}", WIRE_OK, FRONT_OK, "ok", "connected"},
        {"{\"v\":1,\"ok\":false,\"code\":\"denied\"}", WIRE_OK, FRONT_DENIED, "denied",
         "the policy does not allow it"},
        {"{\"v\":1,\"ok\":false,\"code\":\"ok\",\"text\":\"\"}", WIRE_OK, FRONT_UNREACHABLE, "ok",
         "the target cannot be reached"},
        {"{\"v\":1,\"ok\":false,\"code\":\"from_tomorrow\",\"text\":\"\\u001b[31mred\"}", WIRE_OK,
         FRONT_UNREACHABLE, "from_tomorrow", "?[31mred"},
        {"{\"v\":1}", WIRE_BAD, FRONT_OK, NULL, "\"ok\" is missing"},
        {"{\"v\":1,\"ok\":1}", WIRE_BAD, FRONT_OK, NULL, "neither"},
        {"{\"v\":1,\"ok\":false}", WIRE_BAD, FRONT_OK, NULL, "\"code\" is missing"},
        {"{\"v\":1,\"ok\":false,\"code\":1}", WIRE_BAD, FRONT_OK, NULL, "not a string"},
        {"{\"v\":1,\"ok\":false,\"code\":\"denied\",\"rule\":[]}", WIRE_BAD, FRONT_OK, NULL, "not a string"},
        {"{\"v\":1,\"ok\":false,\"code\":\"conflict\",\"text\":\"taken\"}", WIRE_OK, FRONT_CONFLICT,
         "conflict", "taken"},
        {"{\"v\":1,\"ok\":true,\"tls\":1}", WIRE_BAD, FRONT_OK, NULL, "\"tls\" is neither"},
        {"{\"v\":1,\"ok\":true,\"ok\":false}", WIRE_BAD, FRONT_OK, NULL, "twice"},
        {"{\"v\":3,\"ok\":true}", WIRE_BAD, FRONT_OK, NULL, "version 3"},
        {"[true]", WIRE_BAD, FRONT_OK, NULL, "not an object"},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct buf b = message(rows[i].json, strlen(rows[i].json));
        struct wire_answer got;
        struct err err = {""};
        size_t used;
        assert_int_equal(wire_parse_answer(b.data, b.len, &got, &used, &err), rows[i].result);
        if (rows[i].result == WIRE_OK) {
            assert_int_equal(got.outcome, rows[i].outcome);
            assert_string_equal(got.code, rows[i].code);
            assert_string_equal(got.text, rows[i].text);
        } else if (strstr(err.text, rows[i].text) == NULL) {
            fail_msg("%s: said '%s'", rows[i].json, err.text);
        }
        buf_free(&b);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_hello_good),     cmocka_unit_test(test_hello_bad),
        cmocka_unit_test(test_hello_raw_nul),  cmocka_unit_test(test_hello_length),
        cmocka_unit_test(test_hello_splits),   cmocka_unit_test(test_hello_bytes),
        cmocka_unit_test(test_answer_bytes),   cmocka_unit_test(test_answer_splits),
        cmocka_unit_test(test_answer_longest), cmocka_unit_test(test_answer_read),
        cmocka_unit_test(test_offer_good),     cmocka_unit_test(test_agent_hello_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
