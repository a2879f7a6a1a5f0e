/* SPDX-License-Identifier: Apache-2.0 */
#include "base/patience.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/clock.h"

static unsigned borne(struct patience *p, int64_t now)
{
    unsigned n = 0;
    while (n < 5000 && patience_bear(p, now))
        n++;
    return n;
}

/* So much at once; then so much a second, and never more than at first. */
static void it_ends_and_comes_back(void **state)
{
    struct patience p;
    int64_t now = 7 * NSEC_PER_SEC;
    (void)state;
    patience_init(&p, now);
    assert_int_equal(borne(&p, now), 1000);
    assert_int_equal(borne(&p, now + NSEC_PER_SEC), 33);
    assert_int_equal(borne(&p, now + NSEC_PER_SEC), 0);
    assert_int_equal(borne(&p, now + 3600 * NSEC_PER_SEC), 1000);
    patience_init_as(&p, 10, 2, now);
    assert_int_equal(borne(&p, now), 10);
    assert_int_equal(borne(&p, now + NSEC_PER_SEC), 2);
}

/* Asked often, it comes back no slower. */
static void parts_of_one_add_up(void **state)
{
    struct patience p;
    unsigned n = 0;
    (void)state;
    patience_init(&p, 0);
    borne(&p, 0);
    for (int64_t now = 0; now <= 10 * NSEC_PER_SEC; now += NSEC_PER_MSEC)
        n += patience_bear(&p, now);
    assert_in_range(n, 300, 330);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_ends_and_comes_back),
        cmocka_unit_test(parts_of_one_add_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
