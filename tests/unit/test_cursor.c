/* SPDX-License-Identifier: Apache-2.0 */
/* base/cursor.h: variable-length integers. What else it has, every parser's test goes through. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/check.h"
#include "base/cursor.h"

/* RFC 9000, A.1, and the bounds of each length. */
static const struct {
    const char *bytes;
    size_t len;
    uint64_t value;
    bool shortest;
} samples[] = {
    {"\xc2\x19\x7c\x5e\xff\x14\xe8\x8c", 8, UINT64_C(151288809941952652), true},
    {"\x9d\x7f\x3e\x7d", 4, 494878333, true},
    {"\x7b\xbd", 2, 15293, true},
    {"\x25", 1, 37, true},
    {"\x40\x25", 2, 37, false},
    {"\x00", 1, 0, true},
    {"\x3f", 1, 63, true},
    {"\x40\x40", 2, 64, true},
    {"\x7f\xff", 2, 16383, true},
    {"\x80\x00\x40\x00", 4, 16384, true},
    {"\xbf\xff\xff\xff", 4, (1u << 30) - 1, true},
    {"\xc0\x00\x00\x00\x40\x00\x00\x00", 8, 1u << 30, true},
    {"\xff\xff\xff\xff\xff\xff\xff\xff", 8, VARINT_MAX, true},
};

static void test_varint_read(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(samples); i++)
        for (size_t len = 0; len <= samples[i].len; len++) {
            struct cursor c = cursor_of(samples[i].bytes, len);
            uint64_t value = 0;
            bool whole = len == samples[i].len;
            assert_int_equal(cursor_varint(&c, &value), whole);
            assert_int_equal(cursor_left(&c), whole ? 0 : len); /* it stays where it was */
            assert_true(!whole || value == samples[i].value);
        }
}

static void test_varint_write(void **state)
{
    (void)state;
    uint8_t out[8];
    for (size_t i = 0; i < ARRAY_LEN(samples); i++) {
        if (!samples[i].shortest)
            continue;
        struct writer w = writer_of(out, sizeof(out));
        writer_varint(&w, samples[i].value);
        assert_false(w.full);
        assert_int_equal(w.p - out, samples[i].len);
        assert_memory_equal(out, samples[i].bytes, samples[i].len);
        w = writer_of(out, samples[i].len - 1);
        writer_varint(&w, samples[i].value);
        assert_true(w.full);
    }
    struct writer w = writer_of(out, sizeof(out));
    writer_varint(&w, VARINT_MAX + 1);
    assert_true(w.full && w.p == out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_varint_read),
        cmocka_unit_test(test_varint_write),
    };
    return cmocka_run_group_tests_name("cursor", tests, NULL, NULL);
}
