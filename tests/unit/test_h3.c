/* SPDX-License-Identifier: Apache-2.0 */
/* http/h3*.c under clients that break the rules, and under those that use them to the full. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <nghttp3/nghttp3.h>

#include "tests/unit/h3_peer.h"

#define BYTES(text) (text), sizeof(text) - 1
#define CONTROL PEER_UNI(0)

static void begin(struct peer *p)
{
    p->unis = 3;
    peer_begin(p, 8);
    peer_send(p, CONTROL, BYTES(PEER_CONTROL), false);
}

/* ---- what ends the connection ---- */

/* Some codes are not the ones that the RFCs name first, but what nghttp3 says. */
static const struct row {
    const char *what;
    int64_t stream;
    const char *bytes;
    size_t len;
    uint64_t code; /* RFC 9114, 8.1; RFC 9204, 6; 0: the connection goes on */
    bool fin;
} rows[] = {
    {"DATA before HEADERS", PEER_BIDI(0), BYTES("\0\1x"), 0x105, false},
    {"SETTINGS in a request", PEER_BIDI(0), BYTES("\4\0"), 0x105, false},
    {"GOAWAY in a request", PEER_BIDI(0), BYTES("\7\1\0"), 0x105, false},
    {"CANCEL_PUSH in a request", PEER_BIDI(0), BYTES("\3\1\0"), 0x105, false},
    {"PUSH_PROMISE of a client", PEER_BIDI(0), BYTES("\5\2\0\0"), 0x105, false},
    {"MAX_PUSH_ID in a request", PEER_BIDI(0), BYTES("\15\1\0"), 0x105, false},
    {"a frame that HTTP/2 has", PEER_BIDI(0), BYTES("\2\0"), 0x105, false},
    {"a frame of a type that nobody knows", PEER_BIDI(0), BYTES("\x21\3abc"), 0, false},
    {"HEADERS that are cut", PEER_BIDI(0), BYTES("\1\x10\0\0"), 0x106, true},
    {"half a frame's head", PEER_BIDI(0), BYTES("\x40"), 0x101, true},
    {"fields of the dynamic table", PEER_BIDI(0), BYTES("\1\3\2\0\x80"), 0x200, false},
    {"a field that the static table has not", PEER_BIDI(0), BYTES("\1\4\0\0\xff\x3f"), 0x200, false},
    {"a literal that is longer than the block", PEER_BIDI(0), BYTES("\1\4\0\0\x27\x7f"), 0x200, false},
    {"an integer without an end", PEER_BIDI(0),
     BYTES("\1\17\0\0\x27\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"), 0x200, false},
    {"a block without a prefix", PEER_BIDI(0), BYTES("\1\0"), 0x10e, false},
    {"an end and nothing before", PEER_BIDI(0), BYTES(""), 0x105, true},
    {"a second control stream", PEER_UNI(1), BYTES("\0\4\0"), 0x103, false},
    {"a push stream of a client", PEER_UNI(1), BYTES("\1\0"), 0x103, false},
    {"a stream of a type that nobody knows", PEER_UNI(1), BYTES("\x21 and more"), 0, false},
    {"a stream without a type", PEER_UNI(1), BYTES(""), 0, true},
    {"half a type", PEER_UNI(1), BYTES("\x40"), 0x101, true},
    {"SETTINGS twice", CONTROL, BYTES("\4\0"), 0x105, false},
    {"DATA on the control stream", CONTROL, BYTES("\0\1x"), 0x105, false},
    {"HEADERS on the control stream", CONTROL, BYTES("\1\2\0\0"), 0x105, false},
    {"a GOAWAY that grows", CONTROL, BYTES("\7\1\0\7\1\4"), 0x108, false},
    {"MAX_PUSH_ID that shrinks", CONTROL, BYTES("\15\1\7\15\1\3"), 0x106, false},
    {"the end of the control stream", CONTROL, BYTES(""), 0x104, true},
    {"a QPACK table that was not offered", PEER_UNI(1), BYTES("\2\x3f\xe1\37"), 0x201, false},
    {"an entry for a table of no size", PEER_UNI(1), BYTES("\2\x41\x61\1b"), 0x201, false},
    {"an acknowledgement of nothing", PEER_UNI(1), BYTES("\3\x80"), 0x202, false},
    {"an increment of nothing", PEER_UNI(1), BYTES("\3\0"), 0x202, false},
    {"an end of the QPACK encoder", PEER_UNI(1), BYTES("\2"), 0x104, true},
};

static void test_breaches(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        const struct row *r = &rows[i];
        struct peer p = {0};
        begin(&p);
        peer_send(&p, PEER_BIDI(7), BYTES("\1"), false); /* another, that is not whole */
        peer_send(&p, r->stream, r->bytes, r->len, r->fin);
        if (p.over != (r->code != 0) || p.code != r->code)
            fail_msg("%s: 0x%llx (%s)", r->what, (unsigned long long)p.code, p.why);
        assert_null(p.sessions.first);
        peer_end(&p);
    }
}

/* The same where it is the first that comes on the control stream. */
static void test_first_words(void **state)
{
    static const struct {
        const char *bytes;
        size_t len;
        uint64_t code;
    } first[] = {
        {BYTES("\0\7\1\0"), 0x10a},                         /* no SETTINGS */
        {BYTES("\0\x21\1x\4\0"), 0x10a},                    /* not first */
        {BYTES("\0\4\2\2\1"), 0x109},                       /* of HTTP/2 */
        {BYTES("\0\4\2\x33\2"), 0x109},                     /* neither yes nor no */
        {BYTES("\0\4\1\x33"), 0x106},                       /* an id without a value */
        {BYTES("\0\4\0"), 0},                               /* none */
        {BYTES("\0\4\7\x21\1\x40\x21\x40\2\x33"), 0x106},   /* greased, and cut */
        {BYTES("\0\4\x0b\x21\1\xc0\0\0\0\0\0\0\x99\1"), 0}, /* greased */
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(first); i++) {
        struct peer p = {.unis = 3};
        peer_begin(&p, 8);
        peer_send(&p, CONTROL, first[i].bytes, first[i].len, false);
        if (p.code != first[i].code)
            fail_msg("row %zu: 0x%llx (%s)", i, (unsigned long long)p.code, p.why);
        peer_end(&p);
    }
}

static void test_critical_streams(void **state)
{
    (void)state;
    struct peer p = {0};
    begin(&p);
    peer_reset(&p, CONTROL);
    assert_int_equal(p.code, NGHTTP3_H3_CLOSED_CRITICAL_STREAM);
    peer_end(&p);
    for (int own = 0; own < 3; own++) {
        p = (struct peer){0};
        begin(&p);
        peer_refuse(&p, PEER_OWN(own));
        assert_int_equal(p.code, NGHTTP3_H3_CLOSED_CRITICAL_STREAM);
        peer_end(&p);
    }
    for (size_t unis = 0; unis < 3; unis++) { /* it does not let us have what RFC 9114, 6.2 asks for */
        p = (struct peer){.unis = unis};
        peer_begin(&p, 8);
        assert_int_equal(p.code, NGHTTP3_H3_STREAM_CREATION_ERROR);
        peer_end(&p);
    }
}

/* ---- requests ---- */

/* The :status of the door's answer; 0: none. */
static unsigned status_of(const struct peer *p, int64_t id)
{
    const struct peer_stream *s = peer_find(p, id);
    nghttp3_qpack_decoder *d;
    nghttp3_qpack_stream_context *at;
    nghttp3_qpack_nv nv;
    uint8_t flags;
    unsigned status = 0;
    size_t len = peer_read_answer(s, NULL);
    const uint8_t *data = s->out.data;
    if (len == 0)
        return 0;
    data += data[1] < 0x40 ? 2 : 3;
    assert_int_equal(nghttp3_qpack_decoder_new(&d, 0, 0, nghttp3_mem_default()), 0);
    assert_int_equal(nghttp3_qpack_stream_context_new(&at, id, nghttp3_mem_default()), 0);
    nghttp3_ssize n = nghttp3_qpack_decoder_read_request(d, at, &nv, &flags, data, len, 1);
    assert_true(n > 0 && (flags & NGHTTP3_QPACK_DECODE_FLAG_EMIT));
    status = (unsigned)strtoul((const char *)nghttp3_rcbuf_get_buf(nv.value).base, NULL, 10);
    nghttp3_rcbuf_decref(nv.name);
    nghttp3_rcbuf_decref(nv.value);
    nghttp3_qpack_stream_context_del(at);
    nghttp3_qpack_decoder_del(d);
    return status;
}

#define UDP_UP_TO_PATH ":method\0CONNECT\0:protocol\0connect-udp\0:scheme\0https\0:authority\0door\0:path\0"

/* Requests that can be read, and what they are answered. */
static const struct {
    const char *what, *text;
    size_t len;
    unsigned status;
} requests[] = {
    {"CONNECT", BYTES(PEER_CONNECT), 200},
    {"connect-udp", BYTES(PEER_CONNECT_UDP), 200},
    {"connect-udp to ::1", BYTES(UDP_UP_TO_PATH "/.well-known/masque/udp/%3A%3A1/1/"), 200},
    {"another path", BYTES(UDP_UP_TO_PATH "/masque/udp/a.b/1/"), 400},
    {"port 0", BYTES(UDP_UP_TO_PATH "/.well-known/masque/udp/a.b/0/"), 400},
    {"a host with a NUL", BYTES(UDP_UP_TO_PATH "/.well-known/masque/udp/a%00b/1/"), 400},
    {"http",
     BYTES(":method\0CONNECT\0:protocol\0connect-udp\0:scheme\0http\0:authority\0door\0"
           ":path\0/.well-known/masque/udp/a.b/1/"),
     400},
    {"another :protocol",
     BYTES(":method\0CONNECT\0:protocol\0websocket\0:scheme\0https\0:authority\0door\0:path\0/"), 501},
    {"GET", BYTES(":method\0GET\0:scheme\0https\0:authority\0door\0:path\0/"), 405},
    {"connect in lower case", BYTES(":method\0connect\0:scheme\0https\0:authority\0door\0:path\0/"), 405},
    {"no port", BYTES(":method\0CONNECT\0:authority\0a.b"), 400},
    {"a port too large", BYTES(":method\0CONNECT\0:authority\0a.b:65536"), 400},
    {"a host of a number", BYTES(":method\0CONNECT\0:authority\000127.1:1"), 400},
    {"Host of another", BYTES(PEER_CONNECT "\0host\0c.d:1"), 400},
    {"Host of the same", BYTES(PEER_CONNECT "\0host\0A.B:1"), 200},
    {"Content-Length 0", BYTES(PEER_CONNECT "\0content-length\0000"), 200},
    /* nghttp3 leaves such fields out, and nothing here is sent on. */
    {"a name with a space", BYTES(PEER_CONNECT "\0x y\0z"), 200},
    {"a name of nothing", BYTES(PEER_CONNECT "\0\0z"), 200},
    {"a value with a line end", BYTES(PEER_CONNECT "\0x\0y\r\nz: 1"), 200},
};

static void test_requests(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(requests); i++) {
        struct peer p = {0};
        begin(&p);
        peer_request(&p, PEER_BIDI(0), requests[i].text, requests[i].len, false);
        if (p.over)
            fail_msg("%s: 0x%llx (%s)", requests[i].what, (unsigned long long)p.code, p.why);
        unsigned status = status_of(&p, PEER_BIDI(0));
        if (status != requests[i].status)
            fail_msg("%s: %u", requests[i].what, status);
        peer_request(&p, PEER_BIDI(1), BYTES(PEER_CONNECT), false);
        assert_int_equal(status_of(&p, PEER_BIDI(1)), 200);
        peer_end(&p);
    }
}

/* Malformed ones (RFC 9114, 4.1.2; 4.2 to 4.4) never become sessions; nghttp3 ends the connection over them,
 * as section 8 allows. */
static void test_malformed(void **state)
{
    static const struct {
        const char *what, *text;
        size_t len;
    } malformed[] = {
        {"no method", BYTES(":authority\0a.b:1")},
        {"no authority", BYTES(":method\0CONNECT")},
        {"nothing", BYTES("")},
        {"a method twice", BYTES(":method\0CONNECT\0" PEER_CONNECT)},
        {"an authority twice", BYTES(PEER_CONNECT "\0:authority\0c.d:1")},
        {"CONNECT with :path", BYTES(PEER_CONNECT "\0:path\0/")},
        {"a pseudo-field that nobody knows", BYTES(PEER_CONNECT "\0:x\0y")},
        {":status in a request", BYTES(PEER_CONNECT "\0:status\000200")},
        {"a pseudo-field behind others", BYTES("x\0y\0" PEER_CONNECT)},
        {"a name in upper case", BYTES(PEER_CONNECT "\0X\0y")},
        {"connection", BYTES(PEER_CONNECT "\0connection\0close")},
        {"transfer-encoding", BYTES(PEER_CONNECT "\0transfer-encoding\0chunked")},
        {"te that is not trailers", BYTES(PEER_CONNECT "\0te\0gzip")},
        {"lengths that differ", BYTES(PEER_CONNECT "\0content-length\0000\0content-length\0001")},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(malformed); i++) {
        struct peer p = {0};
        begin(&p);
        peer_request(&p, PEER_BIDI(0), malformed[i].text, malformed[i].len, false);
        if (p.code != NGHTTP3_H3_MESSAGE_ERROR || p.sessions.first != NULL)
            fail_msg("%s: 0x%llx", malformed[i].what, (unsigned long long)p.code);
        peer_end(&p);
    }
}

/* Fields without end: an answer says so, whoever sends them, and no more of them is kept than fits. */
static void test_long_requests(void **state)
{
    static const size_t counts[] = {1, 400, 4000};
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(counts); i++) {
        struct peer p = {0};
        struct buf text = {0};
        assert_true(buf_append(&text, BYTES(PEER_CONNECT)));
        for (size_t k = 0; k < counts[i]; k++)
            assert_true(buf_append(&text, BYTES("\0name\0value")));
        begin(&p);
        peer_request(&p, PEER_BIDI(0), text.data, text.len, false);
        assert_false(p.over);
        assert_int_equal(status_of(&p, PEER_BIDI(0)), i == 0 ? 200 : 400);
        buf_free(&text);
        peer_end(&p);
    }
}

/* ---- sessions ---- */

static void send_body(struct peer *p, int64_t id, const char *data, size_t len, bool fin)
{
    struct buf b = {0};
    peer_frame(&b, 0, data, len);
    peer_send(p, id, b.data, b.len, fin);
    buf_free(&b);
}

/* Bytes both ways; what comes before the answer is left where it is, however much there is. */
static void test_bytes(void **state)
{
    static char zeros[100 * 1024];
    struct peer p = {.sessions.slow = true, .sessions.echoes = true};
    struct buf said = {0};
    (void)state;
    begin(&p);
    peer_request(&p, PEER_BIDI(0), BYTES(PEER_CONNECT), false);
    send_body(&p, PEER_BIDI(0), BYTES("early"), false);
    send_body(&p, PEER_BIDI(0), zeros, sizeof(zeros), false);
    assert_true(peer_find(&p, PEER_BIDI(0))->in.len > sizeof(zeros) - 4096);
    peer_answer(&p);
    send_body(&p, PEER_BIDI(0), BYTES(""), false);
    send_body(&p, PEER_BIDI(0), BYTES("late"), true);
    const struct session_double *s = peer_session(&p, PEER_BIDI(0));
    assert_int_equal(s->got.len, 5 + sizeof(zeros) + 4);
    assert_memory_equal(s->got.data + s->got.len - 5, "\0late", 5);
    peer_read_answer(peer_find(&p, PEER_BIDI(0)), &said);
    assert_int_equal(said.len, s->got.len);
    assert_memory_equal(said.data, s->got.data, said.len);
    assert_null(s->link);
    assert_false(s->aborted);
    buf_free(&said);
    peer_end(&p);
}

/* RFC 9114, 4.4: behind CONNECT there are only DATA frames. */
static void test_trailers(void **state)
{
    struct peer p = {0};
    (void)state;
    begin(&p);
    peer_request(&p, PEER_BIDI(0), BYTES(":method\0POST\0:scheme\0https\0:authority\0door\0:path\0/"), false);
    send_body(&p, PEER_BIDI(0), BYTES("body"), false);
    peer_request(&p, PEER_BIDI(0), BYTES("x\0y"), true);
    assert_false(p.over);
    peer_request(&p, PEER_BIDI(1), BYTES(PEER_CONNECT), false);
    peer_request(&p, PEER_BIDI(1), BYTES("x\0y"), false);
    assert_int_equal(p.code, NGHTTP3_H3_FRAME_UNEXPECTED);
    assert_true(peer_session(&p, PEER_BIDI(1))->aborted);
    peer_end(&p);
}

/* Resets, refusals and the end of everything, before a session has answered, between and after. */
static void test_resets(void **state)
{
    (void)state;
    for (int how = 0; how < 16; how++) {
        struct peer p = {.sessions.slow = how & 1, .sessions.echoes = true};
        const char *text = how & 2 ? PEER_CONNECT_UDP : PEER_CONNECT;
        size_t len = how & 2 ? sizeof(PEER_CONNECT_UDP) - 1 : sizeof(PEER_CONNECT) - 1;
        begin(&p);
        peer_request(&p, PEER_BIDI(0), text, len, how & 8);
        if (how & 4)
            peer_refuse(&p, PEER_BIDI(0));
        else
            peer_reset(&p, PEER_BIDI(0));
        peer_answer(&p);
        send_body(&p, PEER_BIDI(0), BYTES("x"), false);
        peer_request(&p, PEER_BIDI(1), text, len, false);
        peer_answer(&p);
        assert_false(p.over);
        assert_int_equal(status_of(&p, PEER_BIDI(1)), 200);
        peer_end(&p);
    }
}

/* CVE-2023-44487: requests that are taken back cost the client its connection in the end; those that come to
 * their end do not. */
static void test_many(void **state)
{
    (void)state;
    for (int rude = 0; rude < 2; rude++) {
        struct peer p = {0};
        int64_t n = 0;
        begin(&p);
        for (; n < 1200 && !p.over; n++) {
            peer_request(&p, PEER_BIDI(n), BYTES(PEER_CONNECT), !rude);
            peer_reset(&p, PEER_BIDI(n));
        }
        assert_int_equal(p.code, rude ? NGHTTP3_H3_EXCESSIVE_LOAD : 0);
        assert_true(rude ? n >= 1000 && n < 1200 : n == 1200);
        peer_end(&p);
    }
}

/* A request that is answered after another one has broken the connection, and before that is closed: nghttp3
 * writes no HEADERS any more, so nothing may go without them, neither DATA nor datagrams. */
static void test_answer_too_late(void **state)
{
    (void)state;
    for (int how = 0; how < 3; how++) {
        struct peer p = {.sessions.slow = true, .sessions.echoes = true, .datagram_max = how > 1 ? 1200 : 0};
        struct buf b = {0};
        begin(&p);
        if (how == 0)
            peer_headers(&b, BYTES(PEER_CONNECT));
        else
            peer_headers(&b, BYTES(PEER_CONNECT_UDP));
        peer_frame(&b, 0, BYTES("\0\5\0ping"));
        peer_send(&p, PEER_BIDI(0), b.data, b.len, false);
        peer_request(&p, PEER_BIDI(1), BYTES(PEER_CONNECT), false);
        peer_request(&p, PEER_BIDI(1), BYTES("x\0y"), false);
        assert_false(p.over);
        peer_answer(&p); /* the younger first: it reads what it must not find */
        assert_int_equal(p.code, NGHTTP3_H3_FRAME_UNEXPECTED);
        assert_true(peer_session(&p, PEER_BIDI(0))->aborted);
        assert_int_equal(peer_find(&p, PEER_BIDI(0))->out.len, 0);
        assert_int_equal(peer_find(&p, PEER_BIDI(0))->datagrams, 0);
        buf_free(&b);
        peer_end(&p);
    }
}

struct limit {
    struct timer timer;
    struct loop *loop;
};

static void on_limit(struct timer *t)
{
    loop_stop(CONTAINER_OF(t, struct limit, timer)->loop);
}

/* A request that is never whole is given up in time. */
static void test_late(void **state)
{
    struct peer p = {.config.limits.handshake_timeout = 20 * NSEC_PER_MSEC};
    struct limit limit;
    struct err err;
    (void)state;
    begin(&p);
    peer_send(&p, PEER_BIDI(0), BYTES("\1\x40\x80\0"), false);
    limit.loop = p.worker.loop;
    timer_init(&limit.timer, on_limit);
    loop_set_timer(limit.loop, &limit.timer, clock_monotonic() + 200 * NSEC_PER_MSEC);
    assert_int_equal(loop_run(limit.loop, &err), 0);
    const struct peer_stream *s = peer_find(&p, PEER_BIDI(0));
    assert_true(s->closed && s->aborted);
    assert_int_equal(s->code, NGHTTP3_H3_REQUEST_REJECTED);
    assert_false(p.over);
    peer_end(&p);
}

/* The client is to begin nothing more: streams that come after that word are turned away. */
static void test_drain(void **state)
{
    struct peer p = {.sessions.echoes = true};
    (void)state;
    begin(&p);
    peer_request(&p, PEER_BIDI(0), BYTES(PEER_CONNECT), false);
    peer_drain(&p);
    peer_request(&p, PEER_BIDI(1), BYTES(PEER_CONNECT), false);
    const struct peer_stream *late = peer_find(&p, PEER_BIDI(1));
    assert_true(late->aborted);
    assert_int_equal(late->code, NGHTTP3_H3_REQUEST_REJECTED);
    send_body(&p, PEER_BIDI(0), BYTES("x"), true);
    assert_int_equal(peer_session(&p, PEER_BIDI(0))->got.len, 1);
    assert_false(p.over);
    peer_end(&p);
}

/* ---- UDP ---- */

/* What comes of datagrams beside a stream; a bad one ends the connection (RFC 9297, 2.1). */
static void test_datagrams(void **state)
{
    static const struct {
        const char *data;
        size_t len;
        uint64_t code;
        size_t got; /* bytes that the session reads, heads of frames included */
    } datagrams[] = {
        {BYTES("\0\0ping"), 0, 6},
        {BYTES("\0\0"), 0, 2},                               /* an empty one */
        {BYTES("\x40\0\x80\0\0\0ping"), 0, 6},               /* longer integers than there is need for */
        {BYTES("\0\1ping"), 0, 0},                           /* another context: RFC 9298, 4 */
        {BYTES("\0\xff\xff\xff\xff\xff\xff\xff\xff"), 0, 0}, /* the largest one */
        {BYTES("\0"), 0, 0},                                 /* no context */
        {BYTES("\0\x40"), 0, 0},                             /* half a context */
        {BYTES("\5\0ping"), 0, 0},                           /* a stream that is not open */
        {BYTES("\1\0ping"), 0, 0},                           /* a stream without datagrams */
        {BYTES(""), 0x33, 0},
        {BYTES("\x40"), 0x33, 0},
        {BYTES("\xd0\0\0\0\0\0\0\0\0ping"), 0x33, 0}, /* no stream has such an id */
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(datagrams) * 2; i++) {
        struct peer p = {.sessions.slow = i & 1};
        begin(&p);
        peer_request(&p, PEER_BIDI(0), BYTES(PEER_CONNECT_UDP), false);
        peer_request(&p, PEER_BIDI(1), BYTES(PEER_CONNECT), false);
        peer_datagram(&p, datagrams[i / 2].data, datagrams[i / 2].len);
        if (p.code != datagrams[i / 2].code)
            fail_msg("row %zu: 0x%llx", i / 2, (unsigned long long)p.code);
        if (!p.over)
            peer_answer(&p);
        assert_int_equal(peer_session(&p, PEER_BIDI(0))->got.len, datagrams[i / 2].got);
        assert_int_equal(peer_session(&p, PEER_BIDI(1))->got.len, 0);
        peer_end(&p);
    }
}

/* Capsules in the stream; a bad one breaks it, and nothing else (RFC 9297, 3.3). */
static void test_capsules(void **state)
{
    static const struct {
        const char *data;
        size_t len;
        size_t got;
        bool broken;
    } capsules[] = {
        {BYTES("\0\5\0ping"), 6, false},
        {BYTES("\0\1\0"), 2, false},
        {BYTES("\x21\3abc\0\5\0ping"), 6, false},         /* another type */
        {BYTES("\0\5\1ping\0\2\0x"), 3, false},           /* another context */
        {BYTES("\xc0\0\0\0\0\0\0\0\x40\2\0x"), 3, false}, /* longer integers than there is need for */
        {BYTES("\0\0"), 0, true},                         /* no context */
        {BYTES("\0\1\x40"), 0, true},                     /* half a context */
        {BYTES("\0\5\0ping\0\0"), 6, true},               /* what was whole before is still read */
        {BYTES("\0\5\0pin"), 0, true},                    /* cut by the end */
        {BYTES("\x40"), 0, true},
        {BYTES("\0\x80\1\0\0\0ping"), 0, true}, /* longer than UDP has any */
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(capsules) * 2; i++) {
        struct peer p = {.sessions.slow = i & 1};
        begin(&p);
        peer_request(&p, PEER_BIDI(0), BYTES(PEER_CONNECT_UDP), false);
        for (size_t k = 0; k < capsules[i / 2].len; k++)
            send_body(&p, PEER_BIDI(0), capsules[i / 2].data + k, 1, false);
        peer_send(&p, PEER_BIDI(0), NULL, 0, true);
        peer_answer(&p);
        const struct session_double *s = peer_session(&p, PEER_BIDI(0));
        if (s->link != NULL || s->got.len != capsules[i / 2].got || s->aborted != capsules[i / 2].broken)
            fail_msg("row %zu: %zu bytes, %s", i / 2, s->got.len, s->aborted ? "broken" : "whole");
        if (s->aborted)
            assert_int_equal(peer_find(&p, PEER_BIDI(0))->code, NGHTTP3_H3_MESSAGE_ERROR);
        assert_false(p.over);
        peer_end(&p);
    }
}

/* Datagrams go beside the stream where the client has said that it takes them and they fit, else in it. */
static void test_ways_out(void **state)
{
    (void)state;
    for (int how = 0; how < 4; how++) {
        struct peer p = {.unis = 3, .sessions.echoes = true, .datagram_max = how & 1 ? 1200 : 2};
        struct buf said = {0};
        peer_begin(&p, 8);
        if (how & 2)
            peer_send(&p, CONTROL, BYTES(PEER_CONTROL), false);
        else
            peer_send(&p, CONTROL, BYTES("\0\4\0"), false);
        peer_request(&p, PEER_BIDI(0), BYTES(PEER_CONNECT_UDP), false);
        peer_datagram(&p, BYTES("\0\0ping"));
        peer_read_answer(peer_find(&p, PEER_BIDI(0)), &said);
        assert_int_equal(peer_find(&p, PEER_BIDI(0))->datagrams, how == 3);
        assert_int_equal(said.len, how == 3 ? 0 : 7);
        if (said.len > 0)
            assert_memory_equal(said.data, "\0\5\0ping", 7);
        buf_free(&said);
        peer_end(&p);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_breaches),
        cmocka_unit_test(test_first_words),
        cmocka_unit_test(test_critical_streams),
        cmocka_unit_test(test_requests),
        cmocka_unit_test(test_malformed),
        cmocka_unit_test(test_long_requests),
        cmocka_unit_test(test_bytes),
        cmocka_unit_test(test_trailers),
        cmocka_unit_test(test_resets),
        cmocka_unit_test(test_many),
        cmocka_unit_test(test_answer_too_late),
        cmocka_unit_test(test_late),
        cmocka_unit_test(test_drain),
        cmocka_unit_test(test_datagrams),
        cmocka_unit_test(test_capsules),
        cmocka_unit_test(test_ways_out),
    };
    return cmocka_run_group_tests_name("h3", tests, NULL, NULL);
}
