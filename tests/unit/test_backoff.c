/* SPDX-License-Identifier: Apache-2.0 */
/* tunnel/backoff.h, with a random source that we choose. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tunnel/backoff.h"

/* The bound doubles from a quarter of a second to half a minute, and stays there. */
static void test_bound(void **state)
{
    (void)state;
    struct backoff b = {0};
    int64_t want = 250 * NSEC_PER_MSEC;
    for (int i = 0; i < 7; i++, want *= 2)
        assert_int_equal(backoff_next(&b, (uint64_t)want), want);
    for (int i = 0; i < 100; i++)
        assert_int_equal(backoff_next(&b, (uint64_t)(30 * NSEC_PER_SEC)), 30 * NSEC_PER_SEC);
    backoff_reset(&b);
    assert_int_equal(backoff_next(&b, (uint64_t)(250 * NSEC_PER_MSEC)), 250 * NSEC_PER_MSEC);
}

/* Any time below the bound can come, none above it. */
static void test_jitter(void **state)
{
    static const uint64_t random[] = {0, 1, UINT64_MAX, UINT64_MAX / 2, 0x8000000000000000u, 12345678901234u};
    (void)state;
    for (size_t i = 0; i < sizeof(random) / sizeof(random[0]); i++) {
        struct backoff b = {0};
        for (int n = 0; n < 20; n++) {
            int64_t wait = backoff_next(&b, random[i]);
            assert_true(wait >= 0 && wait <= b.bound);
            if (random[i] <= 1)
                assert_int_equal(wait, (int64_t)random[i]);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_bound), cmocka_unit_test(test_jitter)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
