/* SPDX-License-Identifier: Apache-2.0 */
/* Workers at the end: what they have told each other arrives before any of them goes, and none stops while it
 * carries bytes for another. */
#include "session/crew.h"

#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "audit/sink.h"
#include "base/clock.h"
#include "link/mem_link.h"
#include "mux/agents.h"
#include "session/astray.h"
#include "session/worker.h"

static const struct door_bindings unbound;

static int threads_left = -1; /* -1: no end of them */

/* In place of the C library's. */
int pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*run)(void *), void *arg)
{
    int (*real)(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *) = NULL;
    *(void **)&real = dlsym(RTLD_NEXT, "pthread_create");
    if (threads_left == 0)
        return EAGAIN;
    threads_left -= threads_left > 0;
    return real(thread, attr, run, arg);
}

struct world {
    struct loop *control;
    struct crew crew;
    struct admission *admission;
    struct snapshot_shared shared;
    struct sink_file audit;
    struct agent *agent;
    bool back;
    struct link *far; /* the agent's end of what the visitor got */
    struct link *arrived;
    bool seen; /* `arrived`, as the visitor's worker has told */
    _Atomic bool stopped;
    struct timer late;
};

static int set_up(void **state)
{
    static struct world w;
    struct err err;
    w = (struct world){.audit.fd = -1};
    w.control = loop_new(&err);
    w.admission = admission_new();
    snapshot_shared_init(&w.shared, 2, &unbound);
    assert_int_equal(crew_init(&w.crew, 2, w.admission, &w.shared, &w.audit, &err), 0);
    *state = &w;
    return 0;
}

static int tear_down(void **state)
{
    struct world *w = *state;
    crew_free(&w->crew);
    snapshot_shared_free(&w->shared);
    admission_free(w->admission);
    loop_free(w->control);
    return 0;
}

static void on_wanted(void *owner, struct errand *e)
{
    struct world *w = owner;
    struct link *near;
    mem_link_pair(65536, &near, &w->far);
    errand_give(e, near);
}

static void on_wanted_in_vain(void *owner, struct errand *e)
{
    (void)owner;
    errand_fail(e);
}

static void on_brought(void *owner, struct link *link)
{
    (void)owner;
    link_close(link, true);
}

static void on_changed(void *owner, const struct agent *came)
{
    (void)owner;
    (void)came;
}

static const struct agent_ops gives = {.wanted = on_wanted, .brought = on_brought, .changed = on_changed};
static const struct agent_ops fails = {
    .wanted = on_wanted_in_vain, .brought = on_brought, .changed = on_changed};

static void on_arrived(void *owner, struct link *link, bool gone)
{
    (void)gone;
    struct world *w = owner;
    w->back = true;
    w->arrived = link;
}

static struct agent *offer(struct world *w, unsigned at, const struct agent_ops *ops)
{
    struct agent_terms terms = {.offer = {.name = "app.test", .kind = OFFER_PUBLIC}, .ops = ops, .owner = w};
    struct agent *a = agents_offer(w->crew.worker[at].agents, &terms);
    assert_non_null(a);
    return a;
}

/* Whichever worker and process a connection is of, started in the same moment or not. */
static void ids_of_connections_are_unique(void **state)
{
    struct world *w = *state;
    struct snapshot_shared other;
    struct crew crew;
    struct err err;
    uint64_t ids[4][100];
    snapshot_shared_init(&other, 2, &unbound);
    assert_int_equal(crew_init(&crew, 2, w->admission, &other, &w->audit, &err), 0);
    struct worker *workers[] = {&w->crew.worker[0], &w->crew.worker[1], &crew.worker[0], &crew.worker[1]};
    for (size_t k = 0; k < 4; k++)
        for (size_t i = 0; i < 100; i++) {
            ids[k][i] = worker_next_id(workers[k]);
            assert_true(i == 0 || ids[k][i] > ids[k][i - 1]);
        }
    for (size_t a = 0; a < 400; a++)
        for (size_t b = 0; b < a; b++)
            assert_true(ids[a / 100][a % 100] != ids[b / 100][b % 100]);
    crew_free(&crew);
    snapshot_shared_free(&other);
}

/* An errand from the first worker is at the second when the crew is freed: it goes back and is answered. */
static void what_was_told_arrives(void **state)
{
    struct world *w = *state;
    struct agent *a = offer(w, 1, &fails);
    agents_visit(w->crew.worker[0].agents, a, false, on_arrived, w);
    agent_unref(a);
    crew_free(&w->crew);
    assert_true(w->back);
    assert_null(w->arrived);
}

/* The same with a link for an answer: it arrives, and breaks. */
static void a_bridge_at_the_end(void **state)
{
    struct world *w = *state;
    struct agent *a = offer(w, 1, &gives);
    agents_visit(w->crew.worker[0].agents, a, false, on_arrived, w);
    while (!w->back)
        assert_true(worker_settle(&w->crew.worker[0]) || worker_settle(&w->crew.worker[1]));
    assert_non_null(w->arrived);
    assert_true(agents_busy(w->crew.worker[1].agents));
    link_close(w->arrived, true);
    agent_unref(a);
    crew_free(&w->crew);
    char byte;
    size_t n;
    assert_int_equal(link_read(w->far, &byte, 1, &n), LINK_ERROR);
    link_close(w->far, true);
}

/* ---- a drain ---- */

static void prepare(struct worker *me, void *arg)
{
    struct world *w = arg;
    if (me->index == 1)
        w->agent = offer(w, 1, &gives);
}

static void visit(struct worker *me, void *arg)
{
    struct world *w = arg;
    if (me->index == 0)
        agents_visit(me->agents, w->agent, false, on_arrived, w);
}

static void look(struct worker *me, void *arg)
{
    struct world *w = arg;
    if (me->index == 0)
        w->seen = w->arrived != NULL;
}

static void withdraw_and_drain(struct worker *me, void *arg)
{
    struct world *w = arg;
    if (me->index == 1)
        agents_withdraw(me->agents, w->agent, AGENTS_LOST);
    worker_drain(me, clock_monotonic() + 3600 * NSEC_PER_SEC);
}

static void leave(struct worker *me, void *arg)
{
    struct world *w = arg;
    link_close(me->index == 0 ? w->arrived : w->far, false);
}

static void done(void *arg)
{
    struct world *w = arg;
    loop_stop(w->control);
}

static void tell(struct world *w, void (*run)(struct worker *, void *))
{
    struct err err;
    crew_broadcast(&w->crew, w->control, run, done, w);
    assert_int_equal(loop_run(w->control, &err), 0);
}

static void on_stopped(void *arg)
{
    struct world *w = arg;
    w->stopped = true;
    loop_stop(w->control);
}

static void on_late(struct timer *t)
{
    loop_stop(CONTAINER_OF(t, struct world, late)->control);
}

static void wait_a_little(struct world *w)
{
    struct err err;
    timer_init(&w->late, on_late);
    loop_set_timer(w->control, &w->late, clock_monotonic() + 100 * NSEC_PER_MSEC);
    assert_int_equal(loop_run(w->control, &err), 0);
}

/* A worker that has nothing of its own goes on while it carries bytes for another, and stops after. */
static void a_bridge_is_work(void **state)
{
    struct world *w = *state;
    struct err err;
    assert_int_equal(crew_start(&w->crew, w->control, &err), 0);
    crew_when_stopped(&w->crew, on_stopped, w);
    tell(w, prepare);
    tell(w, visit);
    while (!w->seen)
        tell(w, look);
    tell(w, withdraw_and_drain);
    wait_a_little(w);
    assert_false(w->stopped);
    tell(w, leave);
    if (!w->stopped)
        assert_int_equal(loop_run(w->control, &err), 0);
    assert_true(w->stopped);
}

/* ---- packets for another ---- */

/* So many wait at a worker that does not come to them; the rest is dropped and counted. */
static void astray_packets_have_a_bound(void **state)
{
    struct world *w = *state;
    static uint8_t data[1200];
    struct udp_packets packet = {.data = data, .len = sizeof(data), .segment = sizeof(data)};
    struct fellows *f = w->crew.fellows;
    for (size_t sent = 0; sent < ASTRAY_MAX + 10 * sizeof(data); sent += sizeof(data))
        astray_send(&w->crew.worker[0], 1, "127.0.0.1:443", &packet);
    assert_in_range(w->crew.worker[1].astray_bytes, ASTRAY_MAX - sizeof(data), ASTRAY_MAX);
    assert_in_range(f->astray_dropped, 9, 11);
    while (worker_settle(&w->crew.worker[1]))
        ;
    assert_int_equal(w->crew.worker[1].astray_bytes, 0);
    uint64_t dropped = f->astray_dropped;
    astray_send(&w->crew.worker[0], 1, "127.0.0.1:443", &packet); /* on its way when the crew is freed */
    assert_int_equal(f->astray_dropped, dropped);
}

/* All workers or none; and of those that ran for a moment nobody hears later. */
static void a_thread_that_cannot_be_had(void **state)
{
    struct world *w = *state;
    struct err err;
    threads_left = 1;
    assert_int_equal(crew_start(&w->crew, w->control, &err), -1);
    threads_left = -1;
    assert_non_null(strstr(err.text, "cannot start a worker thread"));
    loop_stop(w->control);
    assert_int_equal(loop_run(w->control, NULL), 0);
    assert_int_equal(w->crew.running, 0);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(ids_of_connections_are_unique), TEST(what_was_told_arrives),
        TEST(a_bridge_at_the_end),           TEST(a_bridge_is_work),
        TEST(astray_packets_have_a_bound),   TEST(a_thread_that_cannot_be_had),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
