/* SPDX-License-Identifier: Apache-2.0 */
/* base/buf.h: numbers, the bound, and that a buffer goes on after its content is gone. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/check.h"

static void test_numbers(void **state)
{
    static const struct {
        size_t n;
        uint64_t v;
        const char *bytes;
    } rows[] = {
        {1, 0x1ff, "\xff"},         {2, 0x0102, "\1\2"},
        {3, 0x010203, "\1\2\3"},    {4, UINT32_MAX, "\xff\xff\xff\xff"},
        {8, 1, "\0\0\0\0\0\0\0\1"},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct buf b = {.max = 0};
        assert_true(buf_append_uint(&b, rows[i].n, rows[i].v));
        assert_int_equal(b.len, rows[i].n);
        assert_memory_equal(b.data, rows[i].bytes, rows[i].n);
        buf_free(&b);
    }
}

static void test_bound(void **state)
{
    struct buf b = {.max = 3};
    (void)state;
    assert_true(buf_append_uint(&b, 2, 7));
    assert_false(buf_append_uint(&b, 2, 8));
    assert_false(buf_append(&b, "ab", 2));
    assert_false(buf_printf(&b, "%s", "ab"));
    assert_int_equal(b.len, 2);
    assert_true(buf_append_uint(&b, 1, 9));
    assert_memory_equal(b.data, "\0\7\11", 3);
    buf_free(&b);
}

static void test_wiped(void **state)
{
    struct buf b = {.max = 8};
    (void)state;
    buf_wipe(&b);
    for (int i = 0; i < 2; i++) {
        assert_true(buf_append(&b, "secret", 6));
        assert_false(buf_append(&b, "secret", 6));
        buf_wipe(&b);
        assert_true(b.data == NULL && b.len == 0 && b.cap == 0 && b.max == 8);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_numbers),
        cmocka_unit_test(test_bound),
        cmocka_unit_test(test_wiped),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
