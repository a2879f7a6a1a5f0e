/* SPDX-License-Identifier: Apache-2.0 */
/* The driver, deadlines, and the one teardown that every session goes through. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "audit/record.h"
#include "base/clock.h"
#include "session/session_internal.h"

#define LINGER_NS (2 * NSEC_PER_SEC) /* how long a client may take to read our last words */

enum deadline { DEADLINE_HELLO, DEADLINE_HANDSHAKE, DEADLINE_DIAL, DEADLINE_IDLE, DEADLINE_LINGER };

static const struct {
    enum session_state (*step)(struct session *);
    const char *word;
    enum deadline deadline;
    enum close_reason late;
} states[] = {
#define X(name, step, word, deadline, reason) {step, word, deadline, reason},
#include "tables/states.def"
#undef X
};

/* ---- deadlines ---- */

void session_deadline(struct session *s, int64_t ns)
{
    if (ns > 0)
        loop_set_timer(s->worker->loop, &s->timer, loop_now(s->worker->loop) + ns);
    else
        wheel_cancel(&s->timer);
}

/* When a piping session should be looked at next: its idle or total limit, whichever is nearer. 0: never. */
static int64_t pipe_limit(const struct session *s)
{
    const struct config_route_limits *l = &s->route->config->limits;
    int64_t idle = l->idle_timeout > 0 ? s->active + l->idle_timeout : INT64_MAX;
    int64_t total = l->total_timeout > 0 ? s->accepted + l->total_timeout : INT64_MAX;
    return MIN(idle, total) == INT64_MAX ? 0 : MIN(idle, total);
}

/* A state was entered: what bounds it? States that share a kind of deadline share one run of it. */
static void arm(struct session *s, enum deadline before)
{
    enum deadline kind = states[s->state].deadline;
    if (kind == before)
        return;
    const struct config_limits *l = session_limits(s);
    switch (kind) {
    case DEADLINE_HELLO:
        session_deadline(s, l->hello_timeout);
        break;
    case DEADLINE_HANDSHAKE:
        session_deadline(s, l->handshake_timeout);
        break;
    case DEADLINE_DIAL:
        session_deadline(s, s->route->config->limits.dial_timeout);
        break;
    case DEADLINE_LINGER:
        session_deadline(s, LINGER_NS);
        break;
    case DEADLINE_IDLE:
        s->active = loop_now(s->worker->loop);
        if (pipe_limit(s) > 0)
            loop_set_timer(s->worker->loop, &s->timer, pipe_limit(s));
        else
            wheel_cancel(&s->timer);
        break;
    }
}

static void pipe_expired(struct session *s)
{
    const struct config_route_limits *l = &s->route->config->limits;
    int64_t now = loop_now(s->worker->loop);
    if (l->total_timeout > 0 && now >= s->accepted + l->total_timeout)
        session_kill(s, CLOSE_TOTAL_TIMEOUT);
    else if (now >= pipe_limit(s))
        session_kill(s, CLOSE_IDLE_TIMEOUT);
    else
        loop_set_timer(s->worker->loop, &s->timer, pipe_limit(s));
}

static void on_timer(struct timer *t)
{
    struct session *s = CONTAINER_OF(t, struct session, timer);
    CHECK_MAGIC(s, SESSION_MAGIC);
    if (s->state == SESSION_PIPE) {
        pipe_expired(s);
    } else if (s->setup != NULL && states[s->state].deadline == DEADLINE_DIAL) {
        s->setup->expired = true; /* there may be another address, and the client is owed an answer */
        session_run(s);
    } else {
        session_kill(s, states[s->state].late);
    }
}

/* ---- the driver ---- */

static void teardown(struct session *s);

void session_run(struct session *s)
{
    CHECK_MAGIC(s, SESSION_MAGIC);
    if (s->running) { /* woken by something that a step did: look again when it is done */
        loop_defer(s->worker->loop, &s->again);
        return;
    }
    s->running = true;
    while (s->state != SESSION_CLOSED) {
        enum session_state next = states[s->state].step(s);
        if (next == s->state)
            break;
        enum deadline before = states[s->state].deadline;
        s->state = next;
        if (next != SESSION_CLOSED)
            arm(s, before);
    }
    s->running = false;
    if (s->state == SESSION_CLOSED)
        teardown(s);
    else if (s->setup != NULL)
        setup_keep(s);
}

static void on_again(struct task *t)
{
    session_run(CONTAINER_OF(t, struct session, again));
}

void session_wake_link(struct link *l)
{
    session_run(l->owner);
}

void session_wake_dial(void *owner)
{
    session_run(owner);
}

enum session_state session_end(struct session *s, enum close_reason reason)
{
    if (s->reason == CLOSE_DONE)
        s->reason = reason;
    return SESSION_CLOSED;
}

void session_detail(struct session *s, const char *text)
{
    if (s->setup != NULL && s->setup->detail[0] == '\0')
        str_copy(s->setup->detail, sizeof(s->setup->detail), text, strlen(text));
}

void session_kill(struct session *s, enum close_reason reason)
{
    CHECK_MAGIC(s, SESSION_MAGIC);
    CHECK(!s->running);
    session_end(s, reason);
    s->state = SESSION_CLOSED;
    teardown(s);
}

struct session *session_of_node(struct list *node)
{
    struct session *s = CONTAINER_OF(node, struct session, node);
    CHECK_MAGIC(s, SESSION_MAGIC);
    return s;
}

bool session_is_routed(const struct session *s)
{
    return s->route != NULL;
}

/* ---- beginning ---- */

void session_start(struct worker *w, struct link *link, uint32_t listener, const struct net_addr *peer)
{
    struct session *s = calloc(1, sizeof(*s));
    struct setup *setup = calloc(1, sizeof(*setup));
    CHECK(s != NULL && setup != NULL);
    s->magic = SESSION_MAGIC;
    s->worker = w;
    s->epoch = worker_hold(w);
    s->listener = listener;
    s->id = w->next_id++;
    s->peer = *peer;
    s->setup = setup;
    s->accepted = s->active = loop_now(w->loop);
    s->down = link;
    link->wake = session_wake_link;
    link->owner = s;
    timer_init(&s->timer, on_timer);
    task_init(&s->again, on_again);
    worker_joined(w, &s->node);
    session_deadline(s, session_limits(s)->hello_timeout);
    session_run(s);
}

/* ---- what is told about it ---- */

static const char *note(const struct session *s, enum note which)
{
    const struct setup *p = s->setup;
    if (p != NULL)
        return which == NOTE_SNI   ? p->sni
               : which == NOTE_JA4 ? p->ja4
                                   : ""; /* the others have lengths or numbers: see fill_record() */
    const char *at = s->notes;
    for (int i = 0; i < (int)which; i++)
        at += strlen(at) + 1;
    return at;
}

/* "host:port" of the target, in `text`; empty when there is none. */
static const char *target_text(const struct session *s, struct buf *text)
{
    const struct front_target *t = &s->setup->request.target;
    if (t->port != 0)
        str_host_port_put(text, t->host, t->port);
    return buf_text(text);
}

static const char *version_name(uint16_t version)
{
    return version == 0x0304 ? "1.3" : version == 0x0303 ? "1.2" : NULL;
}

static void record_tls(const struct session *s, struct audit_record *r)
{
    struct tls_facts facts;
    if (!tls_link_facts(s->down, &facts) || s->opened == 0)
        return;
    r->tls = true;
    r->version = version_name(facts.version);
    r->group = facts.group_name;
    r->cipher = facts.cipher;
    r->resumed = facts.resumed;
    r->alpn = facts.alpn;
    r->identity = facts.identity == NULL ? NULL : identity_label(facts.identity);
    r->handshake_ns = s->opened - s->routed;
}

static void write_audit(struct session *s)
{
    struct worker *w = s->worker;
    const struct config *c = s->epoch->snap->config;
    char peer[NET_ADDR_TEXT_MAX];
    struct buf target = {0};
    struct audit_record r = {
        .time = clock_wall(),
        .id = s->id,
        .listener = c->listeners.v[s->listener].name.text,
        .peer = net_addr_format(&s->peer, peer),
        .sni = note(s, NOTE_SNI),
        .route = s->route == NULL ? NULL : s->route->config->name.text,
        .action = s->route == NULL ? NULL : config_action_name(s->route->config->action),
        .ja4 = note(s, NOTE_JA4),
        .backend = s->last == NULL ? NULL : s->last->key,
        .bytes_in = s->down->bytes_read,
        .bytes_out = s->down->bytes_written,
        .handshake_ns = -1,
        .total_ns = loop_now(w->loop) - s->accepted,
        .reason = s->reason,
    };
    if (s->setup != NULL) {
        r.alpn = (struct str){s->setup->alpn, s->setup->alpn_len};
        r.target = target_text(s, &target);
        r.rule = s->setup->rule;
        r.detail = s->setup->detail;
    } else {
        r.alpn = (struct str){note(s, NOTE_ALPN), strlen(note(s, NOTE_ALPN))};
        r.target = note(s, NOTE_TARGET);
    }
    record_tls(s, &r);
    audit_format(sink_lines(&w->sink), &r);
    sink_commit(&w->sink);
    buf_free(&target);
}

void session_refused(struct worker *w, uint32_t listener, const struct net_addr *peer,
                     enum close_reason reason)
{
    char text[NET_ADDR_TEXT_MAX];
    struct snapshot *snap = w->epoch->snap;
    struct audit_record r = {
        .time = clock_wall(),
        .id = w->next_id++,
        .listener = snap->config->listeners.v[listener].name.text,
        .peer = peer == NULL ? NULL : net_addr_format(peer, text),
        .handshake_ns = -1,
        .reason = reason,
    };
    counter_add(&worker_counters(w, snap->door)->reason[reason], 1);
    audit_format(sink_lines(&w->sink), &r);
    sink_commit(&w->sink);
}

static void count(struct session *s)
{
    struct route_stats *stats = s->route != NULL ? s->route->stats : s->epoch->snap->door;
    struct counters *c = worker_counters(s->worker, stats);
    counter_add(&c->reason[s->reason], 1);
    counter_add(&c->n[COUNTER_BYTES_IN], s->down->bytes_read);
    counter_add(&c->n[COUNTER_BYTES_OUT], s->down->bytes_written);
    counter_add(&c->n[COUNTER_SECONDS_NS], (uint64_t)(loop_now(s->worker->loop) - s->accepted));
    if (s->route != NULL)
        atomic_fetch_sub_explicit(&s->route->stats->live, 1, memory_order_relaxed);
}

bool session_json(const struct session *s, struct buf *out)
{
    char id[AUDIT_ID_MAX], peer[NET_ADDR_TEXT_MAX];
    struct tls_facts facts;
    tls_link_facts(s->down, &facts);
    bool ok = buf_printf(out, "{\"id\":\"%s\",\"peer\":\"%s\",\"state\":\"%s\",\"route\":",
                         audit_id_text(s->id, id), net_addr_format(&s->peer, peer), states[s->state].word);
    const char *route = s->route == NULL ? "" : s->route->config->name.text;
    const char *sni = note(s, NOTE_SNI), *target = note(s, NOTE_TARGET);
    const char *identity = facts.identity == NULL ? "" : identity_label(facts.identity);
    ok = ok && str_json(out, route, strlen(route)) && buf_printf(out, ",\"sni\":") &&
         str_json(out, sni, strlen(sni)) && buf_printf(out, ",\"identity\":") &&
         str_json(out, identity, strlen(identity)) && buf_printf(out, ",\"target\":") &&
         str_json(out, target, strlen(target));
    return ok &&
           buf_printf(out, ",\"in\":%llu,\"out\":%llu,\"seconds\":%.3f}",
                      (unsigned long long)s->down->bytes_read, (unsigned long long)s->down->bytes_written,
                      (double)(loop_now(s->worker->loop) - s->accepted) / NSEC_PER_SEC);
}

/* ---- the end ---- */

static void setup_free(struct session *s)
{
    if (s->setup == NULL)
        return;
    dial_cancel(&s->setup->dial);
    buf_free(&s->setup->bytes);
    free(s->setup);
    s->setup = NULL;
}

void session_settle(struct session *s)
{
    struct setup *p = s->setup;
    struct buf notes = {0}, target = {0};
    const char *text = target_text(s, &target);
    CHECK(p != NULL && buf_append(&notes, p->sni, strlen(p->sni) + 1) &&
          buf_append(&notes, p->alpn, p->alpn_len) && buf_append(&notes, "", 1) &&
          buf_append(&notes, p->ja4, strlen(p->ja4) + 1) && buf_append(&notes, text, strlen(text) + 1));
    s->notes = realloc(notes.data, notes.len);
    CHECK(s->notes != NULL);
    buf_free(&target);
    setup_free(s);
}

static void session_free(struct task *t)
{
    struct session *s = CONTAINER_OF(t, struct session, again);
    s->magic = 0;
    free(s);
}

/* Did the session end so that the far side may take what it got for the whole? */
static bool is_clean(enum close_reason reason)
{
    return reason == CLOSE_DONE || reason == CLOSE_REJECTED || reason == CLOSE_DENIED;
}

static void teardown(struct session *s)
{
    struct worker *w = s->worker;
    CHECK(s->state == SESSION_CLOSED);
    wheel_cancel(&s->timer);
    list_remove(&s->again.node);
    write_audit(s);
    count(s);
    pipe_free(&s->pipe);
    link_close(s->up, !is_clean(s->reason));
    link_close(s->down, s->route != NULL && s->up != NULL && !is_clean(s->reason));
    s->up = s->down = NULL;
    if (s->backend != NULL)
        backend_release(s->backend);
    setup_free(s);
    free(s->notes);
    const struct net_addr nobody = {0};
    admission_leave(w->admission, s->uncounted ? &nobody : &s->peer);
    worker_left(w, &s->node);
    worker_release(w, s->epoch);
    task_init(&s->again, session_free); /* a link that wakes in this round may still name the session */
    loop_defer(w->loop, &s->again);
}
