/* SPDX-License-Identifier: Apache-2.0 */
/* The timer wheel: fires once, never early, at most a tick late, over all levels, against a plain list. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/check.h"
#include "loop/wheel.h"

struct alarm {
    struct timer timer;
    int64_t when;
    int fired;
};

static void on_fire(struct timer *t)
{
    CONTAINER_OF(t, struct alarm, timer)->fired++;
}

static void fire_due(struct wheel *w, int64_t now)
{
    struct timer *t;
    wheel_advance(w, now);
    while ((t = wheel_pop(w)) != NULL) {
        struct alarm *a = CONTAINER_OF(t, struct alarm, timer);
        assert_true(now >= a->when);
        assert_false(timer_is_set(t));
        t->fire(t);
    }
}

static void fires_once_and_not_early(void **state)
{
    (void)state;
    struct wheel w;
    struct alarm a = {.when = 10 * WHEEL_TICK_NS};
    wheel_init(&w, 0);
    timer_init(&a.timer, on_fire);
    assert_int_equal(wheel_next(&w), INT64_MAX);
    wheel_set(&w, &a.timer, a.when);
    assert_true(wheel_next(&w) <= a.when);
    fire_due(&w, a.when - 1);
    assert_int_equal(a.fired, 0);
    fire_due(&w, a.when);
    assert_int_equal(a.fired, 1);
    fire_due(&w, a.when * 100);
    assert_int_equal(a.fired, 1);
    assert_int_equal(wheel_next(&w), INT64_MAX);
}

static void cancelled_timers_do_not_fire(void **state)
{
    (void)state;
    struct wheel w;
    struct alarm a = {.when = WHEEL_TICK_NS * 5000};
    wheel_init(&w, 0);
    timer_init(&a.timer, on_fire);
    wheel_set(&w, &a.timer, a.when);
    wheel_cancel(&a.timer);
    wheel_cancel(&a.timer);
    assert_int_equal(wheel_next(&w), INT64_MAX);
    fire_due(&w, a.when * 2);
    assert_int_equal(a.fired, 0);
}

static void times_that_have_passed_fire_at_the_next_tick(void **state)
{
    (void)state;
    struct wheel w;
    struct alarm a = {.when = 0};
    wheel_init(&w, 1000 * WHEEL_TICK_NS);
    timer_init(&a.timer, on_fire);
    wheel_set(&w, &a.timer, 5);
    fire_due(&w, 1001 * WHEEL_TICK_NS);
    assert_int_equal(a.fired, 1);
}

#define ALARMS 500

static uint64_t rnd(uint64_t *seed)
{
    *seed = *seed * 6364136223846793005ULL + 1442695040888963407ULL;
    return *seed >> 20;
}

/* Random timers up to beyond the top level's span, moved and cancelled on the way; time goes in random steps,
 * and by sleeping until wheel_next(). */
static void agrees_with_a_plain_list(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed < 20; seed++) {
        static struct alarm a[ALARMS];
        struct wheel w;
        uint64_t r = seed;
        int64_t now = (int64_t)(rnd(&r) % 1000000) * WHEEL_TICK_NS;
        wheel_init(&w, now);
        for (size_t i = 0; i < ALARMS; i++) {
            int64_t span = WHEEL_TICK_NS << (rnd(&r) % 26);
            a[i] = (struct alarm){.when = now + (int64_t)(rnd(&r) % (uint64_t)span) + 1};
            timer_init(&a[i].timer, on_fire);
            wheel_set(&w, &a[i].timer, a[i].when);
        }
        while (wheel_next(&w) != INT64_MAX) {
            int64_t next = wheel_next(&w);
            if (rnd(&r) % 4 == 0) { /* move one that still waits */
                struct alarm *moved = &a[rnd(&r) % ALARMS];
                if (timer_is_set(&moved->timer)) {
                    moved->when += WHEEL_TICK_NS * (int64_t)(rnd(&r) % 100);
                    wheel_set(&w, &moved->timer, moved->when);
                    continue;
                }
            }
            now = MAX(now, next) + (int64_t)(rnd(&r) % 3) * WHEEL_TICK_NS / 2;
            fire_due(&w, now);
            for (size_t i = 0; i < ALARMS; i++)
                assert_int_equal(a[i].fired, a[i].when + WHEEL_TICK_NS <= now ? 1 : a[i].fired);
        }
        for (size_t i = 0; i < ALARMS; i++)
            assert_int_equal(a[i].fired, 1);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fires_once_and_not_early),
        cmocka_unit_test(cancelled_timers_do_not_fire),
        cmocka_unit_test(times_that_have_passed_fire_at_the_next_tick),
        cmocka_unit_test(agrees_with_a_plain_list),
    };
    return cmocka_run_group_tests_name("wheel", tests, NULL, NULL);
}
