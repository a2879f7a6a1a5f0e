/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/unit.h"

static void test_both_ways(void **state)
{
    static const struct {
        const struct unit *units;
        int64_t number;
        const char *text;
    } rows[] = {
        {unit_durations, 0, "0"},
        {unit_durations, 250 * NSEC_PER_MSEC, "250ms"},
        {unit_durations, 1500 * NSEC_PER_MSEC, "1500ms"},
        {unit_durations, 10 * NSEC_PER_SEC, "10s"},
        {unit_durations, 90 * NSEC_PER_SEC, "90s"},
        {unit_durations, 300 * NSEC_PER_SEC, "5m"},
        {unit_durations, 12 * 3600 * NSEC_PER_SEC, "12h"},
        {unit_durations, 7 * 86400 * NSEC_PER_SEC, "7d"},
        {unit_sizes, 0, "0"},
        {unit_sizes, 1000, "1000"},
        {unit_sizes, 65536, "64KiB"},
        {unit_sizes, 3 << 20, "3MiB"},
        {unit_sizes, INT64_C(4) << 30, "4GiB"},
        {unit_plain, 65536, "65536"},
        {unit_plain, INT64_MAX, "9223372036854775807"},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        char text[UNIT_TEXT_MAX];
        int64_t number = -1;
        assert_string_equal(unit_format(rows[i].number, rows[i].units, text), rows[i].text);
        assert_true(unit_parse(rows[i].text, rows[i].units, &number));
        assert_int_equal(number, rows[i].number);
    }
}

static void test_refused(void **state)
{
    static const struct {
        const struct unit *units;
        const char *text;
    } rows[] = {
        {unit_durations, ""},
        {unit_durations, "s"},
        {unit_durations, "10"},
        {unit_durations, "00"},
        {unit_durations, "1.5s"},
        {unit_durations, "-1s"},
        {unit_durations, "+1s"},
        {unit_durations, " 1s"},
        {unit_durations, "1 s"},
        {unit_durations, "1s "},
        {unit_durations, "1S"},
        {unit_durations, "1us"},
        {unit_durations, "1h30m"},
        {unit_durations, "1w"},
        {unit_durations, "0x10s"},
        {unit_durations, "1e3s"},
        {unit_durations, "106752d"},
        {unit_durations, "9223372036854775807s"},
        {unit_durations, "18446744073709551616ms"},
        {unit_sizes, "1M"},
        {unit_sizes, "1KB"},
        {unit_sizes, "1kib"},
        {unit_sizes, "1s"},
        {unit_plain, "1KiB"},
        {unit_plain, "9223372036854775808"},
        {unit_plain, "00000000000000000001"},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        int64_t number;
        if (unit_parse(rows[i].text, rows[i].units, &number))
            fail_msg("\"%s\" is taken for %lld", rows[i].text, (long long)number);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_both_ways),
        cmocka_unit_test(test_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
