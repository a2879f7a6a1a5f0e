/* SPDX-License-Identifier: Apache-2.0 */
/* link/datagram_link.h with a way beside the stream (what it does without one, test_capsule_link.c shows),
 * and link_write_buf() and link_read_buf() below it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "link/datagram_link.h"
#include "link/frames.h"
#include "link/mem_link.h"

#define BIG 1000 /* no longer ones travel beside the stream */

/* In the stream datagrams are frames, as above it; a '!' is what no stream may hold. */
struct ends {
    struct datagram_link top;
    struct link *peer;
    struct buf coming;  /* of the stream */
    struct buf arrived; /* beside it, as frames */
    struct buf sent;    /* the same, the other way */
    bool spoiled;
    bool freed;
};

static struct ends *now; /* a form's calls get the stream, which says nothing of its test */

static const char *feed(struct datagram_link *d, const void *data, size_t len)
{
    if (len > 0 && memchr(data, '!', len) != NULL)
        return "an exclamation";
    frames_feed(&now->coming, data, len, datagram_link_keep, d);
    return NULL;
}

static const char *check_end(struct datagram_link *d)
{
    (void)d;
    return now->coming.len > 0 ? "cut off" : NULL;
}

static void spoiled(struct link *down)
{
    (void)down;
    now->spoiled = true;
}

static void form_free(struct datagram_link *d)
{
    (void)d;
    now->freed = true;
}

static bool waits(const struct link *down, size_t *ret_len)
{
    (void)down;
    if (now->arrived.len == 0)
        return false;
    *ret_len = (size_t)now->arrived.data[0] << 8 | now->arrived.data[1];
    return true;
}

static void receive(struct link *down, void *out)
{
    size_t len = 0;
    assert_true(waits(down, &len));
    memcpy(out, now->arrived.data + FRAMES_HEAD, len);
    buf_consume(&now->arrived, FRAMES_HEAD + len);
}

static bool send_beside(struct link *down, const void *data, size_t len)
{
    (void)down;
    return len <= BIG && frames_put(&now->sent, data, len, SIZE_MAX);
}

static const struct datagram_form form = {
    .feed = feed,
    .put = frames_put,
    .free = form_free,
    .check_end = check_end,
    .spoiled = spoiled,
    .waits = waits,
    .receive = receive,
    .send = send_beside,
};

static struct link *begin(struct ends *e, size_t capacity)
{
    struct link *down;
    *e = (struct ends){0};
    now = e;
    mem_link_pair(capacity, &down, &e->peer);
    datagram_link_init(&e->top, &form, down, (struct str){NULL, 0}, (struct str){NULL, 0});
    return &e->top.link;
}

static void end(struct ends *e)
{
    link_close(&e->top.link, false);
    assert_true(e->freed);
    link_close(e->peer, false);
    buf_free(&e->coming);
    buf_free(&e->arrived);
    buf_free(&e->sent);
}

static void write_all(struct link *l, const void *data, size_t len)
{
    size_t n;
    assert_int_equal(link_write(l, data, len, &n), LINK_OK);
    assert_int_equal(n, len);
}

#define BYTES(text) text, sizeof(text) - 1

/* Both ways are read, datagrams first, and no frame is cut by another, however little is asked for. */
static void test_read(void **state)
{
    static const char want[] = "\x00\x03one\x00\x00\x00\x03two\x00\x05three";
    (void)state;
    for (size_t cap = 1; cap < sizeof(want); cap++) {
        struct ends e;
        struct link *l = begin(&e, 4096);
        struct buf got = {0};
        uint8_t piece[64];
        size_t n;
        enum link_status last;
        write_all(e.peer, BYTES("\x00\x05three"));
        assert_true(buf_append(&e.arrived, BYTES("\x00\x03one\x00\x00\x00\x03two")));
        link_shutdown(e.peer);
        while ((last = link_read(l, piece, cap, &n)) == LINK_OK)
            assert_true(n > 0 && n <= cap && buf_append(&got, piece, n));
        assert_int_equal(last, LINK_EOF);
        assert_int_equal(got.len, sizeof(want) - 1);
        assert_memory_equal(got.data, want, got.len);
        buf_free(&got);
        end(&e);
    }
}

static void test_spoiled(void **state)
{
    struct ends e;
    struct link *l = begin(&e, 100);
    uint8_t piece[64];
    size_t n;
    (void)state;
    write_all(e.peer, BYTES("oh!"));
    assert_int_equal(link_read(l, piece, sizeof(piece), &n), LINK_ERROR);
    assert_true(e.spoiled);
    assert_string_equal(link_error(l), "an exclamation");
    assert_int_equal(link_read(l, piece, sizeof(piece), &n), LINK_ERROR);
    end(&e);
    l = begin(&e, 100);
    write_all(e.peer, BYTES("\x00\x05thr"));
    link_shutdown(e.peer);
    assert_int_equal(link_read(l, piece, sizeof(piece), &n), LINK_ERROR);
    assert_string_equal(link_error(l), "cut off");
    end(&e);
}

/* What goes beside the stream goes at once; of what must go in it, a bounded part waits and the rest is lost.
 * The writer never waits. */
static void test_write(void **state)
{
    static uint8_t frame[FRAMES_HEAD + BIG + 1] = {(BIG + 1) >> 8, (BIG + 1) & 0xff};
    struct ends e;
    struct link *l = begin(&e, 10);
    size_t waiting = 0;
    (void)state;
    for (int i = 0; i < 1000; i++)
        write_all(l, frame, sizeof(frame));
    write_all(l, BYTES("\x00\x02hi"));
    assert_int_equal(e.sent.len, 4);
    assert_memory_equal(e.sent.data, "\x00\x02hi", 4);
    assert_true(datagram_link_dropped(l) > 800 && datagram_link_dropped(l) < 1000);
    assert_int_equal(datagram_link_dropped(e.peer), 0);
    assert_int_equal(link_shutdown(l), LINK_AGAIN);
    uint8_t piece[10];
    for (size_t n; link_read(e.peer, piece, sizeof(piece), &n) == LINK_OK;)
        waiting += n;
    assert_int_equal(waiting, (1000 - datagram_link_dropped(l)) * sizeof(frame));
    assert_int_equal(link_shutdown(l), LINK_OK);
    end(&e);
}

static void test_write_buf(void **state)
{
    struct link *a, *b;
    struct buf out = {0};
    char got[16];
    size_t n;
    (void)state;
    mem_link_pair(4, &a, &b);
    assert_int_equal(link_write_buf(a, &out), LINK_OK);
    assert_true(buf_append(&out, BYTES("a buffer")));
    assert_int_equal(link_write_buf(a, &out), LINK_AGAIN);
    assert_int_equal(out.len, 4);
    assert_memory_equal(out.data, "ffer", 4);
    assert_int_equal(link_read(b, got, sizeof(got), &n), LINK_OK);
    assert_int_equal(link_write_buf(a, &out), LINK_OK);
    assert_null(out.data);
    assert_true(buf_append(&out, BYTES("more")));
    link_close(b, true);
    assert_int_equal(link_write_buf(a, &out), LINK_ERROR);
    buf_free(&out);
    link_close(a, true);
}

static void test_read_buf(void **state)
{
    struct link *a, *b;
    struct buf in = {0};
    (void)state;
    mem_link_pair(16, &a, &b);
    assert_int_equal(link_read_buf(b, &in, 4), LINK_AGAIN);
    assert_int_equal(in.len, 0);
    write_all(a, BYTES("a buffer"));
    assert_int_equal(link_read_buf(b, &in, 4), LINK_OK);
    assert_int_equal(link_read_buf(b, &in, 16), LINK_OK);
    assert_int_equal(in.len, 8);
    assert_memory_equal(in.data, "a buffer", 8);
    assert_int_equal(link_shutdown(a), LINK_OK);
    assert_int_equal(link_read_buf(b, &in, 4), LINK_EOF);
    assert_int_equal(in.len, 8);
    buf_free(&in);
    link_close(a, false);
    link_close(b, false);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_read),      cmocka_unit_test(test_spoiled),  cmocka_unit_test(test_write),
        cmocka_unit_test(test_write_buf), cmocka_unit_test(test_read_buf),
    };
    return cmocka_run_group_tests_name("datagram_link", tests, NULL, NULL);
}
