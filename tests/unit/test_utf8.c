/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/check.h"
#include "base/utf8.h"

/* Runs on an exact heap copy, so that a sanitizer sees a read past the end. */
static size_t length(const void *p, size_t len)
{
    void *copy = malloc(len);
    assert_non_null(copy);
    memcpy(copy, p, len);
    size_t n = utf8_length(copy, len);
    free(copy);
    return n;
}

/* The bytes of a code point, by the table of RFC 3629, 3. */
static size_t encode(uint32_t c, uint8_t ret[4])
{
    size_t n = c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
    static const uint8_t lead[] = {0, 0, 0xc0, 0xe0, 0xf0};
    for (size_t i = n; i-- > 1; c >>= 6)
        ret[i] = (uint8_t)(0x80 | (c & 0x3f));
    ret[0] = (uint8_t)(lead[n] | c);
    return n;
}

/* Every code point, whole and cut short; surrogates and what is beyond Unicode are none. */
static void test_all(void **state)
{
    (void)state;
    for (uint32_t c = 0; c < 0x140000; c++) {
        uint8_t bytes[4];
        size_t n = encode(c, bytes);
        bool good = c < 0x110000 && (c < 0xd800 || c > 0xdfff);
        assert_int_equal(utf8_length(bytes, n), good ? n : 0);
        if (n > 1)
            assert_int_equal(length(bytes, n - 1), 0);
    }
}

static void test_broken(void **state)
{
    static const struct {
        const char *bytes;
        size_t len, n;
    } rows[] = {
        {"a\x80", 2, 1},
        {"\x80", 1, 0},
        {"\xbf\xbf", 2, 0},
        {"\xc0\x80", 2, 0},
        {"\xc1\xbf", 2, 0},
        {"\xc3", 1, 0},
        {"\xc3(", 2, 0},
        {"\xe0\x80\x80", 3, 0},
        {"\xe0\x9f\xbf", 3, 0},
        {"\xe2\x82", 2, 0},
        {"\xe2(\xa1", 3, 0},
        {"\xe2\x82(", 3, 0},
        {"\xed\xa0\x80", 3, 0},
        {"\xf0\x80\x80\x80", 4, 0},
        {"\xf0\x8f\xbf\xbf", 4, 0},
        {"\xf0\x9f\x98", 3, 0},
        {"\xf4\x90\x80\x80", 4, 0},
        {"\xf5\x80\x80\x80", 4, 0},
        {"\xff", 1, 0},
        {"\xfe\x80", 2, 0},
        {"\xc3\xbc\xc3", 3, 2},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        if (length(rows[i].bytes, rows[i].len) != rows[i].n)
            fail_msg("row %zu", i);
}

static void test_columns(void **state)
{
    static const struct {
        const char *text;
        size_t columns;
    } rows[] = {
        {"", 0},
        {"abc", 3},
        {"J\xc3\xb6rg", 4},
        {"Jo\xcc\x88rg", 4},             /* the same, the diaeresis by itself */
        {"\xd0\x96\xd0\xb5\xce\xb1", 3}, /* Cyrillic, Greek */
        {"\xe6\x9d\xb1\xe4\xba\xac", 4}, /* Han */
        {"\xe3\x81\x8b\xe3\x82\x99", 2}, /* Kana with its mark by itself */
        {"\xed\x95\x9c\xea\xb8\x80", 4}, /* Hangul */
        {"\xef\xbc\xa1", 2},             /* full width */
        {"\xf0\x9f\x94\x92", 2},         /* an emoji */
        {"\xf0\x9d\x84\x9e", 1},         /* a clef */
        {"\xf0\xa0\x80\x80", 2},         /* Han beyond the first plane */
        {"a\xe2\x80\x8b\xef\xb8\x8f"
         "b",
         2}, /* zero width */
        {"\xff\xc3", 2},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        if (utf8_columns(rows[i].text) != rows[i].columns)
            fail_msg("row %zu: %zu", i, utf8_columns(rows[i].text));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_all),
        cmocka_unit_test(test_broken),
        cmocka_unit_test(test_columns),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
