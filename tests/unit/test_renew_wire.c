/* SPDX-License-Identifier: Apache-2.0 */
/* What client and door say to each other to prove a newer certificate. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/check.h"
#include "tls/authenticator.h"
#include "tunnel/renew_wire.h"

static struct buf message(const char *json)
{
    struct buf b = {0};
    uint8_t head[2] = {(uint8_t)(strlen(json) >> 8), (uint8_t)strlen(json)};
    assert_true(buf_append(&b, head, 2) && buf_append(&b, json, strlen(json)));
    return b;
}

static void test_hello(void **state)
{
    struct buf b = {0}, small = {.max = 10};
    struct front_request got;
    struct err err = {""};
    (void)state;
    assert_true(renew_encode_hello(1, &b));
    assert_string_equal(buf_text(&b) + 2, "{\"v\":1,\"renew\":\"aaaaaaaaaaaab\"}");
    for (size_t n = 0; n < b.len; n++)
        assert_int_equal(front_cardea.ask(b.data, n, &got, &err), FRONT_MORE);
    assert_int_equal(front_cardea.ask(b.data, b.len, &got, &err), FRONT_RENEW);
    assert_int_equal(got.renew, 1);
    assert_false(renew_encode_hello(1, &small));
    assert_int_equal(small.len, 0);
    buf_free(&b);
    buf_free(&small);
}

static void test_hello_bad(void **state)
{
    static const struct {
        const char *json, *why;
    } rows[] = {
        {"{\"v\":1,\"renew\":1}", "\"renew\" is not a string"},
        {"{\"v\":1,\"renew\":\"\"}", "not the id"},
        {"{\"v\":1,\"renew\":\"aaaaaaaaaaaaa\"}", "not the id"},
        {"{\"v\":1,\"renew\":\"aaaaaaaaaaaac!\"}", "not the id"},
        {"{\"v\":1,\"renew\":\"aaaaaaaaaaaac\",\"target\":\"a:1\"}", "more than one"},
        {"{\"v\":1,\"target\":\"a:1\",\"renews\":1}", "\"renews\" is neither"},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct buf b = message(rows[i].json);
        struct front_request got;
        struct err err = {""};
        assert_int_equal(front_cardea.ask(b.data, b.len, &got, &err), FRONT_BAD);
        if (strstr(err.text, rows[i].why) == NULL)
            fail_msg("%s: said '%s'", rows[i].json, err.text);
        buf_free(&b);
    }
}

/* Who asks for its id in the hello gets it with the yes. */
static void test_connection_is_named(void **state)
{
    static const struct front_target target = {.host = "a", .port = 1};
    struct buf b = {0};
    struct front_request got;
    struct wire_answer answer;
    struct err err = {""};
    size_t used;
    (void)state;
    assert_true(wire_encode_hello(&target, (struct wire_client){.renews = true}, &b));
    assert_int_equal(front_cardea.ask(b.data, b.len, &got, &err), FRONT_TARGET);
    assert_true(got.renews);
    b.len = 0;
    assert_true(front_cardea.answer(&(struct front_answer){.outcome = FRONT_OK, .connection = 2}, &b));
    assert_string_equal(buf_text(&b) + 2, "{\"v\":1,\"ok\":true,\"connection\":\"aaaaaaaaaaaac\"}");
    assert_int_equal(wire_parse_answer(b.data, b.len, &answer, &used, &err), WIRE_OK);
    assert_int_equal(answer.connection, 2);
    buf_free(&b);
    b = message("{\"v\":1,\"ok\":true,\"connection\":\"me\"}");
    assert_int_equal(wire_parse_answer(b.data, b.len, &answer, &used, &err), WIRE_BAD);
    buf_free(&b);
}

static void test_request(void **state)
{
    struct buf request = {0}, b = {0}, got = {0};
    struct wire_answer answer;
    struct err err = {""};
    int64_t expires;
    size_t used;
    (void)state;
    authenticator_request(AUTHENTICATOR_CLIENT, NULL, &request);
    for (size_t cut = 0; cut < 3; cut++) { /* with each padding */
        assert_true(renew_encode_request(&request, &b));
        for (size_t n = 0; n < b.len; n++)
            assert_int_equal(renew_parse_answer(b.data, n, &answer, &got, &expires, &used, &err), WIRE_MORE);
        assert_int_equal(renew_parse_answer(b.data, b.len, &answer, &got, &expires, &used, &err), WIRE_OK);
        assert_int_equal(used, b.len);
        assert_int_equal(got.len, request.len);
        assert_memory_equal(got.data, request.data, got.len);
        request.len--;
        b.len = got.len = 0;
    }
    buf_free(&request);
    buf_free(&got);
    buf_free(&b);
}

static void test_verdict(void **state)
{
    static const struct {
        const char *json;
        enum wire_result result;
        enum front_outcome outcome;
        int64_t expires;
    } rows[] = {
        {"{\"v\":1,\"ok\":true,\"expires\":1800000000}", WIRE_OK, FRONT_OK, 1800000000},
        {"{\"v\":1,\"ok\":true}", WIRE_OK, FRONT_OK, 0},
        {"{\"v\":1,\"ok\":false,\"code\":\"denied\"}", WIRE_OK, FRONT_DENIED, 0},
        {"{\"v\":1,\"ok\":true,\"expires\":\"soon\"}", WIRE_BAD, FRONT_OK, 0},
        {"{\"v\":1,\"ok\":true,\"request\":1}", WIRE_BAD, FRONT_OK, 0},
        {"{\"v\":1,\"ok\":true,\"request\":\"\"}", WIRE_BAD, FRONT_OK, 0},
        {"{\"v\":1,\"ok\":true,\"request\":\"=\"}", WIRE_BAD, FRONT_OK, 0},
        {"{\"v\":1,\"ok\":true,\"request\":\"====\"}", WIRE_BAD, FRONT_OK, 0},
        {"{\"v\":1,\"ok\":true,\"request\":\"AAA\"}", WIRE_BAD, FRONT_OK, 0},
        {"{\"v\":1,\"ok\":true,\"request\":\"AA-_\"}", WIRE_BAD, FRONT_OK, 0},
    };
    struct buf b = {0};
    (void)state;
    assert_true(renew_encode_good(1800000000, &b));
    assert_string_equal(buf_text(&b) + 2, rows[0].json);
    buf_free(&b);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct wire_answer answer;
        struct buf got = {0};
        struct err err = {""};
        int64_t expires;
        size_t used;
        b = message(rows[i].json);
        assert_int_equal(renew_parse_answer(b.data, b.len, &answer, &got, &expires, &used, &err),
                         rows[i].result);
        if (rows[i].result == WIRE_OK) {
            assert_int_equal(answer.outcome, rows[i].outcome);
            assert_int_equal(expires, rows[i].expires);
        } else {
            assert_true(err.text[0] != '\0');
        }
        buf_free(&got);
        buf_free(&b);
    }
}

static void test_proof(void **state)
{
    struct buf b = {0};
    struct str got;
    struct err err = {""};
    (void)state;
    assert_true(renew_encode_proof(3, &b));
    assert_true(buf_append(&b, "abc", 3));
    for (size_t n = 0; n < b.len; n++)
        assert_int_equal(renew_parse_proof(b.data, n, &got, &err), WIRE_MORE);
    assert_int_equal(renew_parse_proof(b.data, b.len, &got, &err), WIRE_OK);
    assert_int_equal(got.len, 3);
    assert_memory_equal(got.p, "abc", 3);
    assert_true(buf_append(&b, "d", 1));
    assert_int_equal(renew_parse_proof(b.data, b.len, &got, &err), WIRE_BAD);
    assert_non_null(strstr(err.text, "more bytes"));
    buf_free(&b);
}

static void test_proof_bad(void **state)
{
    static const char *const rows[] = {"{\"v\":1}",
                                       "{\"v\":1,\"authenticator\":0}",
                                       "{\"v\":1,\"authenticator\":-1}",
                                       "{\"v\":1,\"authenticator\":49153}",
                                       "{\"v\":1,\"authenticator\":9223372036854775807}",
                                       "{\"v\":1,\"authenticator\":\"3\"}",
                                       "{\"v\":2,\"authenticator\":3}",
                                       "[3]"};
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct buf b = message(rows[i]);
        struct str got;
        struct err err = {""};
        if (renew_parse_proof(b.data, b.len, &got, &err) != WIRE_BAD || err.text[0] == '\0')
            fail_msg("%s was taken", rows[i]);
        buf_free(&b);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_hello),
        cmocka_unit_test(test_hello_bad),
        cmocka_unit_test(test_connection_is_named),
        cmocka_unit_test(test_request),
        cmocka_unit_test(test_verdict),
        cmocka_unit_test(test_proof),
        cmocka_unit_test(test_proof_bad),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
