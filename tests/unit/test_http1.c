/* SPDX-License-Identifier: Apache-2.0 */
/* http1/: requests on their way to a backend, whatever a client makes of them and however they are cut. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/buf.h"
#include "http1/http1_link.h"
#include "http1/response.h"
#include "http1/rewrite.h"
#include "link/mem_link.h"

#define TOLD "Client-Cert: :QQ==:\r\n"

static void tell(void *arg, struct buf *out)
{
    unsigned *asked = arg;
    *asked += 1;
    assert_true(buf_append(out, TOLD, strlen(TOLD)));
}

/* ---- a client, a door, a backend ---- */

struct ends {
    struct link *top; /* the backend's side of the link: what it reads, what it answers */
    struct link *client;
    unsigned asked, woken;
};

static void on_wake(struct link *l)
{
    struct ends *e = l->owner;
    e->woken++;
}

static void begin(struct ends *e, const char *early)
{
    struct link *lower;
    *e = (struct ends){0};
    mem_link_pair(1 << 20, &lower, &e->client);
    e->top = http1_link_new(lower, (struct str){early, strlen(early)}, tell, &e->asked);
    e->top->wake = on_wake;
    e->top->owner = e;
}

static void end(struct ends *e)
{
    link_close(e->top, false);
    link_close(e->client, false);
}

static void says(struct link *l, const char *data, size_t len)
{
    size_t n;
    if (len == 0)
        return;
    assert_int_equal(link_write(l, data, len, &n), LINK_OK);
    assert_int_equal(n, len);
}

static void say(struct link *l, const char *text)
{
    says(l, text, strlen(text));
}

/* All that is there, `cap` bytes at a time. */
static enum link_status drain(struct link *l, size_t cap, struct buf *out)
{
    uint8_t piece[4096];
    enum link_status status;
    size_t n;
    while ((status = link_read(l, piece, cap, &n)) == LINK_OK)
        assert_true(n > 0 && n <= cap && buf_append(out, piece, n));
    return status;
}

static void assert_reads(struct link *l, enum link_status last, const char *expected)
{
    struct buf out = {0};
    assert_int_equal(drain(l, 4096, &out), last);
    assert_string_equal(buf_text(&out), expected);
    buf_free(&out);
}

/* ---- what goes through ---- */

static const struct {
    const char *in, *out; /* `out` has $ where the door tells */
} good[] = {
    {"GET / HTTP/1.1\r\nHost: a\r\n\r\n", "GET / HTTP/1.1\r\nHost: a\r\n$\r\n"},
    {"GET / HTTP/1.0\r\n\r\n", "GET / HTTP/1.0\r\n$\r\n"},
    {"\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", "GET / HTTP/1.1\r\nHost: a\r\n$\r\n"},
    {"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabcGET / HTTP/1.1\r\nHost: b\r\n\r\n",
     "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n$\r\nabcGET / HTTP/1.1\r\nHost: b\r\n$\r\n"},
    {"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\nGET / HTTP/1.1\r\nHost: b\r\n\r\n",
     "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n$\r\nGET / HTTP/1.1\r\nHost: b\r\n$\r\n"},
    {"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: Chunked\r\n\r\n4;x=\"y\"\r\nabcd\r\n0\r\n\r\n"
     "GET / HTTP/1.1\r\nHost: b\r\n\r\n",
     "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: Chunked\r\n$\r\n4;x=\"y\"\r\nabcd\r\n0\r\n\r\n"
     "GET / HTTP/1.1\r\nHost: b\r\n$\r\n"},
    {"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX: 1\r\nClient-Cert: :x:\r\n"
     "Content-Length: 7\r\n\r\nGET / HTTP/1.1\r\nHost: b\r\n\r\n",
     "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n$\r\n0\r\nX: 1\r\n\r\n"
     "GET / HTTP/1.1\r\nHost: b\r\n$\r\n"},
    {"POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\nok",
     "POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 2\r\n$\r\nok"},
    {"GET http://a/ HTTP/1.1\r\nHost:a\r\nCookie: \xc3\xa4;b\r\nEmpty:\r\n\r\n",
     "GET http://a/ HTTP/1.1\r\nHost:a\r\nCookie: \xc3\xa4;b\r\nEmpty:\r\n$\r\n"},
    {"GET / HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, TE\r\nTE: trailers\r\n\r\n",
     "GET / HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, TE\r\nTE: trailers\r\n$\r\n"},
    /* HTTP/2 without TLS would be spoken unseen */
    {"GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: "
     "AA\r\n\r\n",
     "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, HTTP2-Settings\r\n$\r\n"},
    {"GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket, H2C\r\n\r\n",
     "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\n$\r\n"},
};

/* Spellings under which a client tries to say who he is: none arrives. */
static const char *const forged[] = {
    "Client-Cert: :x:",           "client-cert: :x:",         "CLIENT-CERT: :x:",
    "Client_Cert: :x:",           "Client.Cert: :x:",         "Client-Cert:",
    "Client-Cert:\t:x:\t",        "Client-Cert-Chain: :x:",   "client_cert_chain: :x:",
    "Client-Cert-Extra: x",       "Forwarded: for=10.0.0.1",  "forwarded: for=10.0.0.1",
    "X-Forwarded-For: 10.0.0.1",  "X_Forwarded_For: 1",       "x-forwarded_proto: https",
    "X-Forwarded-Client-Cert: x", "X-Forwarded-Host: evil",   "X-Real-IP: 10.0.0.1",
    "X_Real.IP: 10.0.0.1",        "SSL-Client-S-DN: CN=root", "SSL_CLIENT_VERIFY: SUCCESS",
    "X-SSL-Client-CN: root",      "X~Forwarded'For: 1",
};

/* `out` with what is told in place of $. */
static char *expand(const char *text)
{
    struct buf out = {0};
    for (; *text != '\0'; text++)
        assert_true(*text == '$' ? buf_append(&out, TOLD, strlen(TOLD)) : buf_append(&out, text, 1));
    return buf_text(&out);
}

/* In two pieces, cut anywhere, and in single bytes, read in pieces of any size. */
static void assert_passes(const char *in, const char *out)
{
    size_t len = strlen(in);
    char *expected = expand(out);
    for (size_t cut = 0; cut <= len; cut++) {
        struct ends e;
        struct buf got = {0};
        size_t cap = 1 + cut % 40;
        begin(&e, "");
        says(e.client, in, cut);
        assert_int_equal(drain(e.top, cap, &got), LINK_AGAIN);
        says(e.client, in + cut, len - cut);
        assert_int_equal(drain(e.top, cap, &got), LINK_AGAIN);
        assert_string_equal(buf_text(&got), expected);
        assert_int_equal(e.top->bytes_read, len);
        buf_free(&got);
        end(&e);
    }
    struct ends e;
    struct buf got = {0};
    begin(&e, "");
    for (size_t i = 0; i < len; i++) {
        says(e.client, in + i, 1);
        assert_int_equal(drain(e.top, 7, &got), LINK_AGAIN);
    }
    assert_string_equal(buf_text(&got), expected);
    buf_free(&got);
    end(&e);
    begin(&e, in); /* all of it was read before */
    assert_reads(e.top, LINK_AGAIN, expected);
    end(&e);
    free(expected);
}

static void test_passes(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(good); i++)
        assert_passes(good[i].in, good[i].out);
}

/* What looks like a request within content is content: its forged field stays what it is, bytes. */
static void test_content_is_not_read(void **state)
{
    (void)state;
    static const char inner[] = "GET / HTTP/1.1\r\nClient-Cert: :x:\r\n\r\n";
    char in[512], out[512];
    snprintf(in, sizeof(in),
             "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %zu\r\n\r\n%sGET /2 HTTP/1.1\r\nHost: a\r\n\r\n",
             strlen(inner), inner);
    snprintf(
        out, sizeof(out),
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %zu\r\n$\r\n%sGET /2 HTTP/1.1\r\nHost: a\r\n$\r\n",
        strlen(inner), inner);
    assert_passes(in, out);
}

static void test_forged(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(forged); i++) {
        char in[256];
        snprintf(in, sizeof(in), "GET / HTTP/1.1\r\nHost: a\r\n%s\r\nX: 1\r\n%s\r\n\r\n", forged[i],
                 forged[i]);
        assert_passes(in, "GET / HTTP/1.1\r\nHost: a\r\nX: 1\r\n$\r\n");
    }
}

/* ---- what does not ---- */

static const struct {
    const char *in;
    unsigned status;
    const char *why; /* part of it */
} bad[] = {
    {"GET /\r\n\r\n", 400, "first line"},
    {"GET  / HTTP/1.1\r\nHost: a\r\n\r\n", 400, "first line"},
    {"GET / HTTP/1.1 \r\nHost: a\r\n\r\n", 505, "not HTTP/1.1"},
    {"GET /\tx HTTP/1.1\r\nHost: a\r\n\r\n", 400, "first line"},
    {"G(T / HTTP/1.1\r\nHost: a\r\n\r\n", 400, "first line"},
    {"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505, "not HTTP/1.1"},
    {"GET / http/1.1\r\nHost: a\r\n\r\n", 505, "not HTTP/1.1"},
    {"GET / HTTP/1.1\nHost: a\n\n", 400, "CR LF"},
    {"GET / HTTP/1.1\r\nHost: a\nClient-Cert: :x:\r\n\r\n", 400, "CR LF"},
    {"GET / HTTP/1.1\r\nHost: a\r\nX: a\rClient-Cert: :x:\r\n\r\n", 400, "CR LF"},
    {"GET / HTTP/1.1\r\nHost: a\r\nX: a\vb\r\n\r\n", 400, "control"},
    {"GET / HTTP/1.1\r\nHost: a\r\nX: 1\r\n Client-Cert: :x:\r\n\r\n", 400, "folded"},
    {"GET / HTTP/1.1\r\n Host: a\r\n\r\n", 400, "folded"},
    {"GET / HTTP/1.1\r\nHost: a\r\nClient-Cert : :x:\r\n\r\n", 400, "no header field"},
    {"GET / HTTP/1.1\r\nHost: a\r\nClient-Cert\t: :x:\r\n\r\n", 400, "no header field"},
    {"GET / HTTP/1.1\r\nHost: a\r\nClient Cert: :x:\r\n\r\n", 400, "no header field"},
    {"GET / HTTP/1.1\r\nHost: a\r\n: x\r\n\r\n", 400, "no header field"},
    {"GET / HTTP/1.1\r\nHost: a\r\nnothing\r\n\r\n", 400, "no header field"},
    {"GET / HTTP/1.1\r\nHost: a\r\n\"Client-Cert\": :x:\r\n\r\n", 400, "no header field"},
    {"GET / HTTP/1.1\r\n\r\n", 400, "no Host"},
    {"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400, "more than one Host"},
    {"GET / HTTP/1.1\r\nHost: a,b\r\n\r\n", 400, "no host"},
    {"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n", 400, "both"},
    {"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\nabc", 400,
     "more than one Content-Length"},
    {"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3, 3\r\n\r\nabc", 400, "no number"},
    {"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +3\r\n\r\nabc", 400, "no number"},
    {"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0x3\r\n\r\nabc", 400, "no number"},
    {"POST / HTTP/1.1\r\nHost: a\r\nContent-Length:\r\n\r\nabc", 400, "no number"},
    {"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999999999999\r\n\r\n", 400, "no number"},
    {"POST / HTTP/1.1\r\nHost: a\r\nContent_Length: 3\r\n\r\nabc", 400, "may take for"},
    {"POST / HTTP/1.1\r\nHost: a\r\nTransfer_Encoding: chunked\r\n\r\n", 400, "may take for"},
    {"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", 501, "other than chunked"},
    {"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\n\r\n", 501, "other than chunked"},
    {"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n", 400,
     "more than one Transfer-Encoding"},
    {"POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n", 400, "HTTP/1.0"},
    {"CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n", 501, "CONNECT"},
    {"Connect a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n", 501, "CONNECT"},
    {"head / HTTP/1.1\r\nHost: a\r\n\r\n", 501, "HEAD"},
    {"GET / HTTP/1.1\r\nHost: a\r\nConnection: close, Client-Cert\r\n\r\n", 400, "Connection names"},
    {"GET / HTTP/1.1\r\nHost: a\r\nConnection: client_cert\r\n\r\n", 400, "Connection names"},
    {"GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: websocket\r\nUpgrade: h2c\r\n\r\n", 400,
     "more than one Upgrade"},
};

/* Refused at once, by an answer and an end; nothing of it has reached the backend. */
static void test_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        size_t len = strlen(bad[i].in);
        for (size_t cut = 0; cut < len; cut++) {
            struct ends e;
            struct buf got = {0}, answer = {0};
            struct link_peer peer;
            char status[32];
            begin(&e, "");
            says(e.client, bad[i].in, cut);
            enum link_status first = drain(e.top, 100, &got);
            if (first == LINK_AGAIN) {
                says(e.client, bad[i].in + cut, len - cut);
                first = drain(e.top, 100, &got);
            }
            assert_int_equal(first, LINK_ERROR);
            assert_int_equal(got.len, 0);
            assert_non_null(strstr(link_error(e.top), bad[i].why));
            link_peer(e.top, &peer);
            assert_true(peer.misspoke);
            snprintf(status, sizeof(status), "HTTP/1.1 %u ", bad[i].status);
            assert_int_equal(drain(e.client, 4096, &answer), LINK_AGAIN);
            assert_int_equal(strncmp(buf_text(&answer), status, strlen(status)), 0);
            assert_non_null(strstr(buf_text(&answer), bad[i].why));
            buf_free(&answer);
            buf_free(&got);
            end(&e);
        }
    }
}

/* A NUL is no end of anything. */
static void test_nul(void **state)
{
    (void)state;
    static const char in[] = "GET / HTTP/1.1\r\nHost: a\r\nX: a\0b\r\n\r\n";
    struct ends e;
    begin(&e, "");
    says(e.client, in, sizeof(in) - 1);
    assert_reads(e.top, LINK_ERROR, "");
    end(&e);
}

static void test_too_much(void **state)
{
    (void)state;
    struct ends e;
    struct buf head = {0};
    begin(&e, "");
    buf_printf(&head, "GET / HTTP/1.1\r\nHost: a\r\n");
    while (head.len < REWRITE_HEAD_MAX)
        buf_printf(&head, "X: %0200d\r\n", 1);
    says(e.client, (char *)head.data, head.len);
    assert_reads(e.top, LINK_ERROR, "");
    assert_non_null(strstr(link_error(e.top), "longer than"));
    end(&e);
    buf_free(&head);
    begin(&e, "");
    buf_printf(&head, "GET / HTTP/1.1\r\nHost: a\r\n");
    for (int i = 0; i < REWRITE_FIELDS_MAX; i++)
        buf_printf(&head, "X:\r\n");
    buf_printf(&head, "\r\n");
    says(e.client, (char *)head.data, head.len);
    assert_reads(e.top, LINK_ERROR, "");
    assert_non_null(strstr(link_error(e.top), "more than 200"));
    end(&e);
    buf_free(&head);
}

#define POST "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n"

/* Chunks that two readers could see the end of in different places. */
static void test_bad_chunks(void **state)
{
    (void)state;
    static const char *const chunks[] = {
        "3 \r\nabc\r\n",
        " 3\r\nabc\r\n",
        "3\nabc\r\n",
        "3\r\nabcd\r\n",
        "3\r\nabc\n0\r\n\r\n",
        "x\r\n",
        "\r\n",
        "-1\r\n",
        "0x3\r\nabc",
        ";a\r\n",
        "3;a\nb\r\nabc",
        "3;a\rb\r\nabc",
        "fffffffffffffff0\r\n",
        "0\r\nX : 1\r\n\r\n",
        "0\r\nX: 1\n\r\n",
        "0\r\n\nX",
    };
    for (size_t i = 0; i < ARRAY_LEN(chunks); i++) {
        struct ends e;
        struct buf got = {0}, answer = {0};
        begin(&e, "");
        say(e.client, POST "\r\n");
        say(e.client, chunks[i]);
        assert_int_equal(drain(e.top, 100, &got), LINK_ERROR);
        assert_int_equal(drain(e.client, 4096, &answer), LINK_AGAIN);
        assert_int_equal(strncmp(buf_text(&answer), "HTTP/1.1 400 ", 13), 0);
        buf_free(&answer);
        buf_free(&got);
        end(&e);
    }
}

/* ---- with answers ---- */

#define GET "GET / HTTP/1.1\r\nHost: a\r\n\r\n"
#define GET_TOLD "GET / HTTP/1.1\r\nHost: a\r\n" TOLD "\r\n"
#define WEBSOCKET "GET /ws HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
#define WEBSOCKET_TOLD \
    "GET /ws HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" TOLD "\r\n"

static void test_upgrade(void **state)
{
    (void)state;
    static const char said[] = "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n"
                               "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n";
    for (size_t cut = 0; cut < strlen(said); cut++) {
        struct ends e;
        struct buf got = {0};
        begin(&e, "");
        say(e.client, WEBSOCKET "\x81\x01x Client-Cert");
        assert_reads(e.top, LINK_AGAIN, WEBSOCKET_TOLD);
        says(e.top, said, cut);
        assert_int_equal(drain(e.top, 4096, &got), LINK_AGAIN);
        assert_int_equal(got.len, 0);
        says(e.top, said + cut, strlen(said) - cut);
        assert_true(e.woken > 0);
        assert_reads(e.top, LINK_AGAIN, "\x81\x01x Client-Cert");
        say(e.client, GET);
        assert_reads(e.top, LINK_AGAIN, GET); /* whatever it is now */
        assert_int_equal(drain(e.client, 4096, &got), LINK_AGAIN);
        assert_int_equal(got.len, strlen(said));
        buf_free(&got);
        end(&e);
    }
}

/* Answers in which the end has to be found. */
static const char *const answers[] = {
    "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc",
    "HTTP/1.1 204 No Content\r\n\r\n",
    "HTTP/1.1 304 Not Modified\r\nContent-Length: 7\r\n\r\n",
    ("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 "
     "OK\r\nContent-Length: 0\r\n\r\n"),
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n5;x\r\nhello\r\n0\r\nX: 1\r\nYy: 2\r\n\r\n",
    "HTTP/1.1 200 OK\nContent-Length: 36\n\nHTTP/1.1 101 Switching Protocols\r\n\r\n",
};

/* Behind another request an upgrade is none, and what looks like a yes to it changes nothing. What is refused
 * is answered behind all answers before. */
static void test_later_upgrade(void **state)
{
    (void)state;
    static const char switched[] = "HTTP/1.1 101 Switching Protocols\r\n\r\n";
    static const char later[] = "GET /ws HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\n" TOLD "\r\n";
    for (size_t i = 0; i < ARRAY_LEN(answers); i++)
        for (size_t cut = 0; cut < strlen(answers[i]); cut++) {
            struct ends e;
            struct buf got = {0};
            char all[512];
            begin(&e, "");
            say(e.client, GET WEBSOCKET);
            snprintf(all, sizeof(all), "%s%s", GET_TOLD, later);
            assert_reads(e.top, LINK_AGAIN, all);
            says(e.top, answers[i], cut);
            says(e.top, answers[i] + cut, strlen(answers[i]) - cut);
            says(e.top, switched, strlen(switched));
            say(e.client, "GET /2 HTTP/1.1\r\nHost: a\r\nClient-Cert: :x:\r\n\r\n");
            assert_reads(e.top, LINK_AGAIN, "GET /2 HTTP/1.1\r\nHost: a\r\n" TOLD "\r\n");
            assert_int_equal(drain(e.client, 4096, &got), LINK_AGAIN);
            buf_free(&got);
            end(&e);
        }
}

/* Refused, the connection stays one of requests. */
static void test_upgrade_refused(void **state)
{
    (void)state;
    struct ends e;
    begin(&e, "");
    say(e.client, WEBSOCKET "GET /2 HTTP/1.1\r\nHost: a\r\nClient-Cert: :x:\r\n\r\n");
    assert_reads(e.top, LINK_AGAIN, WEBSOCKET_TOLD);
    say(e.top, "HTTP/1.1 403 No\r\nContent-Length: 2\r\n\r\nn");
    assert_reads(e.top, LINK_AGAIN, "");
    say(e.top, "o");
    assert_reads(e.top, LINK_AGAIN, "GET /2 HTTP/1.1\r\nHost: a\r\n" TOLD "\r\n");
    end(&e);
    begin(&e, ""); /* a 101 that nobody asked for changes nothing */
    say(e.client, GET);
    assert_reads(e.top, LINK_AGAIN, GET_TOLD);
    say(e.top, "HTTP/1.1 101 Switching Protocols\r\n\r\n");
    say(e.client, "GET /2 HTTP/1.1\r\nHost: a\r\nClient-Cert: :x:\r\n\r\n");
    assert_reads(e.top, LINK_AGAIN, "GET /2 HTTP/1.1\r\nHost: a\r\n" TOLD "\r\n");
    end(&e);
}

/* A head is answered without content. */
static void test_head(void **state)
{
    (void)state;
    struct ends e;
    begin(&e, "");
    say(e.client, "HEAD / HTTP/1.1\r\nHost: a\r\n\r\nGET / HTTP/1.1\r\n\r\n");
    assert_reads(e.top, LINK_AGAIN, "HEAD / HTTP/1.1\r\nHost: a\r\n" TOLD "\r\n");
    say(e.top, "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n");
    assert_reads(e.top, LINK_ERROR, ""); /* the next one is refused at once */
    end(&e);
}

/* So many requests may wait for their answers; the next one waits for the first of those. */
static void test_pipelining(void **state)
{
    (void)state;
    struct ends e;
    struct buf expected = {0}, got = {0};
    begin(&e, "");
    for (int i = 0; i < RESPONSES_MAX + 2; i++)
        say(e.client, GET);
    for (int i = 0; i < RESPONSES_MAX; i++)
        buf_printf(&expected, "%s", GET_TOLD);
    assert_reads(e.top, LINK_AGAIN, buf_text(&expected));
    say(e.top, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    assert_int_equal(e.woken > 0, 1);
    assert_reads(e.top, LINK_AGAIN, GET_TOLD);
    say(e.top, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    assert_reads(e.top, LINK_AGAIN, GET_TOLD);
    assert_int_equal(e.asked, RESPONSES_MAX + 2);
    buf_free(&expected);
    buf_free(&got);
    end(&e);
}

/* The answers before it come first; what is wrong is never mixed into another's. */
static void test_refused_behind_others(void **state)
{
    (void)state;
    struct ends e;
    begin(&e, "");
    say(e.client, GET "GET / HTTP/1.1\r\n\r\n" GET);
    assert_reads(e.top, LINK_AGAIN, GET_TOLD);
    assert_reads(e.client, LINK_AGAIN, "");
    say(e.top, "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n");
    assert_reads(e.top, LINK_AGAIN, "");
    say(e.top, "a");
    assert_true(e.woken > 0);
    assert_reads(e.top, LINK_ERROR, "");
    assert_reads(e.client, LINK_AGAIN,
                 "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\na"
                 "HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain\r\nContent-Length: 17\r\n"
                 "Connection: close\r\n\r\nthere is no Host\n");
    end(&e);
    begin(&e, ""); /* within a request whose answer has begun nothing can be said */
    say(e.client, POST "\r\n3\r\nabc\r\n");
    assert_reads(e.top, LINK_AGAIN, POST TOLD "\r\n3\r\nabc\r\n");
    say(e.top, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nab");
    say(e.client, "x\r\n");
    assert_reads(e.top, LINK_ERROR, "");
    assert_reads(e.client, LINK_AGAIN, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nab");
    end(&e);
}

/* Answers that cannot be followed pass all the same, and never make bytes of a client pass as they are. */
static void test_odd_answers(void **state)
{
    (void)state;
    static const char *const odd[] = {
        "SSH-2.0-OpenSSH\r\n\r\n",
        "HTTP/1.1 2x0 OK\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        "HTTP/1.1 200 OK\r\n\r\nuntil the end HTTP/1.1 101 x\r\n\r\n",
        ("HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\n\r\nHTTP/1.1 408 x\r\nContent-Length: "
         "0\r\n\r\n"),
    };
    for (size_t i = 0; i < ARRAY_LEN(odd); i++) {
        struct ends e;
        begin(&e, "");
        say(e.client, GET);
        assert_reads(e.top, LINK_AGAIN, GET_TOLD);
        say(e.top, odd[i]);
        say(e.top, "HTTP/1.1 101 Switching Protocols\r\n\r\n");
        say(e.client, GET);
        assert_reads(e.top, LINK_AGAIN, GET_TOLD);
        end(&e);
    }
}

/* Ends go through, and what was begun is no request. */
static void test_ends(void **state)
{
    (void)state;
    struct ends e;
    begin(&e, "");
    say(e.client, GET "GET / HT");
    assert_int_equal(link_shutdown(e.client), LINK_OK);
    assert_reads(e.top, LINK_EOF, GET_TOLD);
    say(e.top, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    assert_int_equal(link_shutdown(e.top), LINK_OK);
    assert_reads(e.client, LINK_EOF, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    end(&e);
    begin(&e, "");
    link_close(e.client, true);
    struct buf got = {0};
    struct link_peer peer;
    assert_int_equal(drain(e.top, 100, &got), LINK_ERROR);
    assert_false(link_peer(e.top, &peer) && peer.misspoke);
    link_close(e.top, true);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_passes),
        cmocka_unit_test(test_content_is_not_read),
        cmocka_unit_test(test_forged),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_nul),
        cmocka_unit_test(test_too_much),
        cmocka_unit_test(test_bad_chunks),
        cmocka_unit_test(test_upgrade),
        cmocka_unit_test(test_later_upgrade),
        cmocka_unit_test(test_upgrade_refused),
        cmocka_unit_test(test_head),
        cmocka_unit_test(test_pipelining),
        cmocka_unit_test(test_refused_behind_others),
        cmocka_unit_test(test_odd_answers),
        cmocka_unit_test(test_ends),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
