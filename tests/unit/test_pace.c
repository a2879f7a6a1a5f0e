/* SPDX-License-Identifier: Apache-2.0 */
#include "base/pace.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/clock.h"

/* Taking all it gives, at every moment it says, for so long. */
static uint64_t moved(struct pace *p, int64_t now, int64_t for_ns, unsigned sharers)
{
    uint64_t sum = 0;
    for (int64_t end = now + for_ns; now < end;) {
        size_t n;
        int64_t wait = pace_allow(p, now, sharers, &n);
        now += wait;
        if (wait > 0)
            continue;
        pace_charge(p, now, n);
        sum += n;
    }
    return sum;
}

/* In the long run it is the bandwidth, and a tenth of a second's worth at once. */
static void it_is_kept(void **state)
{
    struct pace p = {.bandwidth = 1000 * 1000};
    int64_t now = 7 * NSEC_PER_SEC;
    (void)state;
    assert_in_range(moved(&p, now, 1, 1), 100 * 1000, 101 * 1000);
    assert_in_range(moved(&p, now, 10 * NSEC_PER_SEC, 1), 9850 * 1000, 10150 * 1000);
    assert_in_range(moved(&p, now + 20 * NSEC_PER_SEC, 1, 4), 100 * 1000, 102 * 1000);
}

/* More than there was moved by those who were let: it is paid for before anything else moves. */
static void what_was_overdrawn_is_paid(void **state)
{
    struct pace p = {.bandwidth = 1000};
    size_t n;
    int64_t now = 7 * NSEC_PER_SEC;
    (void)state;
    assert_int_equal(pace_allow(&p, now, 1, &n), 0);
    assert_int_equal(n, 1024); /* worth a call */
    pace_charge(&p, now, 3000);
    assert_int_equal(pace_allow(&p, now, 1, &n), 2950 * NSEC_PER_MSEC);
    assert_int_equal(pace_allow(&p, now + 2950 * NSEC_PER_MSEC, 1, &n), 0);
}

static void without_a_limit(void **state)
{
    struct pace p = {0};
    size_t n;
    (void)state;
    pace_charge(&p, NSEC_PER_SEC, SIZE_MAX);
    assert_int_equal(pace_allow(&p, NSEC_PER_SEC, 1, &n), 0);
    assert_true(n == SIZE_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_is_kept),
        cmocka_unit_test(what_was_overdrawn_is_paid),
        cmocka_unit_test(without_a_limit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
