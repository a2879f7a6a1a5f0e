/* SPDX-License-Identifier: Apache-2.0 */
/* login/upkeep.h: half a year of logins, networks that are away and machines that sleep, played in an
 * instant. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/check.h"
#include "login/upkeep.h"

#define HOUR INT64_C(3600)
#define LIFE (4 * HOUR)
#define SESSION (12 * HOUR)

/* A person's machine, and what has happened on it. */
struct machine {
    struct upkeep upkeep;
    struct keep kept;
    int64_t now, session_until;
    int64_t away_until; /* no network before */
    unsigned renewed, tried, warned, over;
};

static void get(struct machine *m, bool password)
{
    if (password)
        m->session_until = m->now + SESSION;
    m->kept = (struct keep){.since = m->now,
                            .until = m->now + LIFE < m->session_until ? m->now + LIFE : m->session_until,
                            .renewable_until = m->session_until};
    upkeep_begin(&m->upkeep, &m->kept);
}

/* One question and what comes of it. Returns when to ask again. */
static int64_t ask(struct machine *m)
{
    int64_t at = 0;
    switch (upkeep_next(&m->upkeep, m->now, &at)) {
    case UPKEEP_RENEW:
        m->tried++;
        if (m->now < m->away_until) {
            upkeep_failed(&m->upkeep, m->now);
        } else {
            get(m, false);
            m->renewed++;
        }
        return m->now;
    case UPKEEP_WARN:
        m->warned++;
        return m->now;
    case UPKEEP_OVER:
        m->over++;
        return m->now;
    default:
        assert_true(at > m->now);
        return at;
    }
}

static void run_until(struct machine *m, int64_t end)
{
    while (m->now < end) {
        int64_t at = ask(m);
        m->now = at < end ? at : end;
    }
}

/* Who gives his password twice a day has a certificate at each moment, with a fifth of its life left at
 * least, and is never told anything. */
static void test_half_a_year(void **state)
{
    struct machine m = {.now = 1000000};
    (void)state;
    for (int i = 0; i < 365; i++) {
        get(&m, true);
        int64_t end = m.now + SESSION - HOUR;
        while (m.now < end) {
            int64_t at = ask(&m);
            m.now = at < end ? at : end;
            assert_true(m.now < m.kept.until);
        }
    }
    assert_int_equal(m.warned, 0);
    assert_int_equal(m.over, 0);
    assert_int_equal(m.tried, m.renewed);
    assert_in_range(m.renewed, 365 * 3, 365 * 5);
}

/* Nobody comes back: told once that it ends, once that it has ended, and not asked for any more. */
static void test_session_ends(void **state)
{
    struct machine m = {.now = 1000000};
    (void)state;
    get(&m, true);
    run_until(&m, m.now + SESSION - 601);
    assert_int_equal(m.warned, 0);
    run_until(&m, m.now + 2);
    assert_int_equal(m.warned, 1);
    assert_false(upkeep_is_possible(&m.upkeep));
    unsigned tried = m.tried;
    run_until(&m, m.now + 48 * HOUR);
    assert_int_equal(m.warned, 1);
    assert_int_equal(m.over, 1);
    assert_int_equal(m.tried, tried);
}

/* A network that is away: few tries, closer together towards the end, and one that succeeds mends all. */
static void test_network_is_away(void **state)
{
    struct machine m = {.now = 1000000};
    (void)state;
    get(&m, true);
    m.away_until = m.kept.until - 60;
    run_until(&m, m.kept.until - 1);
    assert_int_equal(m.warned, 1);
    assert_int_equal(m.over, 0);
    assert_int_equal(m.renewed, 1);
    assert_in_range(m.tried, 10, 30);
    m = (struct machine){.now = 1000000, .away_until = INT64_MAX};
    get(&m, true);
    run_until(&m, m.now + 24 * HOUR);
    assert_int_equal(m.over, 1);
    assert_in_range(m.tried, 10, 40);
}

/* A machine that sleeps is asked late. */
static void test_sleep(void **state)
{
    struct machine m = {.now = 1000000};
    (void)state;
    get(&m, true);
    run_until(&m, m.now + HOUR);
    m.now = m.kept.until - 30; /* awake in the last minute: renewed without a word */
    run_until(&m, m.now + 10);
    assert_int_equal(m.renewed, 1);
    assert_int_equal(m.warned, 0);
    m.now = m.kept.until + HOUR; /* too late: the password is needed, and nothing else is told */
    run_until(&m, m.now + HOUR);
    assert_int_equal(m.renewed, 1);
    assert_int_equal(m.warned, 0);
    assert_int_equal(m.over, 1);
    get(&m, true);
    run_until(&m, m.now + LIFE);
    assert_int_equal(m.renewed, 2);
    assert_int_equal(m.over, 1);
}

/* Where another process renews, it gets a while before its owner is told that it has not. */
static void test_by_another(void **state)
{
    struct machine m = {.now = 1000000, .upkeep.by_another = true};
    int64_t at;
    (void)state;
    get(&m, true);
    m.now = m.kept.until - 120;
    assert_int_equal(upkeep_next(&m.upkeep, m.now, &at), UPKEEP_WAIT);
    assert_int_equal(at, m.now + 30);
    assert_int_equal(upkeep_next(&m.upkeep, at, &at), UPKEEP_WARN);
    get(&m, true);
    assert_true(m.upkeep.by_another);
    run_until(&m, m.kept.until + HOUR);
    assert_int_equal(m.tried, 0);
    assert_int_equal(m.warned, 1);
    assert_int_equal(m.over, 1);
}

/* Whatever a file says, there is an answer, and it is not asked without end. */
static void test_odd_times(void **state)
{
    static const struct keep odd[] = {
        {.since = 0, .until = 0},
        {.since = 100, .until = 50, .renewable_until = 1000},
        {.since = 10, .until = 11, .renewable_until = INT64_MAX},
        {.since = INT64_MAX, .until = 5000, .renewable_until = -1},
        {.since = INT64_MIN, .until = 5000, .renewable_until = 6000},
        {.since = -5, .until = INT64_MAX, .renewable_until = INT64_MAX},
        {.since = 5000, .until = 5010, .renewable_until = INT64_MIN},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(odd); i++) {
        struct upkeep u = {.by_another = false};
        upkeep_begin(&u, &odd[i]);
        assert_true(upkeep_is_of(&u, &odd[i]));
        int64_t now = 4990;
        for (int n = 0; n < 200; n++) {
            int64_t at = 0;
            enum upkeep_step step = upkeep_next(&u, now, &at);
            if (step == UPKEEP_RENEW)
                upkeep_failed(&u, now);
            if (step == UPKEEP_WAIT)
                assert_true(at > now);
            now = step == UPKEEP_WAIT ? at : now;
        }
        assert_true(now > 4990);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_half_a_year),     cmocka_unit_test(test_session_ends),
        cmocka_unit_test(test_network_is_away), cmocka_unit_test(test_sleep),
        cmocka_unit_test(test_by_another),      cmocka_unit_test(test_odd_times),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
