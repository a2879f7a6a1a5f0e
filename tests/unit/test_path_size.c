/* SPDX-License-Identifier: Apache-2.0 */
/* Whether a path still carries long packets (quic/path_size.h): what makes them short, what does not, and
 * when they are tried long again. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/check.h"
#include "base/clock.h"
#include "quic/path_size.h"

#define MS NSEC_PER_MSEC
#define SEC NSEC_PER_SEC

struct path {
    struct path_size size;
    struct path_facts facts;
};

static struct path path(void)
{
    return (struct path){.facts = {.now = 1000 * SEC, .timeout = 100 * MS, .sample = 1, .in_flight = 5000}};
}

static bool is_short(struct path *p, int64_t later)
{
    p->facts.now += later;
    size_t most = path_size_most(&p->size, &p->facts);
    assert_true(most == PATH_SIZE_SHORT || most == SIZE_MAX);
    return most == PATH_SIZE_SHORT;
}

static void lose(struct path *p, unsigned packets, size_t bytes)
{
    p->facts.lost += packets;
    p->facts.lost_bytes += packets * bytes;
}

/* Begin to be silent, with the first two time-outs. */
static void fall_silent(struct path *p)
{
    p->facts.sample++;
    assert_false(is_short(p, 0));
    assert_false(is_short(p, p->facts.timeout));
    assert_false(is_short(p, 2 * p->facts.timeout - 1));
}

/* Time-outs go by, and none of what was sent is acknowledged. */
static void silence(void **state)
{
    (void)state;
    struct path p = path();
    p.facts.timeout = 200 * MS;
    fall_silent(&p);
    assert_false(is_short(&p, 199 * MS)); /* too soon after the last look */
    assert_true(is_short(&p, 1 * MS));
    p = path();
    p.facts.timeout = 1 * MS; /* a short path, and a machine that is busy */
    fall_silent(&p);
    assert_false(is_short(&p, 4 * MS));
    assert_false(is_short(&p, 492 * MS));
    assert_true(is_short(&p, 2 * MS));
}

/* We did not run: what has come meanwhile is not read yet. */
static void nobody_looked(void **state)
{
    (void)state;
    struct path p = path();
    assert_false(is_short(&p, 0));
    assert_false(is_short(&p, 10 * SEC));
    for (int i = 0; i < 100; i++)
        assert_false(is_short(&p, 0));
    p.facts.sample++;
    assert_false(is_short(&p, 0));
    fall_silent(&p);
    assert_true(is_short(&p, 500 * MS));
}

static void no_silence(void **state)
{
    (void)state;
    struct path p = path();
    for (int i = 0; i < 100; i++) { /* acknowledgements come */
        p.facts.sample++;
        assert_false(is_short(&p, 250 * MS));
    }
    p.facts.in_flight = 0; /* there is nothing to be acknowledged */
    assert_false(is_short(&p, 10 * SEC));
    p.facts.in_flight = 100;
    assert_false(is_short(&p, 10 * SEC));
    fall_silent(&p);
    assert_true(is_short(&p, 500 * MS));
}

/* Short packets are acknowledged, and long ones are lost. */
static void only_long_ones_are_lost(void **state)
{
    (void)state;
    struct path p = path();
    assert_false(is_short(&p, 0));
    bool was_short = false;
    for (int i = 0; i < 6 && !was_short; i++) {
        path_size_arrived(&p.size, 40);
        p.facts.sample++;
        lose(&p, 1, 1452);
        was_short = is_short(&p, 200 * MS);
    }
    assert_true(was_short);
}

static void losses_of_another_kind(void **state)
{
    (void)state;
    struct path p = path();
    for (int i = 0; i < 100; i++) { /* some long ones arrive */
        p.facts.sample++;
        lose(&p, 5, 1452);
        path_size_arrived(&p.size, 1400);
        assert_false(is_short(&p, 200 * MS));
    }
    for (int i = 0; i < 100; i++) { /* short ones are lost too */
        p.facts.sample++;
        lose(&p, 5, 800);
        assert_false(is_short(&p, 200 * MS));
    }
    path_size_arrived(&p.size, 1400);
    for (int i = 0; i < 100; i++) { /* two are no row */
        p.facts.sample++;
        assert_false(is_short(&p, 200 * MS));
        if (i < 2)
            lose(&p, 1, 1452);
    }
}

/* Long again after ten seconds; where they vanish again at once the next time is twice as long, up to a
 * bound. */
static void tried_again(void **state)
{
    (void)state;
    struct path p = path();
    int64_t patience = 10 * SEC;
    fall_silent(&p);
    assert_true(is_short(&p, 300 * MS));
    for (int i = 0; i < 12; i++) {
        assert_true(is_short(&p, patience - 1));
        assert_false(is_short(&p, 1));
        fall_silent(&p);
        assert_true(is_short(&p, 300 * MS));
        patience = MIN(2 * patience, 600 * SEC);
    }
    assert_false(is_short(&p, patience));
    for (int i = 0; i < 100; i++) { /* the path is what it was: another outage is a new one */
        p.facts.sample++;
        assert_false(is_short(&p, 100 * MS));
    }
    fall_silent(&p);
    assert_true(is_short(&p, 300 * MS));
    assert_true(is_short(&p, 10 * SEC - 1));
    assert_false(is_short(&p, 1));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(silence),
        cmocka_unit_test(nobody_looked),
        cmocka_unit_test(no_silence),
        cmocka_unit_test(only_long_ones_are_lost),
        cmocka_unit_test(losses_of_another_kind),
        cmocka_unit_test(tried_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
