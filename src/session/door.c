/* SPDX-License-Identifier: Apache-2.0 */
/* A reload has a point of no return. Before it everything that can fail is done: the file is parsed,
 * certificates are read, tables built, sockets bound and watched, the audit file opened; a failure there
 * drops the new and leaves the old untouched. After it the new snapshot is only handed to each worker by
 * message, which cannot fail. Sessions keep the snapshot that they began under (through their worker's
 * epoch), and the last of them frees it, in whichever thread that is. */
#include "session/door.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "cert/cert.h"
#include "loop/loop.h"
#include "net/socket.h"
#include "net/udp.h"
#include "quic/quic.h"
#include "session/carrier.h"
#include "session/crew.h"
#include "session/health.h"
#include "session/session.h"
#include "session/survey.h"
#include "session/worker.h"

#define DOOR_MAGIC 0xd0040001u
#define TICK_NS NSEC_PER_SEC
#define CRL_RETRY_NS (60 * NSEC_PER_SEC)
#define STOPPING "the door is stopping\n"

struct door {
    uint32_t magic;
    struct loop *loop;
    struct snapshot *snap;
    struct snapshot_shared shared;
    struct admission *admission;
    struct sink_file audit;
    struct crew crew;
    struct resolver *resolver;
    struct health *health;
    struct timer tick;
    door_notice *notice;
    void *notice_arg;
    int64_t started; /* monotonic; 0 before door_start() */
    bool draining;
    bool installing;
    struct reload *next; /* asked for while another was being put in place */
    struct task next_reload;
    uint64_t lost_reported; /* audit lines */
    size_t unread_crls;     /* trust bundles whose changed CRL files could not be read */
    int64_t crl_retry_at;   /* ... and are not tried again before, unless another changes */
    void (*drained)(void *arg);
    void *drained_arg;
};

/* A configuration on its way into the workers: read from the file, or the one in force with other CRLs. */
struct reload {
    struct door *door;
    struct reload *next;
    struct snapshot *snap;             /* NULL while it waits for its turn */
    struct worker_listener *listeners; /* of the first worker, then of the second, ...; NULL when they stay */
    door_reloaded *done;
    void *arg;
};

static void notify(struct door *d, const char *text)
{
    if (d->notice != NULL)
        d->notice(d->notice_arg, text);
}

/* ---- listeners ---- */

/* Is that address served already, in TCP or in UDP? */
static bool has_listener(const struct snapshot *snap, const char *key, bool udp)
{
    for (size_t i = 0; snap != NULL && i < snap->config->listeners.n; i++)
        if (strcmp(snap->config->listeners.v[i].address.text.text, key) == 0)
            return !udp || snapshot_listens_udp(snap, i);
    return false;
}

static void drop_listeners(struct worker_listener *listeners, size_t count)
{
    for (size_t i = 0; listeners != NULL && i < count; i++) {
        worker_port_drop(listeners[i].fresh);
        carrier_port_drop(listeners[i].fresh_udp);
    }
    free(listeners);
}

/* A socket for each worker; theirs are `stride` apart. */
static int bind_tcp(struct crew *crew, const struct config_address *a, struct worker_listener *listeners,
                    size_t stride, struct err *err)
{
    if (socket_probe_tcp(a->host, a->port, err) != 0)
        return -1;
    for (size_t w = 0; w < crew->count; w++) {
        int fd = socket_listen_tcp(a->host, a->port, true, err);
        if (fd < 0)
            return -1;
        listeners[w * stride].fresh = worker_port_new(&crew->worker[w], a->text.text, fd, err);
        if (listeners[w * stride].fresh == NULL)
            return err_prefix(err, "%s", a->text.text);
    }
    return 0;
}

/* The same in UDP. The kernel hands packets to the worker that their connection id names; where it cannot do
 * that, workers do it among themselves (astray.h). */
static int bind_udp(struct crew *crew, const struct config_address *a, struct worker_listener *listeners,
                    size_t stride, struct err *err)
{
    int probe = udp_listen(a->host, a->port, false, err);
    if (probe < 0 && atomic_load(&crew->fellows->retired) == 0) /* else it may be ourselves who have it */
        return -1;
    if (probe >= 0)
        close(probe);
    for (size_t w = 0; w < crew->count; w++) {
        int fd = udp_listen(a->host, a->port, true, err);
        if (fd < 0)
            return -1;
        if (w + 1 == crew->count && crew->count > 1)
            udp_steer(fd, (unsigned)crew->count);
        listeners[w * stride].fresh_udp = carrier_port_new(&crew->worker[w], a->text.text, fd, err);
        if (listeners[w * stride].fresh_udp == NULL)
            return err_prefix(err, "%s", a->text.text);
    }
    return 0;
}

static int bind_listener(struct crew *crew, const struct snapshot *snap, const struct snapshot *now, size_t i,
                         struct worker_listener *listeners, struct err *err)
{
    const struct config_address *a = &snap->config->listeners.v[i].address;
    size_t stride = snap->config->listeners.n;
    bool udp = snapshot_listens_udp(snap, i);
    if (a->path != NULL)
        return err_set(err, "listeners take IP addresses, found %s", a->text.text);
    for (size_t w = 0; w < crew->count; w++) {
        listeners[w * stride + i].key = a->text.text;
        listeners[w * stride + i].udp = udp;
    }
    if (!has_listener(now, a->text.text, false) && bind_tcp(crew, a, listeners + i, stride, err) != 0)
        return -1;
    if (udp && !has_listener(now, a->text.text, true) && bind_udp(crew, a, listeners + i, stride, err) != 0)
        return -1;
    return 0;
}

/* What each worker needs for each listener of `snap` that `now` does not have. NULL with a line in `errors`.
 */
static struct worker_listener *bind_listeners(struct crew *crew, const struct snapshot *snap,
                                              const struct snapshot *now, struct buf *errors)
{
    const struct config *c = snap->config;
    size_t n = c->listeners.n;
    struct worker_listener *listeners = calloc(n * crew->count, sizeof(*listeners));
    CHECK(listeners != NULL);
    for (size_t i = 0; i < n; i++) {
        struct err err, placed;
        if (bind_listener(crew, snap, now, i, listeners, &err) == 0)
            continue;
        config_error(c, c->listeners.v[i].address.text.at, &placed, "%s", err.text);
        buf_printf(errors, "%s\n", placed.text);
        drop_listeners(listeners, n * crew->count);
        return NULL;
    }
    return listeners;
}

/* ---- putting a configuration in force ---- */

static void refresh_in(struct worker *w, void *arg)
{
    struct reload *r = arg;
    worker_refresh(w, r->snap);
}

static void install_in(struct worker *w, void *arg)
{
    struct reload *r = arg;
    size_t n = r->snap->config->listeners.n;
    worker_install(w, r->snap, r->listeners + w->index * n, n);
}

static void begin_reload(struct reload *r);

static void done_with(struct reload *r, bool ok, const char *errors)
{
    if (r->done != NULL)
        r->done(r->arg, ok, errors);
    free(r->listeners);
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

/* Whoever waits in the queue hears so now, while there is somebody to tell. The one that is being put in
 * place goes on: the workers answer it even while they stop. */
static void refuse_waiting(struct door *d)
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

static void installed(void *arg)
{
    struct reload *r = arg;
    struct door *d = r->door;
    health_install(d->health, r->snap);
    d->unread_crls = 0;
    in_force(r);
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

/* Everything that can fail comes first; then there is no way back, and none is needed. */
static void begin_reload(struct reload *r)
{
    struct door *d = r->door;
    struct buf errors = {0};
    d->installing = true;
    const char *path = d->snap->config->file;
    struct config *c = config_load(path, &errors);
    if (c == NULL)
        survey_file(path, &errors);
    r->snap = c == NULL ? NULL : snapshot_build(c, &d->shared, &errors);
    if (r->snap != NULL)
        r->listeners = bind_listeners(&d->crew, r->snap, d->snap, &errors);
    if (r->snap != NULL && r->listeners != NULL && reopen_audit(d, r->snap, &errors) != 0) {
        drop_listeners(r->listeners, d->crew.count * r->snap->config->listeners.n);
        r->listeners = NULL;
    }
    if (r->listeners == NULL) {
        snapshot_unref(r->snap);
        finish(r, false, buf_text(&errors));
    } else {
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

void door_reload(struct door *d, door_reloaded *done, void *arg)
{
    CHECK_MAGIC(d, DOOR_MAGIC);
    if (d->draining) {
        done(arg, false, STOPPING);
        return;
    }
    struct reload *r = new_reload(d, done, arg), **end = &d->next;
    if (!d->installing && d->next == NULL) {
        begin_reload(r);
        return;
    }
    while (*end != NULL)
        end = &(*end)->next;
    *end = r;
}

/* ---- what happens by itself ---- */

static void crls_in_force(void *arg, bool ok, const char *errors)
{
    (void)ok;
    (void)errors;
    notify(arg, "certificate revocation lists reloaded");
}

/* Listeners and the audit file are none of its business: they stay as they are. */
static void refresh_crls(struct door *d)
{
    int64_t now = loop_now(d->loop);
    if (d->installing || d->draining)
        return;
    size_t stale = snapshot_stale(d->snap);
    if (stale == d->unread_crls && now < d->crl_retry_at)
        return;
    d->unread_crls = 0;
    if (stale == 0)
        return;
    struct buf errors = {0};
    struct snapshot *fresh = snapshot_refresh(d->snap, &d->shared, &errors, &d->unread_crls);
    d->crl_retry_at = now + CRL_RETRY_NS;
    if (errors.len > 0)
        notify(d, buf_text(&errors));
    buf_free(&errors);
    if (fresh == NULL) {
        d->unread_crls = stale;
        return;
    }
    struct reload *r = new_reload(d, crls_in_force, d);
    r->snap = fresh;
    d->installing = true;
    crew_broadcast(&d->crew, d->loop, refresh_in, in_force, r);
}

static void pass_by(struct worker *w, void *arg)
{
    (void)w;
    (void)arg;
}

static void forget_keys(void *arg)
{
    ticket_keys_free(arg);
}

/* A worker that handles a message is not within TLS: once all have, nobody is left who reads the old keys. */
static void rotate_tickets(struct door *d, int64_t now)
{
    for (struct list *n = d->shared.ticket_rings.next; n != &d->shared.ticket_rings; n = n->next) {
        struct ticket_ring *ring = CONTAINER_OF(n, struct ticket_ring, node);
        if (now < ring->rotate_at)
            continue;
        crew_broadcast(&d->crew, d->loop, pass_by, forget_keys, tickets_rotate(ring->tickets));
        ring->rotate_at = now + tickets_lifetime(ring->tickets) / 2;
    }
}

static void report_lost_lines(struct door *d)
{
    uint64_t lost = sink_file_lost(&d->audit);
    char text[96];
    if (lost == d->lost_reported)
        return;
    snprintf(text, sizeof(text),
             "%llu audit lines could not be written so far: the reader is slow, or the disk full",
             (unsigned long long)lost);
    d->lost_reported = lost;
    notify(d, text);
}

static void on_tick(struct timer *t)
{
    struct door *d = CONTAINER_OF(t, struct door, tick);
    rotate_tickets(d, loop_now(d->loop));
    refresh_crls(d);
    report_lost_lines(d);
    loop_set_timer(d->loop, &d->tick, loop_now(d->loop) + TICK_NS);
}

/* ---- beginning and end ---- */

static struct door *new_door(struct loop *loop, const struct front_binding *fronts, size_t fronts_len,
                             size_t workers)
{
    struct door *d = calloc(1, sizeof(*d));
    CHECK(d != NULL);
    d->magic = DOOR_MAGIC;
    d->loop = loop;
    d->audit.fd = -1;
    d->admission = admission_new();
    snapshot_shared_init(&d->shared, workers, fronts, fronts_len);
    timer_init(&d->tick, on_tick);
    task_init(&d->next_reload, begin_next);
    return d;
}

static int make_workers(struct door *d, struct buf *errors)
{
    struct err err, placed;
    const struct config *c = d->snap->config;
    if (sink_file_open(&d->audit, c->audit.file.text, &err) != 0) {
        config_error(c, c->audit.file.at, &placed, "%s", err.text);
        buf_printf(errors, "%s\n", placed.text);
        return -1;
    }
    d->resolver = resolver_new(d->loop, &err);
    if (d->resolver == NULL ||
        crew_init(&d->crew, d->shared.workers, d->admission, &d->shared, &d->audit, &err) != 0) {
        buf_printf(errors, "%s\n", err.text);
        return -1;
    }
    d->health = health_new(d->loop, d->resolver);
    return 0;
}

/* The first configuration goes into workers that do not run yet. */
static int first_install(struct door *d, struct buf *errors)
{
    struct reload first = {.door = d, .snap = d->snap};
    first.listeners = bind_listeners(&d->crew, d->snap, NULL, errors);
    if (first.listeners == NULL)
        return -1;
    for (size_t i = 0; i < d->crew.count; i++)
        install_in(&d->crew.worker[i], &first);
    free(first.listeners);
    return 0;
}

/* Clients of the door that ran here before are to understand that their connections are gone: what such
 * packets are answered with is proven by a secret that outlives us (RFC 9000, 10.3.2). */
static void keep_reset_secret(struct door *d)
{
    const struct snapshot *snap = d->snap;
    if (snap->config->certificates.n > 0)
        cert_secret(snap->certs[0], "cardea quic stateless reset", d->shared.quic_secrets->reset);
}

static size_t worker_count(const struct config *c)
{
    long cpus = sysconf(_SC_NPROCESSORS_ONLN);
    return c->workers > 0 ? c->workers : (size_t)MIN(MAX(cpus, 1L), (long)QUIC_ENDPOINTS_MAX);
}

struct door *door_new(struct loop *loop, struct config *config, const struct front_binding *fronts,
                      size_t fronts_len, struct buf *errors)
{
    struct door *d = new_door(loop, fronts, fronts_len, worker_count(config));
    d->snap = snapshot_build(config, &d->shared, errors);
    if (d->snap != NULL && make_workers(d, errors) == 0 && first_install(d, errors) == 0) {
        keep_reset_secret(d);
        return d;
    }
    door_free(d);
    return NULL;
}

void door_set_notice(struct door *d, door_notice *notice, void *arg)
{
    d->notice = notice;
    d->notice_arg = arg;
}

static void hear(void *arg, const char *text)
{
    notify(arg, text);
}

int door_start(struct door *d, struct err *err)
{
    CHECK_MAGIC(d, DOOR_MAGIC);
    for (size_t i = 0; i < d->crew.count; i++)
        d->crew.worker[i].ear = (struct worker_ear){d->loop, hear, d};
    if (crew_start(&d->crew, d->loop, err) != 0)
        return -1;
    d->started = clock_monotonic();
    health_install(d->health, d->snap);
    loop_set_timer(d->loop, &d->tick, loop_now(d->loop) + TICK_NS);
    return 0;
}

static void drain_in(struct worker *w, void *arg)
{
    (void)arg;
    worker_drain(w, loop_now(w->loop) + w->epoch->snap->config->limits.drain_timeout);
}

static void hurry_in(struct worker *w, void *arg)
{
    (void)arg;
    worker_drain(w, 0);
}

static void all_stopped(void *arg)
{
    struct door *d = arg;
    d->drained(d->drained_arg);
}

void door_drain(struct door *d, void (*done)(void *arg), void *arg)
{
    CHECK_MAGIC(d, DOOR_MAGIC);
    if (d->draining) {
        crew_broadcast(&d->crew, d->loop, hurry_in, NULL, d);
        return;
    }
    d->draining = true;
    d->drained = done;
    d->drained_arg = arg;
    refuse_waiting(d);
    crew_when_stopped(&d->crew, all_stopped, d);
    crew_broadcast(&d->crew, d->loop, drain_in, NULL, d);
}

void door_free(struct door *d)
{
    if (d == NULL)
        return;
    CHECK_MAGIC(d, DOOR_MAGIC);
    CHECK(d->next == NULL && !d->installing);
    list_remove(&d->next_reload.node);
    wheel_cancel(&d->tick);
    health_free(d->health);
    crew_free(&d->crew);
    resolver_free(d->resolver);
    snapshot_unref(d->snap);
    if (d->audit.fd >= 0)
        sink_file_close(&d->audit);
    snapshot_shared_free(&d->shared);
    admission_free(d->admission);
    d->magic = 0;
    free(d);
}

/* ---- for the admin API ---- */

uint64_t door_packets_astray(const struct door *d, uint64_t *ret_dropped)
{
    *ret_dropped = atomic_load(&d->crew.fellows->astray_dropped);
    return atomic_load(&d->crew.fellows->astray);
}

const struct snapshot *door_snapshot(const struct door *d)
{
    return d->snap;
}

size_t door_connections(const struct door *d)
{
    return admission_total(d->admission);
}

bool door_has_its_workers(const struct door *d)
{
    return worker_count(d->snap->config) == d->crew.count;
}

int64_t door_uptime(const struct door *d)
{
    return d->started == 0 ? 0 : clock_monotonic() - d->started;
}

static struct route_counters counters_of(const struct route_stats *stats)
{
    return (struct route_counters){.route = stats->name,
                                   .block = (const struct counters *const *)stats->block,
                                   .blocks = stats->blocks,
                                   .active = atomic_load(&stats->live)};
}

struct route_counters door_route_counters(const struct door *d, size_t index)
{
    CHECK(index < d->snap->config->routes.n);
    return counters_of(d->snap->routes[index].stats);
}

struct route_counters door_unrouted_counters(const struct door *d)
{
    struct route_counters counters = counters_of(d->snap->door);
    counters.unrouted = true;
    return counters;
}

/* A question to all workers about their sessions. */
struct census {
    size_t limit; /* of each worker, then of the whole */
    size_t workers;
    struct buf *part; /* one per worker: objects, each after a comma */
    void (*done)(void *arg, const char *json, size_t len);
    void *arg;
};

static void count_in(struct worker *w, void *arg)
{
    struct census *c = arg;
    size_t n = 0;
    for (struct list *node = w->sessions.next; node != &w->sessions && n < c->limit; node = node->next, n++) {
        buf_append(&c->part[w->index], n > 0 ? ",\n" : "", n > 0 ? 2 : 0);
        session_json(session_of_node(node), &c->part[w->index]);
    }
}

static void counted(void *arg)
{
    struct census *c = arg;
    struct buf all = {0};
    buf_append(&all, "[", 1);
    for (size_t i = 0; i < c->workers; i++) {
        if (all.len > 1 && c->part[i].len > 0)
            buf_append(&all, ",\n", 2);
        buf_append(&all, c->part[i].data, c->part[i].len);
        buf_free(&c->part[i]);
    }
    buf_append(&all, "]", 1);
    c->done(c->arg, buf_text(&all), all.len);
    buf_free(&all);
    free(c->part);
    free(c);
}

void door_sessions(struct door *d, size_t limit, void (*done)(void *arg, const char *json, size_t len),
                   void *arg)
{
    struct census *c = calloc(1, sizeof(*c));
    CHECK(c != NULL);
    *c = (struct census){.limit = (limit + d->crew.count - 1) / d->crew.count,
                         .workers = d->crew.count,
                         .part = calloc(d->crew.count, sizeof(struct buf)),
                         .done = done,
                         .arg = arg};
    CHECK(c->part != NULL);
    crew_broadcast(&d->crew, d->loop, count_in, counted, c);
}

void door_offers(struct door *d, offers_told *done, void *arg)
{
    offers_ask(&d->crew, d->loop, done, arg);
}
