/* SPDX-License-Identifier: Apache-2.0 */
#include "ech/source.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/str.h"
#include "fetch/fetch.h"
#include "loop/loop.h"

#define SOURCE_MAGIC 0xec450521u

/* How long an answer holds, whatever it says; one that says nothing; and when to try again: after a second at
 * first, then twice as long each time. */
#define TTL_MIN 1
#define TTL_MAX 86400
#define TTL_UNSAID 300
#define AGAIN_NS NSEC_PER_SEC
#define AGAIN_MAX_NS (30 * NSEC_PER_SEC)

struct ech_source {
    uint32_t magic;
    atomic_uint refs;
    char *host;
    uint16_t port;
    struct doh_resolver resolver; /* a copy */
    pthread_mutex_t lock;         /* over what is known */
    struct buf configs;
    struct err why; /* there are none */
    bool none;      /* ... as the DNS says */
    bool known;     /* it has been asked for */
    bool failing;   /* ... and the last time nobody told */
    int64_t due;    /* monotonic: when to ask next */
    int64_t again;  /* ns waited for that, while nobody tells */
    struct ech_lookup *lookup;
    /* While it is kept. */
    struct loop *loop;
    struct fetcher *fetcher;
    struct timer timer;
    size_t *waiting; /* for the first answer: how many others */
    struct loop *waits;
};

static void ask(struct ech_source *s, struct fetcher *fetcher);

static void arm(struct ech_source *s)
{
    if (s->loop != NULL)
        loop_set_timer(s->loop, &s->timer, s->due);
}

static void on_timer(struct timer *t)
{
    struct ech_source *s = CONTAINER_OF(t, struct ech_source, timer);
    CHECK_MAGIC(s, SOURCE_MAGIC);
    struct err err;
    if (s->fetcher == NULL)
        s->fetcher = fetcher_new(s->loop, &err);
    if (s->fetcher != NULL && s->lookup == NULL)
        ask(s, s->fetcher);
}

struct ech_source *ech_source_new(const struct doh_resolver *resolver, const char *host, uint16_t port)
{
    struct ech_source *s = calloc(1, sizeof(*s));
    CHECK(s != NULL && pthread_mutex_init(&s->lock, NULL) == 0);
    s->magic = SOURCE_MAGIC;
    s->refs = 1;
    s->host = str_dup(host);
    s->resolver = doh_copy(resolver);
    s->port = port;
    timer_init(&s->timer, on_timer);
    err_set(&s->why, "the resolver has not answered yet");
    return s;
}

struct ech_source *ech_source_ref(struct ech_source *s)
{
    CHECK_MAGIC(s, SOURCE_MAGIC);
    atomic_fetch_add(&s->refs, 1);
    return s;
}

void ech_source_unref(struct ech_source *s)
{
    if (s == NULL)
        return;
    CHECK_MAGIC(s, SOURCE_MAGIC);
    if (atomic_fetch_sub(&s->refs, 1) > 1)
        return;
    ech_source_leave(s);
    pthread_mutex_destroy(&s->lock);
    buf_free(&s->configs);
    free(s->host);
    doh_free(&s->resolver);
    s->magic = 0;
    free(s);
}

bool ech_source_is_alone(const struct ech_source *s)
{
    return atomic_load(&s->refs) == 1;
}

bool ech_source_is(const struct ech_source *s, const struct doh_resolver *resolver, const char *host,
                   uint16_t port)
{
    return s->port == port && strcasecmp(s->host, host) == 0 && doh_same(&s->resolver, resolver);
}

/* ---- asking ---- */

static void note(struct ech_source *s, struct str configs, const struct err *why)
{
    pthread_mutex_lock(&s->lock);
    s->failing = why != NULL;
    if (why == NULL) {
        s->configs.len = 0;
        s->none = configs.len == 0;
        CHECK(configs.len == 0 || buf_append(&s->configs, configs.p, configs.len));
        err_set(&s->why, "the DNS has no ECH config of %s that can be used here", s->host);
    } else {
        s->why = *why;
    }
    s->known = true;
    pthread_mutex_unlock(&s->lock);
}

static int64_t wait_longer(struct ech_source *s)
{
    s->again = s->again == 0 ? AGAIN_NS : MIN(2 * s->again, AGAIN_MAX_NS);
    return s->again;
}

static void on_looked_up(void *arg, const struct ech_told *told, const struct err *why)
{
    struct ech_source *s = arg;
    CHECK_MAGIC(s, SOURCE_MAGIC);
    uint32_t ttl = told == NULL ? 0 : told->ttl;
    uint32_t holds = MAX((uint32_t)TTL_MIN, MIN(ttl == 0 ? TTL_UNSAID : ttl, (uint32_t)TTL_MAX));
    s->lookup = NULL;
    note(s, told == NULL ? (struct str){0} : told->configs, why);
    if (why == NULL)
        s->again = 0;
    s->due = clock_monotonic() + (why != NULL ? wait_longer(s) : holds * NSEC_PER_SEC);
    arm(s);
    if (s->waiting != NULL && --*s->waiting == 0)
        loop_stop(s->waits);
    s->waiting = NULL;
}

static void ask(struct ech_source *s, struct fetcher *fetcher)
{
    struct err err;
    const struct ech_resolver resolver = {.doh = &s->resolver};
    s->lookup = ech_lookup_start(fetcher, &resolver, s->host, s->port, on_looked_up, s, &err);
    if (s->lookup == NULL)
        on_looked_up(s, NULL, &err);
}

struct waiting {
    struct loop *loop;
    struct timer timer;
};

static void on_late(struct timer *t)
{
    loop_stop(CONTAINER_OF(t, struct waiting, timer)->loop);
}

static void note_all(struct ech_source *const *v, size_t n, const struct err *why)
{
    for (size_t i = 0; i < n; i++)
        if (!v[i]->known) {
            note(v[i], (struct str){0}, why);
            v[i]->due = clock_monotonic() + wait_longer(v[i]);
        }
}

static int ask_all(struct ech_source *const *v, size_t n, int64_t timeout, struct err *err)
{
    struct waiting w = {.loop = loop_new(err)};
    struct fetcher *fetcher = w.loop == NULL ? NULL : fetcher_new(w.loop, err);
    size_t left = 1; /* so that none of those that fail at once ends it */
    int rc = fetcher != NULL ? 0 : -1;
    for (size_t i = 0; i < n && rc == 0; i++) {
        if (v[i]->known || v[i]->waiting != NULL)
            continue;
        left++;
        v[i]->waiting = &left;
        v[i]->waits = w.loop;
        ask(v[i], fetcher);
    }
    timer_init(&w.timer, on_late);
    if (rc == 0 && --left > 0) {
        loop_set_timer(w.loop, &w.timer, loop_now(w.loop) + timeout);
        rc = loop_run(w.loop, err);
    }
    for (size_t i = 0; i < n; i++) {
        if (v[i]->waiting == &left)
            ech_lookup_cancel(v[i]->lookup);
        if (v[i]->waiting == &left)
            v[i]->lookup = NULL;
        v[i]->waiting = NULL;
    }
    wheel_cancel(&w.timer);
    fetcher_free(fetcher);
    loop_free(w.loop);
    return rc;
}

void ech_sources_wait(struct ech_source *const *v, size_t n, int64_t timeout)
{
    struct err err = {""};
    size_t unknown = 0;
    for (size_t i = 0; i < n; i++)
        unknown += !v[i]->known;
    if (unknown == 0)
        return;
    if (ask_all(v, n, timeout, &err) == 0)
        err_set(&err, "the resolver does not answer in time");
    note_all(v, n, &err);
}

/* ---- keeping ---- */

void ech_source_keep(struct ech_source *s, struct loop *loop)
{
    CHECK_MAGIC(s, SOURCE_MAGIC);
    if (s->loop != NULL)
        return;
    s->loop = loop;
    arm(s);
}

void ech_source_leave(struct ech_source *s)
{
    CHECK_MAGIC(s, SOURCE_MAGIC);
    if (s->loop == NULL)
        return;
    wheel_cancel(&s->timer);
    ech_lookup_cancel(s->lookup);
    s->lookup = NULL;
    fetcher_free(s->fetcher);
    s->fetcher = NULL;
    s->loop = NULL;
}

void ech_source_read(struct ech_source *s, struct buf *ret)
{
    CHECK_MAGIC(s, SOURCE_MAGIC);
    pthread_mutex_lock(&s->lock);
    if (s->configs.len > 0)
        CHECK(buf_append(ret, s->configs.data, s->configs.len));
    pthread_mutex_unlock(&s->lock);
}

bool ech_source_is_unknown(struct ech_source *s, struct err *ret_why)
{
    CHECK_MAGIC(s, SOURCE_MAGIC);
    pthread_mutex_lock(&s->lock);
    bool unknown = s->configs.len == 0 && !s->none;
    *ret_why = s->why;
    pthread_mutex_unlock(&s->lock);
    return unknown;
}

bool ech_source_is_failing(struct ech_source *s, struct err *ret_words)
{
    CHECK_MAGIC(s, SOURCE_MAGIC);
    pthread_mutex_lock(&s->lock);
    bool failing = s->failing, unknown = s->configs.len == 0 && !s->none;
    if (failing)
        err_set(ret_words, "the DNS does not tell the ECH config of %s: %s; until it does, %s", s->host,
                s->why.text,
                unknown ? "its name goes in the clear, or nothing where ECH is required"
                        : "what it told before holds");
    else
        err_set(ret_words, "the DNS tells the ECH config of %s again", s->host);
    pthread_mutex_unlock(&s->lock);
    return failing;
}
