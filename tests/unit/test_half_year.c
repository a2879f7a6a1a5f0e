/* SPDX-License-Identifier: Apache-2.0 */
/* Half a year of a door's certificates, played in seconds: CAs of several lifetimes with outages, rate
 * limits, failures, mass revocation and death; a clock that jumps; a door that is started anew at any moment.
 * At each simulated minute every lineage serves a certificate that is valid and, as soon as one can know, not
 * revoked. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/check.h"
#include "keeper/life.h"

#define MINUTE INT64_C(60)
#define HOUR INT64_C(3600)
#define DAY INT64_C(86400)
#define BEGIN INT64_C(1800000000)
#define LENGTH (183 * DAY)
#define LINEAGES 50
#define CAS 4
#define OUTAGES 8
#define PART \
    (LENGTH / OUTAGES) /* each with an outage of its own, which is no longer than a CA's life bears */
#define RATE_WINDOW (3 * HOUR)
#define RATE_MOST 20
#define ORDERS_MOST 4
#define CHECK_EVERY (4 * HOUR)
/* A certificate is noticed to be revoked within this time in which its CA could be asked: the look that is
 * due, and what backing off from failed looks adds. */
#define NOTICED (CHECK_EVERY + 2 * HOUR)
/* Where there is no backup, a CA delivers within this time in which one could: its longest back-off, and a
 * few failures. */
#define REPLACED (12 * HOUR)
/* Orders of one CA in a day: all at once when it asks all back, and what is tried while it does not answer.
 */
#define ORDERS_OF_A_DAY (LINEAGES + 24)
#define FIRST_DAY DAY /* for the first certificate, with whatever fails first */

struct world_ca {
    int64_t life;
    bool ari;
    bool limits;
    int64_t outage[OUTAGES][2];
    int64_t dies;      /* 0: never */
    int64_t asks_back; /* when its ARI asks for all to be replaced; 0: never. 30 h later they are revoked */
    int64_t window_start; /* of its rate limit */
    unsigned in_window;
    unsigned today, today_most; /* orders */
    unsigned running;
};

/* A certificate as the world knows it, whatever the door thinks of it. */
struct world_cert {
    int ca;
    uint64_t key;
    int64_t not_before, not_after;
    int64_t revoked; /* 0: never */
};

struct world_lineage {
    struct lineage *l;
    struct life_rule rule;
    struct life_state saved; /* what survives the door */
    struct world_cert cert[LIFE_SLOTS];
    int served; /* what the workers were told */
    struct life_job order, look;
    int64_t order_ends, look_ends; /* 0: none */
    int64_t unnoticed;  /* seconds for which the served one is revoked and its CA could have told */
    int64_t unreplaced; /* ... the door knows it, and some CA could have delivered */
    int64_t twins;      /* both are of one CA, and another could have delivered */
    bool revoked;
    struct world_cert looked_at; /* which an order may replace meanwhile */
};

struct world {
    uint64_t random;
    int64_t t, skew, skew_ends;
    struct world_ca ca[CAS];
    struct life_ca_state saved_ca[CAS];
    struct world_lineage v[LINEAGES];
    struct life *life;
    uint64_t keys;
    uint64_t asserted, orders, swaps, restarts, jumps, revoked;
    unsigned running;
};

static uint64_t draw(struct world *w, uint64_t below)
{
    w->random ^= w->random << 13;
    w->random ^= w->random >> 7;
    w->random ^= w->random << 17;
    return w->random % below;
}

static bool chance(struct world *w, unsigned one_of)
{
    return draw(w, one_of) == 0;
}

/* ---- CAs ---- */

static bool is_up(const struct world *w, int ca)
{
    const struct world_ca *c = &w->ca[ca];
    if (c->dies != 0 && w->t >= c->dies)
        return false;
    for (int i = 0; i < OUTAGES; i++)
        if (w->t >= c->outage[i][0] && w->t < c->outage[i][1])
            return false;
    return true;
}

static void make_cas(struct world *w)
{
    static const int64_t lives[CAS] = {90 * DAY, 47 * DAY, 6 * DAY, 90 * DAY};
    for (int i = 0; i < CAS; i++) {
        struct world_ca *c = &w->ca[i];
        *c = (struct world_ca){.life = lives[i], .ari = i != 1, .limits = i == 1};
        for (int k = 0; k < OUTAGES; k++) {
            c->outage[k][0] = BEGIN + k * PART + 2 * DAY + (int64_t)draw(w, PART - 6 * DAY);
            c->outage[k][1] = c->outage[k][0] + HOUR + (int64_t)draw(w, 40 * HOUR);
        }
    }
    w->ca[0].asks_back = BEGIN + 20 * DAY + (int64_t)draw(w, 100 * DAY);
    w->ca[2].asks_back = BEGIN + 20 * DAY + (int64_t)draw(w, 100 * DAY);
    /* One of them does not deliver when it has asked. */
    w->ca[0].outage[0][0] = w->ca[0].asks_back;
    w->ca[0].outage[0][1] = w->ca[0].asks_back + 40 * HOUR;
    w->ca[3].dies = BEGIN + 30 * DAY + (int64_t)draw(w, 60 * DAY);
}

/* Has the CA asked for this one to be replaced? */
static bool is_asked_back(const struct world *w, const struct world_cert *c)
{
    int64_t at = w->ca[c->ca].asks_back;
    return at != 0 && w->t >= at && c->not_before < at;
}

static bool is_revoked(const struct world *w, const struct world_cert *c)
{
    return (c->revoked != 0 && w->t >= c->revoked) ||
           (is_asked_back(w, c) && w->t >= w->ca[c->ca].asks_back + 30 * HOUR);
}

static bool is_limited(struct world *w, struct world_ca *c)
{
    if (w->t >= c->window_start + RATE_WINDOW) {
        c->window_start = w->t;
        c->in_window = 0;
    }
    return c->limits && ++c->in_window > RATE_MOST;
}

/* ---- the door's executors ---- */

static int64_t door_now(const struct world *w)
{
    return w->t + w->skew;
}

static void save(struct world *w, struct world_lineage *wl)
{
    wl->saved = wl->l->state;
    for (int i = 0; i < CAS; i++)
        w->saved_ca[i] = life_ca_state(w->life, (uint16_t)i);
}

static void deliver(struct world *w, struct world_lineage *wl, struct world_ca *ca)
{
    struct world_cert fresh = {.ca = wl->order.ca, .key = ++w->keys, .not_before = w->t - HOUR};
    fresh.not_after = fresh.not_before + ca->life;
    struct life_issue issue = {fresh.not_before, fresh.not_after, chance(w, 8), true, chance(w, 8)};
    if (!life_takes(wl->l, &issue, door_now(w))) {
        life_failed(w->life, wl->l, LIFE_USELESS, 0, door_now(w));
        return;
    }
    if (chance(w, 40))
        fresh.revoked = w->t + (int64_t)draw(w, (uint64_t)ca->life);
    wl->cert[wl->order.slot] = fresh;
    life_issued(w->life, wl->l, &issue, door_now(w));
    assert_true(wl->cert[0].key != wl->cert[1].key);
}

static void end_order(struct world *w, struct world_lineage *wl)
{
    struct world_ca *ca = &w->ca[wl->order.ca];
    int64_t now = door_now(w);
    wl->order_ends = 0;
    w->running--;
    if (!is_up(w, wl->order.ca))
        life_failed(w->life, wl->l, LIFE_UNREACHABLE, chance(w, 4) ? 2 * HOUR : 0, now);
    else if (is_limited(w, ca))
        life_failed(w->life, wl->l, LIFE_RATE_LIMITED, ca->window_start + RATE_WINDOW - w->t, now);
    else if (chance(w, 8))
        life_failed(w->life, wl->l, chance(w, 2) ? LIFE_REFUSED : LIFE_UNREACHABLE, 0, now);
    else
        deliver(w, wl, ca);
    save(w, wl);
}

static void end_look(struct world *w, struct world_lineage *wl)
{
    const struct world_cert *c = &wl->looked_at;
    int64_t now = door_now(w), end = c->not_before + w->ca[c->ca].life * 2 / 3;
    bool heard = is_up(w, c->ca) && !chance(w, 10);
    wl->look_ends = 0;
    if (wl->look.task == LIFE_ASK_STATUS && heard)
        life_status(w->life, wl->l, is_revoked(w, c), w->t - HOUR, w->t + 3 * DAY, now);
    else if (wl->look.task == LIFE_ASK_STATUS)
        life_status_failed(w->life, wl->l, now);
    else if (!heard)
        life_ari_failed(w->life, wl->l, chance(w, 4), now);
    else if (is_asked_back(w, c))
        life_ari(w->life, wl->l, w->ca[c->ca].asks_back, w->ca[c->ca].asks_back + DAY, 6 * HOUR, now);
    else
        life_ari(w->life, wl->l, end - w->ca[c->ca].life / 20, end, 6 * HOUR, now);
    save(w, wl);
}

static struct world_lineage *of(struct world *w, const struct life_job *job)
{
    return &w->v[job->lineage->id];
}

static void begin(struct world *w, const struct life_job *job)
{
    struct world_lineage *wl = of(w, job);
    switch (job->task) {
    case LIFE_ORDER:
        wl->order = *job;
        wl->order_ends = w->t + (int64_t)draw(w, 10) * MINUTE + 1;
        w->orders++;
        w->ca[job->ca].today++;
        w->running++;
        assert_true(w->running <= ORDERS_MOST);
        break;
    case LIFE_ASK_ARI:
    case LIFE_ASK_STATUS:
        wl->look = *job;
        wl->looked_at = wl->cert[job->slot];
        wl->look_ends = w->t + (int64_t)draw(w, 5) * MINUTE + 1;
        break;
    case LIFE_SERVE:
        w->swaps += wl->served >= 0 && wl->served != job->slot;
        wl->served = job->slot;
        save(w, wl);
        break;
    }
}

/* ---- the door ---- */

static void start_door(struct world *w)
{
    struct life_settings settings = {
        .orders_max = ORDERS_MOST, .check_every = CHECK_EVERY, .seed = draw(w, UINT64_MAX)};
    w->life = life_new(&settings);
    assert_non_null(w->life);
    w->running = 0;
    for (int i = 0; i < CAS; i++)
        assert_int_equal(life_add_ca(w->life, w->ca[i].ari, &w->saved_ca[i]), i);
    for (int i = 0; i < LINEAGES; i++) {
        struct world_lineage *wl = &w->v[i];
        wl->l = life_add(w->life, i, &wl->rule, &wl->saved, door_now(w));
        assert_non_null(wl->l);
        wl->order_ends = wl->look_ends = 0;
        wl->served = LIFE_NO_SLOT;
    }
}

static void restart_door(struct world *w)
{
    life_free(w->life);
    start_door(w);
    w->restarts++;
}

/* Each has two CAs or three, so that the one that dies is nobody's last. */
static void make_lineages(struct world *w)
{
    for (int i = 0; i < LINEAGES; i++) {
        struct life_rule *r = &w->v[i].rule;
        uint16_t cas[CAS] = {0, 1, 2, 3};
        for (uint64_t k = CAS - 1; k > 0; k--) {
            uint64_t with = draw(w, k + 1);
            uint16_t held = cas[k];
            cas[k] = cas[with];
            cas[with] = held;
        }
        memcpy(r->cas, cas, sizeof(cas));
        r->cas_len = (uint8_t)(2 + draw(w, 2));
        r->backup = chance(w, 3) ? LIFE_NO_BACKUP : chance(w, 2) ? LIFE_ANY_BACKUP : 1;
    }
}

/* ---- what must hold ---- */

static bool any_up(const struct world *w, const struct life_rule *r, int but)
{
    for (int i = 0; i < r->cas_len; i++)
        if (r->cas[i] != but && is_up(w, r->cas[i]))
            return true;
    return false;
}

static void fail_at(const struct world *w, const struct world_lineage *wl, const char *what)
{
    const struct life_state *s = &wl->l->state;
    fprintf(stderr, "day %.3f: lineage %d %s; serves %d, active %d\n", (double)(w->t - BEGIN) / DAY,
            (int)(wl - w->v), what, wl->served, s->active);
    for (int i = 0; i < LIFE_SLOTS; i++)
        fprintf(
            stderr,
            "  slot %d: CA %u, ends on day %.3f, renewal on day %.3f, %u failures, revoked %d (known %d)\n",
            i, s->slot[i].ca, (double)(s->slot[i].not_after - BEGIN) / DAY,
            (double)(s->slot[i].renew_at - BEGIN) / DAY, s->slot[i].failures,
            s->slot[i].held && is_revoked(w, &wl->cert[i]), s->slot[i].revoked != 0);
    for (int i = 0; i < wl->rule.cas_len; i++)
        fprintf(stderr, "  CA %u (%s): held until day %.3f, %u failures\n", wl->rule.cas[i],
                is_up(w, wl->rule.cas[i]) ? "up" : "down", (double)(s->hold[i].until - BEGIN) / DAY,
                s->hold[i].failures);
    fail_msg("lineage %d %s", (int)(wl - w->v), what);
}

/* A backup is of another CA. A clock that is wrong can only make it otherwise for a while. */
static void judge_backup(struct world *w, struct world_lineage *wl)
{
    const struct life_slot *slot = wl->l->state.slot;
    bool twins = slot[0].ca == slot[1].ca && life_rank(&slot[0], w->t) <= LIFE_UNSTAPLED &&
                 life_rank(&slot[1], w->t) <= LIFE_UNSTAPLED;
    wl->twins = !twins ? 0 : any_up(w, &wl->rule, slot[0].ca) ? wl->twins + MINUTE : wl->twins;
    if (wl->twins > REPLACED)
        fail_at(w, wl, "has a backup of the same CA");
}

static void judge(struct world *w, struct world_lineage *wl)
{
    if (w->t < BEGIN + FIRST_DAY && wl->served < 0)
        return;
    if (wl->served < 0)
        fail_at(w, wl, "serves nothing");
    assert_int_equal(wl->served,
                     life_serves(wl->l, door_now(w))); /* what workers were told is the best there is */
    const struct world_cert *c = &wl->cert[wl->served];
    const struct life_slot *other = &wl->l->state.slot[1 - wl->served];
    w->asserted++;
    if (w->t < c->not_before || w->t >= c->not_after)
        fail_at(w, wl, "serves a certificate out of its time");
    if (!is_revoked(w, c)) {
        wl->unnoticed = wl->unreplaced = 0;
        wl->revoked = false;
        return;
    }
    w->revoked += !wl->revoked;
    wl->revoked = true;
    if (wl->l->state.slot[wl->served].revoked == 0)
        wl->unnoticed += is_up(w, c->ca) ? MINUTE : 0;
    else if (life_rank(other, door_now(w)) <= LIFE_UNSTAPLED)
        fail_at(w, wl, "serves a revoked certificate, and has a good one");
    else
        wl->unreplaced += any_up(w, &wl->rule, -1) ? MINUTE : 0;
    if (wl->unnoticed > NOTICED)
        fail_at(w, wl, "does not notice that its certificate is revoked");
    if (wl->unreplaced > REPLACED)
        fail_at(w, wl, "does not replace a revoked certificate");
}

/* ---- time ---- */

static void play_clock(struct world *w)
{
    if (w->skew != 0 && w->t >= w->skew_ends)
        w->skew = 0;
    else if (w->skew == 0 && chance(w, 20 * 1440)) {
        w->skew = (int64_t)draw(w, 2 * 36 * HOUR) - 36 * HOUR;
        w->skew_ends = w->t + (int64_t)draw(w, 12 * HOUR);
        w->jumps++;
    }
}

static void play_minute(struct world *w)
{
    struct life_job job;
    play_clock(w);
    for (int i = 0; i < LINEAGES; i++) {
        if (w->v[i].order_ends != 0 && w->t >= w->v[i].order_ends)
            end_order(w, &w->v[i]);
        if (w->v[i].look_ends != 0 && w->t >= w->v[i].look_ends)
            end_look(w, &w->v[i]);
    }
    if (chance(w, 3 * 1440))
        restart_door(w);
    for (int n = 0; life_next(w->life, door_now(w), &job); n++) {
        assert_true(n < 10 * LINEAGES);
        begin(w, &job);
    }
    for (int i = 0; i < LINEAGES; i++) {
        judge(w, &w->v[i]);
        judge_backup(w, &w->v[i]);
    }
}

static void end_day(struct world *w)
{
    for (int i = 0; i < CAS; i++) {
        assert_true(w->ca[i].today <= ORDERS_OF_A_DAY);
        w->ca[i].today_most = MAX(w->ca[i].today_most, w->ca[i].today);
        w->ca[i].today = 0;
    }
}

static uint64_t play(uint64_t seed)
{
    struct world *w = calloc(1, sizeof(*w));
    assert_non_null(w);
    w->random = seed * 0x9e3779b97f4a7c15u + 1;
    w->t = BEGIN;
    make_cas(w);
    make_lineages(w);
    start_door(w);
    for (; w->t < BEGIN + LENGTH; w->t += MINUTE) {
        play_minute(w);
        if ((w->t - BEGIN) % DAY == 0)
            end_day(w);
    }
    uint64_t asserted = w->asserted;
    print_message("seed %llu: %llu minutes asserted; %llu orders, %llu swaps, %llu revoked while served, "
                  "%llu restarts, "
                  "%llu jumps of the clock; most orders of a day at a CA:",
                  (unsigned long long)seed, (unsigned long long)asserted, (unsigned long long)w->orders,
                  (unsigned long long)w->swaps, (unsigned long long)w->revoked,
                  (unsigned long long)w->restarts, (unsigned long long)w->jumps);
    for (int i = 0; i < CAS; i++)
        print_message(" %u", w->ca[i].today_most);
    print_message("\n");
    life_free(w->life);
    free(w);
    return asserted;
}

static void half_years(void **state)
{
    (void)state;
    const char *seeds = getenv("CARDEA_SEEDS"); /* more of them than a run of all tests wants */
    uint64_t asserted = 0, n = seeds != NULL ? strtoull(seeds, NULL, 10) : 24;
    for (uint64_t seed = 1; seed <= n; seed++)
        asserted += play(seed);
    print_message("%llu half-years, %llu minutes asserted\n", (unsigned long long)n,
                  (unsigned long long)asserted);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(half_years)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
