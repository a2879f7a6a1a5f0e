/* SPDX-License-Identifier: Apache-2.0 */
/* A name in memory is a struct demanded: first, where it is new, somebody may be asked about it (`call`);
 * then it is with the obtainer (`obtained`), which tells when something has become of it. What follows from
 * that is done in settle(), at the end of the loop's round. */
#include "keeper/demand.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/str.h"
#include "cert/cert.h"
#include "config/config.h"
#include "keeper/book.h"
#include "keeper/demand_internal.h"
#include "keeper/obtainer.h"
#include "keeper/permit.h"
#include "net/program.h"

#define GOOD_FOR (12 * 3600 * NSEC_PER_SEC) /* a certificate; then its use is noted anew */
#define BUSY_FOR NSEC_PER_SEC

static const char stopping[] = "the door is being stopped", changing[] = "the configuration has changed",
                  undelivered[] = "its certificate could not be obtained",
                  unanswered[] = "it could not be found out whether the name is permitted",
                  refused[] = "the name is not permitted", forgotten[] = "the name was forgotten",
                  crowded[] = "too many certificates are ordered for new names";

static void count_some(const struct demand *d, enum demand_count what, uint64_t some)
{
    __atomic_add_fetch(&d->home->figures->counts[what], some, __ATOMIC_RELAXED);
}

void demand_count(const struct demand *d, enum demand_count what)
{
    count_some(d, what, 1);
}

/* Each of its questions. */
static void count_waiting(const struct demanded *n, enum demand_count what)
{
    count_some(n->d, what, n->waiters_len);
}

/* ---- answers ---- */

static void refuse(struct cert_question *q, const char *why, int64_t remembered)
{
    const struct cert_answer answer = {.why = why, .good_for = remembered};
    cert_question_answer(q, &answer);
}

static void refuse_all(struct demanded *n, const char *why, int64_t remembered)
{
    for (size_t i = 0; i < n->waiters_len; i++)
        refuse(n->waiters[i], why, remembered);
    __atomic_sub_fetch(&n->d->home->figures->waiting, n->waiters_len, __ATOMIC_RELAXED);
    n->waiters_len = 0;
}

/* How long clients can be shown it before it is asked for again. */
static int64_t good_for(const struct cert *cert)
{
    int64_t left = cert->not_after - clock_wall() / NSEC_PER_SEC;
    return left < GOOD_FOR / NSEC_PER_SEC ? MAX(left, 1) * NSEC_PER_SEC : GOOD_FOR;
}

static void serve_all(struct demanded *n)
{
    for (size_t i = 0; i < n->waiters_len; i++) {
        struct cert_answer answer;
        CHECK(obtained_find(n->obtained, n->name, &answer));
        answer.good_for = good_for(answer.certs[0]);
        cert_question_answer(n->waiters[i], &answer);
    }
    __atomic_sub_fetch(&n->d->home->figures->waiting, n->waiters_len, __ATOMIC_RELAXED);
    n->waiters_len = 0;
}

static void wait(struct demanded *n, struct cert_question *q)
{
    n->waiters = reallocarray(n->waiters, n->waiters_len + 1, sizeof(struct cert_question *));
    CHECK(n->waiters != NULL);
    n->waiters[n->waiters_len++] = q;
    __atomic_add_fetch(&n->d->home->figures->waiting, 1, __ATOMIC_RELAXED);
}

/* ---- names in memory ---- */

static struct list *bucket_of(struct demand *d, const char *name)
{
    return &d->names[hash_bytes(&d->home->key, name, strlen(name)) % DEMAND_BUCKETS];
}

struct demanded *demand_find(struct demand *d, const char *name)
{
    struct list *bucket = bucket_of(d, name);
    for (struct list *at = bucket->next; at != bucket; at = at->next)
        if (strcmp(CONTAINER_OF(at, struct demanded, node)->name, name) == 0)
            return CONTAINER_OF(at, struct demanded, node);
    return NULL;
}

static void settle(struct task *t);

static struct demanded *add(struct demand *d, const char *name)
{
    struct demanded *n = calloc(1, sizeof(*n));
    CHECK(n != NULL);
    n->d = d;
    str_copy(n->name, sizeof(n->name), name, strlen(name));
    task_init(&n->settle, settle);
    list_init(&n->queued);
    list_insert(bucket_of(d, name), &n->node);
    d->names_len++;
    __atomic_add_fetch(&d->home->figures->names, 1, __ATOMIC_RELAXED);
    return n;
}

/* Who waits has been answered, and the obtainer has it no more. */
static void drop(struct demanded *n)
{
    struct demand *d = n->d;
    CHECK(n->waiters_len == 0 && n->obtained == NULL);
    if (n->call != NULL)
        ask_hook_cancel(n->call);
    list_remove(&n->queued);
    d->fresh -= n->fresh;
    d->names_len--;
    __atomic_sub_fetch(&d->home->figures->names, 1, __ATOMIC_RELAXED);
    list_remove(&n->settle.node);
    list_remove(&n->node);
    free(n->waiters);
    free(n);
}

static void give_up(struct demanded *n, const char *why, int64_t remembered)
{
    refuse_all(n, why, remembered);
    if (n->obtained != NULL)
        obtained_release(n->obtained);
    n->obtained = NULL;
    drop(n);
}

/* ---- what has become of it ---- */

static void on_turned(void *arg)
{
    struct demanded *n = arg;
    loop_defer(n->d->home->loop, &n->settle);
}

static void on_taken(void *arg)
{
    struct demanded *n = arg;
    n->obtained = NULL;
    give_up(n, changing, BUSY_FOR);
}

/* Nothing is renewed that is not permitted any more. It is served as long as it is good. */
static void stop_renewing(struct demanded *n, const struct err *why)
{
    struct err text;
    demand_count(n->d, DEMAND_STOPPED);
    err_set(&text, "the name is not permitted any more: it is not renewed: %s", why->text);
    obtainer_say(n->d->home->obtainer, n->name, &text);
    n->refused = true;
    on_turned(n);
}

static void settle(struct task *t)
{
    struct demanded *n = CONTAINER_OF(t, struct demanded, settle);
    struct demand *d = n->d;
    int64_t next, now = clock_wall() / NSEC_PER_SEC;
    if (n->obtained == NULL)
        return;
    enum obtained_stage stage = obtained_stage(n->obtained, &next);
    if (stage == OBTAINED_SERVES) {
        serve_all(n);
        d->fresh -= n->fresh;
        n->fresh = false;
    }
    if (stage == OBTAINED_LACKS || (n->refused && stage != OBTAINED_SERVES)) {
        count_waiting(n, DEMAND_FAILED);
        int64_t wait = next > now && next - now < d->is->failed_for / NSEC_PER_SEC
                           ? (next - now) * NSEC_PER_SEC
                           : d->is->failed_for;
        permit_refuse(d->is->permit, n->name, undelivered, loop_now(d->home->loop) + wait);
        refuse_all(n, undelivered, wait);
        next = LIFE_NEVER; /* it is tried again when it is asked for again */
    }
    if (n->refused)
        next = LIFE_NEVER;
    if (next < now + DEMAND_HORIZON)
        return;
    if (next == LIFE_NEVER || n->swept)
        obtained_leave(n->obtained, next);
    else
        obtained_release(n->obtained); /* the book knows all of it */
    n->obtained = NULL;
    drop(n);
}

/* ---- permission ---- */

static void begin_order(struct demanded *n);

static void on_asked(void *arg, enum ask_answer answer, const struct err *why)
{
    struct demanded *n = arg;
    struct demand *d = n->d;
    int64_t now = loop_now(d->home->loop);
    int64_t remembered = answer == ASK_NO ? d->is->refused_for : d->is->failed_for;
    const char *text = answer == ASK_NO ? refused : unanswered;
    n->call = NULL;
    if (answer == ASK_FAILED)
        demand_count(d, DEMAND_ASK_FAILED);
    if (answer == ASK_YES) {
        n->permitted = true;
        begin_order(n);
        return;
    }
    if (answer == ASK_FAILED)
        obtainer_say(d->home->obtainer, n->name, why);
    permit_refuse(d->is->permit, n->name, text, now + remembered);
    if (n->obtained == NULL) {
        if (answer == ASK_NO)
            count_waiting(n, DEMAND_REFUSED);
        give_up(n, text, remembered);
    } else if (answer == ASK_NO)
        stop_renewing(n, why);
    else
        obtained_permit(n->obtained, why);
}

static int ask(struct demanded *n, struct err *err)
{
    struct demand *d = n->d;
    d->is->hook.fetcher = obtainer_fetcher(d->home->obtainer);
    demand_count(d, DEMAND_ASKED);
    n->call = ask_hook_start(&d->is->hook, n->name, on_asked, n, err);
    return n->call != NULL ? 0 : -1;
}

static void drop_asks(struct demand_asks *a)
{
    list_remove(&a->node);
    list_remove(&a->room.node);
    free(a);
}

/* There may be room among those who are asked about. */
static void on_room(struct task *t)
{
    struct demand_asks *a = CONTAINER_OF(t, struct demand_asks, room);
    struct list *at;
    struct err err;
    if (a->d == NULL && a->crowd.under_way == 0) {
        drop_asks(a);
        return;
    }
    while (a->d != NULL && a->crowd.under_way < a->d->is->asks_most && (at = list_pop(&a->queue)) != NULL) {
        struct demanded *n = CONTAINER_OF(at, struct demanded, queued);
        if (ask(n, &err) < 0)
            obtained_permit(n->obtained, &err);
    }
}

static struct demand_asks *make_asks(struct demand *d)
{
    struct demand_asks *a = calloc(1, sizeof(*a));
    CHECK(a != NULL);
    a->d = d;
    list_init(&a->queue);
    task_init(&a->room, on_room);
    a->crowd.room = &a->room;
    list_insert(&d->home->asks, &a->node);
    return a;
}

/* An order is due. Of what is new the name has been permitted just now. */
static void on_order(void *arg)
{
    struct demanded *n = arg;
    struct demand *d = n->d;
    const char *why;
    int64_t ignored;
    struct err err;
    if (n->permitted) {
        n->permitted = false;
        obtained_permit(n->obtained, NULL);
        return;
    }
    switch (permit_judge(d->is->permit, n->name, NULL, loop_now(d->home->loop), &why, &ignored)) {
    case PERMIT_YES:
        obtained_permit(n->obtained, NULL);
        break;
    case PERMIT_ASK:
        list_insert(&d->asks->queue, &n->queued);
        loop_defer(d->home->loop, &d->asks->room);
        break;
    default:
        err_set(&err, "%s", why);
        stop_renewing(n, &err);
        break;
    }
}

static bool take_up(struct demanded *n, bool fresh)
{
    const struct obtained_ear ear = {on_order, on_turned, on_taken, n};
    struct demand *d = n->d;
    n->obtained = obtainer_demand(d->home->obtainer, acme_wish_for(d->is->wish, n->name), fresh, &ear);
    if (n->obtained != NULL)
        on_turned(n);
    return n->obtained != NULL;
}

/* It is permitted. */
static void begin_order(struct demanded *n)
{
    struct demand *d = n->d;
    if (n->obtained != NULL) {
        n->permitted = false;
        obtained_permit(n->obtained, NULL);
        return;
    }
    demand_count(d, DEMAND_PERMITTED);
    if (d->fresh >= d->is->fresh_most || !permit_order(d->is->permit, loop_now(d->home->loop))) {
        demand_count(d, DEMAND_BUSY);
        give_up(n, crowded, BUSY_FOR);
        return;
    }
    demand_count(d, DEMAND_ORDERED);
    n->fresh = true;
    d->fresh++;
    if (!take_up(n, true))
        give_up(n, undelivered, d->is->failed_for);
}

/* A name of which the book has nothing that is good. */
static void begin(struct demand *d, struct cert_question *q)
{
    const char *why;
    int64_t remembered;
    struct err err;
    enum permit_verdict verdict =
        permit_judge(d->is->permit, q->name, &q->peer, loop_now(d->home->loop), &why, &remembered);
    if (verdict == PERMIT_ASK && d->asks->crowd.under_way >= d->is->asks_most) {
        verdict = PERMIT_BUSY;
        why = "too many names are being asked about";
    }
    if (verdict == PERMIT_NO || verdict == PERMIT_BUSY) {
        demand_count(d, verdict == PERMIT_NO ? DEMAND_REFUSED : DEMAND_BUSY);
        refuse(q, why, remembered);
        return;
    }
    struct demanded *n = add(d, q->name);
    wait(n, q);
    n->permitted = verdict == PERMIT_YES;
    if (n->permitted) {
        begin_order(n);
    } else if (ask(n, &err) < 0) {
        obtainer_say(d->home->obtainer, n->name, &err);
        permit_refuse(d->is->permit, n->name, unanswered, loop_now(d->home->loop) + d->is->failed_for);
        give_up(n, unanswered, d->is->failed_for);
    }
}

/* Does the book have a certificate for it that clients can take? Then it is in memory for a
 * moment at least. */
static struct demanded *load(struct demand *d, const char *name)
{
    int64_t ignored;
    struct demanded *n = add(d, name);
    if (!take_up(n, false)) {
        drop(n);
        return NULL;
    }
    if (obtained_stage(n->obtained, &ignored) == OBTAINED_SERVES) {
        demand_count(d, DEMAND_LOADED);
        return n;
    }
    obtained_release(n->obtained);
    n->obtained = NULL;
    drop(n);
    return NULL;
}

bool demand_ask(struct demand *d, struct cert_question *q)
{
    struct cert_answer answer;
    struct demanded *n = demand_find(d, q->name);
    if (d->home->stopped) {
        refuse(q, stopping, BUSY_FOR);
        return true;
    }
    if (n == NULL)
        n = load(d, q->name);
    if (n == NULL && !permit_could(d->is->permit, q->name)) {
        demand_count(d, DEMAND_REFUSED);
        return false;
    }
    if (n == NULL) {
        begin(d, q);
    } else if (n->obtained != NULL && obtained_find(n->obtained, n->name, &answer)) {
        cert_answer_done(&answer);
        obtained_used(n->obtained);
        wait(n, q);
        serve_all(n);
    } else {
        wait(n, q);
    }
    return true;
}

void demand_take_up(struct demand *d, const char *name)
{
    if (demand_find(d, name) != NULL)
        return;
    struct demanded *n = add(d, name);
    n->swept = true;
    if (take_up(n, false))
        demand_count(d, DEMAND_LOADED);
    else
        drop(n);
}

/* ---- life ---- */

struct demands *demands_new(struct obtainer *o, struct loop *loop, struct demand_figures *figures)
{
    struct demands *all = calloc(1, sizeof(*all));
    CHECK(all != NULL);
    *all = (struct demands){.obtainer = o, .loop = loop, .figures = figures, .key = hash_random_key()};
    list_init(&all->all);
    list_init(&all->asks);
    list_init(&all->programs);
    timer_init(&all->sweep, demands_sweep);
    return all;
}

static void give_up_all(struct demand *d, const char *why)
{
    struct list *at;
    for (size_t i = 0; i < DEMAND_BUCKETS; i++)
        while ((at = list_pop(&d->names[i])) != NULL)
            give_up(CONTAINER_OF(at, struct demanded, node), why, BUSY_FOR);
}

void demands_stop(struct demands *all)
{
    all->stopped = true;
    obtainer_stop_revoking(all->obtainer);
    for (struct list *at = all->all.next; at != &all->all; at = at->next)
        give_up_all(CONTAINER_OF(at, struct demand, node), stopping);
}

void demands_free(struct demands *all)
{
    if (all == NULL)
        return;
    CHECK(list_empty(&all->all));
    wheel_cancel(&all->sweep);
    programs_kill(&all->programs); /* whose answer has come too late */
    for (struct list *at; (at = list_pop(&all->asks)) != NULL;)
        drop_asks(CONTAINER_OF(at, struct demand_asks, node));
    free(all);
}

struct demand_maker *demand_maker_new(const struct config_acme *from, struct err *err)
{
    struct permit *permit = permit_new(from, err);
    if (permit == NULL)
        return NULL;
    struct demand_maker *m = calloc(1, sizeof(*m));
    CHECK(m != NULL);
    *m = (struct demand_maker){.wish = acme_wish_new(from),
                               .permit = permit,
                               .refused_for = from->refused_for,
                               .failed_for = from->failed_for,
                               .asks_most = from->asks_at_once,
                               .fresh_most = from->orders_at_once};
    ask_hook_init(&m->hook, &from->ask, from->ask_timeout);
    return m;
}

void demand_maker_free(struct demand_maker *m)
{
    if (m == NULL)
        return;
    acme_wish_free(m->wish);
    permit_free(m->permit);
    ask_hook_done(&m->hook);
    free(m);
}

struct demand *demand_new(struct demands *all, struct demand_maker *m)
{
    struct demand *d = calloc(1, sizeof(*d));
    CHECK(d != NULL);
    d->home = all;
    d->is = m;
    m->hook.loop = all->loop;
    m->hook.programs = &all->programs;
    d->asks = make_asks(d);
    m->hook.crowd = &d->asks->crowd;
    for (size_t i = 0; i < DEMAND_BUCKETS; i++)
        list_init(&d->names[i]);
    list_insert(all->all.next, &d->node);
    loop_set_timer(all->loop, &all->sweep, loop_now(all->loop));
    return d;
}

void demand_free(struct demand *d)
{
    give_up_all(d, changing);
    list_remove(&d->node);
    d->asks->d = NULL;
    if (d->asks->crowd.under_way == 0)
        drop_asks(d->asks);
    demand_maker_free(d->is);
    free(d);
}

/* ---- forgetting ---- */

void demands_revoke(struct demands *all, const char *name, demands_revoked *done, void *arg)
{
    const struct acme_wish *wish = NULL;
    for (struct list *at = all->all.next; at != &all->all; at = at->next) {
        const struct demand *d = CONTAINER_OF(at, struct demand, node);
        if (permit_could(d->is->permit, name))
            wish = d->is->wish;
    }
    obtainer_revoke(all->obtainer, name, wish, done, arg);
}

int demands_forget(struct demands *all, const char *name, struct err *err)
{
    int64_t ids[BOOK_FOUND_MAX];
    struct book *book = obtainer_book(all->obtainer);
    for (struct list *at = all->all.next; at != &all->all; at = at->next) {
        struct demand *d = CONTAINER_OF(at, struct demand, node);
        struct demanded *n = demand_find(d, name);
        permit_forget(d->is->permit, name);
        if (n != NULL)
            give_up(n, forgotten, BUSY_FOR);
    }
    int found = book_find(book, (struct str){name, strlen(name)}, ids, err);
    return found < 0 ? -1 : obtainer_forget(all->obtainer, ids, found, err);
}
