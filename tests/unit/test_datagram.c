/* SPDX-License-Identifier: Apache-2.0 */
/* The head of a datagram (quic/datagram_head.h) and the queue of those that wait (quic/ring.h). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/check.h"
#include "quic/datagram_head.h"
#include "quic/ring.h"

static void heads_read_as_the_rfc_says(void **state)
{
    static const struct {
        const char *bytes;
        size_t len;
        enum datagram_head_result result;
        int64_t stream;
        uint64_t context;
        size_t head;
    } rows[] = {
        {"\x00\x00x", 3, DATAGRAM_HEAD_OK, 0, 0, 2},
        {"\x01\x00", 2, DATAGRAM_HEAD_OK, 4, 0, 2},
        {"\x3f\x3f", 2, DATAGRAM_HEAD_OK, 252, 63, 2},
        {"\x40\x40\x00", 3, DATAGRAM_HEAD_OK, 256, 0, 3},
        {"\x40\x01\x40\x00", 4, DATAGRAM_HEAD_OK, 4, 0, 4}, /* longer than it need be, which is allowed */
        {"\xc0\x00\x00\x00\x00\x00\x00\x01\x80\x00\x00\x02", 12, DATAGRAM_HEAD_OK, 4, 2, 12},
        {"\xcf\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", 16, DATAGRAM_HEAD_OK,
         INT64_C(0x3ffffffffffffffc), UINT64_C(0x3fffffffffffffff), 16},
        {"", 0, DATAGRAM_HEAD_NO_STREAM, 0, 0, 0},
        {"\x40", 1, DATAGRAM_HEAD_NO_STREAM, 0, 0, 0},
        {"\x80\x00\x00", 3, DATAGRAM_HEAD_NO_STREAM, 0, 0, 0},
        {"\xc0\x00\x00\x00\x00\x00\x00", 7, DATAGRAM_HEAD_NO_STREAM, 0, 0, 0},
        {"\xd0\x00\x00\x00\x00\x00\x00\x00\x00", 9, DATAGRAM_HEAD_NO_STREAM, 0, 0, 0},
        {"\xff\xff\xff\xff\xff\xff\xff\xff\x00", 9, DATAGRAM_HEAD_NO_STREAM, 0, 0, 0},
        {"\x05", 1, DATAGRAM_HEAD_NO_CONTEXT, 20, 0, 0},
        {"\x05\x40", 2, DATAGRAM_HEAD_NO_CONTEXT, 20, 0, 0},
        {"\x05\xc0\x00\x00\x00\x00\x00\x00", 8, DATAGRAM_HEAD_NO_CONTEXT, 20, 0, 0},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct datagram_head h = {0};
        uint8_t *exact = malloc(MAX(rows[i].len, (size_t)1)); /* so that a sanitizer sees one byte too many */
        memcpy(exact, rows[i].bytes, rows[i].len);
        assert_int_equal(datagram_head_read(exact, rows[i].len, &h), rows[i].result);
        free(exact);
        if (rows[i].result != DATAGRAM_HEAD_NO_STREAM)
            assert_int_equal(h.stream, rows[i].stream);
        if (rows[i].result != DATAGRAM_HEAD_OK)
            continue;
        assert_int_equal(h.context, rows[i].context);
        assert_int_equal(h.len, rows[i].head);
    }
}

static void heads_are_written_as_short_as_they_can_be(void **state)
{
    static const struct {
        int64_t stream;
        size_t len;
    } rows[] = {{0, 2}, {252, 2}, {256, 3}, {4 * 16383, 3}, {4 * 16384, 5}, {INT64_C(4) << 30, 9}};
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        uint8_t out[DATAGRAM_HEAD_MAX];
        struct datagram_head h;
        size_t n = datagram_head_write(rows[i].stream, 0, out);
        assert_int_equal(n, rows[i].len);
        assert_int_equal(datagram_head_read(out, n, &h), DATAGRAM_HEAD_OK);
        assert_int_equal(h.stream, rows[i].stream);
    }
}

/* Every length goes in and out whole wherever the end of the space cuts it, also in pieces. */
static void a_ring_gives_back_what_was_put(void **state)
{
    struct ring r = {0};
    uint8_t data[700], out[702];
    size_t put = 0, taken = 0, lost;
    (void)state;
    for (size_t i = 0; i < 5000; i++) {
        size_t len = i % sizeof(data);
        memset(data, (int)(i & 0xff), len);
        assert_true(ring_put(&r, "ab", 2, data, len, 4000, &lost));
        assert_int_equal(lost, 0);
        put++;
        if (i % 3 == 0)
            continue;
        while (r.count > 0) {
            struct ring_piece pieces[RING_PIECES];
            size_t n = ring_pieces(&r, pieces), want = taken % sizeof(data);
            assert_int_equal(ring_next(&r), want + 2);
            assert_int_equal(pieces[0].len + (n == 2 ? pieces[1].len : 0), want + 2);
            ring_take(&r, out);
            assert_memory_equal(out, "ab", 2);
            for (size_t k = 0; k < want; k++)
                assert_int_equal(out[2 + k], taken & 0xff);
            taken++;
        }
    }
    assert_int_equal(put - taken, r.count);
    ring_free(&r);
}

static void a_full_ring_drops_its_oldest(void **state)
{
    struct ring r = {0};
    uint8_t data[1000] = {0};
    size_t lost, all = 0;
    (void)state;
    for (uint8_t i = 0; i < 50; i++) {
        data[0] = i;
        assert_true(ring_put(&r, NULL, 0, data, sizeof(data), 10 * 1002, &lost));
        all += lost;
    }
    assert_int_equal(all, 40);
    assert_int_equal(r.count, 10);
    assert_false(ring_put(&r, NULL, 0, data, sizeof(data), 1001, &lost)); /* and none goes for it */
    assert_int_equal(r.count, 10);
    ring_take(&r, data);
    assert_int_equal(data[0], 40);
    while (r.count > 0)
        ring_drop(&r);
    assert_true(r.cap <= 4096); /* a burst leaves little behind */
    ring_free(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(heads_read_as_the_rfc_says),
        cmocka_unit_test(heads_are_written_as_short_as_they_can_be),
        cmocka_unit_test(a_ring_gives_back_what_was_put),
        cmocka_unit_test(a_full_ring_drops_its_oldest),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
