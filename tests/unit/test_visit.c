/* SPDX-License-Identifier: Apache-2.0 */
/* A visitor's session with agents that a test plays: who does not hear the announcement is left for another,
 * and the name's bandwidth bounds each turn. */
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "audit/sink.h"
#include "base/clock.h"
#include "link/mem_link.h"
#include "mux/agents.h"
#include "session/crew.h"
#include "session/front.h"
#include "session/review.h"
#include "session/routing.h"
#include "session/session.h"
#include "session/worker.h"

static const struct door_bindings unbound;

#define GREETING "this is about a visitor"
#define YES "yes"

/* One that offers the name. */
struct player {
    size_t capacity; /* of the link to it, in bytes that wait */
    struct agent *agent;
    struct link *far; /* its end, once a visitor is led to it */
};

#define PORT 2222

struct world {
    struct crew crew;
    struct worker *worker;
    struct admission *admission;
    struct snapshot_shared shared;
    struct sink_file audit;
    struct player player[2];
    struct link *visitor; /* the visitor's end */
    struct timer turn;
    int turns; /* that are left */
};

/* ---- the agents' protocol ---- */

static bool greet(const struct front_visit *visit, struct buf *out)
{
    assert_string_equal(visit->name, "app.test");
    return buf_append(out, GREETING, strlen(GREETING));
}

static enum front_result greeted(const uint8_t *data, size_t len, struct front_greeted *ret, struct err *err)
{
    (void)err;
    (void)data;
    ret->outcome = FRONT_OK;
    ret->used = strlen(YES);
    return len < strlen(YES) ? FRONT_MORE : FRONT_TARGET;
}

static const struct agent_protocol protocol = {.greet = greet, .greeted = greeted};

static void on_wanted(void *owner, struct errand *e)
{
    struct player *p = owner;
    struct link *near;
    mem_link_pair(p->capacity, &near, &p->far);
    errand_give(e, near);
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

static const struct agent_ops ops = {.wanted = on_wanted, .brought = on_brought, .changed = on_changed};

/* ---- the world ---- */

static void on_turn(struct timer *t)
{
    struct world *w = CONTAINER_OF(t, struct world, turn);
    if (w->turns-- > 0)
        loop_set_timer(w->worker->loop, t, clock_monotonic());
    else
        loop_stop(w->worker->loop);
}

/* Turns of the loop, not time: whatever can happen by itself has happened, on a busy machine too. */
static void settle(struct world *w)
{
    struct err err;
    w->turns = 20;
    loop_set_timer(w->worker->loop, &w->turn, clock_monotonic());
    assert_int_equal(loop_run(w->worker->loop, &err), 0);
}

/* Until the visitor's link ends or has bytes; the visitor's limits end it. */
static enum link_status settle_until_heard(struct world *w, char *byte, size_t *n)
{
    enum link_status status;
    while ((status = link_read(w->visitor, byte, 1, n)) == LINK_AGAIN)
        settle(w);
    return status;
}

static int set_up(void **state)
{
    static const char text[] = "listeners: [{name: main, address: \"127.0.0.1:1\"}]\n"
                               "routes: [{name: all, pass: {to: \"127.0.0.1:1\"}, limits: {total_timeout: "
                               "2s, dial_timeout: 1s}}]\n";
    static struct world w;
    struct buf errors = {0};
    struct err err;
    w = (struct world){.audit.fd = -1};
    timer_init(&w.turn, on_turn);
    w.admission = admission_new();
    snapshot_shared_init(&w.shared, 1, &unbound);
    assert_int_equal(crew_init(&w.crew, 1, w.admission, &w.shared, &w.audit, &err), 0);
    w.worker = w.crew.worker;
    struct config *c = config_parse("test.yaml", text, strlen(text), &errors);
    struct snapshot *snap = c == NULL ? NULL : snapshot_build(c, &w.shared, &errors);
    if (snap == NULL)
        fail_msg("%.*s", (int)errors.len, (const char *)errors.data);
    worker_install(w.worker, snap, NULL, 0, &(struct review){0});
    snapshot_unref(snap);
    *state = &w;
    return 0;
}

static int tear_down(void **state)
{
    struct world *w = *state;
    for (size_t i = 0; i < ARRAY_LEN(w->player); i++)
        if (w->player[i].agent != NULL)
            agents_withdraw(w->worker->agents, w->player[i].agent, AGENTS_LOST);
    crew_free(&w->crew);
    for (size_t i = 0; i < ARRAY_LEN(w->player); i++)
        link_close(w->player[i].far, false);
    link_close(w->visitor, false);
    snapshot_shared_free(&w->shared);
    admission_free(w->admission);
    return 0;
}

static void offer(struct world *w, size_t i, size_t capacity, uint64_t bandwidth)
{
    struct player *p = &w->player[i];
    struct agent_terms terms = {.offer = {.name = "app.test", .kind = OFFER_PUBLIC, .port = PORT},
                                .protocol = &protocol,
                                .bandwidth = bandwidth,
                                .ops = &ops,
                                .owner = p};
    p->capacity = capacity;
    p->agent = agents_offer(w->worker->agents, &terms);
    assert_non_null(p->agent);
}

static void visit(struct world *w)
{
    static const struct hello_note hello;
    struct net_addr peer = {.family = AF_INET, .port = 1, .ip = {127, 0, 0, 1}};
    static const struct offer at = {.name = "app.test", .kind = OFFER_PUBLIC, .port = PORT};
    struct session_origin origin = {.peer = &peer,
                                    .epoch = w->worker->epoch,
                                    .route = w->worker->epoch->snap->routes,
                                    .hello = &hello,
                                    .visits = &at};
    struct link *near;
    mem_link_pair((size_t)1 << 20, &near, &w->visitor);
    session_start_visit(w->worker, near, &origin);
    settle(w);
}

static size_t take(struct link *l, char *out, size_t cap)
{
    size_t sum = 0, n = 0;
    while (sum < cap && link_read(l, out + sum, cap - sum, &n) == LINK_OK)
        sum += n;
    return sum;
}

static void put(struct link *l, const char *text)
{
    size_t n;
    assert_int_equal(link_write(l, text, strlen(text), &n), LINK_OK);
    assert_int_equal(n, strlen(text));
}

/* The agent hears the announcement and says yes. */
static void accept_visit(struct world *w, struct player *p)
{
    char text[sizeof(GREETING)] = "";
    assert_non_null(p->far);
    assert_int_equal(take(p->far, text, sizeof(text) - 1), strlen(GREETING));
    assert_string_equal(text, GREETING);
    put(p->far, YES);
    settle(w);
}

/* ---- tests ---- */

/* The first one's link takes a part of the announcement, and then breaks. */
static void another_agent_is_tried(void **state)
{
    struct world *w = *state;
    char text[16] = "";
    offer(w, 0, 5, 0);
    offer(w, 1, 65536, 0);
    visit(w);
    assert_non_null(w->player[0].far);
    assert_null(w->player[1].far);
    put(w->visitor, "hello");
    link_close(w->player[0].far, true);
    w->player[0].far = NULL;
    settle(w);
    accept_visit(w, &w->player[1]);
    assert_int_equal(take(w->player[1].far, text, sizeof(text)), 5);
    assert_memory_equal(text, "hello", 5);
    put(w->player[1].far, "welcome");
    settle(w);
    assert_int_equal(take(w->visitor, text, sizeof(text)), 7);
    assert_memory_equal(text, "welcome", 7);
}

/* There is no other: the visit ends. */
static void the_last_agent_breaks(void **state)
{
    struct world *w = *state;
    char byte;
    size_t n;
    offer(w, 0, 5, 0);
    visit(w);
    link_close(w->player[0].far, true);
    w->player[0].far = NULL;
    settle(w);
    assert_int_not_equal(link_read(w->visitor, &byte, 1, &n), LINK_AGAIN);
}

/* It stays, and does not listen: the visit ends in time. */
static void an_agent_does_not_listen(void **state)
{
    struct world *w = *state;
    char byte;
    size_t n;
    offer(w, 0, 5, 0);
    visit(w);
    assert_int_not_equal(settle_until_heard(w, &byte, &n), LINK_OK);
}

/* However much there is, a turn takes no more than the bandwidth allows; and a visit that has to wait for it
 * ends when its time is over. */
static void bandwidth_bounds_a_turn(void **state)
{
    struct world *w = *state;
    static char much[200000];
    size_t n;
    memset(much, 'x', sizeof(much));
    offer(w, 0, sizeof(much), 10000);
    visit(w);
    accept_visit(w, &w->player[0]);
    assert_int_equal(link_write(w->player[0].far, much, sizeof(much), &n), LINK_OK);
    int64_t began = clock_monotonic();
    size_t got = 0;
    while (settle_until_heard(w, much, &n) == LINK_OK) {
        got += 1 + take(w->visitor, much, sizeof(much));
        int64_t took = clock_monotonic() - began;
        assert_true((int64_t)got <= 2500 + took / NSEC_PER_MSEC * 10); /* what has come due, and a turn's */
    }
    assert_in_range(got, 1000, sizeof(much) - 1);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(another_agent_is_tried),
        TEST(the_last_agent_breaks),
        TEST(an_agent_does_not_listen),
        TEST(bandwidth_bounds_a_turn),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
