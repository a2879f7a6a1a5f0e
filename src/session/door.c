/* SPDX-License-Identifier: Apache-2.0 */
#include "session/door.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "cert/cert.h"
#include "ech/publisher.h"
#include "ech/ring.h"
#include "loop/loop.h"
#include "quic/quic.h"
#include "session/backend_ech.h"
#include "session/door_internal.h"
#include "session/health.h"
#include "session/office.h"
#include "session/pages.h"
#include "session/publish.h"
#include "session/standby.h"
#include "session/worker.h"
#include "tls/tickets.h"

#define MACHINE_ID_LEN 32

#define TICK_NS NSEC_PER_SEC

void door_notify(struct door *d, const char *text)
{
    if (d->notice != NULL)
        d->notice(d->notice_arg, text);
}

/* ---- what happens by itself ---- */

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

static void forget_ech(void *arg)
{
    ech_keys_free(arg);
}

/* As with tickets, but for what is in force alone: a folder that is no longer ours, or whose keys are kept
 * longer now, is left in peace. What is wrong in the folder is told once. */
static void turn_ech(struct door *d)
{
    struct err news;
    backend_ech_keep(&d->shared, d->loop);
    while (backend_ech_news(&d->shared, &news))
        door_notify(d, news.text);
    for (struct list *n = d->shared.ech_places.next; n != &d->shared.ech_places; n = n->next) {
        struct ech_place *place = CONTAINER_OF(n, struct ech_place, node);
        if (place->ring != d->snap->ech)
            continue;
        struct ech_keys *old;
        struct err err = {{0}};
        int rc = ech_ring_turn(place->ring, clock_wall() / NSEC_PER_SEC, &old, &err);
        if (old != NULL)
            crew_broadcast(&d->crew, d->loop, pass_by, forget_ech, old);
        if (rc != 0 && strncmp(place->complaint, err.text, sizeof(place->complaint) - 1) != 0)
            door_notify(d, err.text);
        snprintf(place->complaint, sizeof(place->complaint), "%s", rc == 0 ? "" : err.text);
    }
    ech_publisher_turn(d->publisher, clock_wall() / NSEC_PER_SEC);
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
    door_notify(d, text);
}

static void on_tick(struct timer *t)
{
    struct door *d = CONTAINER_OF(t, struct door, tick);
    rotate_tickets(d, loop_now(d->loop));
    turn_ech(d);
    door_refresh_crls(d);
    door_look_for_lockouts(d);
    report_lost_lines(d);
    loop_set_timer(d->loop, &d->tick, loop_now(d->loop) + TICK_NS);
}

/* ---- beginning and end ---- */

static void hear_publisher(void *arg, const char *text)
{
    door_notify(arg, text);
}

static struct door *new_door(struct loop *loop, const struct door_bindings *bindings, size_t workers)
{
    struct door *d = calloc(1, sizeof(*d));
    CHECK(d != NULL);
    d->magic = DOOR_MAGIC;
    d->loop = loop;
    d->audit.fd = -1;
    d->standard = STANDARD_NONE;
    d->admission = admission_new();
    d->publisher = ech_publisher_new(loop, hear_publisher, d);
    snapshot_shared_init(&d->shared, workers, bindings);
    timer_init(&d->tick, on_tick);
    door_reload_init(d);
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

/* What a door here has in common with the one before it, but not with one that serves the same certificate
 * elsewhere (machine-id(5)); where a machine has no id they are told apart by the listener's address only. */
static void name_machine(char *ret, size_t cap)
{
    char id[MACHINE_ID_LEN + 1] = "";
    int fd = open("/etc/machine-id", O_RDONLY | O_CLOEXEC);
    if (fd >= 0 && read(fd, id, MACHINE_ID_LEN) < 0)
        id[0] = '\0';
    if (fd >= 0)
        close(fd);
    snprintf(ret, cap, "cardea quic stateless reset %s", id);
}

/* Clients of the door that ran here before are to understand that their connections are gone: what such
 * packets are answered with is proven by a secret that outlives us (RFC 9000, 10.3.2). */
static void keep_reset_secret(struct door *d)
{
    const struct snapshot *snap = d->snap;
    char label[128];
    size_t i = 0;
    while (i < snap->config->certificates.n && snap->pairs[i].side[STANDBY_FIRST] == NULL)
        i++;
    if (i == snap->config->certificates.n)
        return;
    name_machine(label, sizeof(label));
    cert_secret(snap->pairs[i].side[STANDBY_FIRST], label, d->shared.quic_secrets->reset);
}

static size_t worker_count(const struct config *c)
{
    if (standard_is_served(c))
        return 1;
    long cpus = sysconf(_SC_NPROCESSORS_ONLN);
    return c->workers > 0 ? c->workers : (size_t)MIN(MAX(cpus, 1L), (long)QUIC_ENDPOINTS_MAX);
}

/* Before anything is written to them. */
static int take_standard(struct door *d, struct buf *errors)
{
    struct err err, placed;
    const struct config *c = d->snap->config;
    if (!standard_is_served(c) || standard_take(&d->standard, &err) == 0)
        return 0;
    config_error(c, c->listeners.v[0].address.text.at, &placed, "%s", err.text);
    buf_printf(errors, "%s\n", placed.text);
    return -1;
}

struct door *door_new(struct loop *loop, struct config *config, const struct door_bindings *bindings,
                      struct buf *errors)
{
    struct door *d = new_door(loop, bindings, worker_count(config));
    d->snap = snapshot_build(config, &d->shared, errors);
    if (d->snap != NULL && take_standard(d, errors) == 0 && make_workers(d, errors) == 0 &&
        door_install_first(d, errors) == 0) {
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

void door_set_reload_watch(struct door *d, door_reload_watch *told, void *arg)
{
    d->reload_watch = told;
    d->reload_watch_arg = arg;
}

static void hear(void *arg, const char *text)
{
    door_notify(arg, text);
}

/* ---- the one connection of standard input and output ---- */

bool door_is_for_one(const struct door *d)
{
    return standard_is_served(d->snap->config);
}

void door_set_served(struct door *d, void (*served)(void *arg, bool in_order), void *arg)
{
    d->served = served;
    d->served_arg = arg;
}

static void on_over(struct message *m)
{
    struct door *d = CONTAINER_OF(m, struct door, over);
    if (d->served != NULL)
        d->served(d->served_arg, d->crew.worker[0].last == CLOSE_DONE);
}

static void begin_standard(struct worker *w, void *arg)
{
    struct door *d = arg;
    struct err err;
    w->over = &d->over;
    if (standard_begin(w, &d->standard, &err))
        return;
    worker_notice(w, "standard input and output are not served: %s", err.text);
    w->last = CLOSE_LIMIT_TOTAL;
    loop_post(d->loop, &d->over);
    w->over = NULL;
}

void door_post_office(struct door *d, struct message *m)
{
    CHECK_MAGIC(d, DOOR_MAGIC);
    if (d->shared.office != NULL)
        office_post(d->shared.office, m);
    else
        m->run(m);
}

int door_open_office(struct door *d, const struct snapshot *snap, struct err *err)
{
    if (d->shared.office != NULL || !snapshot_needs_office(snap))
        return 0;
    d->shared.office = office_open(d->shared.bindings->services, d->shared.bindings->services_len, err);
    return d->shared.office != NULL ? 0 : -1;
}

int door_start(struct door *d, struct err *err)
{
    CHECK_MAGIC(d, DOOR_MAGIC);
    if (door_open_office(d, d->snap, err) != 0)
        return -1;
    for (size_t i = 0; i < d->crew.count; i++)
        d->crew.worker[i].ear = (struct worker_ear){d->loop, hear, d};
    if (crew_start(&d->crew, d->loop, err) != 0)
        return -1;
    d->started = clock_monotonic();
    health_install(d->health, d->snap);
    publish_install(d->publisher, d->snap);
    loop_set_timer(d->loop, &d->tick, loop_now(d->loop) + TICK_NS);
    d->over.run = on_over;
    if (door_is_for_one(d))
        crew_broadcast(&d->crew, d->loop, begin_standard, NULL, d);
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
    door_refuse_reloads(d);
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
    ech_publisher_free(d->publisher);
    office_close(d->shared.office); /* workers are told no more by it, but may still hold what it has */
    crew_free(&d->crew);
    office_free(d->shared.office);
    resolver_free(d->resolver);
    snapshot_unref(d->snap);
    if (d->audit.fd >= 0)
        sink_file_close(&d->audit);
    snapshot_shared_free(&d->shared);
    admission_free(d->admission);
    standard_drop(&d->standard);
    d->magic = 0;
    free(d);
}

/* ---- certificates ---- */

static void forget_in(struct worker *w, void *arg)
{
    worker_forget_certificates(w, arg);
}

void door_forget_certificates(struct door *d, const char *name)
{
    CHECK_MAGIC(d, DOOR_MAGIC);
    if (d->draining) /* nobody comes any more */
        return;
    char *copy = name == NULL ? NULL : strdup(name);
    CHECK(copy != NULL || name == NULL);
    crew_broadcast(&d->crew, d->loop, forget_in, free, copy);
}

/* ---- for the admin API ---- */

uint64_t door_packets_astray(const struct door *d, uint64_t *ret_dropped)
{
    *ret_dropped = atomic_load(&d->crew.fellows->astray_dropped);
    return atomic_load(&d->crew.fellows->astray);
}

struct ech_publisher *door_publisher(const struct door *d)
{
    return d->publisher;
}

size_t door_ech_untold(const struct door *d)
{
    return backend_ech_failing(&d->shared);
}

const struct snapshot *door_snapshot(const struct door *d)
{
    return d->snap;
}

size_t door_connections(const struct door *d)
{
    return admission_total(d->admission);
}

void door_ask_workers(struct door *d, void (*done)(void *arg), void *arg)
{
    crew_broadcast(&d->crew, d->loop, pass_by, done, arg);
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

uint64_t door_requests(const struct door *d, size_t service, unsigned hundred)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < d->crew.count; i++)
        sum += pages_count(d->crew.worker[i].requests, service, hundred);
    return sum;
}

const struct door_bindings *door_bindings(const struct door *d)
{
    return d->shared.bindings;
}

void door_sessions(struct door *d, size_t limit, census_told *done, void *arg)
{
    census_take(&d->crew, d->loop, limit, done, arg);
}

void door_offers(struct door *d, offers_told *done, void *arg)
{
    offers_ask(&d->crew, d->loop, done, arg);
}

void door_end(struct door *d, uint64_t id, ending_told *done, void *arg)
{
    ending_begin(&d->crew, d->loop, id, done, arg);
}

void door_whois(struct door *d, const struct whois_query *query, whois_told *done, void *arg)
{
    whois_ask(&d->crew, d->loop, query, done, arg);
}
