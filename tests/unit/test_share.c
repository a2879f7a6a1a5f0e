/* SPDX-License-Identifier: Apache-2.0 */
/* What is spoken between a caller and the process that carries its connection: requests, heads of frames, and
 * the link that they make. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/check.h"
#include "base/clock.h"
#include "tunnel/share_link.h"
#include "tunnel/share_request.h"

/* ---- requests ---- */

static const struct front_target targets[] = {
    {.host = "db.inside", .port = 5432},
    {.host = "dns.inside", .port = 53, .udp = true},
    {.host = "web.apps.test", .offered = true},
};

static void requests_read_back(void **state)
{
    (void)state;
    static const int64_t times[] = {1, NSEC_PER_MSEC, 700 * NSEC_PER_MSEC, 24 * 3600 * NSEC_PER_SEC};
    for (size_t i = 0; i < ARRAY_LEN(times) * ARRAY_LEN(targets); i++) {
        const struct front_target *target = &targets[i % ARRAY_LEN(targets)];
        int64_t time = times[i / ARRAY_LEN(targets)];
        struct buf b = {0};
        struct share_request got;
        size_t used;
        assert_true(share_encode_hello(target, time, &b));
        for (size_t cut = 0; cut < b.len; cut++)
            assert_int_equal(share_parse(b.data, cut, &got, &used, NULL), FRONT_MORE);
        assert_int_equal(share_parse(b.data, b.len, &got, &used, NULL), FRONT_TARGET);
        assert_int_equal(used, b.len);
        assert_false(got.status);
        assert_string_equal(got.target.host, target->host);
        assert_int_equal(got.target.port, target->port);
        assert_int_equal(got.target.udp, target->udp);
        assert_int_equal(got.target.offered, target->offered);
        assert_int_equal(got.timeout, MAX(time, NSEC_PER_MSEC));
        buf_free(&b);
    }
}

static void the_question_reads_back(void **state)
{
    (void)state;
    struct buf b = {0};
    struct share_request got;
    size_t used;
    assert_true(share_encode_status(&b));
    for (size_t cut = 0; cut < b.len; cut++)
        assert_int_equal(share_parse(b.data, cut, &got, &used, NULL), FRONT_MORE);
    assert_int_equal(share_parse(b.data, b.len, &got, &used, NULL), FRONT_TARGET);
    assert_true(got.status);
    assert_int_equal(used, b.len);
    buf_free(&b);
}

static void wrong_requests_are_refused(void **state)
{
    (void)state;
    static const char *const rows[] = {
        "",
        "x",
        "[]",
        "{\"v\":1,\"target\":\"h:1\"}",
        "{\"v\":1,\"target\":\"h:1\",\"timeout_ms\":0}",
        "{\"v\":1,\"target\":\"h:1\",\"timeout_ms\":-1}",
        "{\"v\":1,\"target\":\"h:1\",\"timeout_ms\":1.5}",
        "{\"v\":1,\"target\":\"h:1\",\"timeout_ms\":\"1\"}",
        "{\"v\":1,\"target\":\"h:1\",\"timeout_ms\":86400001}",
        "{\"v\":1,\"target\":\"h:1\",\"timeout_ms\":1,\"timeout_ms\":1}",
        "{\"v\":2,\"target\":\"h:1\",\"timeout_ms\":1}",
        "{\"v\":1,\"target\":\"h:0\",\"timeout_ms\":1}",
        "{\"v\":1,\"target\":\"a:1\",\"proto\":\"name\",\"timeout_ms\":1}",
        "{\"v\":1,\"offer\":\"web.apps.test\",\"timeout_ms\":1}",
        "{\"v\":1,\"spare\":\"00112233445566778899aabbccddeeff\",\"timeout_ms\":1}",
        "{\"v\":1,\"status\":false}",
        "{\"v\":1,\"status\":true,\"x\":1}",
        "{\"v\":1,\"status\":true} ",
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        uint8_t message[256] = {0, (uint8_t)strlen(rows[i])};
        struct share_request got;
        struct err err = {""};
        size_t used;
        memcpy(message + 2, rows[i], strlen(rows[i]));
        assert_int_equal(share_parse(message, 2 + strlen(rows[i]), &got, &used, &err), FRONT_BAD);
        assert_string_not_equal(err.text, "");
    }
}

/* ---- heads ---- */

static void heads_are_read(void **state)
{
    (void)state;
    static const struct {
        uint8_t head[SHARE_HEAD];
        enum share_kind kind;
        size_t len;
    } rows[] = {
        {{0, 0, 0, 1}, SHARE_DATA, 1},        {{0, 0, 0x3f, 0xfc}, SHARE_DATA, SHARE_DATA_MAX},
        {{0, 0, 0, 0}, SHARE_BAD, 0},         {{0, 0, 0x3f, 0xfd}, SHARE_BAD, 0},
        {{0, 1, 0, 1}, SHARE_BAD, 0},         {{0, 0xff, 0xff, 0xff}, SHARE_BAD, 0},
        {{1, 0, 0, 0}, SHARE_END, 0},         {{1, 0, 0, 1}, SHARE_BAD, 0},
        {{2, 0, 0, 1}, SHARE_FAILED, 1},      {{2, 0, 3, 0xff}, SHARE_FAILED, SHARE_TEXT_MAX},
        {{2, 0, 0, 0}, SHARE_BAD, 0},         {{2, 0, 4, 0}, SHARE_BAD, 0},
        {{3, 0, 0, 0}, SHARE_SPEAK, 0},       {{3, 0, 0, 1}, SHARE_BAD, 0},
        {{4, 0, 0, 0}, SHARE_BAD, 0},         {{0xff, 0xff, 0xff, 0xff}, SHARE_BAD, 0},
        {{'H', 'T', 'T', 'P'}, SHARE_BAD, 0},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        size_t len = 0;
        uint8_t again[SHARE_HEAD];
        assert_int_equal(share_head_read(rows[i].head, &len), rows[i].kind);
        assert_int_equal(len, rows[i].len);
        if (rows[i].kind == SHARE_BAD)
            continue;
        share_head_write(again, rows[i].kind, len);
        assert_memory_equal(again, rows[i].head, SHARE_HEAD);
    }
}

/* ---- the link ---- */

struct pair {
    struct loop *loop;
    struct link *a;
    struct link *b; /* NULL: `fd` is the bare other end */
    int fd;
};

struct stop {
    struct timer timer;
    struct loop *loop;
};

static void on_time(struct timer *t)
{
    loop_stop(CONTAINER_OF(t, struct stop, timer)->loop);
}

/* Let the loop tell what has become readable and writable. */
static void go_round(struct pair *p)
{
    struct stop s = {.loop = p->loop};
    timer_init(&s.timer, on_time);
    loop_set_timer(p->loop, &s.timer, clock_monotonic());
    assert_int_equal(loop_run(p->loop, NULL), 0);
}

static struct pair pair_new(bool both)
{
    struct pair p = {.fd = -1};
    int fds[2];
    p.loop = loop_new(NULL);
    assert_non_null(p.loop);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds), 0);
    p.a = share_link_new(p.loop, fds[0]);
    assert_non_null(p.a);
    if (both)
        p.b = share_link_new(p.loop, fds[1]);
    else
        p.fd = fds[1];
    return p;
}

static void pair_free(struct pair *p)
{
    link_close(p->a, true);
    link_close(p->b, true);
    if (p->fd >= 0)
        close(p->fd);
    loop_free(p->loop);
}

static void ends_are_told_apart(void **state)
{
    (void)state;
    uint8_t got[64];
    size_t n;
    struct pair p = pair_new(true);
    assert_int_equal(link_write(p.a, "hello", 5, &n), LINK_OK);
    assert_int_equal(link_shutdown(p.a), LINK_OK);
    assert_int_equal(link_read(p.b, got, sizeof(got), &n), LINK_OK);
    assert_int_equal(n, 5);
    assert_memory_equal(got, "hello", 5);
    assert_int_equal(link_read(p.b, got, sizeof(got), &n), LINK_EOF);
    assert_int_equal(link_write(p.b, "back", 4, &n), LINK_OK); /* the other direction goes on */
    assert_int_equal(link_read(p.a, got, sizeof(got), &n), LINK_OK);
    link_close(p.b, false);
    p.b = NULL;
    go_round(&p);
    assert_int_equal(link_read(p.a, got, sizeof(got), &n), LINK_EOF);
    pair_free(&p);

    p = pair_new(true);
    link_close(p.a, true);
    p.a = NULL;
    go_round(&p);
    assert_int_equal(link_read(p.b, got, sizeof(got), &n), LINK_ERROR);
    assert_null(share_link_text(p.b));
    pair_free(&p);
}

static void the_reason_is_told(void **state)
{
    (void)state;
    uint8_t got[64];
    size_t n;
    struct pair p = pair_new(true);
    assert_int_equal(link_write(p.a, "some", 4, &n), LINK_OK);
    share_link_fail(p.a, "denied:\x1b[31m no");
    link_close(p.a, true);
    p.a = NULL;
    go_round(&p);
    assert_int_equal(link_read(p.b, got, sizeof(got), &n), LINK_OK);
    assert_int_equal(link_read(p.b, got, sizeof(got), &n), LINK_ERROR);
    assert_non_null(share_link_text(p.b));
    assert_null(strchr(share_link_text(p.b), '\x1b'));
    assert_memory_equal(share_link_text(p.b), "denied:", 7);
    pair_free(&p);

    p = pair_new(true); /* also when nobody had read up to there */
    assert_int_equal(link_write(p.a, "some", 4, &n), LINK_OK);
    assert_int_equal(link_shutdown(p.a), LINK_OK);
    share_link_fail(p.a, "late");
    link_close(p.a, true);
    p.a = NULL;
    go_round(&p);
    assert_string_equal(share_link_text(p.b), "late");
    pair_free(&p);
}

static void any_split_reads_the_same(void **state)
{
    (void)state;
    static const uint8_t bytes[] = {0, 0, 0, 3, 'a', 'b', 'c', 0, 0, 0, 1, 'd', 1, 0, 0, 0};
    for (size_t cut = 0; cut <= sizeof(bytes); cut++) {
        struct pair p = pair_new(false);
        char all[8] = "";
        size_t len = 0, n = 0;
        enum link_status status = LINK_OK;
        for (int part = 0; part < 2; part++) {
            size_t at = part == 0 ? 0 : cut, count = part == 0 ? cut : sizeof(bytes) - cut;
            assert_int_equal(write(p.fd, bytes + at, count), count);
            go_round(&p);
            while ((status = link_read(p.a, all + len, sizeof(all) - len, &n)) == LINK_OK)
                len += n;
        }
        assert_int_equal(status, LINK_EOF);
        assert_int_equal(len, 4);
        assert_memory_equal(all, "abcd", 4);
        pair_free(&p);
    }
}

/* It is no byte of the connection, wherever it comes. */
static void leave_to_speak_is_told(void **state)
{
    (void)state;
    uint8_t got[64];
    size_t n;
    struct pair p = pair_new(true);
    assert_int_equal(link_read(p.b, got, sizeof(got), &n), LINK_AGAIN);
    assert_false(share_link_may_speak(p.b));
    share_link_let_speak(p.a);
    go_round(&p);
    assert_int_equal(link_read(p.b, got, sizeof(got), &n), LINK_AGAIN);
    assert_true(share_link_may_speak(p.b));
    assert_false(share_link_may_speak(p.a));
    assert_int_equal(link_write(p.a, "answer", 6, &n), LINK_OK);
    go_round(&p);
    assert_int_equal(link_read(p.b, got, sizeof(got), &n), LINK_OK);
    assert_int_equal(n, 6);
    pair_free(&p);
}

/* Much more than the socket holds: it is taken bit by bit, and arrives in order. */
static void a_slow_reader_stops_the_writer(void **state)
{
    (void)state;
    static uint8_t data[64 * 1024], got[16 * 1024];
    size_t sent = 0, read = 0, n;
    struct pair p = pair_new(true);
    for (size_t i = 0; i < sizeof(data); i++)
        data[i] = (uint8_t)(i * 7 + i / 251);
    while (read < 4 * 1024 * 1024) {
        while (link_write(p.a, data + sent % sizeof(data), sizeof(data) - sent % sizeof(data), &n) == LINK_OK)
            sent += n;
        assert_true(sent - read < 2 * 1024 * 1024);
        go_round(&p);
        for (int i = 0; i < 8 && link_read(p.b, got, sizeof(got), &n) == LINK_OK; i++, read += n)
            for (size_t k = 0; k < n; k++)
                assert_int_equal(got[k], data[(read + k) % sizeof(data)]);
        go_round(&p);
    }
    pair_free(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(requests_read_back),         cmocka_unit_test(the_question_reads_back),
        cmocka_unit_test(wrong_requests_are_refused), cmocka_unit_test(heads_are_read),
        cmocka_unit_test(ends_are_told_apart),        cmocka_unit_test(the_reason_is_told),
        cmocka_unit_test(any_split_reads_the_same),   cmocka_unit_test(a_slow_reader_stops_the_writer),
        cmocka_unit_test(leave_to_speak_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
