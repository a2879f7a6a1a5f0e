/* SPDX-License-Identifier: Apache-2.0 */
/* src/web: requests with content, answers, and the services that answer at once. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/check.h"
#include "web/challenges.h"
#include "web/reader.h"
#include "web/redirect.h"

#define HOST "Host: a.example\r\n"
#define CHUNKED HOST "Transfer-Encoding: chunked\r\n"

/* ---- reading ---- */

/* Feed an exact heap copy, so that a sanitizer sees a read past the end, in pieces of `step` bytes. */
static enum web_read feed(struct web_reader *r, const char *data, size_t len, size_t step, size_t *ret_used,
                          struct err *err)
{
    enum web_read result = WEB_READ_MORE;
    *ret_used = 0;
    while (*ret_used < len && result == WEB_READ_MORE) {
        size_t used, n = MIN(step, len - *ret_used);
        uint8_t *copy = malloc(n);
        assert_non_null(copy);
        memcpy(copy, data + *ret_used, n);
        result = web_reader_feed(r, copy, n, &used, err);
        free(copy);
        assert_true(used <= n && (used == n || result != WEB_READ_MORE));
        *ret_used += used;
    }
    return result;
}

static void assert_text(struct str got, const char *want)
{
    if (!str_is(got, want))
        fail_msg("got '%.*s', expected '%s'", (int)got.len, got.p, want);
}

static void test_good(void **state)
{
    static const struct {
        const char *bytes, *method, *path, *query, *host, *type, *body;
        size_t left; /* bytes of the next request */
        bool closes;
    } rows[] = {
        {"GET / HTTP/1.1\r\n" HOST "\r\n", "GET", "/", "", "a.example", "", "", 0, false},
        {"GET /a/b?c=d?e HTTP/1.1\r\n" HOST "\r\n", "GET", "/a/b", "c=d?e", "a.example", "", "", 0, false},
        {"HEAD /%2e/../a HTTP/1.1\r\nhost: a.example:8443\r\n\r\nGET", "HEAD", "/%2e/../a", "",
         "a.example:8443", "", "", 3, false},
        {"GET / HTTP/1.0\r\n\r\n", "GET", "/", "", "", "", "", 0, true},
        {"GET / HTTP/1.1\r\n" HOST "Connection: foo, Close\r\n\r\n", "GET", "/", "", "a.example", "", "", 0,
         true},
        {"\r\n\r\nGET / HTTP/1.1\r\n" HOST "\r\n", "GET", "/", "", "a.example", "", "", 0, false},
        {"POST /x HTTP/1.1\r\n" HOST
         "Content-Type: application/jose+json\r\nContent-Length: 5\r\n\r\nhelloPOST",
         "POST", "/x", "", "a.example", "application/jose+json", "hello", 4, false},
        {"POST /x HTTP/1.1\r\n" HOST "Content-Length: 0\r\n\r\n", "POST", "/x", "", "a.example", "", "", 0,
         false},
        {"POST /x HTTP/1.0\r\nContent-Length: 00003\r\n\r\nabc", "POST", "/x", "", "", "", "abc", 0, true},
        {"POST / HTTP/1.1\r\n" CHUNKED "\r\n3\r\nabc\r\n00a;x=y\r\n0123456789\r\n0\r\n\r\n", "POST", "/", "",
         "a.example", "", "abc0123456789", 0, false},
        {"POST / HTTP/1.1\r\n" CHUNKED "\r\n1\r\na\r\n0\r\nTrailer: ignored\r\n\r\nmore", "POST", "/", "",
         "a.example", "", "a", 4, false},
        {"POST / HTTP/1.1\r\n" CHUNKED "\r\n0\r\n\r\n", "POST", "/", "", "a.example", "", "", 0, false},
    };
    static const size_t steps[] = {1, 2, 7, 4096};
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows) * ARRAY_LEN(steps); i++) {
        const char *bytes = rows[i / ARRAY_LEN(steps)].bytes;
        struct web_reader r = {0};
        struct err err = {""};
        size_t used;
        assert_true(web_reader_is_fresh(&r));
        if (feed(&r, bytes, strlen(bytes), steps[i % ARRAY_LEN(steps)], &used, &err) != WEB_READ_WHOLE)
            fail_msg("%s: %s", bytes, err.text);
        assert_false(web_reader_is_fresh(&r));
        struct web_request got = web_reader_request(&r);
        assert_text(got.method, rows[i / ARRAY_LEN(steps)].method);
        assert_text(got.path, rows[i / ARRAY_LEN(steps)].path);
        assert_text(got.query, rows[i / ARRAY_LEN(steps)].query);
        assert_text(got.host, rows[i / ARRAY_LEN(steps)].host);
        assert_text(got.type, rows[i / ARRAY_LEN(steps)].type);
        assert_text(got.body, rows[i / ARRAY_LEN(steps)].body);
        assert_int_equal(strlen(bytes) - used, rows[i / ARRAY_LEN(steps)].left);
        assert_int_equal(web_reader_closes(&r), rows[i / ARRAY_LEN(steps)].closes);
        web_reader_free(&r);
    }
}

static const struct bad {
    const char *bytes;
    unsigned status;
    const char *why;
} bad_rows[] = {
    /* Where does the content end? */
    {"POST / HTTP/1.1\r\n" CHUNKED "Content-Length: 3\r\n\r\nabc", 400, "both Transfer-Encoding"},
    {"POST / HTTP/1.1\r\n" HOST "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n", 400, "both"},
    {"POST / HTTP/1.1\r\n" HOST "Content-Length: 3\r\nContent-Length: 3\r\n\r\nabc", 400,
     "more than one Content-Length"},
    {"POST / HTTP/1.1\r\n" HOST "Content-Length: 3, 3\r\n\r\nabc", 400, "no number"},
    {"POST / HTTP/1.1\r\n" HOST "Content-Length: +3\r\n\r\nabc", 400, "no number"},
    {"POST / HTTP/1.1\r\n" HOST "Content-Length: -1\r\n\r\n", 400, "no number"},
    {"POST / HTTP/1.1\r\n" HOST "Content-Length: 0x3\r\n\r\nabc", 400, "no number"},
    {"POST / HTTP/1.1\r\n" HOST "Content-Length:\r\n\r\n", 400, "no number"},
    {"POST / HTTP/1.1\r\n" HOST "Content-Length: 18446744073709551619\r\n\r\nabc", 400, "no number"},
    {"POST / HTTP/1.1\r\n" HOST "Content-Length: 65537\r\n\r\n", 413, "longer than is taken"},
    {"POST / HTTP/1.1\r\n" HOST "Content-Length: 999999999999\r\n\r\n", 413, "longer than is taken"},
    {"POST / HTTP/1.1\r\n" CHUNKED "Transfer-Encoding: chunked\r\n\r\n", 400, "more than one Transfer"},
    {"POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: gzip, chunked\r\n\r\n", 501, "other than chunked"},
    {"POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: identity\r\n\r\n", 501, "other than chunked"},
    {"POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: xchunked\r\n\r\n", 501, "other than chunked"},
    {"POST / HTTP/1.1\r\n" HOST "Transfer-Encoding : chunked\r\n\r\n", 400, "no header field"},
    {"POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: \x0b chunked\r\n\r\n", 400, "control character"},
    {"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", 400, "in HTTP/1.0"},
    /* Chunks. */
    {"POST / HTTP/1.1\r\n" CHUNKED "\r\n\r\n", 400, "chunk"},
    {"POST / HTTP/1.1\r\n" CHUNKED "\r\n3\nabc", 400, "chunk"},
    {"POST / HTTP/1.1\r\n" CHUNKED "\r\n 3\r\nabc", 400, "chunk"},
    {"POST / HTTP/1.1\r\n" CHUNKED "\r\n-3\r\nabc", 400, "chunk"},
    {"POST / HTTP/1.1\r\n" CHUNKED "\r\n0x3\r\nabc", 400, "chunk"},
    {"POST / HTTP/1.1\r\n" CHUNKED "\r\n3\r\nabcd\r\n", 400, "chunk"},
    {"POST / HTTP/1.1\r\n" CHUNKED "\r\n3\r\nabc\n", 400, "chunk"},
    {"POST / HTTP/1.1\r\n" CHUNKED "\r\n3;\x01\r\nabc", 400, "chunk"},
    {"POST / HTTP/1.1\r\n" CHUNKED "\r\nfffffffffffffffff\r\n", 400, "chunk"},
    {"POST / HTTP/1.1\r\n" CHUNKED "\r\n0\r\n folded: x\r\n\r\n", 400, "folded"},
    {"POST / HTTP/1.1\r\n" CHUNKED "\r\n0\r\nno field\r\n\r\n", 400, "no header field"},
    {"POST / HTTP/1.1\r\n" CHUNKED "\r\n0\r\na: b\n\r\n", 400, "CR LF"},
    /* Lines. */
    {"GET / HTTP/1.1\n" HOST "\r\n", 400, "CR LF"},
    {"GET / HTTP/1.1\r\n" HOST "X: 1\n\r\n", 400, "CR LF"},
    {"GET / HTTP/1.1\r\n" HOST "X: 1\rContent-Length: 3\r\n\r\n", 400, "CR LF"},
    {"GET / HTTP/1.1\r\n" HOST "X: 1\r\n Content-Length: 3\r\n\r\n", 400, "folded"},
    {"GET / HTTP/1.1\r\n X: 1\r\n" HOST "\r\n", 400, "folded"},
    {"GET / HTTP/1.1\r\n" HOST "X: a\x01z\r\n\r\n", 400, "control character"},
    {"GET / HTTP/1.1\r\n" HOST "X Y: 1\r\n\r\n", 400, "no header field"},
    {"GET  / HTTP/1.1\r\n" HOST "\r\n", 505, "not HTTP/1.1"},
    {"GET /a b HTTP/1.1\r\n" HOST "\r\n", 505, "not HTTP/1.1"},
    {"GET / HTTP/1.1 \r\n" HOST "\r\n", 505, "not HTTP/1.1"},
    {"GET / HTTP/2.0\r\n" HOST "\r\n", 505, "not HTTP/1.1"},
    {"GET /\r\n", 400, "first line"},
    {"\x16\x03\x01\x02", 400, "control character"},
    /* For whom, and what? */
    {"GET / HTTP/1.1\r\n\r\n", 400, "no Host"},
    {"GET / HTTP/1.1\r\n" HOST HOST "\r\n", 400, "more than one Host"},
    {"GET / HTTP/1.1\r\nHost: a@b\r\n\r\n", 400, "no host"},
    {"GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", 400, "no host"},
    {"GET http://a.example/ HTTP/1.1\r\n" HOST "\r\n", 400, "not a path"},
    {"GET a HTTP/1.1\r\n" HOST "\r\n", 400, "not a path"},
    {"OPTIONS * HTTP/1.1\r\n" HOST "\r\n", 400, "not a path"},
    {"GET /a#b HTTP/1.1\r\n" HOST "\r\n", 400, "not a path"},
    {"G@T / HTTP/1.1\r\n" HOST "\r\n", 400, "first line"},
    {"POST / HTTP/1.1\r\n" HOST "Expect: tea\r\n\r\n", 417, "Expect"},
    {"POST / HTTP/1.1\r\n" HOST "Content-Type: a\r\nContent-Type: b\r\n\r\n", 400,
     "more than one Content-Type"},
};

static void check_bad(const char *bytes, size_t len, unsigned status, const char *why)
{
    static const size_t steps[] = {1, 3, 70000};
    for (size_t k = 0; k < ARRAY_LEN(steps); k++) {
        struct web_reader r = {0};
        struct err err = {""};
        size_t used;
        if (feed(&r, bytes, len, steps[k], &used, &err) != WEB_READ_BAD)
            fail_msg("'%s' was taken", bytes);
        if (r.bad != status || strstr(err.text, why) == NULL)
            fail_msg("'%s': got %u %s, expected %u %s", bytes, r.bad, err.text, status, why);
        web_reader_free(&r);
    }
}

static void test_bad(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(bad_rows); i++)
        check_bad(bad_rows[i].bytes, strlen(bad_rows[i].bytes), bad_rows[i].status, bad_rows[i].why);
    static const char nul[] = "GET / HTTP/1.1\r\n" HOST "X: a\0b\r\n\r\n";
    check_bad(nul, sizeof(nul) - 1, 400, "control character");
}

/* A text of `n` times the same piece between two others. */
static struct buf repeated(const char *before, const char *piece, size_t n, const char *after)
{
    struct buf b = {0};
    CHECK(buf_printf(&b, "%s", before));
    for (size_t i = 0; i < n; i++)
        CHECK(buf_append(&b, piece, strlen(piece)));
    CHECK(buf_printf(&b, "%s", after));
    return b;
}

static void test_bounds(void **state)
{
    (void)state;
    static const struct {
        const char *before, *piece;
        size_t n;
        const char *after;
        unsigned status; /* 0: it is taken */
    } rows[] = {
        {"GET / HTTP/1.1\r\n" HOST "X: ", "x", 8150, "\r\n\r\n", 0},
        {"GET / HTTP/1.1\r\n" HOST "X: ", "x", 8200, "\r\n\r\n", 431},
        {"GET / HTTP/1.1\r\n" HOST, "X: y\r\n", 99, "\r\n", 0},
        {"GET / HTTP/1.1\r\n" HOST, "X: y\r\n", 100, "\r\n", 431},
        {"GET /", "x", 9000, " HTTP/1.1\r\n" HOST "\r\n", 431},
        {"POST / HTTP/1.1\r\n" HOST "Content-Length: 65536\r\n\r\n", "x", 65536, "", 0},
        {"POST / HTTP/1.1\r\n" CHUNKED "\r\n", "1\r\nx\r\n", 65536, "0\r\n\r\n", 0},
        {"POST / HTTP/1.1\r\n" CHUNKED "\r\n", "1\r\nx\r\n", 65537, "0\r\n\r\n", 413},
        {"POST / HTTP/1.1\r\n" CHUNKED "\r\n10001\r\n", "x", 65537, "\r\n0\r\n\r\n", 413},
        {"POST / HTTP/1.1\r\n" CHUNKED "\r\n0;", "x", 2000, "\r\n\r\n", 400},
        {"POST / HTTP/1.1\r\n" CHUNKED "\r\n0\r\n", "X: y\r\n", 101, "\r\n", 431},
        {"POST / HTTP/1.1\r\n" CHUNKED "\r\n0\r\nX:", "y", 8200, "\r\n\r\n", 431},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct buf b = repeated(rows[i].before, rows[i].piece, rows[i].n, rows[i].after);
        struct web_reader r = {0};
        struct err err = {""};
        size_t used;
        enum web_read result = feed(&r, (const char *)b.data, b.len, 1000, &used, &err);
        if (result != (rows[i].status == 0 ? WEB_READ_WHOLE : WEB_READ_BAD) || r.bad != rows[i].status)
            fail_msg("row %zu: %u %s", i, r.bad, err.text);
        assert_true(r.body.cap <= WEB_BODY_MAX && r.head.cap <= (size_t)2 * HEAD_MAX);
        web_reader_free(&r);
        buf_free(&b);
    }
}

static void test_continue(void **state)
{
    static const char head[] = "POST / HTTP/1.1\r\n" HOST "Expect: 100-Continue\r\nContent-Length: 3\r\n\r\n";
    static const char old[] = "POST / HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n";
    struct web_reader r = {0};
    struct err err;
    size_t used;
    (void)state;
    assert_int_equal(feed(&r, head, 20, 20, &used, &err), WEB_READ_MORE);
    assert_false(web_reader_awaits_continue(&r));
    assert_int_equal(feed(&r, head + 20, sizeof(head) - 21, 100, &used, &err), WEB_READ_MORE);
    assert_true(web_reader_awaits_continue(&r));
    assert_int_equal(feed(&r, "a", 1, 1, &used, &err), WEB_READ_MORE);
    assert_false(web_reader_awaits_continue(&r));
    assert_int_equal(feed(&r, "bcd", 3, 3, &used, &err), WEB_READ_WHOLE);
    assert_int_equal(used, 2);
    web_reader_free(&r);
    r = (struct web_reader){0};
    assert_int_equal(feed(&r, old, sizeof(old) - 1, 100, &used, &err), WEB_READ_MORE);
    assert_false(web_reader_awaits_continue(&r)); /* RFC 9110, 10.1.1: HTTP/1.0 does not know it */
    web_reader_free(&r);
}

/* ---- writing ---- */

#define DATE "Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n"

static void check_written(struct web_answer *a, bool head_only, bool closes, const char *want)
{
    struct buf out = {0};
    const struct web_framing how = {head_only, closes, 784111777};
    assert_true(web_answer_write(a, &how, &out));
    assert_string_equal(buf_text(&out), want);
    buf_free(&out);
    web_answer_free(a);
}

static void test_answers(void **state)
{
    struct web_answer a = {0};
    (void)state;
    web_answer_text(&a, 404, "no\r\nsuch %s", "page");
    web_answer_field(&a, "Link", "<%s>;rel=\"up\"", "https://a.example/\r\nEvil: 1");
    check_written(&a, false, false,
                  "HTTP/1.1 404 Not Found\r\n" DATE
                  "Content-Length: 14\r\nContent-Type: text/plain; charset=utf-8\r\n"
                  "Link: <https://a.example/??Evil: 1>;rel=\"up\"\r\n\r\nno??such page\n");
    web_answer_text(&a, 200, "x");
    check_written(
        &a, true, true,
        "HTTP/1.1 200 OK\r\n" DATE
        "Content-Length: 2\r\nContent-Type: text/plain; charset=utf-8\r\nConnection: close\r\n\r\n");
    a.status = 204;
    check_written(&a, false, false, "HTTP/1.1 204 No Content\r\n" DATE "\r\n");
    a.status = 201;
    check_written(&a, false, false, "HTTP/1.1 201 Created\r\n" DATE "Content-Length: 0\r\n\r\n");
    web_answer_not_allowed(&a, "POST");
    check_written(&a, true, false,
                  "HTTP/1.1 405 Method Not Allowed\r\n" DATE
                  "Content-Length: 26\r\nContent-Type: text/plain; charset=utf-8\r\nAllow: POST\r\n\r\n");
}

/* ---- services ---- */

/* Keeps what it is answered. */
struct keeper {
    struct web_exchange exchange;
    struct web_answer answer;
};

static void keep(struct web_exchange *x, struct web_answer *answer)
{
    struct keeper *k = CONTAINER_OF(x, struct keeper, exchange);
    assert_int_equal(k->answer.status, 0);
    k->answer = *answer;
    *answer = (struct web_answer){0};
}

static void ask(const struct web_service *service, const struct web_request *request, unsigned status,
                const char *text)
{
    struct keeper k = {.exchange.answer = keep};
    service->serve(service->arg, request, &k.exchange);
    assert_int_equal(k.answer.status, status);
    struct buf all = {0};
    assert_true(web_answer_write(&k.answer, &(struct web_framing){0}, &all));
    if (strstr(buf_text(&all), text) == NULL)
        fail_msg("got %s, expected %s in it", (const char *)all.data, text);
    buf_free(&all);
    web_answer_free(&k.answer);
}

static struct str text(const char *p)
{
    return (struct str){p, strlen(p)};
}

static void test_redirect(void **state)
{
    static const struct {
        const char *method, *host, *path, *query;
        uint16_t port;
        bool tls;
        unsigned status;
        const char *text;
    } rows[] = {
        {"GET", "a.example", "/x", "", 443, false, 301, "Location: https://a.example/x\r\n"},
        {"HEAD", "a.example:80", "/x", "y=z", 443, false, 301, "Location: https://a.example/x?y=z\r\n"},
        {"POST", "a.example:8080", "/", "", 8443, false, 308, "Location: https://a.example:8443/\r\n"},
        {"GET", "[2001:db8::1]:80", "/", "", 443, false, 301, "Location: https://[2001:db8::1]/\r\n"},
        {"GET", "[2001:db8::1]", "/", "", 444, false, 301, "Location: https://[2001:db8::1]:444/\r\n"},
        {"GET", "", "/", "", 443, false, 400, "without Host"},
        {"GET", ":80", "/", "", 443, false, 400, "without Host"},
        {"GET", "a.example", "/", "", 443, true, 404, "nothing else"},
        {"GET", "a.example", "//evil.example/", "", 443, false, 301,
         "Location: https://a.example//evil.example/\r\n"},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        const struct web_request r = {.method = text(rows[i].method),
                                      .host = text(rows[i].host),
                                      .path = text(rows[i].path),
                                      .query = text(rows[i].query),
                                      .tls = rows[i].tls,
                                      .https_port = rows[i].port};
        ask(&web_redirect, &r, rows[i].status, rows[i].text);
    }
}

#define WELL_KNOWN "/.well-known/acme-challenge/"

static void test_challenges(void **state)
{
    struct challenges *c = challenges_new();
    const struct web_service service = challenges_service(c);
    struct web_request r = {.method = text("GET"), .path = text(WELL_KNOWN "token-1")};
    (void)state;
    ask(&service, &r, 404, "no challenge");
    assert_true(challenges_put(c, "a.example", "token-1", "token-1.abc"));
    assert_true(challenges_put(c, "b.example", "token-2", "token-2.abc"));
    ask(&service, &r, 200, "\r\n\r\ntoken-1.abc");
    assert_true(challenges_put(c, "a.example", "token-1", "token-1.xyz")); /* in place of the other */
    ask(&service, &r, 200, "\r\n\r\ntoken-1.xyz");
    r.method = text("POST");
    ask(&service, &r, 405, "Allow: GET, HEAD");
    r.method = text("HEAD");
    r.path = text(WELL_KNOWN "token-");
    ask(&service, &r, 404, "no challenge");
    r.path = text(WELL_KNOWN);
    ask(&service, &r, 404, "no challenge");
    r.path = text(WELL_KNOWN "token-1");
    challenges_drop(c, "b.example", "token-1"); /* not its token */
    ask(&service, &r, 200, "token-1.xyz");
    challenges_drop(c, "a.example", "token-1");
    challenges_drop(c, "a.example", "token-1");
    ask(&service, &r, 404, "no challenge");
    assert_null(challenges_cert(c, text("a.example")));
    challenges_free(c);
}

static void test_challenges_are_bounded(void **state)
{
    struct challenges *c = challenges_new();
    char name[32];
    (void)state;
    for (int i = 0; i < CHALLENGES_MAX; i++) {
        snprintf(name, sizeof(name), "n%d.example", i);
        assert_true(challenges_put(c, name, name, "answer"));
    }
    assert_false(challenges_put(c, "one.example", "more", "answer"));
    assert_true(challenges_put(c, name, name, "another"));
    challenges_drop(c, name, name);
    assert_true(challenges_put(c, "one.example", "more", "answer"));
    challenges_free(c);
}

/* Puts and drops one token for as long as others look. */
static void *come_and_go(void *arg)
{
    struct challenges *c = arg;
    for (int i = 0; i < 2000; i++) {
        CHECK(challenges_put(c, "a.example", "token", i % 2 == 0 ? "token.even" : "token.odd"));
        if (i % 3 == 0)
            challenges_drop(c, "a.example", "token");
    }
    challenges_drop(c, "a.example", "token");
    return NULL;
}

/* Whoever looks meanwhile finds nothing or a whole answer. */
static void test_challenges_from_threads(void **state)
{
    struct challenges *c = challenges_new();
    pthread_t threads[2];
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(threads); i++)
        assert_int_equal(pthread_create(&threads[i], NULL, come_and_go, c), 0);
    for (int i = 0; i < 5000; i++) {
        struct buf got = {0};
        if (challenges_answer(c, text("token"), &got))
            assert_true(strcmp(buf_text(&got), "token.even") == 0 ||
                        strcmp(buf_text(&got), "token.odd") == 0);
        buf_free(&got);
    }
    for (size_t i = 0; i < ARRAY_LEN(threads); i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    struct buf none = {0};
    assert_false(challenges_answer(c, text("token"), &none));
    challenges_free(c);
}

static void test_longest_prefix(void **state)
{
    static const char *const all[] = {"/", NULL}, *const ca[] = {"/ca/", "/crl", NULL},
                             *const deep[] = {"/ca/ocsp/", NULL};
    static const struct web_service rows[] = {
        {.name = "all", .prefixes = all}, {.name = "ca", .prefixes = ca}, {.name = "deep", .prefixes = deep}};
    const struct web_service *two[] = {&rows[1], &rows[2]}, *three[] = {&rows[0], &rows[1], &rows[2]};
    (void)state;
    assert_ptr_equal(web_service_find(three, 3, text("/")), &rows[0]);
    assert_ptr_equal(web_service_find(three, 3, text("/ca")), &rows[0]);
    assert_ptr_equal(web_service_find(three, 3, text("/ca/")), &rows[1]);
    assert_ptr_equal(web_service_find(three, 3, text("/crl.der")), &rows[1]);
    assert_ptr_equal(web_service_find(three, 3, text("/ca/ocsp/x")), &rows[2]);
    assert_null(web_service_find(two, 2, text("/x")));
    assert_null(web_service_find(two, 0, text("/")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_good),
        cmocka_unit_test(test_bad),
        cmocka_unit_test(test_bounds),
        cmocka_unit_test(test_continue),
        cmocka_unit_test(test_answers),
        cmocka_unit_test(test_redirect),
        cmocka_unit_test(test_challenges),
        cmocka_unit_test(test_challenges_are_bounded),
        cmocka_unit_test(test_challenges_from_threads),
        cmocka_unit_test(test_longest_prefix),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
