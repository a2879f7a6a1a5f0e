/* SPDX-License-Identifier: Apache-2.0 */
#include "ech/publisher.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/base64.h"
#include "base/check.h"
#include "base/clock.h"
#include "base/str.h"
#include "cert/secret_file.h"
#include "dns/changer.h"
#include "dns/rdata.h"
#include "ech/journal.h"
#include "net/program.h"

struct withdrawal {
    char *name; /* NULL: there is none */
    void (*done)(void *arg, const struct err *why);
    void *arg;
};

struct ech_publisher {
    struct loop *loop;
    ech_publisher_told *told;
    void *arg;
    struct ech_ring *ring; /* NULL: nothing is published */
    struct ech_plan plan;
    struct list programs;
    struct ech_publisher_figures figures;
    unsigned hurry;      /* so many have asked that in the next pass all is due */
    bool anew;           /* what records say beside the key may have changed with the settings */
    char complaint[256]; /* what was told last; "" */
    /* A pass: what it has under way. */
    int lock;                     /* -1: there is none */
    unsigned hurries;             /* so many have asked that all is due in it */
    struct ech_records *known;    /* what is known of records, as it becomes */
    size_t at;                    /* the target whose turn it is */
    struct withdrawal withdrawal; /* ... or this */
    struct buf secret;
    struct dns_changer changer;
    struct dns_changing *changing;
};

/* ---- telling ---- */

static void complain(struct ech_publisher *p, const char *text)
{
    if (strncmp(p->complaint, text, sizeof(p->complaint) - 1) == 0)
        return;
    snprintf(p->complaint, sizeof(p->complaint), "%s", text);
    if (*text != '\0')
        p->told(p->arg, text);
    else
        p->told(p->arg, "ech.publish: all records have the key that is offered again");
}

static void tell_of_pass(struct ech_publisher *p)
{
    struct err text;
    ech_plan_failures(&p->plan, &text);
    complain(p, text.text);
}

/* ---- a pass ---- */

static void drop_pass(struct ech_publisher *p)
{
    if (p->lock >= 0)
        close(p->lock);
    p->lock = -1;
    if (p->known != NULL)
        ech_records_free(p->known);
    free(p->known);
    p->known = NULL;
    buf_wipe(&p->secret);
}

static const struct ech_ring_settings *place(const struct ech_publisher *p)
{
    return ech_ring_settings(p->ring);
}

static int write_journal(const struct ech_publisher *p, struct err *err)
{
    return ech_journal_write(place(p)->folder, place(p)->public_name, p->known, err);
}

/* Lock and read the journal, and have the secret. -1 with `err`, whose text is "" where another door has the
 * lock. */
static int begin_pass(struct ech_publisher *p, struct err *err)
{
    struct ech_plan *plan = &p->plan;
    p->lock = ech_journal_lock(place(p)->folder, place(p)->public_name, err);
    if (p->lock < 0)
        return -1;
    p->known = calloc(1, sizeof(*p->known));
    CHECK(p->known != NULL);
    if (ech_journal_read(place(p)->folder, place(p)->public_name, p->known, err) != 0 ||
        (plan->hook == NULL && secret_file_read(plan->secret_file, &p->secret, err) != 0)) {
        drop_pass(p);
        return -1;
    }
    p->changer = (struct dns_changer){
        .loop = p->loop,
        .program = plan->hook,
        .programs = &p->programs,
        .patience = plan->hook_timeout,
        .server = {plan->server, {plan->key_name, {(const char *)p->secret.data, p->secret.len}}}};
    return 0;
}

static void fail(struct ech_publisher *p, struct ech_target *t, const char *why, int64_t now)
{
    p->figures.failed++;
    ech_target_failed(t, why, now);
}

/* All that is left of a pass, from target `at` on. */
static void fail_rest(struct ech_publisher *p, size_t at, const char *why, int64_t now)
{
    for (; at < p->plan.n; at++)
        if (p->plan.targets[at].due != 0) {
            fail(p, &p->plan.targets[at], why, now);
            p->plan.targets[at].due = 0;
        }
}

static void end_pass(struct ech_publisher *p, int64_t now)
{
    struct err err = {{0}};
    ech_records_forget(p->known, now);
    if (write_journal(p, &err) != 0)
        fail_rest(p, 0, err.text, now); /* what was done counts as not known */
    drop_pass(p);
    p->figures.hurried += p->hurries;
    p->hurries = 0;
    p->anew = false;
    tell_of_pass(p);
}

/* It could not begin, for that reason. */
static void give_up(struct ech_publisher *p, const char *why, int64_t now)
{
    fail_rest(p, 0, why, now);
    drop_pass(p);
    p->figures.hurried += p->hurries;
    p->hurries = 0;
    tell_of_pass(p);
}

static void go_on(struct ech_publisher *p);

static void pushed(void *arg, const struct err *why, bool silent)
{
    struct ech_publisher *p = arg;
    struct ech_target *t = &p->plan.targets[p->at];
    int64_t now = clock_wall() / NSEC_PER_SEC;
    p->changing = NULL;
    if (silent) /* it would keep each of the others waiting, with the lock held */
        fail_rest(p, p->at + 1, why->text, now);
    if (why != NULL) {
        fail(p, t, why->text, now);
    } else {
        p->figures.pushed++;
        ech_records_given(p->known, t->name, p->plan.ttl + p->plan.settle, now);
        ech_target_done(t);
    }
    p->at++;
    go_on(p);
}

static void push(struct ech_publisher *p, const char *name, struct cursor config)
{
    char ttl[24];
    struct buf base64 = {0}, text = {0}, data = {0};
    struct err err;
    CHECK(base64_put(&base64, config.p, cursor_left(&config)));
    dns_rdata_https_text(&text, p->plan.alpn, buf_text(&base64));
    const char *words[] = {"publish", name, ttl, buf_text(&text), NULL};
    snprintf(ttl, sizeof(ttl), "%lld", (long long)p->plan.ttl);
    if (p->plan.hook != NULL || dns_rdata_https(&data, p->plan.alpn, config, &err) == 0) {
        const struct dns_update update = {.zone = p->plan.zone,
                                          .name = name,
                                          .type = DNS_TYPE_HTTPS,
                                          .change = DNS_REPLACE,
                                          .data = {(const char *)data.data, data.len},
                                          .ttl = (uint32_t)p->plan.ttl};
        p->changing = dns_changer_start(&p->changer, &update, words, pushed, p, &err);
    }
    buf_free(&data);
    buf_free(&text);
    buf_free(&base64);
    if (p->changing == NULL)
        pushed(p, &err, false);
}

/* The next of the pass, or its end. */
static void go_on(struct ech_publisher *p)
{
    while (p->at < p->plan.n && p->plan.targets[p->at].due == 0)
        p->at++;
    if (p->at == p->plan.n) {
        end_pass(p, clock_wall() / NSEC_PER_SEC);
        return;
    }
    const struct ech_target *t = &p->plan.targets[p->at];
    const struct ech_key *key = ech_ring_key(p->ring, t->due);
    static const struct err gone = {"its key has gone meanwhile"};
    struct buf list = {0};
    if (key == NULL) {
        pushed(p, &gone, false);
        return;
    }
    ech_key_list(key, &list);
    push(p, t->name, cursor_of(list.data, list.len));
    buf_free(&list);
}

/* ---- what is due ---- */

/* Is any, by what is known of records? */
static bool find_due(struct ech_publisher *p, const struct ech_records *known, int64_t now)
{
    const struct ech_plan_time when = {
        .newest = ech_ring_newest(p->ring), .hurry = p->hurry > 0, .anew = p->anew, .now = now};
    return ech_plan_find_due(&p->plan, known, &when);
}

/* Write down what the pass is about to try. */
static int mark(struct ech_publisher *p, int64_t now, struct err *err)
{
    char said[ECH_SAID_MAX];
    ech_plan_said(&p->plan, said);
    find_due(p, p->known, now);
    for (size_t i = 0; i < p->plan.n; i++) {
        struct ech_target *t = &p->plan.targets[i];
        if (t->due != 0 && ech_ring_key(p->ring, t->due) == NULL) {
            ech_records_lost(p->known, t->name);
            t->due = ech_ring_newest(p->ring);
        }
        if (t->due != 0 &&
            !ech_records_try(p->known, t->name, t->due, p->plan.ttl + p->plan.settle, said, now)) {
            fail(p, t,
                 "records that could not be replaced, or that are not published any more, hold too many "
                 "keys: mend those, or withdraw them ('cardea ech ls' shows which)",
                 now);
            t->due = 0;
        }
    }
    return write_journal(p, err);
}

/* Is a pass or a withdrawal under way, or a program still at what was broken off? It might end after the next
 * one, and undo what that has done. */
static bool is_busy(const struct ech_publisher *p)
{
    return p->lock >= 0 || !list_empty(&p->programs);
}

void ech_publisher_turn(struct ech_publisher *p, int64_t now)
{
    struct err err;
    if (p->ring == NULL || is_busy(p) || !find_due(p, ech_ring_records(p->ring), now))
        return;
    bool begun = begin_pass(p, &err) == 0;
    if (!begun && err.text[0] == '\0')
        return;
    bool marked = begun && mark(p, now, &err) == 0;
    p->hurries = p->hurry;
    p->hurry = 0;
    p->at = 0;
    if (marked)
        go_on(p);
    else
        give_up(p, err.text, now);
}

bool ech_publisher_hurry(struct ech_publisher *p)
{
    if (p->ring == NULL || p->plan.n == 0)
        return false;
    p->hurry = MAX(p->hurry, 1u);
    return true;
}

/* ---- a record that goes ---- */

static void withdrawn(void *arg, const struct err *why, bool silent)
{
    struct ech_publisher *p = arg;
    struct withdrawal w = p->withdrawal;
    struct err err;
    int64_t now = clock_wall() / NSEC_PER_SEC;
    (void)silent;
    p->changing = NULL;
    p->withdrawal = (struct withdrawal){0};
    if (why == NULL) {
        ech_records_withdrawn(p->known, w.name, now);
        if (write_journal(p, &err) != 0 || ech_ring_hear(p->ring, &err) != 0)
            why = &err;
    }
    drop_pass(p);
    free(w.name);
    w.done(w.arg, why);
}

static void withdraw(struct ech_publisher *p, const char *name)
{
    const char *words[] = {"withdraw", name, NULL};
    const struct dns_update update = {
        .zone = p->plan.zone, .name = name, .type = DNS_TYPE_HTTPS, .change = DNS_CLEAR};
    struct err err;
    p->changing = dns_changer_start(&p->changer, &update, words, withdrawn, p, &err);
    if (p->changing == NULL)
        withdrawn(p, &err, false);
}

/* NULL: it may go. */
static const char *may_not_go(const struct ech_publisher *p, const char *name)
{
    if (p->ring == NULL)
        return "the configuration has no 'ech.publish.dns', which says how to reach the DNS: put it back";
    if (ech_plan_target(&p->plan, name) != NULL)
        return "it stands in 'ech.publish.names': take it out there first";
    return is_busy(p) ? "records are being pushed just now: try again" : NULL;
}

void ech_publisher_withdraw(struct ech_publisher *p, const char *name,
                            void (*done)(void *arg, const struct err *why), void *arg)
{
    struct err err;
    const char *no = may_not_go(p, name);
    if (no != NULL) {
        err_set(&err, "%s: %s", name, no);
        done(arg, &err);
        return;
    }
    if (begin_pass(p, &err) != 0) {
        if (err.text[0] == '\0')
            err_set(&err, "another door pushes records just now: try again");
        done(arg, &err);
        return;
    }
    if (ech_records_find(p->known, name) == NULL) {
        drop_pass(p);
        err_set(
            &err,
            "%s: it has no record that doors with these keys have published ('cardea ech ls' shows those)",
            name);
        done(arg, &err);
        return;
    }
    p->withdrawal = (struct withdrawal){str_dup(name), done, arg};
    withdraw(p, p->withdrawal.name);
}

/* ---- beginning and end ---- */

struct ech_publisher *ech_publisher_new(struct loop *loop, ech_publisher_told *told, void *arg)
{
    struct ech_publisher *p = calloc(1, sizeof(*p));
    CHECK(p != NULL);
    *p = (struct ech_publisher){.loop = loop, .told = told, .arg = arg, .lock = -1};
    list_init(&p->programs);
    return p;
}

static void break_off(struct ech_publisher *p)
{
    static const struct err why = {"the configuration has changed, or the door stops"};
    struct withdrawal w = p->withdrawal;
    if (p->changing != NULL)
        dns_changing_cancel(p->changing);
    p->changing = NULL;
    p->withdrawal = (struct withdrawal){0};
    drop_pass(p);
    free(w.name);
    if (w.done != NULL)
        w.done(w.arg, &why);
}

void ech_publisher_set(struct ech_publisher *p, struct ech_ring *ring,
                       const struct ech_publisher_settings *settings)
{
    struct ech_plan plan = {0};
    if (settings != NULL)
        ech_plan_make(&plan, settings);
    if (p->ring == (settings != NULL ? ring : NULL) && ech_plan_is(&p->plan, &plan)) {
        ech_plan_free(&plan);
        return;
    }
    break_off(p);
    if (ech_plan_goes_as(&p->plan, &plan))
        ech_plan_keep_waits(&plan, &p->plan);
    else
        p->complaint[0] = '\0';
    ech_plan_free(&p->plan);
    p->plan = plan;
    p->ring = settings != NULL ? ring : NULL;
    p->anew = true;
    p->hurry += p->hurries;
    p->hurries = 0;
    if (p->plan.n == 0) {
        p->figures.hurried += p->hurry;
        p->hurry = 0;
    }
}

void ech_publisher_free(struct ech_publisher *p)
{
    if (p == NULL)
        return;
    break_off(p);
    programs_kill(&p->programs);
    ech_plan_free(&p->plan);
    free(p);
}

/* ---- what is told ---- */

struct ech_publisher_figures ech_publisher_figures(const struct ech_publisher *p)
{
    struct ech_publisher_figures figures = p->figures;
    figures.hurried_next = figures.hurried + p->hurries + p->hurry;
    return figures;
}

bool ech_publisher_is_set(const struct ech_publisher *p)
{
    return p->ring != NULL;
}

size_t ech_publisher_count(const struct ech_publisher *p)
{
    return p->plan.n;
}

struct ech_publisher_row ech_publisher_row(const struct ech_publisher *p, size_t i)
{
    const struct ech_target *t = &p->plan.targets[i];
    int64_t newest = ech_ring_newest(p->ring);
    return (struct ech_publisher_row){
        .name = t->name,
        .error = t->error,
        .current = newest != 0 && ech_records_due(ech_ring_records(p->ring), t->name, newest) == 0};
}

bool ech_publisher_has(const struct ech_publisher *p, const char *name)
{
    return ech_plan_target(&p->plan, name) != NULL;
}
