/* SPDX-License-Identifier: Apache-2.0 */
/* A reload has a point of no return. Before it everything that can fail is done: the file is parsed,
 * certificates are read, tables built, sockets bound and watched, the audit file opened; a failure there
 * drops the new and leaves the old untouched. After it the new snapshot is only handed to each worker by
 * message, which cannot fail. Sessions keep the snapshot that they began under (through their worker's
 * epoch), and the last of them frees it, in whichever thread that is. */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/hash.h"
#include "session/door_internal.h"
#include "session/health.h"
#include "session/publish.h"
#include "session/review.h"
#include "session/staging.h"
#include "session/standby.h"
#include "session/survey.h"
#include "session/worker.h"

#define CRL_RETRY_NS (60 * NSEC_PER_SEC)
#define LOCKOUT_LOOK_NS (10 * NSEC_PER_SEC)
#define STOPPING "the door is stopping\n"

/* A configuration on its way into the workers: read from the file, or the one in force with other CRLs, or
 * with something else beside it. */
struct reload {
    struct door *door;
    struct reload *next;
    struct snapshot *snap;             /* NULL while it waits for its turn */
    struct worker_listener *listeners; /* of the first worker, then of the second, ...; NULL when they stay */
    struct review *reviews;            /* one per worker; NULL where the configuration stays */
    struct staging *staging;           /* to be put beside the one in force; NULL: it is none of that */
    struct set_aside *aside;           /* what backups are to be served for; NULL: the same */
    door_reloaded *done;
    void *arg;
};

static void refresh_in(struct worker *w, void *arg)
{
    struct reload *r = arg;
    worker_refresh(w, r->snap);
}

static void install_in(struct worker *w, void *arg)
{
    struct reload *r = arg;
    size_t n = r->snap->config->listeners.n;
    worker_install(w, r->snap, r->listeners + w->index * n, n, &r->reviews[w->index]);
}

static void begin_reload(struct reload *r);

static void done_with(struct reload *r, bool ok, const char *errors)
{
    struct review sum = {0};
    for (size_t i = 0; ok && r->reviews != NULL && i < r->door->crew.count; i++)
        review_add(&sum, &r->reviews[i]);
    if (r->done != NULL)
        r->done(r->arg, ok ? &sum : NULL, errors);
    staging_unref(r->staging);
    set_aside_unref(r->aside);
    free(r->listeners);
    free(r->reviews);
    free(r);
}

/* Not from within the one that has just ended: a long queue of bad ones must not become a deep stack. */
static void begin_next(struct task *t)
{
    struct door *d = CONTAINER_OF(t, struct door, next_reload);
    struct reload *next = d->next;
    if (next == NULL || d->installing)
        return;
    d->next = next->next;
    begin_reload(next);
}

static void finish(struct reload *r, bool ok, const char *errors)
{
    struct door *d = r->door;
    done_with(r, ok, errors);
    d->installing = false;
    if (d->next != NULL)
        loop_defer(d->loop, &d->next_reload);
}

void door_refuse_reloads(struct door *d)
{
    struct reload *r;
    while ((r = d->next) != NULL) {
        d->next = r->next;
        done_with(r, false, STOPPING);
    }
}

static void in_force(void *arg)
{
    struct reload *r = arg;
    struct door *d = r->door;
    snapshot_unref(d->snap);
    d->snap = r->snap;
    finish(r, true, "");
}

/* Who is locked out for want of a valid CRL? A number for all of them, 0: nobody. `tell`: say it. */
static uint64_t lockouts(struct door *d, const struct snapshot *snap, bool tell)
{
    static const struct hash_key key;
    uint64_t sum = 0;
    size_t file;
    struct err text;
    for (size_t i = 0; i < snap->config->trust.n; i++) {
        size_t at = 0;
        while (trust_lockout(snap->trust[i], &at, clock_wall() / NSEC_PER_SEC, &file, &text)) {
            sum += hash_bytes(&key, text.text, strlen(text.text));
            if (tell)
                door_notify(d, text.text);
        }
    }
    return sum;
}

static void tell_watch(const struct door *d, bool under_way)
{
    if (d->reload_watch != NULL)
        d->reload_watch(d->reload_watch_arg, under_way);
}

static void installed(void *arg)
{
    struct reload *r = arg;
    struct door *d = r->door;
    health_install(d->health, r->snap);
    publish_install(d->publisher, r->snap);
    d->unread_crls = 0;
    d->lockouts = lockouts(d, r->snap, false); /* whoever asked for the reload is warned of these */
    in_force(r);
    tell_watch(d, false);
    backend_registry_sweep(&d->shared.backends);
}

/* The audit file may have been rotated away, or named anew. */
static int reopen_audit(struct door *d, const struct snapshot *snap, struct buf *errors)
{
    struct err err, placed;
    const struct config_audit *a = &snap->config->audit;
    if (sink_file_reopen(&d->audit, a->file.text, &err) == 0)
        return 0;
    config_error(snap->config, a->file.at, &placed, "%s", err.text);
    buf_printf(errors, "%s\n", placed.text);
    return -1;
}

static struct review *reviews_new(const struct door *d)
{
    struct review *reviews = calloc(d->crew.count, sizeof(*reviews));
    CHECK(reviews != NULL);
    return reviews;
}

static void drop_listeners(struct reload *r)
{
    door_drop_listeners(r->listeners, r->door->crew.count * r->snap->config->listeners.n);
    r->listeners = NULL;
}

/* Stays also where the configuration in force cannot be served with it: the next one may. */
static void begin_restage(struct reload *r)
{
    struct door *d = r->door;
    struct buf errors = {0};
    d->installing = true;
    if (r->staging != NULL) {
        staging_unref(d->shared.staging);
        d->shared.staging = staging_ref(r->staging);
    }
    if (r->aside != NULL) {
        set_aside_unref(d->shared.aside);
        d->shared.aside = set_aside_ref(r->aside);
    }
    r->snap = snapshot_restage(d->snap, &d->shared, r->staging, r->aside, &errors);
    if (r->snap == NULL)
        finish(r, false, buf_text(&errors));
    else
        crew_broadcast(&d->crew, d->loop, refresh_in, in_force, r);
    buf_free(&errors);
}

bool door_try_staging(struct door *d, struct staging *staging, struct buf *errors)
{
    CHECK_MAGIC(d, DOOR_MAGIC);
    struct snapshot *snap = snapshot_restage(d->snap, &d->shared, staging, NULL, errors);
    snapshot_unref(snap);
    return snap != NULL;
}

/* Everything that can fail comes first; then there is no way back, and none is needed. */
static void begin_reload(struct reload *r)
{
    struct door *d = r->door;
    struct buf errors = {0};
    struct err err;
    if (r->staging != NULL || r->aside != NULL) {
        begin_restage(r);
        return;
    }
    d->installing = true;
    tell_watch(d, true);
    struct config *c = config_again(d->snap->config, &errors);
    if (c == NULL)
        survey_file(d->snap->config->file, &errors);
    r->snap = c == NULL ? NULL : snapshot_build(c, &d->shared, &errors);
    if (r->snap != NULL)
        r->listeners = door_bind_listeners(&d->crew, r->snap, d->snap, &errors);
    if (r->snap != NULL && r->listeners != NULL && reopen_audit(d, r->snap, &errors) != 0)
        drop_listeners(r);
    if (r->snap != NULL && r->listeners != NULL && door_open_office(d, r->snap, &err) != 0) {
        buf_printf(&errors, "%s\n", err.text);
        drop_listeners(r);
    }
    if (r->listeners == NULL) {
        snapshot_unref(r->snap);
        finish(r, false, buf_text(&errors));
        tell_watch(d, false);
    } else {
        r->reviews = reviews_new(d);
        crew_broadcast(&d->crew, d->loop, install_in, installed, r);
    }
    buf_free(&errors);
}

static struct reload *new_reload(struct door *d, door_reloaded *done, void *arg)
{
    struct reload *r = calloc(1, sizeof(*r));
    CHECK(r != NULL);
    *r = (struct reload){.door = d, .done = done, .arg = arg};
    return r;
}

static void enqueue(struct reload *r)
{
    struct door *d = r->door;
    struct reload **end = &d->next;
    if (d->draining) {
        done_with(r, false, STOPPING);
        return;
    }
    if (!d->installing && d->next == NULL) {
        begin_reload(r);
        return;
    }
    while (*end != NULL)
        end = &(*end)->next;
    *end = r;
}

void door_reload(struct door *d, door_reloaded *done, void *arg)
{
    CHECK_MAGIC(d, DOOR_MAGIC);
    enqueue(new_reload(d, done, arg));
}

void door_put_staging(struct door *d, struct staging *staging, door_reloaded *done, void *arg)
{
    CHECK_MAGIC(d, DOOR_MAGIC);
    struct reload *r = new_reload(d, done, arg);
    r->staging = staging_ref(staging);
    enqueue(r);
}

void door_put_aside(struct door *d, struct set_aside *aside, door_reloaded *done, void *arg)
{
    CHECK_MAGIC(d, DOOR_MAGIC);
    struct reload *r = new_reload(d, done, arg);
    r->aside = set_aside_ref(aside);
    enqueue(r);
}

void door_reload_init(struct door *d)
{
    task_init(&d->next_reload, begin_next);
}

int door_install_first(struct door *d, struct buf *errors)
{
    struct reload first = {.door = d, .snap = d->snap, .reviews = reviews_new(d)};
    first.listeners = door_bind_listeners(&d->crew, d->snap, NULL, errors);
    for (size_t i = 0; first.listeners != NULL && i < d->crew.count; i++)
        install_in(&d->crew.worker[i], &first);
    free(first.reviews);
    d->lockouts = lockouts(d, d->snap, false); /* `serve` warns of these */
    if (first.listeners == NULL)
        return -1;
    free(first.listeners);
    return 0;
}

/* ---- CRLs ---- */

/* By the book of the door's own CA, perhaps by CRLs as well. */
static void book_in_force(void *arg, const struct review *review, const char *errors)
{
    struct door *d = arg;
    (void)review;
    (void)errors;
    door_notify(d, "what the CA has revoked is refused from now on");
    d->lockouts = lockouts(d, d->snap, true);
}

static void crls_in_force(void *arg, const struct review *review, const char *errors)
{
    struct door *d = arg;
    (void)review;
    (void)errors;
    door_notify(d, "certificate revocation lists reloaded");
    d->lockouts = lockouts(d, d->snap, true);
}

void door_look_for_lockouts(struct door *d)
{
    int64_t now = loop_now(d->loop);
    if (now < d->lockouts_at)
        return;
    d->lockouts_at = now + LOCKOUT_LOOK_NS;
    uint64_t sum = lockouts(d, d->snap, false);
    if (sum != d->lockouts)
        lockouts(d, d->snap, true);
    d->lockouts = sum;
}

void door_refresh_crls(struct door *d)
{
    int64_t now = loop_now(d->loop);
    if (d->installing || d->draining)
        return;
    uint64_t stale = snapshot_stale(d->snap, &d->shared);
    if (stale == d->unread_crls && now < d->crl_retry_at)
        return;
    d->unread_crls = 0;
    if (stale == 0)
        return;
    struct buf errors = {0};
    struct snapshot *fresh = snapshot_refresh(d->snap, &d->shared, &errors, &d->unread_crls);
    d->crl_retry_at = now + CRL_RETRY_NS;
    if (errors.len > 0)
        door_notify(d, buf_text(&errors));
    buf_free(&errors);
    if (fresh == NULL)
        return;
    struct reload *r = new_reload(d, fresh->revoked != d->snap->revoked ? book_in_force : crls_in_force, d);
    r->snap = fresh;
    d->installing = true;
    crew_broadcast(&d->crew, d->loop, refresh_in, in_force, r);
}
