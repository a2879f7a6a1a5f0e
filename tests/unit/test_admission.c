/* SPDX-License-Identifier: Apache-2.0 */
/* How many may come in: in all, and from one source. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/check.h"
#include "session/admission.h"

#define MANY 1000000

static struct net_addr addr(const char *text, uint16_t port)
{
    struct net_addr a;
    assert_true(net_addr_parse(text, port, &a));
    return a;
}

static enum admission_verdict enter(struct admission *a, const char *text, size_t limit, size_t per_source)
{
    static uint16_t port;
    struct net_addr peer = addr(text, ++port);
    return admission_enter(a, &peer, limit, per_source);
}

static void leave(struct admission *a, const char *text)
{
    struct net_addr peer = addr(text, 1);
    admission_leave(a, &peer);
}

static void in_all(void **state)
{
    (void)state;
    struct admission *a = admission_new();
    assert_int_equal(enter(a, "192.0.2.1", 3, MANY), ADMIT_OK);
    assert_int_equal(enter(a, "192.0.2.1", 3, MANY), ADMIT_OK);
    assert_int_equal(enter(a, "2001:db8::1", 3, MANY), ADMIT_OK);
    for (int i = 0; i < 5; i++)
        assert_int_equal(enter(a, "192.0.2.9", 3, MANY), ADMIT_TOO_MANY);
    assert_int_equal(admission_total(a), 3);
    leave(a, "192.0.2.1");
    assert_int_equal(enter(a, "192.0.2.9", 3, 1), ADMIT_OK); /* those turned away left no trace */
    assert_int_equal(enter(a, "192.0.2.1", 3, MANY), ADMIT_TOO_MANY);
    assert_int_equal(enter(a, "192.0.2.1", 0, MANY), ADMIT_TOO_MANY);
    leave(a, "192.0.2.1");
    leave(a, "192.0.2.9");
    leave(a, "2001:db8::1");
    assert_int_equal(admission_total(a), 0);
    admission_free(a);
}

/* Whoever makes up addresses takes no place of those whose addresses they are, and not all the places there
 * are. */
static void unproven(void **state)
{
    (void)state;
    struct admission *a = admission_new();
    assert_true(admission_enter_unproven(a, 4, 2));
    assert_true(admission_enter_unproven(a, 4, 2));
    assert_false(admission_enter_unproven(a, 4, 2));
    assert_int_equal(enter(a, "192.0.2.1", 4, 1), ADMIT_OK);
    assert_int_equal(enter(a, "192.0.2.2", 4, 1), ADMIT_OK);
    assert_int_equal(enter(a, "192.0.2.3", 4, 1), ADMIT_TOO_MANY);
    admission_leave_unproven(a);
    assert_false(admission_enter_unproven(a, 3, 2)); /* no place in all, and none is taken of its own */
    assert_true(admission_enter_unproven(a, 4, 2));
    admission_leave_unproven(a);
    admission_leave_unproven(a);
    leave(a, "192.0.2.1");
    leave(a, "192.0.2.2");
    assert_int_equal(admission_total(a), 0);
    admission_free(a);
}

static void who_has_proven_its_address_counts_there(void **state)
{
    (void)state;
    struct admission *a = admission_new();
    const struct net_addr peer = addr("192.0.2.1", 1), nowhere = {.family = AF_UNSPEC};
    for (int i = 0; i < 3; i++)
        assert_true(admission_enter_unproven(a, MANY, 3));
    assert_int_equal(enter(a, "192.0.2.1", MANY, 2), ADMIT_OK);
    assert_true(admission_prove(a, &peer, 2));
    assert_true(admission_enter_unproven(a, MANY, 3)); /* its place among the others is free */
    assert_int_equal(enter(a, "192.0.2.1", MANY, 2), ADMIT_TOO_MANY_OF_SOURCE);
    assert_false(admission_prove(a, &peer, 2));
    admission_leave(a, &nowhere);
    admission_leave_unproven(a);
    admission_leave_unproven(a);
    admission_leave(a, &peer);
    admission_leave(a, &peer);
    assert_int_equal(admission_total(a), 0);
    admission_free(a);
}

static void from_one_source(void **state)
{
    (void)state;
    struct admission *a = admission_new();
    assert_int_equal(enter(a, "192.0.2.1", MANY, 2), ADMIT_OK);
    assert_int_equal(enter(a, "192.0.2.1", MANY, 2), ADMIT_OK);
    for (int i = 0; i < 5; i++)
        assert_int_equal(enter(a, "192.0.2.1", MANY, 2), ADMIT_TOO_MANY_OF_SOURCE);
    assert_int_equal(enter(a, "192.0.2.2", MANY, 2), ADMIT_OK);
    assert_int_equal(admission_total(a), 3);
    leave(a, "192.0.2.1");
    assert_int_equal(enter(a, "192.0.2.1", MANY, 2), ADMIT_OK);
    assert_int_equal(enter(a, "192.0.2.1", MANY, 2), ADMIT_TOO_MANY_OF_SOURCE);
    admission_free(a);
}

/* Whoever has an address has the /64 around it. */
static void a_source_of_ipv6_is_its_64(void **state)
{
    (void)state;
    struct admission *a = admission_new();
    assert_int_equal(enter(a, "2001:db8:0:1::1", MANY, 2), ADMIT_OK);
    assert_int_equal(enter(a, "2001:db8:0:1:ffff:ffff:ffff:ffff", MANY, 2), ADMIT_OK);
    assert_int_equal(enter(a, "2001:db8:0:1:1::", MANY, 2), ADMIT_TOO_MANY_OF_SOURCE);
    assert_int_equal(enter(a, "2001:db8:0:2::1", MANY, 2), ADMIT_OK);
    leave(a, "2001:db8:0:1:8000::"); /* any of them */
    assert_int_equal(enter(a, "2001:db8:0:1:1::", MANY, 2), ADMIT_OK);
    admission_free(a);
}

static void who_has_no_address_has_no_source(void **state)
{
    (void)state;
    struct admission *a = admission_new();
    const struct net_addr unknown = {0}, local = {.family = AF_UNIX};
    for (int i = 0; i < 10; i++) {
        assert_int_equal(admission_enter(a, &unknown, 20, 1), ADMIT_OK);
        assert_int_equal(admission_enter(a, &local, 20, 1), ADMIT_OK);
    }
    assert_int_equal(admission_enter(a, &local, 20, 1), ADMIT_TOO_MANY);
    for (int i = 0; i < 10; i++) {
        admission_leave(a, &unknown);
        admission_leave(a, &local);
    }
    assert_int_equal(admission_total(a), 0);
    admission_free(a);
}

/* A proxy in front tells who it was. */
static void a_connection_moves_to_its_true_source(void **state)
{
    (void)state;
    struct admission *a = admission_new();
    const struct net_addr proxy = addr("198.51.100.1", 1), client = addr("192.0.2.1", 2), nobody = {0};
    for (int i = 0; i < 2; i++) {
        assert_int_equal(admission_enter(a, &proxy, MANY, 1), ADMIT_OK); /* the one before has moved on */
        assert_true(admission_move(a, &proxy, &client, 2));
    }
    assert_int_equal(admission_enter(a, &proxy, MANY, 1), ADMIT_OK);
    assert_false(admission_move(a, &proxy, &client, 2));
    assert_int_equal(admission_total(a), 3);
    assert_int_equal(admission_enter(a, &client, MANY, 2), ADMIT_TOO_MANY_OF_SOURCE);
    assert_int_equal(admission_enter(a, &proxy, MANY, 1),
                     ADMIT_OK); /* it did not stay with the proxy either */
    admission_leave(a, &nobody);
    admission_leave(a, &client);
    admission_leave(a, &client);
    admission_leave(a, &proxy);
    assert_int_equal(admission_total(a), 0);
    for (int i = 0; i < 2; i++) /* and nothing is left under any source */
        assert_int_equal(admission_enter(a, &client, MANY, 2), ADMIT_OK);
    assert_int_equal(admission_enter(a, &proxy, MANY, 1), ADMIT_OK);
    admission_free(a);
}

/* ---- many threads ---- */

#define THREADS 4
#define LIMIT 3

static struct admission *shared;
static atomic_int inside, most;

static void *come_and_go(void *arg)
{
    (void)arg;
    const struct net_addr peer = addr("192.0.2.1", 1);
    for (int i = 0; i < 20000; i++) {
        if (admission_enter(shared, &peer, MANY, LIMIT) != ADMIT_OK)
            continue;
        int now = atomic_fetch_add(&inside, 1) + 1, before = atomic_load(&most);
        while (now > before && !atomic_compare_exchange_weak(&most, &before, now))
            ;
        atomic_fetch_sub(&inside, 1);
        admission_leave(shared, &peer);
    }
    return NULL;
}

static void threads_never_let_in_one_too_many(void **state)
{
    (void)state;
    pthread_t thread[THREADS];
    shared = admission_new();
    for (size_t i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&thread[i], NULL, come_and_go, NULL), 0);
    for (size_t i = 0; i < THREADS; i++)
        pthread_join(thread[i], NULL);
    assert_in_range(atomic_load(&most), 1, LIMIT);
    assert_int_equal(admission_total(shared), 0);
    for (int i = 0; i < LIMIT; i++)
        assert_int_equal(enter(shared, "192.0.2.1", MANY, LIMIT), ADMIT_OK);
    admission_free(shared);
}

static void descriptors_are_set_aside(void **state)
{
    (void)state;
    struct admission *a = admission_new();
    assert_true(admission_reserve(a, 2, 5));
    assert_true(admission_reserve(a, 2, 5));
    assert_false(admission_reserve(a, 2, 5));
    assert_true(admission_reserve(a, 0, 4));
    assert_true(admission_reserve(a, 1, 5));
    assert_false(admission_reserve(a, 1, 4)); /* a reload may lower the limit */
    assert_false(admission_reserve(a, SIZE_MAX, 5));
    assert_int_equal(admission_reserved(a), 5);
    admission_release(a, 3);
    assert_true(admission_reserve(a, 2, 4));
    admission_release(a, 4);
    assert_int_equal(admission_reserved(a), 0);
    admission_free(a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(descriptors_are_set_aside),
        cmocka_unit_test(in_all),
        cmocka_unit_test(unproven),
        cmocka_unit_test(who_has_proven_its_address_counts_there),
        cmocka_unit_test(from_one_source),
        cmocka_unit_test(a_source_of_ipv6_is_its_64),
        cmocka_unit_test(who_has_no_address_has_no_source),
        cmocka_unit_test(a_connection_moves_to_its_true_source),
        cmocka_unit_test(threads_never_let_in_one_too_many),
    };
    return cmocka_run_group_tests_name("admission", tests, NULL, NULL);
}
