/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/check.h"
#include "link/frames.h"

/* What came out: each datagram's length and a byte of it. */
struct seen {
    size_t count;
    size_t len[8];
    uint8_t first[8];
};

static void note(void *arg, const uint8_t *data, size_t len)
{
    struct seen *s = arg;
    assert_true(s->count < ARRAY_LEN(s->len));
    s->len[s->count] = len;
    s->first[s->count++] = len > 0 ? data[0] : 0;
}

static struct buf make_stream(void)
{
    struct buf b = {0};
    uint8_t big[1000];
    memset(big, 'b', sizeof(big));
    assert_true(frames_put(&b, "a", 1, 4096));
    assert_true(frames_put(&b, "", 0, 4096));
    assert_true(frames_put(&b, big, sizeof(big), 4096));
    assert_true(frames_put(&b, "cd", 2, 4096));
    return b;
}

static void check_seen(const struct seen *s)
{
    static const size_t lens[] = {1, 0, 1000, 2};
    assert_int_equal(s->count, ARRAY_LEN(lens));
    for (size_t i = 0; i < ARRAY_LEN(lens); i++)
        assert_int_equal(s->len[i], lens[i]);
    assert_memory_equal(s->first, "a\0bc", 4);
}

static void every_split_gives_the_same_datagrams(void **state)
{
    (void)state;
    struct buf b = make_stream();
    for (size_t cut = 0; cut <= b.len; cut++) {
        struct buf partial = {0};
        struct seen s = {0};
        frames_feed(&partial, b.data, cut, note, &s);
        frames_feed(&partial, b.data + cut, b.len - cut, note, &s);
        check_seen(&s);
        assert_int_equal(partial.len, 0);
    }
    buf_free(&b);
}

static void one_byte_at_a_time(void **state)
{
    (void)state;
    struct buf b = make_stream(), partial = {0};
    struct seen s = {0};
    for (size_t i = 0; i < b.len; i++)
        frames_feed(&partial, b.data + i, 1, note, &s);
    check_seen(&s);
    buf_free(&b);
}

static void what_waits_is_bounded(void **state)
{
    (void)state;
    struct buf b = {0};
    assert_true(frames_put(&b, "12345678", 8, 10));
    assert_false(frames_put(&b, "", 0, 10));
    assert_int_equal(b.len, 10);
    uint8_t out[16];
    assert_int_equal(frames_move(&b, out, 3), 3);
    assert_int_equal(frames_move(&b, out + 3, sizeof(out) - 3), 7);
    assert_memory_equal(out,
                        "\0\x08"
                        "12345678",
                        10);
    assert_int_equal(frames_move(&b, out, sizeof(out)), 0);
    char *big = calloc(1, FRAMES_DATAGRAM_MAX + 1);
    assert_false(frames_put(&b, big, FRAMES_DATAGRAM_MAX + 1, SIZE_MAX));
    assert_true(frames_put(&b, big, FRAMES_DATAGRAM_MAX, SIZE_MAX));
    free(big);
    buf_free(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_split_gives_the_same_datagrams),
        cmocka_unit_test(one_byte_at_a_time),
        cmocka_unit_test(what_waits_is_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
