/* SPDX-License-Identifier: Apache-2.0 */
/* A session keeps the configuration that it began under through an epoch. Only this thread counts an epoch's
 * holders, so a connection costs no atomic operation on a line that all workers share; the snapshot's own
 * count moves once for each worker and reload.
 *
 * A listener that a new configuration drops is emptied before the new epoch is put in place: whoever waits in
 * its queue gets the configuration under which he dialled. */
#include "session/worker.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clean.h"
#include "base/clock.h"
#include "link/fd_link.h"
#include "mux/agents.h"
#include "net/program.h"
#include "net/socket.h"
#include "quic/quic.h"
#include "session/backend_pool.h"
#include "session/cert_desk.h"
#include "session/pages.h"
#include "session/quic_carrier.h"
#include "session/review.h"
#include "session/session.h"

#define WORKER_MAGIC 0x3084e400u

/* ---- the configuration in force ---- */

/* What was got from the same source before is good. */
static struct cert_desk *desk_for(const struct worker *w, const struct snapshot *snap)
{
    const struct config_limits *l = &snap->config->limits;
    if (snap->source == NULL)
        return NULL;
    if (w->epoch != NULL && w->epoch->snap->source == snap->source)
        return cert_desk_ref(w->epoch->desk);
    return cert_desk_new(w->loop, snap->source, l->certificates, l->certificate_memory);
}

static struct epoch *epoch_new(struct worker *w, struct snapshot *snap)
{
    struct epoch *e = calloc(1, sizeof(*e));
    CHECK(e != NULL);
    e->snap = snapshot_ref(snap);
    e->desk = desk_for(w, snap);
    e->holders = 1;
    e->number = ++w->epochs;
    return e;
}

uint64_t worker_next_id(struct worker *w)
{
    uint64_t id = w->next_id;
    w->next_id += w->shared->workers;
    return id;
}

struct epoch *worker_hold(struct worker *w, struct epoch *e)
{
    (void)w;
    e->holders++;
    return e;
}

void worker_release(struct worker *w, struct epoch *e)
{
    (void)w;
    CHECK(e->holders > 0);
    if (--e->holders > 0)
        return;
    backend_pools_free(e->pools);
    cert_desk_unref(e->desk);
    snapshot_unref(e->snap);
    free(e);
}

/* ---- notices ---- */

#define NOTICES_MAX 30 /* in NOTICES_NS */
#define NOTICES_NS (60 * NSEC_PER_SEC)

struct notice {
    struct message message;
    struct worker_ear ear;
    struct err text;
};

static void on_notice(struct message *m)
{
    struct notice *n = CONTAINER_OF(m, struct notice, message);
    n->ear.hear(n->ear.arg, n->text.text);
    free(n);
}

static void post_notice(struct worker *w, const struct err *text)
{
    struct notice *n = calloc(1, sizeof(*n));
    CHECK(n != NULL);
    *n = (struct notice){.message.run = on_notice, .ear = w->ear};
    str_clean(n->text.text, sizeof(n->text.text), text->text); /* names of certificates are in it */
    loop_post(w->ear.loop, &n->message);
}

void worker_notice(struct worker *w, const char *fmt, ...)
{
    struct err text;
    va_list ap;
    int64_t now = loop_now(w->loop);
    if (w->ear.loop == NULL)
        return;
    if (now >= w->notices_since + NOTICES_NS) {
        if (w->notices > NOTICES_MAX) {
            err_set(&text, "%zu more notices about offers and connections were left out",
                    w->notices - NOTICES_MAX);
            post_notice(w, &text);
        }
        w->notices_since = now;
        w->notices = 0;
    }
    if (++w->notices > NOTICES_MAX)
        return;
    va_start(ap, fmt);
    vsnprintf(text.text, sizeof(text.text), fmt, ap);
    va_end(ap);
    post_notice(w, &text);
}

/* ---- sessions ---- */

void worker_joined(struct worker *w, struct list *node)
{
    list_insert(&w->sessions, node);
    w->session_count++;
}

/* How often it is looked whether what ended sessions have said has arrived. */
#define LAST_WORDS_NS (20 * NSEC_PER_MSEC)

/* Nothing begins any more, so whoever is empty once stays so. */
static void stop_when_empty(struct worker *w)
{
    if (!w->draining || w->empty || w->session_count > 0 || agents_busy(w->agents) ||
        !list_empty(&w->programs))
        return;
    if (!w->called && quic_carriers_busy(w)) {
        loop_set_timer(w->loop, &w->last_words, loop_now(w->loop) + LAST_WORDS_NS);
        return;
    }
    w->empty = true;
    if (atomic_fetch_sub(&w->fellows->busy, 1) > 1)
        return;
    for (size_t i = 0; i < w->fellows->count; i++)
        loop_stop(w->fellows->worker[i].loop);
}

void worker_look_for_end(struct worker *w)
{
    stop_when_empty(w);
}

static void on_last_words(struct timer *t)
{
    stop_when_empty(CONTAINER_OF(t, struct worker, last_words));
}

static void on_quiet(void *arg)
{
    stop_when_empty(arg);
}

void worker_left(struct worker *w, struct list *node)
{
    list_remove(node);
    CHECK(w->session_count > 0);
    w->session_count--;
    if (w->session_count == 0 && w->over != NULL) {
        loop_post(w->ear.loop, w->over);
        w->over = NULL;
    }
    stop_when_empty(w);
}

/* Not for each that comes: offers may be many. */
void worker_make_room(struct worker *w)
{
    int64_t now = loop_now(w->loop);
    if (worker_crowd(w) != WORKER_PACKED || now < w->packed_since + NSEC_PER_SEC)
        return;
    w->packed_since = now;
    agents_packed(w->agents);
    backend_pools_clear(w->epoch->pools);
}

enum admission_verdict worker_admit(struct worker *w, const struct snapshot *snap,
                                    const struct net_addr *peer, size_t descriptors)
{
    const struct config_limits *l = &snap->config->limits;
    worker_make_room(w);
    bool reserved = admission_reserve(w->admission, descriptors, snap->descriptor_limit);
    if (!reserved && backend_pools_clear(w->epoch->pools)) /* no spare costs a client his place */
        reserved = admission_reserve(w->admission, descriptors, snap->descriptor_limit);
    if (!reserved)
        return ADMIT_TOO_MANY;
    enum admission_verdict verdict = admission_enter(w->admission, peer, l->connections, l->per_source);
    if (verdict != ADMIT_OK)
        admission_release(w->admission, descriptors);
    return verdict;
}

/* All but one of so many parts. */
static bool takes_most(size_t taken, size_t of, size_t parts)
{
    return taken >= of - of / parts;
}

enum worker_crowd worker_crowd(const struct worker *w)
{
    const struct snapshot *snap = w->epoch->snap;
    size_t places = snap->config->limits.connections, descriptors = snap->descriptor_limit;
    size_t here = admission_total(w->admission), reserved = admission_reserved(w->admission);
    if (takes_most(here, places, 8) || takes_most(reserved, descriptors, 8))
        return WORKER_PACKED;
    return takes_most(here, places, 4) || takes_most(reserved, descriptors, 4) ? WORKER_CROWDED
                                                                               : WORKER_ROOMY;
}

/* A bridge has a descriptor at each end: the visitor's is the one that he would have towards a target. */
static bool reserve_near_end(void *arg)
{
    struct worker *w = arg;
    return admission_reserve(w->admission, 1, w->epoch->snap->descriptor_limit);
}

static void release_near_end(void *arg)
{
    const struct worker *w = arg;
    admission_release(w->admission, 1);
}

static void on_accepted(struct acceptor *a, int fd, const struct net_addr *peer)
{
    struct port *port = CONTAINER_OF(a, struct port, acceptor);
    struct worker *w = port->worker;
    const struct session_origin origin = {.epoch = w->epoch, .listener = port->listener, .peer = peer};
    enum admission_verdict verdict = worker_admit(w, w->epoch->snap, peer, SESSION_FDS);
    if (verdict != ADMIT_OK) {
        close(fd);
        session_refused(w, &origin, verdict == ADMIT_TOO_MANY ? CLOSE_LIMIT_TOTAL : CLOSE_LIMIT_SOURCE);
        return;
    }
    struct link *link = fd_link_socket(w->loop, fd, false);
    if (link == NULL) {
        close(fd);
        admission_leave(w->admission, peer);
        admission_release(w->admission, SESSION_FDS);
        session_refused(w, &origin, CLOSE_NO_DESCRIPTOR);
        return;
    }
    session_start(w, link, port->listener, peer);
}

static void on_refused(struct acceptor *a, int error)
{
    (void)error;
    const struct port *port = CONTAINER_OF(a, struct port, acceptor);
    const struct session_origin origin = {.epoch = port->worker->epoch, .listener = port->listener};
    session_refused(port->worker, &origin, CLOSE_NO_DESCRIPTOR);
}

/* ---- listeners ---- */

/* Its ports of that key stay in the configuration to come. */
static void keep_ports(struct worker *w, const char *key)
{
    for (struct list *n = w->ports.next; n != &w->ports; n = n->next) {
        struct port *port = CONTAINER_OF(n, struct port, node);
        port->keep = port->keep || strcmp(port->key, key) == 0;
    }
}

/* Its ports of that key are those of the listener of that index from now on. */
static void number_ports(struct worker *w, const char *key, uint32_t listener)
{
    for (struct list *n = w->ports.next; n != &w->ports; n = n->next) {
        struct port *port = CONTAINER_OF(n, struct port, node);
        if (strcmp(port->key, key) == 0)
            port->listener = listener;
    }
}

static void begin_ports(struct worker *w, struct port *fresh)
{
    for (struct port *port = fresh, *next; port != NULL; port = next) {
        next = port->next;
        port->next = NULL;
        CHECK(port->worker == w);
        list_insert(&w->ports, &port->node);
        acceptor_resume(&port->acceptor);
    }
}

static void port_done(struct task *t)
{
    struct port *port = CONTAINER_OF(t, struct port, free_later);
    socket_file_unref(port->file);
    free(port->key);
    free(port);
}

static void port_free(struct port *port)
{
    acceptor_stop(&port->acceptor);
    list_remove(&port->node);
    loop_defer(port->worker->loop, &port->free_later);
}

struct port *worker_port_new(struct worker *w, const char *key, const struct port_socket *socket,
                             struct err *err)
{
    struct port *port = calloc(1, sizeof(*port));
    CHECK(port != NULL);
    port->worker = w;
    port->key = strdup(key);
    CHECK(port->key != NULL);
    list_init(&port->node);
    task_init(&port->free_later, port_done);
    port->acceptor.accepted = on_accepted;
    port->acceptor.refused = on_refused;
    port->acceptor.shared = socket->shared;
    port->acceptor.lasting = socket->lasting;
    port->file = socket->file == NULL ? NULL : socket_file_ref(socket->file);
    if (acceptor_prepare(&port->acceptor, w->loop, socket->fd, err) == 0)
        return port;
    port_done(&port->free_later);
    return NULL;
}

void worker_port_drop(struct port *port)
{
    for (struct port *next; port != NULL; port = next) {
        next = port->next;
        CHECK(list_empty(&port->node));
        acceptor_abandon(&port->acceptor);
        port_done(&port->free_later);
    }
}

static void close_dropped(struct worker *w)
{
    for (struct list *n = w->ports.next, *next; n != &w->ports; n = next) {
        next = n->next;
        struct port *port = CONTAINER_OF(n, struct port, node);
        if (!port->keep)
            port_free(
                port); /* clients that wait in its queue are still served, under the old configuration */
        else
            port->keep = false;
    }
}

static void drop_listener(const struct worker_listener *l)
{
    worker_port_drop(l->fresh);
    quic_port_drop(l->fresh_udp);
}

/* No request to come is judged by a configuration, or a list of revocations, that is in force no more: the
 * client makes new connections, and proves anew who he is. */
static void end_ready(struct worker *w, struct review *sum)
{
    for (struct list *n = w->sessions.next, *next; n != &w->sessions; n = next) {
        next = n->next;
        sum->unused += session_end_ready(session_of_node(n));
    }
}

static void review_all(struct worker *w, struct review *ret)
{
    *ret = (struct review){0};
    quic_carriers_review(w, ret);
    review_sessions(w, ret);
    end_ready(w, ret);
}

void worker_install(struct worker *w, struct snapshot *snap, const struct worker_listener *listeners,
                    size_t count, struct review *ret)
{
    CHECK_MAGIC(w, WORKER_MAGIC);
    struct epoch *before = w->epoch;
    *ret = (struct review){0};
    if (w->draining) {
        for (size_t i = 0; i < count; i++)
            drop_listener(&listeners[i]);
        return;
    }
    for (size_t i = 0; i < count; i++)
        keep_ports(w, listeners[i].key);
    close_dropped(w);
    w->epoch = epoch_new(w, snap);
    agents_count_descriptors(w->agents, reserve_near_end, release_near_end,
                             w); /* it says how many there are */
    for (size_t i = 0; i < count; i++) {
        begin_ports(w, listeners[i].fresh);
        number_ports(w, listeners[i].key, (uint32_t)i);
    }
    quic_carriers_install(w, listeners, count);
    review_all(w, ret);
    if (before != NULL) {
        backend_pools_clear(before->pools);
        if (before->desk != NULL)
            cert_desk_forget(before->desk, NULL); /* who is left there may ask once more */
        worker_release(w, before);
    }
}

void worker_refresh(struct worker *w, struct snapshot *snap)
{
    struct review review; /* the log tells of each offer */
    CHECK_MAGIC(w, WORKER_MAGIC);
    struct epoch *before = w->epoch;
    CHECK(before != NULL && before->snap->config == snap->config);
    w->epoch = epoch_new(w, snap);
    review_all(w, &review);
    backend_pools_clear(before->pools);
    worker_release(w, before);
}

void worker_forget_certificates(struct worker *w, const char *name)
{
    CHECK_MAGIC(w, WORKER_MAGIC);
    if (w->epoch != NULL && w->epoch->desk != NULL)
        cert_desk_forget(w->epoch->desk, name);
}

/* ---- life ---- */

/* How long what others send us may take to come over, once their sessions have been closed. */
#define CROSSING_NS NSEC_PER_SEC

static void close_all(struct worker *w)
{
    while (!list_empty(&w->sessions)) /* one that ends may end others */
        session_kill(session_of_node(w->sessions.next), CLOSE_SHUTDOWN);
}

/* Those that have no route yet end, the others may finish. */
static void say_last_call(struct worker *w)
{
    for (struct list *n = w->sessions.next, *next; n != &w->sessions; n = next) {
        next = n->next;
        struct session *s = session_of_node(n);
        if (session_end_ready(s))
            continue;
        if (session_is_routed(s))
            session_drain(s);
        else
            session_kill(s, CLOSE_SHUTDOWN);
    }
}

static void on_last_call(struct timer *t)
{
    struct worker *w = CONTAINER_OF(t, struct worker, last_call);
    close_all(w);
    programs_end(&w->programs);
    if (w->called) {
        agents_break_off(w->agents);
        programs_kill(&w->programs);
    } else if (agents_busy(w->agents) || !list_empty(&w->programs))
        loop_set_timer(w->loop, &w->last_call, loop_now(w->loop) + CROSSING_NS);
    w->called = true;
    stop_when_empty(w);
}

int worker_init(struct worker *w, unsigned index, struct fellows *fellows, struct agents_hub *hub,
                struct admission *admission, const struct snapshot_shared *shared, struct sink_file *audit,
                struct err *err)
{
    *w = (struct worker){
        .magic = WORKER_MAGIC, .index = index, .fellows = fellows, .admission = admission, .shared = shared};
    list_init(&w->ports);
    list_init(&w->quic_ports);
    list_init(&w->sessions);
    list_init(&w->programs);
    review_init(w);
    timer_init(&w->last_call, on_last_call);
    timer_init(&w->last_words, on_last_words);
    pipe_scratch_init(&w->pipe_scratch, true);
    w->requests = pages_counts_new(shared);
    w->next_id = shared->first_id + index;
    w->loop = loop_new(err);
    tls_scratch_init(&w->tls_scratch, w->loop);
    w->quic_scratch = quic_scratch_new();
    sink_init(&w->sink, w->loop, audit);
    if (w->loop == NULL)
        return -1;
    struct link_home home = {.loop = w->loop, .tls = &w->tls_scratch};
    w->agents = agents_new(hub, index, &home, &w->pipe_scratch);
    agents_when_quiet(w->agents, on_quiet, w);
    w->resolver = resolver_new(w->loop, err);
    if (w->resolver == NULL)
        return -1;
    return 0;
}

void worker_drain(struct worker *w, int64_t deadline)
{
    CHECK_MAGIC(w, WORKER_MAGIC);
    if (w->draining) { /* told again: sooner */
        loop_set_timer(w->loop, &w->last_call, deadline);
        return;
    }
    while (!list_empty(&w->ports))
        port_free(CONTAINER_OF(w->ports.next, struct port, node));
    w->draining = true;
    quic_carriers_drain(w);
    if (w->epoch != NULL)
        backend_pools_clear(w->epoch->pools);
    say_last_call(w);
    loop_set_timer(w->loop, &w->last_call, deadline);
    stop_when_empty(w);
}

void worker_close(struct worker *w)
{
    if (w->magic != WORKER_MAGIC || w->loop == NULL)
        return;
    while (!list_empty(&w->ports))
        port_free(CONTAINER_OF(w->ports.next, struct port, node));
    close_all(w);
    programs_kill(&w->programs);
    quic_carriers_close(w);
    if (w->epoch != NULL)
        backend_pools_clear(w->epoch->pools);
    agents_break_off(w->agents);
}

bool worker_settle(struct worker *w)
{
    return w->magic == WORKER_MAGIC && w->loop != NULL && loop_settle(w->loop);
}

void worker_free(struct worker *w)
{
    if (w->magic != WORKER_MAGIC)
        return;
    agents_free(w->agents);
    sink_free(&w->sink);
    resolver_free(w->resolver);
    if (w->epoch != NULL)
        worker_release(w, w->epoch);
    tls_scratch_free(&w->tls_scratch);
    quic_scratch_free(w->quic_scratch);
    pipe_scratch_free(&w->pipe_scratch);
    free(w->requests);
    if (w->loop != NULL)
        loop_free(w->loop);
    w->magic = 0;
}
