/* SPDX-License-Identifier: Apache-2.0 */
/* keeper/life.h, rule by rule; test_half_year.c plays all of it together. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <time.h>

#include <cmocka.h>

#include "base/check.h"
#include "keeper/life.h"

#define HOUR INT64_C(3600)
#define DAY INT64_C(86400)
#define T INT64_C(1800000000)

struct door {
    struct life *life;
    struct lineage *l;
    struct life_job job; /* the last that next() gave */
};

static const struct life_rule alone = {.cas = {0}, .cas_len = 1, .backup = LIFE_NO_BACKUP};
static const struct life_rule two = {.cas = {0, 1}, .cas_len = 2, .backup = LIFE_NO_BACKUP};
static const struct life_rule backed = {.cas = {0, 1}, .cas_len = 2, .backup = LIFE_ANY_BACKUP};

static struct door door_of(const struct life_rule *rule, bool ari)
{
    struct life_settings settings = {.seed = 7};
    struct door d = {.life = life_new(&settings)};
    assert_non_null(d.life);
    for (int i = 0; i < 3; i++)
        assert_int_equal(life_add_ca(d.life, ari, NULL), i);
    d.l = life_add(d.life, 0, rule, NULL, T);
    assert_non_null(d.l);
    return d;
}

static bool next(struct door *d, int64_t now)
{
    return life_next(d->life, now, &d->job);
}

static void expect(struct door *d, int64_t now, enum life_task task, int slot)
{
    assert_true(next(d, now));
    assert_int_equal(d->job.task, task);
    assert_int_equal(d->job.slot, slot);
}

static void issue(struct door *d, int64_t now, int64_t life)
{
    struct life_issue i = {.not_before = now, .not_after = now + life};
    assert_true(life_takes(d->l, &i, now));
    life_issued(d->life, d->l, &i, now);
}

/* One is served, for 90 days, and nothing is left to do. */
static struct door served(const struct life_rule *rule, bool ari)
{
    struct door d = door_of(rule, ari);
    expect(&d, T, LIFE_ORDER, 0);
    assert_int_equal(d.job.ca, 0);
    issue(&d, T, 90 * DAY);
    expect(&d, T, LIFE_SERVE, 0);
    if (rule->backup != LIFE_NO_BACKUP) {
        expect(&d, T, LIFE_ORDER, 1);
        assert_int_equal(d.job.ca, 1);
        issue(&d, T, 90 * DAY);
    }
    assert_false(next(&d, T));
    return d;
}

static void a_third_is_left(void **state)
{
    (void)state;
    struct door d = served(&alone, false);
    int64_t at = life_due(d.life);
    assert_true(at <= T + 60 * DAY && at >= T + 56 * DAY);
    assert_int_equal(at, life_next_try(d.l));
    assert_false(next(&d, at - 1));
    expect(&d, at, LIFE_ORDER, 0);
    issue(&d, at, 6 * DAY); /* short-lived: half */
    at += 3 * DAY;
    assert_true(life_next_try(d.l) <= at && life_next_try(d.l) > at - 12 * HOUR);
    life_free(d.life);
}

static void ari_decides(void **state)
{
    (void)state;
    struct door d = served(&alone, true);
    expect(&d, T + 10, LIFE_ASK_ARI, 0);
    life_ari(d.life, d.l, T + 10 * DAY, T + 12 * DAY, 5, T + 10);
    assert_false(next(&d, T + 69)); /* Retry-After of five seconds is taken for a minute */
    int64_t at = d.l->state.slot[0].renew_at;
    assert_in_range(at, T + 10 * DAY, T + 12 * DAY);
    expect(&d, T + 70, LIFE_ASK_ARI, 0);
    life_ari(d.life, d.l, T + 10 * DAY, T + 12 * DAY, 1000 * DAY, T + 70);
    assert_int_equal(d.l->state.slot[0].renew_at, at); /* drawn once for a window */
    expect(&d, T + 70 + DAY, LIFE_ASK_ARI, 0);         /* ... and of years for a day */
    life_ari(d.life, d.l, T + 5, T + 5, 0, T + 70 + DAY);
    assert_int_equal(d.l->state.slot[0].renew_at, at); /* a window without a length is none */
    assert_in_range(d.l->state.slot[0].ari_at - T - 70 - DAY, 6 * HOUR, 7 * HOUR);
    int64_t now = d.l->state.slot[0].ari_at;
    expect(&d, now, LIFE_ASK_ARI, 0);
    life_ari_failed(d.life, d.l, false, now);
    assert_in_range(d.l->state.slot[0].ari_at - now, 30, 120);
    now = d.l->state.slot[0].ari_at;
    expect(&d, now, LIFE_ASK_ARI, 0);
    life_ari(d.life, d.l, T - 2 * DAY, T - DAY, 0, now); /* moved into the past: at once */
    expect(&d, now, LIFE_ORDER, 0);
    issue(&d, now, 90 * DAY);
    assert_int_equal(d.l->state.slot[0].ari_end, 0);
    life_free(d.life);
}

/* Not later than with a sixth left, whatever the CA suggests. */
static void ari_is_bounded(void **state)
{
    (void)state;
    struct door d = served(&alone, true);
    expect(&d, T + 10, LIFE_ASK_ARI, 0);
    life_ari(d.life, d.l, T + 100 * DAY, T + 200 * DAY, 0, T + 10);
    assert_int_equal(life_next_try(d.l), T + 75 * DAY);
    life_free(d.life);
}

static void retry_after_is_honoured(void **state)
{
    (void)state;
    struct door d = door_of(&alone, false);
    expect(&d, T, LIFE_ORDER, 0);
    life_failed(d.life, d.l, LIFE_RATE_LIMITED, 30 * HOUR, T);
    assert_false(next(&d, T + 30 * HOUR - 1));
    expect(&d, T + 31 * HOUR, LIFE_ORDER, 0);
    life_failed(d.life, d.l, LIFE_RATE_LIMITED, 1000 * DAY, T + 31 * HOUR); /* but not for years */
    expect(&d, T + 9 * DAY, LIFE_ORDER, 0);
    life_free(d.life);
}

/* Waits double, their upper half is chance, and they end at an hour for a CA that is down. */
static void backs_off(void **state)
{
    (void)state;
    struct door d = door_of(&alone, false);
    int64_t now = T;
    for (int n = 0; n < 20; n++) {
        int64_t wait = MIN(60ll << n, HOUR);
        expect(&d, now, LIFE_ORDER, 0);
        life_failed(d.life, d.l, LIFE_UNREACHABLE, 0, now);
        int64_t at = life_next_try(d.l);
        assert_in_range(at - now, wait / 2, wait);
        now = at;
    }
    assert_int_equal(life_ca_state(d.life, 0).failures, 20);
    expect(&d, now, LIFE_ORDER, 0);
    issue(&d, now, 90 * DAY);
    assert_int_equal(life_ca_state(d.life, 0).failures, 0);
    life_free(d.life);
}

static void falls_over_to_the_next(void **state)
{
    (void)state;
    struct door d = door_of(&two, false);
    expect(&d, T, LIFE_ORDER, 0);
    assert_int_equal(d.job.ca, 0);
    life_failed(d.life, d.l, LIFE_UNREACHABLE, 0, T);
    expect(&d, T, LIFE_ORDER, 0); /* nothing to serve: at once */
    assert_int_equal(d.job.ca, 1);
    issue(&d, T, 90 * DAY);
    expect(&d, T, LIFE_SERVE, 0);
    life_free(d.life);
    d = served(&two, false);
    int64_t now = life_due(d.life);
    expect(&d, now, LIFE_ORDER, 0);
    assert_int_equal(d.job.ca, 0);
    life_failed(d.life, d.l, LIFE_REFUSED, 0, now);
    assert_false(next(&d, now)); /* there is time: it gets another chance */
    now = life_due(d.life);
    expect(&d, now, LIFE_ORDER, 0);
    assert_int_equal(d.job.ca, 0);
    life_failed(d.life, d.l, LIFE_REFUSED, 0, now);
    expect(&d, now, LIFE_ORDER, 0);
    assert_int_equal(d.job.ca, 1);
    life_free(d.life);
}

/* A time that has passed, behind a failure, is always that of another CA: the one that has failed gets its
 * rest.
 */
static void what_fails_is_not_asked_at_once(void **state)
{
    (void)state;
    struct door d = door_of(&backed, false);
    expect(&d, T, LIFE_ORDER, 0);
    assert_int_equal(d.job.ca, 0);
    life_failed(d.life, d.l, LIFE_REFUSED, 0, T);
    assert_true(life_next_try(d.l) <= T);
    expect(&d, T, LIFE_ORDER, 0);
    assert_int_equal(d.job.ca, 1);
    life_failed(d.life, d.l, LIFE_UNREACHABLE, 0, T);
    assert_in_range(life_next_try(d.l), T + 30, T + HOUR);
    int64_t last[2] = {T, T};
    for (int n = 0; n < 40; n++) {
        int64_t now = MAX(life_due(d.life), last[0] > last[1] ? last[0] : last[1]);
        expect(&d, now, LIFE_ORDER, 0);
        assert_true(now - last[d.job.ca] >= 30);
        last[d.job.ca] = now;
        life_failed(d.life, d.l, n % 2 == 0 ? LIFE_REFUSED : LIFE_UNREACHABLE, 0, now);
    }
    life_free(d.life);
}

static void revoked(struct door *d, int slot, int64_t now)
{
    expect(d, now, LIFE_ASK_STATUS, slot);
    life_status(d->life, d->l, true, now, now + DAY, now);
}

/* Revoked: the backup is served in the same moment, and the other slot filled again. */
static void backup_takes_over(void **state)
{
    (void)state;
    struct door d = door_of(&backed, false);
    struct life_issue i = {T, T + 90 * DAY, false, true, false};
    expect(&d, T, LIFE_ORDER, 0);
    life_issued(d.life, d.l, &i, T);
    expect(&d, T, LIFE_SERVE, 0);
    expect(&d, T, LIFE_ORDER, 1);
    i.has_status = false;
    life_issued(d.life, d.l, &i, T);
    revoked(&d, 0, T + 10);
    expect(&d, T + 10, LIFE_SERVE, 1);
    assert_int_equal(d.l->state.swapped, LIFE_SWAP_REVOKED);
    expect(&d, T + 10, LIFE_ORDER, 0);
    assert_int_equal(d.job.ca, 0); /* another than that of the new primary */
    issue(&d, T + 10, 90 * DAY);
    assert_false(next(&d, T + 11));
    life_free(d.life);
}

/* The CA wants it replaced and does not deliver. */
static void backup_takes_over_from_ari(void **state)
{
    (void)state;
    struct door d = served(&backed, true);
    for (int n = 0; n < 2; n++) {
        assert_true(next(&d, T + 10));
        assert_int_equal(d.job.task, LIFE_ASK_ARI);
        int64_t from = d.job.slot == 0 ? T + 10 * DAY : T + 60 * DAY;
        life_ari(d.life, d.l, from, from + DAY, 0, T + 10);
    }
    int64_t now = T + 10;
    while (now < T + 12 * DAY && !(next(&d, now) && d.job.task == LIFE_SERVE)) {
        if (d.job.task == LIFE_ORDER && d.l->ordering >= 0)
            life_failed(d.life, d.l, LIFE_REFUSED, 0, now);
        if (d.job.task == LIFE_ASK_ARI && d.l->looking >= 0)
            life_ari_failed(d.life, d.l, true, now);
        now = MAX(now, life_due(d.life));
    }
    assert_int_equal(d.job.slot, 1);
    assert_in_range(now, T + 11 * DAY, T + 11 * DAY + 2 * HOUR);
    assert_int_equal(d.l->state.swapped, LIFE_SWAP_ARI);
    life_free(d.life);
}

static void must_staple(void **state)
{
    (void)state;
    struct door d = served(&backed, false);
    int64_t now = life_due(d.life);
    struct life_issue i = {now, now + 90 * DAY, true, true, false};
    assert_true(next(&d, now));
    int slot = d.job.slot;
    life_issued(d.life, d.l, &i, now);
    if (slot == d.l->state.active) /* the other one is served until its staple has come */
        expect(&d, now, LIFE_SERVE, 1 - slot);
    while (next(&d, now) && d.job.task == LIFE_ORDER)
        life_failed(d.life, d.l, LIFE_REFUSED, 0, now);
    expect(&d, now + 10, LIFE_ASK_STATUS, slot);
    life_status(d.life, d.l, false, now, now + 4 * HOUR, now + 10);
    assert_int_equal(life_rank(&d.l->state.slot[slot], now + 10), LIFE_GOOD);
    assert_in_range(d.l->state.slot[slot].status_at, now + HOUR, now + 2 * HOUR); /* half way */
    assert_int_equal(life_rank(&d.l->state.slot[slot], now + 4 * HOUR), LIFE_UNSTAPLED);
    life_free(d.life);
}

/* A CRL tells of revocation, but nothing can be stapled; one that has expired is not asked about. */
static void only_a_crl(void **state)
{
    (void)state;
    struct door d = door_of(&alone, false);
    struct life_issue i = {T, T + DAY, true, true, .by_crl = true};
    expect(&d, T, LIFE_ORDER, 0);
    life_issued(d.life, d.l, &i, T);
    expect(&d, T, LIFE_SERVE, 0);
    int64_t now = T + 10;
    unsigned looks = 0;
    for (; now < T + 10 * DAY; now = MAX(now + 1, MIN(life_due(d.life), T + 10 * DAY)))
        while (next(&d, now)) {
            if (d.job.task == LIFE_ORDER)
                life_failed(d.life, d.l, LIFE_REFUSED, 0, now);
            if (d.job.task != LIFE_ASK_STATUS)
                continue;
            looks++;
            assert_true(now < T + DAY);
            life_status(d.life, d.l, false, now, now + 7 * DAY, now);
            assert_int_equal(life_rank(&d.l->state.slot[0], now), LIFE_UNSTAPLED);
        }
    assert_in_range(looks, 6, 8); /* each four hours, and somewhat earlier */
    life_free(d.life);
}

static void operator_swaps(void **state)
{
    (void)state;
    struct err err;
    size_t left;
    struct door d = served(&alone, false), b = served(&backed, false);
    assert_int_equal(life_swap(d.life, d.l, T, &err), -1);
    assert_string_equal(err.text, "the other certificate is not there yet; see 'cardea cert ls'");
    assert_int_equal(life_swap(b.life, b.l, T, &err), 0);
    expect(&b, T, LIFE_SERVE, 1);
    assert_int_equal(life_swap_all(b.life, 0, T, &left), 0); /* that is the backup's now */
    assert_int_equal(life_swap_all(b.life, 1, T, &left), 1);
    expect(&b, T, LIFE_SERVE, 0);
    assert_int_equal(life_swap_all(d.life, -1, T, &left), 0);
    assert_int_equal(left, 1);
    life_free(d.life);
    life_free(b.life);
}

static void unused_names_lapse(void **state)
{
    (void)state;
    struct life_rule rule = alone;
    rule.on_demand = true;
    struct door d = served(&rule, false);
    int64_t due = d.l->state.slot[0].renew_at;
    assert_int_equal(life_next_try(d.l), due);
    assert_false(next(&d, due)); /* nobody has come since */
    life_used(d.life, d.l, due);
    expect(&d, due, LIFE_ORDER, 0);
    life_free(d.life);

    rule.unused_after = due - T + DAY;
    d = served(&rule, false);
    due = d.l->state.slot[0].renew_at;
    assert_false(life_is_unused(d.l, due));
    assert_true(life_is_unused(d.l, T + rule.unused_after + 1));
    expect(&d, due, LIFE_ORDER, 0);
    life_free(d.life);
}

/* A certificate that has expired does not replace one that has not. */
static void useless_certificates(void **state)
{
    (void)state;
    struct door d = served(&alone, false);
    int64_t now = life_due(d.life);
    struct life_issue past = {T, T + DAY, false, false, false};
    expect(&d, now, LIFE_ORDER, 0);
    assert_false(life_takes(d.l, &past, now));
    life_failed(d.life, d.l, LIFE_USELESS, 0, now);
    assert_true(life_next_try(d.l) > now);
    life_free(d.life);
    d = door_of(&alone, false);
    expect(&d, now, LIFE_ORDER, 0);
    assert_true(life_takes(d.l, &past, now)); /* better than nothing, where our clock is wrong */
    life_issued(d.life, d.l, &past, now);
    expect(&d, now, LIFE_SERVE, 0);
    assert_false(next(&d, now)); /* but not again and again */
    life_free(d.life);
}

/* The disk was full. */
static void taken_back(void **state)
{
    (void)state;
    struct door d = served(&alone, false);
    int64_t now = life_due(d.life);
    struct life_state before = d.l->state;
    expect(&d, now, LIFE_ORDER, 0);
    issue(&d, now, 90 * DAY);
    life_take_back(d.life, d.l, &before, now);
    assert_int_equal(d.l->state.slot[0].not_after, before.slot[0].not_after);
    assert_false(next(&d, now));
    now = life_next_try(d.l);
    assert_int_equal(life_due_of(d.l), now);
    assert_in_range(now, before.slot[0].renew_at + 300, before.slot[0].renew_at + 600);
    expect(&d, now, LIFE_ORDER, 0);
    assert_int_equal(life_due_of(d.l), 0); /* under way: a door that is started anew begins it again */
    life_free(d.life);
}

static void clock_goes_back(void **state)
{
    (void)state;
    struct door d = door_of(&alone, false);
    expect(&d, T + 1000 * DAY, LIFE_ORDER, 0);
    life_failed(d.life, d.l, LIFE_UNREACHABLE, 0, T + 1000 * DAY);
    assert_false(next(&d, T));
    expect(&d, T + 60, LIFE_ORDER, 0);
    life_free(d.life);
}

/* Certificates that came together are not renewed together, never more than some at once; each step is quick.
 */
static void a_hundred_thousand(void **state)
{
    (void)state;
    enum { N = 100000, HOURS = 90 * 24 };
    static unsigned in[HOURS];
    struct life_settings settings = {.orders_max = 50};
    struct life *life = life_new(&settings);
    struct life_state s = {
        .slot[0] = {.held = true, .issued = T, .not_before = T, .not_after = T + 90 * DAY}};
    struct life_job job;
    clock_t began = clock();
    assert_int_equal(life_add_ca(life, false, NULL), 0);
    for (int i = 0; i < N; i++)
        assert_non_null(life_add(life, i, &alone, NULL, T));
    size_t running = 0, served_count = 0;
    struct lineage *under_way[50];
    while (served_count < N) {
        while (life_next(life, T, &job)) {
            served_count += job.task == LIFE_SERVE;
            if (job.task == LIFE_ORDER)
                under_way[running++] = job.lineage;
        }
        assert_true(running <= 50);
        while (running > 0)
            life_issued(life, under_way[--running],
                        &(struct life_issue){s.slot[0].not_before, s.slot[0].not_after, false, false, false},
                        T);
    }
    assert_int_equal(life_count(life), N);
    int64_t now = T;
    for (; now < T + 80 * DAY; now = MAX(now, life_due(life)))
        if (life_next(life, now, &job) && job.task == LIFE_ORDER) {
            in[(now - T) / HOUR]++;
            life_remove(life, job.lineage);
        }
    assert_int_equal(life_count(life), 0);
    unsigned most = 0;
    for (int i = 0; i < HOURS; i++)
        most = MAX(most, in[i]);
    double seconds = (double)(clock() - began) / CLOCKS_PER_SEC;
    print_message(
        "100,000 lineages: %zu bytes each, obtained and renewed in %.2f s; most renewals of an hour: %u\n",
        sizeof(struct lineage), seconds, most);
    assert_true(most < N / 20);
    life_free(life);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_third_is_left),
        cmocka_unit_test(ari_decides),
        cmocka_unit_test(ari_is_bounded),
        cmocka_unit_test(retry_after_is_honoured),
        cmocka_unit_test(backs_off),
        cmocka_unit_test(falls_over_to_the_next),
        cmocka_unit_test(what_fails_is_not_asked_at_once),
        cmocka_unit_test(backup_takes_over),
        cmocka_unit_test(backup_takes_over_from_ari),
        cmocka_unit_test(must_staple),
        cmocka_unit_test(only_a_crl),
        cmocka_unit_test(operator_swaps),
        cmocka_unit_test(unused_names_lapse),
        cmocka_unit_test(useless_certificates),
        cmocka_unit_test(taken_back),
        cmocka_unit_test(clock_goes_back),
        cmocka_unit_test(a_hundred_thousand),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
