/* SPDX-License-Identifier: Apache-2.0 */
/* http/capsule_link.h: frames above, capsules below, whatever the link below takes at a time. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/buf.h"
#include "http/capsule_link.h"
#include "link/mem_link.h"

struct ends {
    struct link *top;  /* of frames */
    struct link *peer; /* of capsules */
    unsigned woken;
};

static void on_wake(struct link *l)
{
    struct ends *e = l->owner;
    e->woken++;
}

static struct ends begin(size_t capacity, const char *early, size_t early_len, const char *unsent)
{
    struct ends e = {0};
    struct link *down;
    mem_link_pair(capacity, &down, &e.peer);
    e.top = capsule_link_new(down, (struct str){early, early_len}, (struct str){unsent, strlen(unsent)});
    return e;
}

static void end(struct ends *e)
{
    link_close(e->top, false);
    link_close(e->peer, false);
}

/* Read what there is, a few bytes at a time. */
static struct buf drain(struct link *l, size_t cap, enum link_status *ret_last)
{
    struct buf out = {0};
    uint8_t piece[64];
    size_t n;
    while ((*ret_last = link_read(l, piece, cap, &n)) == LINK_OK)
        assert_true(buf_append(&out, piece, n));
    return out;
}

static void write_all(struct link *l, const char *data, size_t len)
{
    size_t n;
    assert_int_equal(link_write(l, data, len, &n), LINK_OK);
    assert_int_equal(n, len);
}

static void expect(struct link *l, size_t cap, enum link_status last, const char *bytes, size_t len)
{
    enum link_status got;
    struct buf b = drain(l, cap, &got);
    assert_int_equal(b.len, len);
    if (len > 0)
        assert_memory_equal(b.data, bytes, len);
    assert_int_equal(got, last);
    buf_free(&b);
}

#define BYTES(text) text, sizeof(text) - 1
#define IN "\x00\x03\x00hi\x17\x02xx\x00\x01\x00\x00\x04\x00you"
#define OUT "\x00\x02hi\x00\x00\x00\x03you"

static void test_read(void **state)
{
    (void)state;
    for (size_t cut = 0; cut < sizeof(IN); cut++) { /* early, then from the link, a byte to many at a time */
        struct ends e = begin(4096, IN, cut, "");
        if (cut < sizeof(IN) - 1)
            write_all(e.peer, &IN[cut], sizeof(IN) - 1 - cut);
        link_shutdown(e.peer);
        expect(e.top, 1 + cut, LINK_EOF, BYTES(OUT));
        end(&e);
    }
}

/* The yes that has not gone out yet goes first; then capsules; a link that takes one byte at a time. */
static void test_write(void **state)
{
    (void)state;
    struct ends e = begin(1, "", 0, "yes");
    e.top->wake = on_wake;
    e.top->owner = &e;
    size_t n = 0;
    assert_int_equal(link_write(e.top, OUT, sizeof(OUT) - 1, &n), LINK_AGAIN);
    expect(e.peer, 1, LINK_AGAIN, BYTES("yes"));
    assert_true(e.woken > 0);
    write_all(e.top, BYTES(OUT));
    assert_int_equal(link_write(e.top, OUT, 1, &n), LINK_AGAIN);
    assert_int_equal(link_shutdown(e.top), LINK_AGAIN);
    expect(e.peer, 1, LINK_AGAIN, BYTES("\x00\x03\x00hi\x00\x01\x00\x00\x04\x00you"));
    assert_int_equal(link_shutdown(e.top), LINK_OK);
    expect(e.peer, 1, LINK_EOF, "", 0);
    end(&e);
}

static void test_broken(void **state)
{
    (void)state;
    struct ends e = begin(100, BYTES("\x00\x03\x00h"), "");
    link_shutdown(e.peer);
    expect(e.top, 9, LINK_ERROR, "", 0);
    assert_non_null(strstr(link_error(e.top), "within a capsule"));
    end(&e);
    e = begin(100, BYTES("\x00\x03\x00hi\x00\x00"), "");
    expect(e.top, 9, LINK_ERROR, BYTES("\x00\x02hi"));
    assert_non_null(strstr(link_error(e.top), "context id"));
    link_close(e.top, true);
    assert_true(mem_link_aborted(e.peer));
    link_close(e.peer, true);
    e = begin(100, "", 0, "");
    link_close(e.peer, true);
    expect(e.top, 9, LINK_ERROR, "", 0);
    link_close(e.top, true);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_read),
        cmocka_unit_test(test_write),
        cmocka_unit_test(test_broken),
    };
    return cmocka_run_group_tests_name("capsule_link", tests, NULL, NULL);
}
