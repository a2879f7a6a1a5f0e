/* SPDX-License-Identifier: Apache-2.0 */
/* http/connect.h: CONNECT requests and their answers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/check.h"
#include "http/connect.h"

#define LINE "CONNECT db.inside:5432 HTTP/1.1\r\n"
#define HOST "Host: db.inside:5432\r\n"

/* Ask on an exact heap copy, so that a sanitizer sees a read past the end. */
static enum front_result ask(const char *data, size_t len, struct front_request *ret, struct err *err)
{
    uint8_t *copy = malloc(len > 0 ? len : 1);
    assert_non_null(copy);
    if (len > 0)
        memcpy(copy, data, len);
    enum front_result r = front_connect.ask(copy, len, ret, err);
    free(copy);
    return r;
}

static void test_good(void **state)
{
    static const struct {
        const char *head, *host;
        uint16_t port;
    } rows[] = {
        {LINE HOST "\r\n", "db.inside", 5432},
        {LINE "host:db.inside\r\n\r\n", "db.inside", 5432},
        {LINE "HOST: \t other:1 \t\r\n\r\n", "db.inside", 5432},
        {LINE "Host:\r\n\r\n", "db.inside", 5432},
        {LINE HOST "User-Agent: curl/8.5.0\r\nProxy-Connection: Keep-Alive\r\n\r\n", "db.inside", 5432},
        {LINE HOST "X: caf\xc3\xa9\ttab\r\nEmpty:\r\n\r\n", "db.inside", 5432},
        {LINE HOST "Content-Length: 0\r\n\r\n", "db.inside", 5432},
        {"CONNECT [FD00::1]:22 HTTP/1.1\r\nHost: [fd00::1]:22\r\n\r\n", "fd00::1", 22},
        {"CONNECT 10.0.0.1:22 HTTP/1.1\r\nHost: 10.0.0.1:22\r\n\r\n", "10.0.0.1", 22},
        {"CONNECT a:1 HTTP/1.0\r\n\r\n", "a", 1},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct front_request got;
        struct err err = {""};
        size_t len = strlen(rows[i].head);
        if (ask(rows[i].head, len, &got, &err) != FRONT_TARGET)
            fail_msg("%s: %s", rows[i].head, err.text);
        assert_int_equal(got.used, len);
        assert_string_equal(got.target.host, rows[i].host);
        assert_int_equal(got.target.port, rows[i].port);
        assert_false(got.target.udp);
    }
}

#define UDP_LINE "GET /.well-known/masque/udp/2001%3Adb8%3A%3A42/443/ HTTP/1.1\r\n"
#define UPGRADE "Connection: Upgrade\r\nUpgrade: connect-udp\r\n"

/* RFC 9298, 3.2. */
static void test_udp(void **state)
{
    static const char *const rows[] = {
        UDP_LINE HOST UPGRADE "Capsule-Protocol: ?1\r\n\r\n",
        UDP_LINE HOST "connection: keep-alive , UPGRADE\r\nupgrade: h2c, Connect-UDP\r\n\r\n",
        UDP_LINE HOST "Upgrade: connect-udp\r\nConnection: x\r\nConnection: upgrade\r\n\r\n",
        "GET https://door.test/.well-known/masque/udp/2001%3adb8%3a%3a42/443/ HTTP/1.1\r\n" HOST UPGRADE
        "\r\n",
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct front_request got;
        struct err err = {""};
        size_t len = strlen(rows[i]);
        for (size_t n = 0; n < len; n++)
            assert_int_equal(ask(rows[i], n, &got, &err), FRONT_MORE);
        if (ask(rows[i], len, &got, &err) != FRONT_TARGET)
            fail_msg("%s: %s", rows[i], err.text);
        assert_int_equal(got.used, len);
        assert_string_equal(got.target.host, "2001:db8::42");
        assert_int_equal(got.target.port, 443);
        assert_true(got.target.udp);
    }
}

static const struct bad {
    const char *head, *why;
    enum front_outcome outcome;
} bad_rows[] = {
    {"GET / HTTP/1.1\r\nHost: a\r\n\r\n", "only CONNECT", FRONT_BAD_METHOD},
    {"connect a:1 HTTP/1.1\r\nHost: a\r\n\r\n", "only CONNECT", FRONT_BAD_METHOD},
    {"CONNECT-UDP a:1 HTTP/1.1\r\nHost: a\r\n\r\n", "only CONNECT", FRONT_BAD_METHOD},
    {"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "not HTTP/1.1", FRONT_BAD_HELLO},
    {"CONNECT a:1 HTTP/1.2\r\n\r\n", "not HTTP/1.1", FRONT_BAD_HELLO},
    {"CONNECT a:1 http/1.1\r\n\r\n", "not HTTP/1.1", FRONT_BAD_HELLO},
    {"CONNECT a:1 HTTP/1.1 \r\n\r\n", "not HTTP/1.1", FRONT_BAD_HELLO},
    {"CONNECT a:1  HTTP/1.1\r\n\r\n", "not HTTP/1.1", FRONT_BAD_HELLO},
    {"CONNECT a:1\tHTTP/1.1\r\n\r\n", "first line", FRONT_BAD_HELLO},
    {"CONNECT\ta:1 HTTP/1.1\r\n\r\n", "first line", FRONT_BAD_HELLO},
    {"CONNECT  a:1 HTTP/1.1\r\n\r\n", "not HTTP/1.1", FRONT_BAD_HELLO},
    {" CONNECT a:1 HTTP/1.1\r\n\r\n", "first line", FRONT_BAD_HELLO},
    {"CONNECT a:1\r\n\r\n", "first line", FRONT_BAD_HELLO},
    {"\r\n" LINE HOST "\r\n", "first line", FRONT_BAD_HELLO},
    {"{\"v\":1}\r\n", "first line", FRONT_BAD_HELLO},
    {"CONNECT a HTTP/1.1\r\n\r\n", "HOST:PORT", FRONT_BAD_HELLO},
    {"CONNECT a:0 HTTP/1.1\r\n\r\n", "HOST:PORT", FRONT_BAD_HELLO},
    {"CONNECT ::1:22 HTTP/1.1\r\n\r\n", "HOST:PORT", FRONT_BAD_HELLO},
    {"CONNECT user@a:1 HTTP/1.1\r\n\r\n", "HOST:PORT", FRONT_BAD_HELLO},
    {"CONNECT http://a:1/ HTTP/1.1\r\n\r\n", "HOST:PORT", FRONT_BAD_HELLO},
    {"CONNECT a%2eb:1 HTTP/1.1\r\n\r\n", "HOST:PORT", FRONT_BAD_HELLO},
    {"CONNECT * HTTP/1.1\r\n\r\n", "HOST:PORT", FRONT_BAD_HELLO},
    {LINE "\r\n", "no Host", FRONT_BAD_HELLO},
    {LINE HOST HOST "\r\n", "more than one Host", FRONT_BAD_HELLO},
    {LINE "Host: a b\r\n\r\n", "no host", FRONT_BAD_HELLO},
    {LINE "Host: a,b\r\n\r\n", "no host", FRONT_BAD_HELLO},
    {LINE "Host: u@a\r\n\r\n", "no host", FRONT_BAD_HELLO},
    {LINE "Host: a/\xff\r\n\r\n", "no host", FRONT_BAD_HELLO},
    {LINE HOST " folded: x\r\n\r\n", "folded", FRONT_BAD_HELLO},
    {LINE HOST "X: a\r\n\tb\r\n\r\n", "folded", FRONT_BAD_HELLO},
    {LINE " " HOST "\r\n", "folded", FRONT_BAD_HELLO},
    {LINE HOST "X : a\r\n\r\n", "no header field", FRONT_BAD_HELLO},
    {LINE HOST ": a\r\n\r\n", "no header field", FRONT_BAD_HELLO},
    {LINE HOST "X\r\n\r\n", "no header field", FRONT_BAD_HELLO},
    {LINE HOST "X\xc3\xa9: a\r\n\r\n", "no header field", FRONT_BAD_HELLO},
    {LINE HOST "X(y): a\r\n\r\n", "no header field", FRONT_BAD_HELLO},
    {LINE HOST "Content-Length: 5\r\n\r\n", "Content-Length", FRONT_BAD_HELLO},
    {LINE HOST "Content-Length: 00\r\n\r\n", "Content-Length", FRONT_BAD_HELLO},
    {LINE HOST "Content-Length: 0, 0\r\n\r\n", "Content-Length", FRONT_BAD_HELLO},
    {LINE HOST "Content-Length: 0\r\ncontent-length: 0\r\n\r\n", "Content-Length", FRONT_BAD_HELLO},
    {LINE HOST "TRANSFER-encoding: chunked\r\n\r\n", "Transfer-Encoding", FRONT_BAD_HELLO},
    {LINE HOST "Transfer-Encoding: identity\r\n\r\n", "Transfer-Encoding", FRONT_BAD_HELLO},
    {"CONNECT a:1 HTTP/1.1\nHost: a\n\n", "CR LF", FRONT_BAD_HELLO},
    {LINE "Host: a\n\r\n", "CR LF", FRONT_BAD_HELLO},
    {LINE HOST "X: a\rb\r\n\r\n", "CR LF", FRONT_BAD_HELLO},
    {LINE HOST "X: a\r\r\n\r\n", "CR LF", FRONT_BAD_HELLO},
    {LINE HOST "\n", "CR LF", FRONT_BAD_HELLO},
    {LINE HOST "\r\r\n", "CR LF", FRONT_BAD_HELLO},
    {LINE HOST "X: a\vb\r\n\r\n", "control", FRONT_BAD_HELLO},
    {LINE HOST "X: a\x7f\r\n\r\n", "control", FRONT_BAD_HELLO},
    {"\x16\x03\x01", "control", FRONT_BAD_HELLO},
    {UDP_LINE HOST "\r\n", "Upgrade", FRONT_BAD_HELLO},
    {UDP_LINE HOST "Upgrade: connect-udp\r\n\r\n", "Upgrade", FRONT_BAD_HELLO},
    {UDP_LINE HOST "Connection: Upgrade\r\n\r\n", "Upgrade", FRONT_BAD_HELLO},
    {UDP_LINE HOST "Connection: Upgrade\r\nUpgrade: connect-udpx\r\n\r\n", "Upgrade", FRONT_BAD_HELLO},
    {UDP_LINE HOST "Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n", "Upgrade", FRONT_BAD_HELLO},
    {UDP_LINE HOST UPGRADE UPGRADE "\r\n", "more than one Upgrade", FRONT_BAD_HELLO},
    {UDP_LINE UPGRADE "\r\n", "no Host", FRONT_BAD_HELLO},
    {"GET /.well-known/masque/udp/a/1/ HTTP/1.0\r\n" HOST UPGRADE "\r\n", "Upgrade", FRONT_BAD_HELLO},
    {"GET /.well-known/masque/udp/a/0/ HTTP/1.1\r\n" HOST UPGRADE "\r\n", "port", FRONT_BAD_HELLO},
    {"GET /.well-known/masque/udp/a/1 HTTP/1.1\r\n" HOST UPGRADE "\r\n", "nothing more", FRONT_BAD_HELLO},
    {"POST /.well-known/masque/udp/a/1/ HTTP/1.1\r\n" HOST UPGRADE "\r\n", "only CONNECT", FRONT_BAD_METHOD},
    {"GET https://door.test HTTP/1.1\r\n" HOST UPGRADE "\r\n", "only CONNECT", FRONT_BAD_METHOD},
};

/* What is bad is bad however it comes: some prefix says so first, and every longer one agrees. */
static void test_bad(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(bad_rows); i++) {
        const struct bad *row = &bad_rows[i];
        size_t len = strlen(row->head);
        bool bad = false;
        for (size_t n = 0; n <= len; n++) {
            struct front_request got;
            struct err err = {""};
            enum front_result r = ask(row->head, n, &got, &err);
            if (r == FRONT_TARGET || (bad && r != FRONT_BAD))
                fail_msg("%zu bytes taken: %s", n, row->head);
            bad = r == FRONT_BAD;
            if (bad && (strstr(err.text, row->why) == NULL || got.bad != row->outcome))
                fail_msg("%s: said '%s', not '%s'", row->head, err.text, row->why);
        }
        assert_true(bad);
    }
}

static void test_nul(void **state)
{
    static const char in_line[] = "CONNECT a\0b:1 HTTP/1.1\r\nHost: a\r\n\r\n",
                      in_name[] = LINE "Ho\0st: a\r\n\r\n", in_value[] = LINE "Host: a\0b\r\n\r\n";
    (void)state;
    struct front_request got;
    assert_int_equal(ask(in_line, sizeof(in_line) - 1, &got, NULL), FRONT_BAD);
    assert_int_equal(ask(in_name, sizeof(in_name) - 1, &got, NULL), FRONT_BAD);
    assert_int_equal(ask(in_value, sizeof(in_value) - 1, &got, NULL), FRONT_BAD);
}

/* MORE for every prefix, then the target; payload that looks like HTTP is let be. */
static void test_splits(void **state)
{
    static const char data[] = LINE HOST "A: b\r\n\r\n" LINE "\n\0\xff";
    size_t head = strlen(LINE HOST "A: b\r\n\r\n");
    (void)state;
    for (size_t n = 0; n < sizeof(data); n++) {
        struct front_request got;
        enum front_result r = ask(data, n, &got, NULL);
        assert_int_equal(r, n < head ? FRONT_MORE : FRONT_TARGET);
        if (r == FRONT_TARGET)
            assert_int_equal(got.used, head);
    }
}

/* A head of exactly `size` bytes, one field filling it up. */
static size_t head_of(size_t size, char *ret)
{
    int n = snprintf(ret, size + 1, "%sX: ", LINE HOST);
    memset(ret + n, 'x', size - (size_t)n - 4);
    memcpy(ret + size - 4, "\r\n\r\n", 5);
    return size;
}

static void test_size(void **state)
{
    char data[CONNECT_HEAD_MAX + 100];
    (void)state;
    struct front_request got;
    struct err err = {""};
    assert_int_equal(ask(data, head_of(CONNECT_HEAD_MAX, data), &got, &err), FRONT_TARGET);
    assert_int_equal(ask(data, CONNECT_HEAD_MAX - 1, &got, &err), FRONT_MORE);
    assert_int_equal(ask(data, head_of(CONNECT_HEAD_MAX + 1, data), &got, &err), FRONT_BAD);
    assert_int_equal(ask(data, CONNECT_HEAD_MAX, &got, &err), FRONT_BAD);
    assert_non_null(strstr(err.text, "8192"));
    memset(data, 'A', sizeof(data));
    assert_int_equal(ask(data, sizeof(data), &got, &err), FRONT_BAD);
    assert_int_equal(front_connect.max, CONNECT_HEAD_MAX);
}

static void test_field_count(void **state)
{
    (void)state;
    for (unsigned extra = CONNECT_FIELDS_MAX - 2; extra <= CONNECT_FIELDS_MAX; extra++) {
        struct buf b = {0};
        struct front_request got;
        assert_true(buf_append(&b, LINE HOST, strlen(LINE HOST)));
        for (unsigned i = 0; i < extra; i++)
            assert_true(buf_append(&b, "A: b\r\n", 6));
        assert_true(buf_append(&b, "\r\n", 2));
        enum front_result want = extra + 1 <= CONNECT_FIELDS_MAX ? FRONT_TARGET : FRONT_BAD;
        assert_int_equal(ask((char *)b.data, b.len, &got, NULL), want);
        buf_free(&b);
    }
}

/* ---- answers ---- */

static void test_answer_ok(void **state)
{
    (void)state;
    struct front_answer answer = {.outcome = FRONT_OK, .rule = "ops", .text = "x"};
    struct buf b = {0};
    assert_true(front_connect.answer(&answer, &b));
    assert_string_equal(buf_text(&b), "HTTP/1.1 200 Connection established\r\n\r\n");
    buf_free(&b);
    answer.udp = true;
    assert_true(front_connect.answer(&answer, &b));
    assert_string_equal(buf_text(&b), "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\n"
                                      "Upgrade: connect-udp\r\nCapsule-Protocol: ?1\r\n\r\n");
    buf_free(&b);
}

static void test_answer_denied(void **state)
{
    (void)state;
    struct front_answer answer = {.outcome = FRONT_DENIED, .rule = "no \"ssh\" \xc3\xbc\r\nX: y"};
    struct buf b = {0};
    assert_true(front_connect.answer(&answer, &b));
    assert_string_equal(buf_text(&b),
                        "HTTP/1.1 403 Forbidden\r\n"
                        "Proxy-Status: cardea; error=http_request_denied; "
                        "details=\"the policy does not allow it (rule no \\\"ssh\\\" ????X: y)\"\r\n"
                        "Content-Type: text/plain; charset=utf-8\r\nContent-Length: 54\r\n"
                        "Connection: close\r\n\r\n"
                        "the policy does not allow it (rule no \"ssh\" \xc3\xbc??X: y)\n");
    buf_free(&b);
    answer.rule = NULL;
    assert_true(front_connect.answer(&answer, &b));
    assert_non_null(strstr(buf_text(&b), "\r\n\r\nthe policy does not allow it (no rule)\n"));
    buf_free(&b);
    answer.text = "no rule lets alice reach db.inside:22";
    assert_true(front_connect.answer(&answer, &b));
    assert_non_null(strstr(buf_text(&b), "\r\n\r\nno rule lets alice reach db.inside:22\n"));
    buf_free(&b);
}

static void test_answer_rows(void **state)
{
    static const struct {
        enum front_outcome outcome;
        const char *line, *has;
    } rows[] = {
        {FRONT_NO_SUCH_HOST, "HTTP/1.1 502 Bad Gateway\r\n", "error=dns_error;"},
        {FRONT_REFUSED, "HTTP/1.1 502 Bad Gateway\r\n", "error=connection_refused;"},
        {FRONT_TIMEOUT, "HTTP/1.1 504 Gateway Timeout\r\n", "error=connection_timeout;"},
        {FRONT_UNREACHABLE, "HTTP/1.1 502 Bad Gateway\r\n", "error=destination_ip_unroutable;"},
        {FRONT_BAD_HELLO, "HTTP/1.1 400 Bad Request\r\n", "error=http_request_error;"},
        {FRONT_BAD_METHOD, "HTTP/1.1 405 Method Not Allowed\r\n", "\r\nAllow: CONNECT\r\n"},
        {FRONT_CONFLICT, "HTTP/1.1 409 Conflict\r\n", "error=http_request_denied;"},
        {FRONT_LIMIT, "HTTP/1.1 503 Service Unavailable\r\n", "error=connection_limit_reached;"},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct front_answer answer = {.outcome = rows[i].outcome, .rule = "ops", .text = "because"};
        struct buf b = {0}, small = {.max = 120};
        assert_true(front_connect.answer(&answer, &b));
        const char *text = buf_text(&b), *body = strstr(text, "\r\n\r\n");
        assert_int_equal(strncmp(text, rows[i].line, strlen(rows[i].line)), 0);
        assert_non_null(strstr(text, rows[i].has));
        assert_string_equal(body, "\r\n\r\nbecause\n");
        assert_non_null(strstr(text, "\r\nContent-Length: 8\r\n"));
        assert_false(front_connect.answer(&answer, &small));
        assert_int_equal(small.len, 0);
        buf_free(&b);
        buf_free(&small);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_good),          cmocka_unit_test(test_udp),
        cmocka_unit_test(test_bad),           cmocka_unit_test(test_nul),
        cmocka_unit_test(test_splits),        cmocka_unit_test(test_size),
        cmocka_unit_test(test_field_count),   cmocka_unit_test(test_answer_ok),
        cmocka_unit_test(test_answer_denied), cmocka_unit_test(test_answer_rows),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
