/* SPDX-License-Identifier: Apache-2.0 */
/* tls/budget.h */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tls/budget.h"

#define TEN ((size_t)BUDGET_WINDOW * BUDGET_PACKET)

static void test_flights(void **state)
{
    (void)state;
    static const struct {
        size_t bytes;
        unsigned window, flights;
    } rows[] = {
        {0, 10, 1},       {1, 10, 1},           {TEN, 10, 1},     {TEN + 1, 10, 2},
        {3 * TEN, 10, 2}, {3 * TEN + 1, 10, 3}, {7 * TEN, 10, 3}, {3 * TEN, 30, 1},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        assert_int_equal(budget_flights(rows[i].bytes, rows[i].window), rows[i].flights);
    assert_true(budget_flights(SIZE_MAX, 10) < 64); /* it ends */
}

static void test_round_trips(void **state)
{
    (void)state;
    static const struct {
        struct budget_handshake h;
        unsigned small, large;
    } rows[] = {
        {{.version = 0x0304, .received = 4000}, 2, 2},
        {{.version = 0x0303, .received = 4000}, 3, 3},
        {{.version = 0x0303, .resumed = true, .received = 200}, 2, 2},
        {{.version = 0x0304, .resumed = true, .received = 200}, 2, 2},
        {{.version = 0x0304, .retried = true, .received = 4000}, 3, 3},
        {{.version = 0x0304, .received = 20000}, 3, 2}, /* the 17 kB more of ML-DSA: a step at 10 packets */
        {{.version = 0x0304, .received = 60000}, 4, 3},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        assert_int_equal(budget_round_trips(&rows[i].h, BUDGET_WINDOW), rows[i].small);
        assert_int_equal(budget_round_trips(&rows[i].h, BUDGET_WINDOW_LARGE), rows[i].large);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_flights), cmocka_unit_test(test_round_trips)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
