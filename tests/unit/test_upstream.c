/* SPDX-License-Identifier: Apache-2.0 */
/* Which backend comes next. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/check.h"
#include "session/upstream.h"

#define NOW UPSTREAM_RETRY_NS * 100

struct fixture {
    struct backend_registry registry;
    struct backend *v[UPSTREAM_BACKENDS_MAX];
    struct upstream u;
    _Atomic uint32_t turn;
};

static void setup(struct fixture *f, size_t n)
{
    backend_registry_init(&f->registry);
    for (size_t i = 0; i < n; i++) {
        char key[32];
        snprintf(key, sizeof(key), "b%zu.inside:80", i);
        f->v[i] = backend_get(&f->registry, key, "b.inside", 80);
    }
    atomic_init(&f->turn, 0);
    f->u = (struct upstream){.v = f->v, .n = n, .turn = &f->turn};
}

static void teardown(struct fixture *f)
{
    for (size_t i = 0; i < f->u.n; i++)
        backend_unref(f->v[i]);
    backend_registry_sweep(&f->registry);
    assert_true(list_empty(&f->registry.backends));
}

static void ties_are_taken_in_turn(void **state)
{
    (void)state;
    struct fixture f;
    setup(&f, 3);
    for (int i = 0; i < 9; i++)
        assert_int_equal(upstream_pick(&f.u, NOW, 0), i % 3);
    teardown(&f);
}

static void the_fewest_connections_win(void **state)
{
    (void)state;
    struct fixture f;
    setup(&f, 3);
    for (int i = 0; i < 30; i++)
        backend_acquire(f.v[upstream_pick(&f.u, NOW, 0)]);
    for (int i = 0; i < 3; i++)
        assert_int_equal(f.v[i]->live, 10);
    for (int i = 0; i < 4; i++)
        backend_release(f.v[1]);
    for (int i = 0; i < 4; i++) {
        assert_int_equal(upstream_pick(&f.u, NOW, 0), 1);
        backend_acquire(f.v[1]);
    }
    teardown(&f);
}

static void one_that_failed_is_left_alone_for_a_while(void **state)
{
    (void)state;
    struct fixture f;
    setup(&f, 2);
    for (int i = 0; i < 100; i++)
        backend_acquire(f.v[0]); /* busy, but it works */
    backend_failed(f.v[1], NOW);
    for (int i = 0; i < 4; i++)
        assert_int_equal(upstream_pick(&f.u, NOW + UPSTREAM_RETRY_NS - 1, 0), 0);
    assert_int_equal(upstream_pick(&f.u, NOW + UPSTREAM_RETRY_NS, 0), 1);
    backend_failed(f.v[1], NOW);
    backend_succeeded(f.v[1]); /* one got through after all */
    assert_int_equal(upstream_pick(&f.u, NOW, 0), 1);
    teardown(&f);
}

/* When all have failed, the one whose time is over first is tried: better than nothing. */
static void the_least_avoided_of_all_avoided(void **state)
{
    (void)state;
    struct fixture f;
    setup(&f, 3);
    backend_failed(f.v[0], NOW + 20);
    backend_failed(f.v[1], NOW + 10);
    backend_failed(f.v[2], NOW + 30);
    for (int i = 0; i < 4; i++)
        assert_int_equal(upstream_pick(&f.u, NOW + 40, 0), 1);
    assert_int_equal(upstream_pick(&f.u, NOW + 40, 1 << 1), 0);
    teardown(&f);
}

static void one_that_is_down_is_never_picked(void **state)
{
    (void)state;
    struct fixture f;
    setup(&f, 2);
    f.v[0]->down = true;
    backend_failed(f.v[1], NOW);
    for (int i = 0; i < 4; i++)
        assert_int_equal(upstream_pick(&f.u, NOW, 0), 1);
    assert_int_equal(upstream_pick(&f.u, NOW, 1 << 1), -1);
    f.v[1]->down = true;
    assert_int_equal(upstream_pick(&f.u, NOW, 0), -1);
    f.v[0]->down = false;
    assert_int_equal(upstream_pick(&f.u, NOW, 0), 0);
    teardown(&f);
}

static void each_is_tried_once(void **state)
{
    (void)state;
    struct fixture f;
    setup(&f, UPSTREAM_BACKENDS_MAX);
    uint64_t tried = 0;
    for (int i = 0; i < UPSTREAM_BACKENDS_MAX; i++) {
        int pick = upstream_pick(&f.u, NOW, tried);
        assert_in_range(pick, 0, UPSTREAM_BACKENDS_MAX - 1);
        assert_false(tried & UINT64_C(1) << pick);
        tried |= UINT64_C(1) << pick;
    }
    assert_int_equal(upstream_pick(&f.u, NOW, tried), -1);
    teardown(&f);
}

static void none_at_all(void **state)
{
    (void)state;
    struct upstream u = {.n = 0};
    assert_int_equal(upstream_pick(&u, NOW, 0), -1);
}

/* One address is one backend, however many routes and configurations name it. */
static void the_registry_keeps_one_of_each(void **state)
{
    (void)state;
    struct backend_registry r;
    backend_registry_init(&r);
    struct backend *a = backend_get(&r, "a:80", "a", 80), *b = backend_get(&r, "unix:/run/b", NULL, 0);
    assert_ptr_equal(backend_get(&r, "a:80", "a", 80), a);
    assert_ptr_not_equal(a, b);
    assert_null(backend_unix_path(a));
    assert_string_equal(backend_unix_path(b), "/run/b");
    backend_acquire(a);
    backend_unref(a);
    backend_unref(b);
    backend_unref(NULL);
    backend_registry_sweep(&r); /* b goes, a is still named */
    assert_ptr_equal(backend_get(&r, "a:80", "a", 80), a);
    assert_int_equal(a->live, 1);
    backend_release(a);
    backend_unref(a);
    backend_unref(a);
    backend_registry_sweep(&r);
    assert_true(list_empty(&r.backends));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ties_are_taken_in_turn),
        cmocka_unit_test(the_fewest_connections_win),
        cmocka_unit_test(one_that_failed_is_left_alone_for_a_while),
        cmocka_unit_test(the_least_avoided_of_all_avoided),
        cmocka_unit_test(one_that_is_down_is_never_picked),
        cmocka_unit_test(each_is_tried_once),
        cmocka_unit_test(none_at_all),
        cmocka_unit_test(the_registry_keeps_one_of_each),
    };
    return cmocka_run_group_tests_name("upstream", tests, NULL, NULL);
}
