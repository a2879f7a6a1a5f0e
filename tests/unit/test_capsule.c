/* SPDX-License-Identifier: Apache-2.0 */
/* http/capsule.h: capsules at every split, and those that are none. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/check.h"
#include "http/capsule.h"

/* Datagrams as text: each in brackets. */
static void note(void *arg, const uint8_t *data, size_t len)
{
    struct buf *out = arg;
    assert_true(buf_append(out, "[", 1) && buf_append(out, data, len) && buf_append(out, "]", 1));
}

struct row {
    const char *bytes;
    size_t len;
    const char *datagrams;
    const char *why; /* NULL: it is good */
    bool whole;
};

#define ROW(bytes, datagrams, why, whole)               \
    {                                                   \
        bytes, sizeof(bytes) - 1, datagrams, why, whole \
    }

static const struct row rows[] = {
    ROW("", "", NULL, true),
    ROW("\x00\x03\x00hi", "[hi]", NULL, true),
    ROW("\x00\x01\x00", "[]", NULL, true),
    ROW("\x00\x03\x00hi\x00\x03\x00yo", "[hi][yo]", NULL, true),
    /* integers that take more bytes than they need are the same integers */
    ROW("\x40\x00\x80\x00\x00\x03\x00hi", "[hi]", NULL, true),
    ROW("\x00\x40\x0a\xc0\x00\x00\x00\x00\x00\x00\x00hi", "[hi]", NULL, true),
    /* other types, other contexts */
    ROW("\x17\x00\x00\x03\x00hi", "[hi]", NULL, true),
    ROW("\x17\x04skip\x00\x03\x00hi", "[hi]", NULL, true),
    ROW("\x7f\xff\x04skip\x00\x03\x00hi", "[hi]", NULL, true),
    ROW("\x00\x05\x02skip\x00\x03\x00hi", "[hi]", NULL, true),
    ROW("\x00\x01\x02\x00\x03\x00hi", "[hi]", NULL, true),
    ROW("\x00\x06\x40\x02skip\x00\x03\x00hi", "[hi]", NULL, true),
    ROW("\x17\xff\xff\xff\xff\xff\xff\xff\xffskip", "", NULL, false),
    ROW("\x00\xff\xff\xff\xff\xff\xff\xff\xff\x02skip", "", NULL, false),
    /* broken off */
    ROW("\x00", "", NULL, false),
    ROW("\xc0\x00\x00", "", NULL, false),
    ROW("\x00\x03", "", NULL, false),
    ROW("\x00\x03\x00", "", NULL, false),
    ROW("\x00\x03\x00h", "", NULL, false),
    ROW("\x00\x03\x00hi\x00", "[hi]", NULL, false),
    ROW("\x17\x04ski", "", NULL, false),
    /* hostile */
    ROW("\x00\x00", "", "without a context", false),
    ROW("\x00\x03\x00hi\x00\x00\x00\x03\x00yo", "[hi]", "without a context", false),
    ROW("\x00\x01\x40", "", "without a context", false),
    ROW("\x00\x03\xc0hi\x00\x03\x00yo", "", "without a context", false),
    ROW("\x00\x80\x00\xff\xf9\x00", "", "longer than UDP", false),
    ROW("\x00\xff\xff\xff\xff\xff\xff\xff\xff\x00x", "", "longer than UDP", false),
};

static void check_row(const struct row *row, size_t cut, size_t step)
{
    struct capsule_reader r = {0};
    struct buf out = {0};
    const char *why = NULL;
    for (size_t at = 0; at < row->len && why == NULL;) {
        size_t n = at == 0 && cut > 0 ? cut : MIN(step, row->len - at);
        uint8_t *copy = malloc(n);
        assert_non_null(copy);
        memcpy(copy, row->bytes + at, n);
        why = capsule_feed(&r, copy, n, note, &out);
        free(copy);
        at += n;
    }
    assert_string_equal(buf_text(&out), row->datagrams);
    if (row->why == NULL)
        assert_null(why);
    else if (why == NULL || strstr(why, row->why) == NULL)
        fail_msg("row %zu: %s", (size_t)(row - rows), why == NULL ? "taken" : why);
    if (row->why == NULL)
        assert_int_equal(capsule_is_whole(&r), row->whole);
    capsule_reader_free(&r);
    buf_free(&out);
}

static void test_rows(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        for (size_t cut = 0; cut <= rows[i].len; cut++)
            check_row(&rows[i], cut, SIZE_MAX);
        check_row(&rows[i], 0, 1);
    }
}

static void count(void *arg, const uint8_t *data, size_t len)
{
    size_t *sum = arg;
    for (size_t i = 0; i < len; i++)
        assert_int_equal(data[i], (uint8_t)(len + i));
    *sum += len + 1;
}

/* What is written is what is read, for every form of a length. */
static void test_lengths(void **state)
{
    static const size_t lengths[] = {0, 1, 61, 62, 63, 64, 1200, 16381, 16382, 16383, 16384, 65526, 65527};
    static uint8_t data[CAPSULE_UDP_MAX + 1];
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(lengths); i++) {
        struct buf out = {0};
        struct capsule_reader r = {0};
        size_t len = lengths[i], sum = 0;
        for (size_t k = 0; k < len; k++)
            data[k] = (uint8_t)(len + k);
        assert_true(capsule_put(&out, data, len));
        assert_true(capsule_put(&out, data, len));
        for (size_t at = 0; at < out.len; at += 1000)
            assert_null(capsule_feed(&r, out.data + at, MIN((size_t)1000, out.len - at), count, &sum));
        assert_int_equal(sum, 2 * (len + 1));
        assert_true(capsule_is_whole(&r));
        assert_null(r.payload.data);
        buf_free(&out);
    }
}

static void test_put_bounds(void **state)
{
    static const uint8_t data[CAPSULE_UDP_MAX + 1];
    struct buf out = {.max = 100};
    (void)state;
    assert_true(capsule_put(&out, data, sizeof(data))); /* no such datagram: left out */
    assert_int_equal(out.len, 0);
    assert_true(capsule_put(&out, data, 60));
    size_t before = out.len;
    assert_false(capsule_put(&out, data, 60));
    assert_int_equal(out.len, before);
    buf_free(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows),
        cmocka_unit_test(test_lengths),
        cmocka_unit_test(test_put_bounds),
    };
    return cmocka_run_group_tests_name("capsule", tests, NULL, NULL);
}
