/* SPDX-License-Identifier: Apache-2.0 */
/* tunnel/flows.h: flows that strangers begin. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/check.h"
#include "link/link.h"
#include "tunnel/flows.h"

#define MOST 4
#define LINKS 256

/* Who keeps the links of the flows, and what came back. */
struct world {
    struct loop *loop;
    struct flows *flows;
    struct link *link[LINKS]; /* by key; NULL: none, or it has ended */
    size_t begun;
    size_t back;
    struct timer stop;
};

static struct world world;

static void on_wake(struct link *l)
{
    uint8_t bytes[70000];
    size_t n;
    enum link_status status;
    do
        status = link_read(l, bytes, sizeof(bytes), &n);
    while (status == LINK_OK);
    if (status != LINK_EOF)
        return;
    for (size_t i = 0; i < LINKS; i++)
        if (world.link[i] == l)
            world.link[i] = NULL;
    link_close(l, false);
}

static void begin(void *owner, const void *key, size_t key_len, struct link *link)
{
    uint8_t at;
    (void)owner;
    assert_int_equal(key_len, 1);
    memcpy(&at, key, 1);
    world.link[at] = link;
    world.begun++;
    link->wake = on_wake;
}

static bool back(void *owner, const void *key, size_t key_len, const uint8_t *data, size_t len)
{
    (void)owner;
    (void)key;
    (void)key_len;
    (void)data;
    world.back += len;
    return true;
}

static void on_stop(struct timer *t)
{
    (void)t;
    loop_stop(world.loop);
}

static void run_for(int64_t ns)
{
    loop_set_timer(world.loop, &world.stop, clock_monotonic() + ns);
    assert_int_equal(loop_run(world.loop, NULL), 0);
}

static void start_with(size_t most, bool strangers, size_t factor)
{
    world = (struct world){.loop = loop_new(NULL)};
    assert_non_null(world.loop);
    timer_init(&world.stop, on_stop);
    world.flows = flows_new(&(struct flows_settings){.loop = world.loop,
                                                     .idle = 60 * NSEC_PER_SEC,
                                                     .max = most,
                                                     .waits = 1000,
                                                     .strangers = strangers,
                                                     .factor = factor,
                                                     .begin = begin,
                                                     .back = back});
}

static void start(bool strangers, size_t factor)
{
    start_with(MOST, strangers, factor);
}

static void finish(void)
{
    flows_close(world.flows);
    run_for(30 * NSEC_PER_MSEC);
    for (size_t i = 0; i < LINKS; i++)
        assert_null(world.link[i]);
    loop_free(world.loop);
}

static bool sends(uint8_t key, size_t len)
{
    static const uint8_t zeros[65535];
    return flows_send(world.flows, &key, 1, NULL, zeros, len);
}

/* The service answers a flow with so many bytes. */
static void answer(uint8_t key, size_t len)
{
    static uint8_t frame[2 + 65535];
    size_t n;
    frame[0] = (uint8_t)(len >> 8);
    frame[1] = (uint8_t)len;
    assert_int_equal(link_write(world.link[key], frame, len + 2, &n), LINK_OK);
}

static struct link_datagrams counts_of(uint8_t key)
{
    struct link_datagrams counts;
    assert_true(link_datagrams(world.link[key], &counts));
    return counts;
}

/* Where all places are taken, the one that was silent longest goes, but none that is young, and none that has
 * shown that it is answered. */
static void a_new_flow_takes_the_place_of_an_unproven_one(void **state)
{
    (void)state;
    start(true, 0);
    for (uint8_t key = 0; key < MOST; key++)
        assert_true(sends(key, 10));
    assert_false(sends(9, 10));
    answer(0, 10);
    assert_true(sends(0, 10)); /* proven */
    run_for(1100 * NSEC_PER_MSEC);
    assert_true(sends(1, 10)); /* young again */
    assert_true(sends(10, 10));
    run_for(20 * NSEC_PER_MSEC);
    assert_null(world.link[2]);
    assert_true(sends(11, 10));
    run_for(20 * NSEC_PER_MSEC);
    assert_null(world.link[3]);
    assert_false(sends(12, 10));
    assert_non_null(world.link[0]);
    assert_non_null(world.link[1]);
    assert_int_equal(world.begun, MOST + 2);
    finish();
}

/* However many come, those that have ended and are still held count too. */
static void flows_that_nobody_lets_go_have_a_bound(void **state)
{
    (void)state;
    size_t begun = 0;
    start(true, 0);
    for (uint8_t round = 0; round < 4; round++) {
        for (uint8_t key = 0; key < 2 * MOST; key++) {
            uint8_t id = (uint8_t)(round * 2 * MOST + key);
            if (!sends(id, 10))
                continue;
            begun++;
            world.link[id]->wake = NULL; /* its reader has no time */
        }
        run_for(1050 * NSEC_PER_MSEC);
    }
    assert_int_equal(begun, 2 * MOST);
    for (size_t i = 0; i < LINKS; i++)
        if (world.link[i] != NULL) {
            world.link[i]->wake = on_wake;
            on_wake(world.link[i]);
        }
    finish();
}

/* Three times what came goes back, until the source shows that it got something. */
static void an_unproven_source_gets_no_flood(void **state)
{
    (void)state;
    start(true, 3);
    assert_true(sends(0, 100));
    answer(0, 301);
    assert_int_equal(world.back, 0);
    assert_true(sends(0, 100)); /* no answer has gone out: this shows nothing */
    answer(0, 600);
    answer(0, 1);
    assert_int_equal(world.back, 600);
    assert_int_equal(counts_of(0).dropped, 2);
    assert_int_equal(counts_of(0).sent, 1);
    assert_true(sends(0, 1));
    for (int i = 0; i < 10; i++)
        answer(0, 60000);
    assert_int_equal(world.back, 600600);
    finish();
}

static void without_a_factor_there_is_no_bound(void **state)
{
    (void)state;
    start(true, 0);
    assert_true(sends(0, 1));
    answer(0, 60000);
    assert_int_equal(world.back, 60000);
    finish();
    start(false, 3);
    assert_true(sends(0, 1));
    answer(0, 60000);
    assert_int_equal(world.back, 60000);
    finish();
}

/* A stranger's flow holds little until it is proven, then whatever UDP can bring. */
static void what_waits_has_a_bound(void **state)
{
    (void)state;
    start(true, 0);
    assert_true(sends(0, 900));
    world.link[0]->wake = NULL; /* its reader has no time */
    assert_true(sends(0, 900));
    assert_true(sends(0, 900));
    assert_int_equal(counts_of(0).dropped, 1);
    answer(0, 1);
    for (int i = 0; i < 3; i++)
        assert_true(sends(0, 65000));
    assert_int_equal(counts_of(0).dropped, 2);
    world.link[0]->wake = on_wake;
    on_wake(world.link[0]);
    finish();
}

/* Each is found again, before and after the table has grown. */
static void many_flows(void **state)
{
    (void)state;
    start_with(LINKS, false, 0);
    for (int round = 0; round < 2; round++)
        for (size_t i = 0; i < LINKS; i++)
            assert_true(sends((uint8_t)i, 10));
    assert_int_equal(world.begun, LINKS);
    for (size_t i = 0; i < LINKS; i++)
        assert_int_equal(counts_of((uint8_t)i).received, 2);
    finish();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(many_flows),
        cmocka_unit_test(a_new_flow_takes_the_place_of_an_unproven_one),
        cmocka_unit_test(flows_that_nobody_lets_go_have_a_bound),
        cmocka_unit_test(an_unproven_source_gets_no_flood),
        cmocka_unit_test(without_a_factor_there_is_no_bound),
        cmocka_unit_test(what_waits_has_a_bound),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
