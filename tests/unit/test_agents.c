/* SPDX-License-Identifier: Apache-2.0 */
/* What agents offer, as one worker and as two see it: names, ids, errands. */
#include "mux/agents.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/clock.h"
#include "link/mem_link.h"
#include "loop/loop.h"
#include "pipe/pipe.h"

#define GRACE (10 * NSEC_PER_SEC)

struct world {
    struct loop *loop; /* of both views: messages and tasks run in turn */
    struct agents_hub *hub;
    struct agents *view[2];
    struct pipe_scratch scratch;
    struct errand *wanted;
    uint64_t beaten_by;
    size_t changes;
    size_t joinings;
    struct link *arrived;
    bool back, gone;
    size_t woken;
    struct timer stop;
};

static void on_wanted(void *owner, struct errand *e)
{
    ((struct world *)owner)->wanted = e;
}

static void on_brought(void *owner, struct link *link)
{
    (void)owner;
    link_close(link, true);
}

static void on_changed(void *owner, const struct agent *came)
{
    struct world *w = owner;
    w->changes++;
    w->joinings += came != NULL;
}

static void on_arrived(void *owner, struct link *link, bool gone)
{
    struct world *w = owner;
    w->arrived = link;
    w->gone = gone;
    w->back = true;
}

static void on_beaten(void *owner, const struct agent *by)
{
    struct world *w = owner;
    w->beaten_by = agent_id(by);
}

static const struct agent_ops ops = {
    .wanted = on_wanted, .brought = on_brought, .changed = on_changed, .beaten = on_beaten};

static void on_stop(struct timer *t)
{
    loop_stop(CONTAINER_OF(t, struct world, stop)->loop);
}

/* Let everything that was posted or put off happen. */
static void settle(struct world *w)
{
    struct err err;
    loop_set_timer(w->loop, &w->stop, clock_monotonic() + 10 * NSEC_PER_MSEC);
    assert_int_equal(loop_run(w->loop, &err), 0);
}

static int set_up(void **state)
{
    static struct world w;
    struct err err;
    w = (struct world){0};
    w.loop = loop_new(&err);
    assert_non_null(w.loop);
    timer_init(&w.stop, on_stop);
    pipe_scratch_init(&w.scratch, false);
    w.hub = agents_hub_new(2);
    struct link_home home = {.loop = w.loop};
    for (unsigned i = 0; i < 2; i++)
        w.view[i] = agents_new(w.hub, i, &home, &w.scratch);
    *state = &w;
    return 0;
}

static int tear_down(void **state)
{
    struct world *w = *state;
    settle(w);
    agents_free(w->view[0]);
    agents_free(w->view[1]);
    agents_hub_free(w->hub);
    pipe_scratch_free(&w->scratch);
    loop_free(w->loop);
    return 0;
}

static struct agent *offer(struct world *w, unsigned at, const char *name, enum offer_kind kind)
{
    struct agent_terms terms = {.offer = {.kind = kind}, .ops = &ops, .owner = w, .fingerprint = {7}};
    snprintf(terms.offer.name, sizeof(terms.offer.name), "%s", name);
    return agents_offer(w->view[at], &terms);
}

/* What one worker learns the other knows soon; what goes is expected for a while. */
static void views_agree(void **state)
{
    struct world *w = *state;
    enum offer_kind kind = OFFER_PRIVATE;
    struct agent *a = offer(w, 0, "app.test", OFFER_PUBLIC);
    assert_non_null(a);
    assert_int_equal(agents_find(w->view[0], "app.test", 0, &kind), AGENTS_PRESENT);
    assert_int_equal(agents_find(w->view[1], "app.test", 0, &kind), AGENTS_NONE);
    settle(w);
    assert_int_equal(agents_find(w->view[1], "app.test", 0, &kind), AGENTS_PRESENT);
    assert_int_equal(kind, OFFER_PUBLIC);
    agents_withdraw(w->view[0], a, AGENTS_LOST);
    settle(w);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(agents_find(w->view[i], "app.test", GRACE, &kind), AGENTS_EXPECTED);
        assert_int_equal(agents_find(w->view[i], "app.test", 0, &kind), AGENTS_NONE);
        assert_null(agents_pick(w->view[i], "app.test", AGENTS_ANY_KIND, NULL, 0));
    }
}

/* Who else offers the name: what an agent has offered anew is no other, but what another of the same
 * certificate offers is. */
static void fellows(void **state)
{
    struct world *w = *state;
    struct agent *offers[OFFER_FELLOWS_MAX + 5];
    const char *who;
    struct agent_terms terms = {.offer = {.name = "app.test", .instance = 1},
                                .ops = &ops,
                                .owner = w,
                                .fingerprint = {7},
                                .identity = "alice"};
    offers[0] = agents_offer(w->view[0], &terms);
    assert_int_equal(agents_fellows(w->view[0], offers[0], &who), 0);
    assert_string_equal(who, "");
    offers[1] = agents_offer(w->view[1], &terms); /* the same, on its way to another connection */
    settle(w);
    assert_int_equal(agents_fellows(w->view[0], offers[0], &who), 0);
    assert_false(agents_has_fellow(w->view[0], offers[0], "alice"));
    assert_int_equal(w->joinings, 0);
    terms.offer.instance = 2;
    offers[2] = agents_offer(w->view[1], &terms);
    terms.fingerprint[0] = 8;
    terms.offer.instance = 1;
    snprintf(terms.identity, sizeof(terms.identity), "bob");
    settle(w);
    assert_int_equal(agents_fellows(w->view[0], offers[0], &who), 1);
    assert_string_equal(who, "alice");
    assert_true(agents_has_fellow(w->view[0], offers[0], "alice"));
    assert_false(agents_has_fellow(w->view[0], offers[0], "bob"));
    assert_int_equal(w->joinings, 2); /* either of the two others has heard */
    offers[3] = agents_offer(w->view[0], &terms);
    terms.offer.instance = 0; /* who does not say is another */
    for (size_t i = 4; i < ARRAY_LEN(offers); i++)
        offers[i] = agents_offer(w->view[0], &terms);
    assert_int_equal(agents_fellows(w->view[0], offers[0], &who), OFFER_FELLOWS_MAX);
    for (size_t i = 0; i < ARRAY_LEN(offers); i++)
        agents_withdraw(w->view[i == 1 || i == 2], offers[i], AGENTS_LOST);
    settle(w);
}

/* A name has one kind at a time; others of the kind may join, and the one with the fewest visitors is taken.
 */
static void offers_of_a_name(void **state)
{
    struct world *w = *state;
    struct agent *a = offer(w, 0, "app.test", OFFER_PRIVATE);
    settle(w);
    assert_null(offer(w, 1, "app.test", OFFER_PUBLIC));
    struct agent *b = offer(w, 1, "app.test", OFFER_PRIVATE);
    settle(w);
    assert_true(w->changes > 0);
    agent_enter(a);
    struct agent *picked = agents_pick(w->view[0], "app.test", AGENTS_ANY_KIND, NULL, 0);
    assert_ptr_equal(picked, b);
    agent_unref(picked);
    uint64_t tried = agent_id(b);
    picked = agents_pick(w->view[0], "app.test", AGENTS_ANY_KIND, &tried, 1);
    assert_ptr_equal(picked, a);
    agent_unref(picked);
    assert_int_equal(agents_visitors(w->view[1], "app.test"), 1);
    assert_false(agent_is_stopping(b));
    agents_set_ready(w->view[1], b, false);
    assert_true(agent_is_stopping(b) && !agent_is_stopping(a));
    picked = agents_pick(w->view[0], "app.test", AGENTS_ANY_KIND, NULL, 0);
    assert_ptr_equal(picked, a);
    agent_unref(picked);
    agent_exit(a);
    agents_withdraw(w->view[0], a, AGENTS_LOST);
    agents_withdraw(w->view[1], b, AGENTS_LOST);
}

static struct agent *offer_by(struct world *w, uint8_t who, enum offer_kind kind, int64_t grace)
{
    struct agent_terms terms = {.offer = {.kind = kind, .name = "app.test"},
                                .ops = &ops,
                                .owner = w,
                                .fingerprint = {who},
                                .grace = grace};
    return agents_offer(w->view[1], &terms);
}

static void leave(struct world *w, struct agent *a)
{
    assert_non_null(a);
    agents_withdraw(w->view[1], a, AGENTS_LOST);
    settle(w);
}

/* Visitors of an offer end-to-end are led to no other kind while its agent is away; itself may change it. */
static void sealed_for_a_while(void **state)
{
    struct world *w = *state;
    leave(w, offer_by(w, 1, OFFER_END_TO_END, 1));
    leave(w, offer_by(w, 2, OFFER_PRIVATE, GRACE)); /* the grace is over */
    leave(w, offer_by(w, 1, OFFER_END_TO_END, GRACE));
    assert_null(offer_by(w, 2, OFFER_PRIVATE, GRACE));
    assert_null(offer_by(w, 2, OFFER_PUBLIC, GRACE));
    leave(w, offer_by(w, 1, OFFER_PRIVATE, GRACE));
    leave(w, offer_by(w, 2, OFFER_PRIVATE, GRACE)); /* it was in private last */
    leave(w, offer_by(w, 1, OFFER_END_TO_END, GRACE));
    leave(w, offer_by(w, 2, OFFER_END_TO_END, GRACE)); /* which gives no right to more */
    assert_null(offer_by(w, 2, OFFER_PRIVATE, GRACE));
    assert_null(offer_by(w, 1, OFFER_PRIVATE, GRACE));
}

/* More names than are kept come and go: those that are sealed stay. */
static void a_seal_is_not_washed_away(void **state)
{
    struct world *w = *state;
    const int64_t grace = 1000 * GRACE; /* longer than this takes anywhere */
    char name[32];
    leave(w, offer_by(w, 1, OFFER_END_TO_END, grace));
    for (int i = 0; i < 150000; i++) {
        snprintf(name, sizeof(name), "n%d.test", i);
        agents_withdraw(w->view[1], offer(w, 1, name, OFFER_PRIVATE), AGENTS_LOST);
        if (i % 2000 == 0)
            settle(w);
    }
    settle(w);
    assert_in_range(agents_names(w->view[1]), 50000, 110000);
    assert_null(offer_by(w, 2, OFFER_PRIVATE, grace));
}

/* Before two workers have heard of each other both may take an offer. Who came first by id stays, and until
 * the other has gone a visitor gets an agent of the kind that he was let in for. */
static void offers_that_cross(void **state)
{
    struct world *w = *state;
    struct agent *a = offer(w, 0, "app.test", OFFER_PRIVATE);
    struct agent *b = offer(w, 1, "app.test", OFFER_PUBLIC);
    assert_non_null(a);
    assert_non_null(b);
    struct agent *winner = agent_id(a) < agent_id(b) ? a : b;
    settle(w);
    assert_int_equal(w->beaten_by, agent_id(winner));
    agent_enter(a);
    struct agent *picked = agents_pick(w->view[0], "app.test", OFFER_PRIVATE, NULL, 0);
    assert_ptr_equal(picked, a);
    agent_unref(picked);
    picked = agents_pick(w->view[0], "app.test", OFFER_PUBLIC, NULL, 0);
    assert_ptr_equal(picked, b);
    agent_unref(picked);
    agent_exit(a);
    agents_withdraw(w->view[0], a, AGENTS_LOST);
    agents_withdraw(w->view[1], b, AGENTS_LOST);
}

/* Whatever workers they came to, the offers of a name have one bandwidth, and it can be changed. */
static void one_bandwidth_for_a_name(void **state)
{
    struct world *w = *state;
    struct agent_terms terms = {
        .offer = {.name = "app.test"}, .ops = &ops, .owner = w, .bandwidth = 1000 * 1000};
    struct agent *a = agents_offer(w->view[0], &terms), *b = agents_offer(w->view[1], &terms);
    int64_t now = clock_monotonic();
    size_t n;
    assert_int_equal(agent_allow(b, now, &n), 0);
    agent_charge(a, now, 10 * 1000 * 1000);
    assert_true(agent_allow(b, now, &n) > 0);
    now += 20 * NSEC_PER_SEC;
    agent_enter(a);
    agent_enter(b);
    assert_int_equal(agent_allow(a, now, &n), 0);
    assert_int_equal(n, 50 * 1000); /* half of what may be moved at once, for each of two visitors */
    agent_exit(b);
    assert_int_equal(agent_allow(a, now, &n), 0);
    assert_int_equal(n, 100 * 1000);
    agent_exit(a);
    agent_set_bandwidth(a, 0);
    assert_int_equal(agent_allow(b, now, &n), 0);
    assert_true(n == SIZE_MAX);
    settle(w);
    agents_withdraw(w->view[0], a, AGENTS_LOST);
    agents_withdraw(w->view[1], b, AGENTS_LOST);
}

static bool picks(struct world *w, const struct agent *a)
{
    struct agent *picked = agents_pick(w->view[0], "app.test", AGENTS_ANY_KIND, NULL, 0);
    agent_unref(picked);
    return picked == a;
}

/* The other one is taken, the longer the more often it has failed; alone it is taken all the same. */
static void one_that_fails_comes_last(void **state)
{
    struct world *w = *state;
    struct agent *a = offer(w, 0, "app.test", OFFER_PRIVATE), *b = offer(w, 0, "app.test", OFFER_PRIVATE);
    int64_t now = clock_monotonic();
    agent_enter(b);
    assert_true(picks(w, a));
    agent_failed(a, now);
    assert_true(picks(w, b));
    agent_succeeded(a);
    assert_true(picks(w, a));
    agent_failed(a, now - 2 * NSEC_PER_SEC);
    assert_true(picks(w, a)); /* that was a second, and it is over */
    agent_failed(a, now - NSEC_PER_SEC);
    agent_failed(a, now - NSEC_PER_SEC); /* of the same time */
    assert_true(picks(w, b));
    agents_withdraw(w->view[0], b, AGENTS_LOST);
    assert_true(picks(w, a));
    agent_exit(b);
    agents_withdraw(w->view[0], a, AGENTS_LOST);
}

/* An id is good once, for a while, for the one whom it was given to, at any worker. */
static void ids_are_good_once(void **state)
{
    struct world *w = *state;
    static const uint8_t owner[AGENT_FINGERPRINT] = {7}, thief[AGENT_FINGERPRINT] = {8};
    static const char *const bad[] = {"",
                                      "A",
                                      "AAAA",
                                      "not an id",
                                      "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
                                      "____________________________________"};
    char id[OFFER_ID_TEXT], late[OFFER_ID_TEXT], wrong[OFFER_ID_TEXT];
    struct agent *a = offer(w, 0, "app.test", OFFER_PRIVATE);
    settle(w);
    int64_t now = loop_now(w->loop);
    assert_true(agent_grant(a, now, now + GRACE, id));
    assert_true(agent_grant(a, now, now - 1, late));
    memcpy(wrong, id, sizeof(id));
    wrong[20] = wrong[20] == 'A' ? 'B' : 'A';
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        assert_null(agents_redeem(w->view[1], bad[i], owner));
    assert_null(agents_redeem(w->view[1], wrong, owner));
    assert_null(agents_redeem(w->view[1], id, thief));
    assert_null(agents_redeem(w->view[1], late, owner));
    struct agent *got = agents_redeem(w->view[1], id, owner);
    assert_ptr_equal(got, a);
    agent_unref(got);
    assert_null(agents_redeem(w->view[1], id, owner));
    assert_null(agents_redeem(w->view[0], id, owner));
    agents_withdraw(w->view[0], a, AGENTS_LOST);
}

/* No more ids are out at a time than there is room for; those that nobody used in time make room. */
static void ids_have_a_bound(void **state)
{
    struct world *w = *state;
    char id[OFFER_ID_TEXT];
    struct agent *a = offer(w, 0, "app.test", OFFER_PRIVATE);
    for (int i = 0; i < OFFER_IDS_MAX; i++)
        assert_true(agent_grant(a, 0, 100, id));
    assert_false(agent_grant(a, 99, 200, id));
    assert_int_equal(agent_grants_out(a, 99), OFFER_IDS_MAX);
    assert_int_equal(agent_grants_out(a, 100), 0);
    assert_true(agent_grant(a, 100, 200, id));
    agents_withdraw(w->view[0], a, AGENTS_LOST);
}

/* A visitor on another worker gets his link; its bytes and its breaking off come across. */
static void an_errand_comes_back(void **state)
{
    struct world *w = *state;
    struct link *near, *far;
    struct agent *a = offer(w, 0, "app.test", OFFER_PRIVATE);
    settle(w);
    agents_visit(w->view[1], a, false, on_arrived, w);
    settle(w);
    assert_non_null(w->wanted);
    mem_link_pair(4096, &near, &far);
    errand_give(w->wanted, near);
    settle(w);
    assert_true(w->back);
    assert_non_null(w->arrived);
    size_t n;
    char bytes[8];
    assert_int_equal(link_write(w->arrived, "hello", 5, &n), LINK_OK);
    settle(w);
    assert_int_equal(link_read(far, bytes, sizeof(bytes), &n), LINK_OK);
    assert_memory_equal(bytes, "hello", 5);
    link_close(far, true);
    settle(w);
    assert_int_equal(link_read(w->arrived, bytes, sizeof(bytes), &n), LINK_ERROR);
    link_close(w->arrived, true);
    agents_withdraw(w->view[0], a, AGENTS_LOST);
}

/* A visitor who has gone, and an agent who has: nobody is called, nothing is left. */
static void errands_in_vain(void **state)
{
    struct world *w = *state;
    struct link *near, *far;
    struct agent *a = offer(w, 0, "app.test", OFFER_PRIVATE);
    settle(w);
    struct errand *e = agents_visit(w->view[1], a, false, on_arrived, w);
    settle(w);
    errand_cancel(e);
    mem_link_pair(4096, &near, &far);
    errand_give(w->wanted, near);
    settle(w);
    assert_false(w->back);
    link_close(far, true);
    w->wanted = NULL;
    agents_visit(w->view[1], a, false, on_arrived, w);
    agents_withdraw(w->view[0], a, AGENTS_LOST);
    settle(w);
    assert_null(w->wanted);
    assert_true(w->back && w->gone);
    assert_null(w->arrived);
}

static void on_woken(struct agents_waiter *waiter)
{
    (void)waiter;
}

/* Names that come and go in any number are not kept. */
static void names_are_forgotten(void **state)
{
    struct world *w = *state;
    char name[32];
    struct agents_waiter waiter = {.wake = on_woken};
    for (int i = 0; i < 300000; i++) {
        snprintf(name, sizeof(name), "n%d.test", i);
        agents_wait(w->view[0], name, &waiter);
        list_remove(&waiter.node);
    }
    assert_true(agents_names(w->view[0]) < 10000);
}

/* Whose service is down gets no visitors; and is told of, where no other agent's is up. */
static void a_service_is_down(void **state)
{
    struct world *w = *state;
    unsigned down = 0;
    struct agents_waiter waiter = {.wake = on_woken};
    struct agent *a = offer(w, 0, "app.test", OFFER_PRIVATE), *b = offer(w, 0, "app.test", OFFER_PRIVATE);
    settle(w);
    assert_null(agents_down(w->view[1], "app.test", &down));
    assert_null(agents_down(w->view[1], "other.test", &down));
    agents_set_down(w->view[0], a, 3);
    struct agent *got = agents_pick(w->view[1], "app.test", AGENTS_ANY_KIND, NULL, 0);
    assert_ptr_equal(got, b);
    agent_unref(got);
    assert_null(agents_down(w->view[1], "app.test", &down));
    agents_wait(w->view[1], "app.test", &waiter);
    agents_set_down(w->view[0], b, 4);
    settle(w);
    assert_true(list_empty(&waiter.node)); /* who waits hears of it */
    assert_null(agents_pick(w->view[1], "app.test", AGENTS_ANY_KIND, NULL, 0));
    got = agents_down(w->view[1], "app.test", &down);
    assert_non_null(got);
    assert_int_equal(down, got == a ? 3 : 4);
    agent_unref(got);
    agents_set_down(w->view[0], a, 0);
    got = agents_pick(w->view[1], "app.test", AGENTS_ANY_KIND, NULL, 0);
    assert_ptr_equal(got, a);
    agent_unref(got);
    agents_withdraw(w->view[0], a, AGENTS_LOST);
    agents_withdraw(w->view[0], b, AGENTS_LOST);
}

/* How an agent went is remembered; for one that may not offer the name any more nobody waits. */
static void ways_to_go(void **state)
{
    struct world *w = *state;
    static const enum agents_leave ways[] = {AGENTS_STOPPED, AGENTS_BARRED, AGENTS_LOST};
    enum offer_kind kind;
    assert_int_equal(agents_left(w->view[1], "app.test"), AGENTS_NEVER);
    for (size_t i = 0; i < ARRAY_LEN(ways); i++) {
        agents_withdraw(w->view[0], offer(w, 0, "app.test", OFFER_PRIVATE), ways[i]);
        settle(w);
        assert_int_equal(agents_left(w->view[1], "app.test"), ways[i]);
        assert_int_equal(agents_find(w->view[1], "app.test", GRACE, &kind),
                         ways[i] == AGENTS_BARRED ? AGENTS_NONE : AGENTS_EXPECTED);
    }
}

/* What was offered in private is nothing that whoever may not visit it waits for; once the door's start is
 * long past. */
static void may_be_public(void **state)
{
    struct world *w = *state;
    static const enum offer_kind kinds[] = {OFFER_PRIVATE, OFFER_PUBLIC, OFFER_END_TO_END, OFFER_PUBLIC,
                                            OFFER_PRIVATE};
    const int64_t grace = NSEC_PER_MSEC;
    enum offer_kind kind;
    settle(w);
    assert_false(agents_may_be_public(w->view[0], "app.test", grace));
    assert_true(agents_may_be_public(w->view[0], "app.test", GRACE)); /* it has just begun */
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
        struct agent *a = offer(w, 0, "app.test", kinds[i]);
        assert_int_equal(agents_may_be_public(w->view[0], "app.test", GRACE), kinds[i] == OFFER_PUBLIC);
        agents_withdraw(w->view[0], a, AGENTS_LOST);
        assert_int_equal(agents_find(w->view[0], "app.test", grace, &kind), AGENTS_EXPECTED);
        assert_int_equal(agents_may_be_public(w->view[0], "app.test", grace), kinds[i] == OFFER_PUBLIC);
    }
    agents_withdraw(w->view[0], offer(w, 0, "app.test", OFFER_PUBLIC), AGENTS_BARRED);
    assert_false(agents_may_be_public(w->view[0], "app.test", GRACE));
    settle(w);
}

static void count_offer(void *arg, struct agent *a)
{
    size_t *n = arg;
    struct agent_facts facts = agent_facts(a);
    assert_string_equal(facts.offer->name, "game.test");
    assert_true(facts.ready && facts.down == 0 && facts.visits == 1 && facts.visitors == 1);
    assert_int_equal(facts.bytes_in, 10);
    assert_int_equal(facts.bytes_out, 20);
    ++*n;
}

/* Who has a port, and what is told of offers: each once, by its home. */
static void what_is_told(void **state)
{
    struct world *w = *state;
    struct agent_terms terms = {
        .offer = {.name = "game.test", .kind = OFFER_PUBLIC, .port = 27015}, .ops = &ops, .owner = w};
    struct agent *a = agents_offer(w->view[0], &terms);
    size_t told[2] = {0};
    settle(w);
    assert_null(agents_at_port(w->view[1], 27015, false, "game.test"));
    assert_null(agents_at_port(w->view[1], 27015, true, "app.test"));
    assert_null(agents_at_port(w->view[1], 27016, false, "app.test"));
    struct agent *got = agents_at_port(w->view[1], 27015, false, "app.test");
    assert_ptr_equal(got, a);
    agent_unref(got);
    agent_enter(a);
    agent_succeeded(a);
    agent_visited(a, 10, 20);
    for (int i = 0; i < 2; i++)
        agents_each(w->view[i], count_offer, &told[i]);
    assert_int_equal(told[0], 1);
    assert_int_equal(told[1], 0);
    agent_exit(a);
    agents_withdraw(w->view[0], a, AGENTS_LOST);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(fellows),
        TEST(may_be_public),
        TEST(views_agree),
        TEST(offers_of_a_name),
        TEST(offers_that_cross),
        TEST(one_bandwidth_for_a_name),
        TEST(one_that_fails_comes_last),
        TEST(ids_are_good_once),
        TEST(ids_have_a_bound),
        TEST(an_errand_comes_back),
        TEST(errands_in_vain),
        TEST(names_are_forgotten),
        TEST(a_service_is_down),
        TEST(ways_to_go),
        TEST(what_is_told),
        TEST(sealed_for_a_while),
        TEST(a_seal_is_not_washed_away),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
