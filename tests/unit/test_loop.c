/* SPDX-License-Identifier: Apache-2.0 */
/* The event loop: what is freed in a round is not touched in it, messages come in order, put-off work runs
 * once, timers are not early. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/check.h"
#include "base/clock.h"
#include "loop/loop.h"

static struct loop *new_loop(void)
{
    struct err err;
    struct loop *loop = loop_new(&err);
    assert_non_null(loop);
    return loop;
}

/* Stops its loop after so long: no test may hang. */
struct guard {
    struct timer timer;
    struct loop *loop;
    bool late;
};

static void on_late(struct timer *t)
{
    struct guard *g = CONTAINER_OF(t, struct guard, timer);
    g->late = true;
    loop_stop(g->loop);
}

/* True when the loop was stopped before its time was over. */
static bool run_for(struct loop *loop, int64_t ms)
{
    struct err err;
    struct guard g = {.loop = loop};
    timer_init(&g.timer, on_late);
    loop_set_timer(loop, &g.timer, clock_monotonic() + ms * NSEC_PER_MSEC);
    assert_int_equal(loop_run(loop, &err), 0);
    wheel_cancel(&g.timer);
    return !g.late;
}

/* ---- watches ---- */

struct owner {
    struct watch watch;
    struct task task;
    struct loop *loop;
    struct owner *other;
    int *woken;
    int *freed;
};

static void free_owner(struct task *t)
{
    struct owner *o = CONTAINER_OF(t, struct owner, task);
    (*o->freed)++;
    if (*o->freed == 2)
        loop_stop(o->loop);
    free(o);
}

static void end_owner(struct owner *o)
{
    close(o->watch.fd);
    o->watch.fd = -1;
    loop_defer(o->loop, &o->task);
}

static void on_owner_ready(struct watch *w, uint32_t events)
{
    struct owner *o = CONTAINER_OF(w, struct owner, watch);
    assert_true(events & EPOLLIN);
    (*o->woken)++;
    end_owner(o->other);
    end_owner(o);
}

/* Two are ready at once, and whichever comes first ends both: the other's event is already fetched. */
static void an_owner_that_ends_in_a_round_is_not_woken_in_it(void **state)
{
    (void)state;
    for (int round = 0; round < 50; round++) {
        struct loop *loop = new_loop();
        struct owner *o[2];
        int woken = 0, freed = 0;
        for (int i = 0; i < 2; i++) {
            o[i] = calloc(1, sizeof(*o[i]));
            assert_non_null(o[i]);
            *o[i] = (struct owner){.loop = loop, .woken = &woken, .freed = &freed};
            task_init(&o[i]->task, free_owner);
            assert_int_equal(
                loop_watch(loop, &o[i]->watch, eventfd(1, EFD_NONBLOCK), EPOLLIN | EPOLLET, on_owner_ready),
                0);
        }
        o[0]->other = o[1];
        o[1]->other = o[0];
        assert_true(run_for(loop, 2000));
        assert_int_equal(woken, 1);
        assert_int_equal(freed, 2);
        loop_free(loop);
    }
}

struct counted {
    struct watch watch;
    int events;
};

static void on_counted(struct watch *w, uint32_t events)
{
    (void)events;
    CONTAINER_OF(w, struct counted, watch)->events++;
}

static void an_unwatched_descriptor_is_silent(void **state)
{
    (void)state;
    struct loop *loop = new_loop();
    struct counted c = {0};
    int fd = eventfd(1, EFD_NONBLOCK);
    assert_int_equal(loop_watch(loop, &c.watch, fd, EPOLLIN, on_counted), 0);
    loop_unwatch(loop, &c.watch);
    loop_unwatch(loop, &c.watch);
    assert_int_equal(c.watch.fd, -1);
    assert_false(run_for(loop, 20));
    assert_int_equal(c.events, 0);
    struct counted bad = {0};
    assert_int_equal(loop_watch(loop, &bad.watch, -1, EPOLLIN, on_counted), -1);
    assert_int_equal(bad.watch.fd, -1);
    close(fd);
    loop_free(loop);
}

/* ---- messages ---- */

#define MESSAGES 1000

struct note {
    struct message message;
    struct loop *loop;
    int number;
    int *next; /* the number that is due */
};

static void on_note(struct message *m)
{
    struct note *n = CONTAINER_OF(m, struct note, message);
    assert_int_equal(n->number, *n->next);
    if (++*n->next == MESSAGES)
        loop_stop(n->loop);
}

static void *post_all(void *arg)
{
    struct note *notes = arg;
    for (int i = 0; i < MESSAGES; i++)
        loop_post(notes[i].loop, &notes[i].message);
    return NULL;
}

static void fill(struct note notes[MESSAGES], struct loop *loop, int *next)
{
    *next = 0;
    for (int i = 0; i < MESSAGES; i++)
        notes[i] = (struct note){{NULL, on_note}, loop, i, next};
}

static void messages_of_a_thread_arrive_in_order(void **state)
{
    (void)state;
    static struct note notes[MESSAGES];
    struct loop *loop = new_loop();
    pthread_t thread;
    int next;
    fill(notes, loop, &next);
    assert_int_equal(pthread_create(&thread, NULL, post_all, notes), 0);
    assert_true(run_for(loop, 5000));
    pthread_join(thread, NULL);
    assert_int_equal(next, MESSAGES);
    loop_free(loop);
}

static void late_messages_are_delivered_once_and_in_order(void **state)
{
    (void)state;
    static struct note notes[MESSAGES];
    struct loop *loop = new_loop();
    int next;
    fill(notes, loop, &next);
    post_all(notes);
    loop_deliver(loop);
    assert_int_equal(next, MESSAGES);
    loop_deliver(loop);
    assert_int_equal(next, MESSAGES);
    loop_free(loop);
}

static void *stop_soon(void *loop)
{
    usleep(20000);
    loop_stop(loop);
    return NULL;
}

static void another_thread_stops_a_loop_that_sleeps(void **state)
{
    (void)state;
    struct loop *loop = new_loop();
    pthread_t thread;
    for (int i = 0; i < 2; i++) { /* and it can be run again */
        assert_int_equal(pthread_create(&thread, NULL, stop_soon, loop), 0);
        assert_true(run_for(loop, 5000));
        pthread_join(thread, NULL);
    }
    loop_free(loop);
}

/* ---- tasks ---- */

struct job {
    struct task task;
    struct loop *loop;
    int runs;
    int most; /* puts itself off until then */
    struct counted *seen;
    int seen_before; /* events that had come when it ran last but one */
};

static void on_job(struct task *t)
{
    struct job *j = CONTAINER_OF(t, struct job, task);
    j->runs++;
    if (j->seen != NULL && j->runs > 1)
        assert_true(j->seen->events > j->seen_before); /* the others had their turn */
    j->seen_before = j->seen == NULL ? 0 : j->seen->events;
    if (j->runs < j->most)
        loop_defer(j->loop, &j->task);
    else
        loop_stop(j->loop);
}

static void a_task_put_off_twice_runs_once(void **state)
{
    (void)state;
    struct loop *loop = new_loop();
    struct job j = {.loop = loop, .most = 1};
    task_init(&j.task, on_job);
    loop_defer(loop, &j.task);
    loop_defer(loop, &j.task);
    assert_true(run_for(loop, 2000));
    assert_int_equal(j.runs, 1);
    assert_false(run_for(loop, 20));
    assert_int_equal(j.runs, 1);
    loop_free(loop);
}

static void a_task_that_goes_on_lets_others_have_a_turn(void **state)
{
    (void)state;
    struct loop *loop = new_loop();
    struct counted busy = {0}; /* level-triggered and never read: ready in every round */
    int fd = eventfd(1, EFD_NONBLOCK);
    assert_int_equal(loop_watch(loop, &busy.watch, fd, EPOLLIN, on_counted), 0);
    struct job j = {.loop = loop, .most = 100, .seen = &busy};
    task_init(&j.task, on_job);
    loop_defer(loop, &j.task);
    assert_true(run_for(loop, 2000));
    assert_int_equal(j.runs, 100);
    close(fd);
    loop_free(loop);
}

static void what_was_put_off_runs_before_the_loop_is_gone(void **state)
{
    (void)state;
    struct loop *loop = new_loop();
    struct job j = {.loop = loop, .most = 3};
    task_init(&j.task, on_job);
    loop_defer(loop, &j.task);
    loop_free(loop);
    assert_int_equal(j.runs, 3);
}

/* ---- timers ---- */

struct alarm {
    struct timer timer;
    struct loop *loop;
    int64_t when;
    int fired;
    bool last;
    struct alarm *after; /* must have fired before */
};

static void on_alarm(struct timer *t)
{
    struct alarm *a = CONTAINER_OF(t, struct alarm, timer);
    assert_true(loop_now(a->loop) >= a->when);
    assert_true(a->after == NULL || a->after->fired == 1);
    a->fired++;
    if (a->last)
        loop_stop(a->loop);
}

static void timers_fire_once_in_order_and_not_early(void **state)
{
    (void)state;
    struct loop *loop = new_loop();
    struct alarm a[5], cancelled = {.loop = loop};
    int64_t now = clock_monotonic();
    for (int i = 0; i < 5; i++) {
        a[i] = (struct alarm){.loop = loop,
                              .when = now + (i + 1) * 12 * NSEC_PER_MSEC,
                              .last = i == 4,
                              .after = i > 0 ? &a[i - 1] : NULL};
        timer_init(&a[i].timer, on_alarm);
    }
    timer_init(&cancelled.timer, on_alarm);
    loop_set_timer(loop, &cancelled.timer, now + 20 * NSEC_PER_MSEC);
    for (int i = 4; i >= 0; i--)
        loop_set_timer(loop, &a[i].timer, a[i].when);
    wheel_cancel(&cancelled.timer);
    assert_true(run_for(loop, 5000));
    for (int i = 0; i < 5; i++)
        assert_int_equal(a[i].fired, 1);
    assert_int_equal(cancelled.fired, 0);
    loop_free(loop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_owner_that_ends_in_a_round_is_not_woken_in_it),
        cmocka_unit_test(an_unwatched_descriptor_is_silent),
        cmocka_unit_test(messages_of_a_thread_arrive_in_order),
        cmocka_unit_test(late_messages_are_delivered_once_and_in_order),
        cmocka_unit_test(another_thread_stops_a_loop_that_sleeps),
        cmocka_unit_test(a_task_put_off_twice_runs_once),
        cmocka_unit_test(a_task_that_goes_on_lets_others_have_a_turn),
        cmocka_unit_test(what_was_put_off_runs_before_the_loop_is_gone),
        cmocka_unit_test(timers_fire_once_in_order_and_not_early),
    };
    return cmocka_run_group_tests_name("loop", tests, NULL, NULL);
}
