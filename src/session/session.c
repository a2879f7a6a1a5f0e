/* SPDX-License-Identifier: Apache-2.0 */
/* The driver, deadlines, and the one teardown that every session goes through.
 *
 * Who may call session_run(): wake callbacks of the session's own links, its timer, its task. A step may
 * itself cause a wake (a write into a link that answers at once): `running` is set then, and the driver looks
 * again at the end of the round instead of recursing. What a wake from elsewhere must not do is run a session
 * from within another one's step, since that one may have bytes in the thread's scratch: hence
 * session_wake_dial().
 *
 * Who owns what: `down` from the start, `up` from the moment the dial has succeeded (before that the dial
 * owns it), `setup` until bytes flow, a place in admission from accept to teardown, a place on the route from
 * ROUTE and on the backend from the moment it was picked. teardown() gives each back exactly once, writes the
 * line, and puts freeing off to the end of the round, because an event that was already fetched may still
 * name a link of ours. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "net/socket.h"
#include "quic/quic.h"
#include "session/plan.h"
#include "session/programs.h"
#include "session/review.h"
#include "session/session_internal.h"
#include "session/standing.h"
#include "session/worker.h"
#include "starttls/relay.h"
#include "starttls/starttls.h"

#define LINGER_NS (2 * NSEC_PER_SEC) /* how long a client may take to read our last words */

enum deadline {
    DEADLINE_NONE,
    DEADLINE_HELLO,
    DEADLINE_MEET,
    DEADLINE_CERTIFICATE,
    DEADLINE_HANDSHAKE,
    DEADLINE_DIAL,
    DEADLINE_GREET,
    DEADLINE_IDLE,
    DEADLINE_LINGER
};

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

const char *session_state_word(enum session_state state)
{
    return states[state].word;
}

/* ---- deadlines ---- */

void session_deadline(struct session *s, int64_t ns)
{
    if (ns > 0)
        loop_set_timer(s->worker->loop, &s->timer, loop_now(s->worker->loop) + ns);
    else
        wheel_cancel(&s->timer);
}

/* How long a piping session may be silent: less once one side has ended. 0: for ever. */
static int64_t silence_limit(const struct session *s)
{
    int64_t idle = s->route->config->limits.idle_timeout, drain = session_limits(s)->drain_timeout;
    if (s->datagrams && (idle == 0 || session_limits(s)->udp_idle_timeout < idle))
        idle = session_limits(s)->udp_idle_timeout;
    if (!pipe_half_closed(&s->pipe) || drain == 0)
        return idle;
    return idle == 0 ? drain : MIN(idle, drain);
}

/* When a piping session should be looked at next: its idle or total limit, or the end of its client's
 * certificate, whichever is nearest. 0: never. */
static int64_t pipe_limit(const struct session *s)
{
    int64_t silence = silence_limit(s), age = s->route->config->limits.total_timeout;
    int64_t idle = silence > 0 ? s->when.active + silence : INT64_MAX;
    int64_t total = age > 0 ? s->when.accepted + age : INT64_MAX, nearer = MIN(idle, total);
    nearer = MIN(nearer, session_expiry(s));
    return nearer == INT64_MAX ? 0 : nearer;
}

/* Who is paused goes on then, unless a limit is nearer. */
void session_arm_pipe(struct session *s)
{
    int64_t next = pipe_limit(s);
    if (s->when.paused > 0 && (next == 0 || s->when.paused < next))
        next = s->when.paused;
    if (next > 0)
        loop_set_timer(s->worker->loop, &s->timer, next);
    else
        wheel_cancel(&s->timer);
}

/* A state was entered: what bounds it? States that share a kind of deadline share one run of it. */
static void arm(struct session *s, enum deadline before)
{
    enum deadline kind = states[s->state].deadline;
    if (kind == before)
        return;
    const struct config_limits *l = session_limits(s);
    switch (kind) {
    case DEADLINE_NONE:
        session_deadline(s, 0);
        if (s->state == SESSION_RESIDE)
            session_arm_expiry(s);
        break;
    case DEADLINE_HELLO:
        session_deadline(s, l->hello_timeout);
        break;
    case DEADLINE_MEET:
        session_deadline(s, s->epoch->snap->config->agents.grace);
        break;
    case DEADLINE_CERTIFICATE:
        session_deadline(s, l->certificate_timeout);
        break;
    case DEADLINE_HANDSHAKE:
        session_deadline(s, l->handshake_timeout);
        break;
    case DEADLINE_DIAL:
    case DEADLINE_GREET:
        session_share_deadline(s);
        break;
    case DEADLINE_LINGER:
        session_deadline(s, LINGER_NS);
        break;
    case DEADLINE_IDLE:
        s->when.active = loop_now(s->worker->loop);
        session_note_expiry(s);
        session_arm_pipe(s);
        break;
    }
}

static void pipe_expired(struct session *s)
{
    const struct config_route_limits *l = &s->route->config->limits;
    int64_t now = loop_now(s->worker->loop), limit = pipe_limit(s);
    if (l->total_timeout > 0 && now >= s->when.accepted + l->total_timeout)
        session_kill(s, CLOSE_TOTAL_TIMEOUT);
    else if (now >= session_expiry(s))
        session_kill(s, CLOSE_EXPIRED);
    else if (limit > 0 && now >= limit)
        session_kill(s, CLOSE_IDLE_TIMEOUT);
    else if (s->when.paused > 0 && now >= s->when.paused)
        session_run(s);
    else
        session_arm_pipe(s);
}

/* Does the step itself end what took too long, so that the client hears why? */
static bool is_owed_an_answer(enum deadline kind)
{
    return kind == DEADLINE_MEET || kind == DEADLINE_CERTIFICATE || kind == DEADLINE_DIAL ||
           kind == DEADLINE_GREET;
}

/* The client has not come to TLS. What it said is not told: it may be a password. */
static void tell_late(struct session *s)
{
    char text[STARTTLS_WAITING_MAX];
    const struct setup *p = s->setup;
    if (p == NULL)
        return;
    if (s->state == SESSION_PREAMBLE && p->talk.near != NULL)
        session_detail(s, starttls_run_waiting(p->talk.near, NULL, text));
    else if (s->state == SESSION_PREAMBLE && p->talk.relay != NULL)
        session_detail(s, starttls_run_waiting(starttls_relay_run(p->talk.relay), NULL, text));
    else if (s->state == SESSION_PEEK && p->talk.spoken == NULL && p->view.len == 0)
        session_detail(
            s, "the client said nothing; one that waits for a greeting needs a listener with 'speaks:'");
}

static void on_timer(struct timer *t)
{
    struct session *s = CONTAINER_OF(t, struct session, timer);
    CHECK_MAGIC(s, SESSION_MAGIC);
    if (s->state == SESSION_PIPE) {
        pipe_expired(s);
    } else if (s->state == SESSION_LINGER) {
        session_run(s);
    } else if (s->state == SESSION_RESIDE) {
        session_reside_expired(s);
    } else if (s->setup != NULL && is_owed_an_answer(states[s->state].deadline)) {
        s->setup->expired = true; /* there may be another address */
        session_run(s);
    } else {
        tell_late(s);
        session_kill(s, session_is_ready(s) ? CLOSE_UNUSED : states[s->state].late);
    }
}

/* ---- the driver ---- */

static void teardown(struct session *s);

uint32_t session_route_id(const struct session *s)
{
    return (uint32_t)(s->route - s->epoch->snap->routes);
}

const struct config_limits *session_limits(const struct session *s)
{
    return &s->epoch->snap->config->limits;
}

void session_say(struct session *s, struct link *to, const void *data, size_t len)
{
    struct buf *later = to == s->down ? &s->setup->say_down : &s->setup->say_up;
    size_t n = 0;
    enum link_status status = LINK_AGAIN;
    if (later->len == 0 && len > 0 && (status = link_write(to, data, len, &n)) != LINK_OK)
        n = 0; /* not now, or never: of the client the driver finds out */
    if (status == LINK_ERROR && to == s->up) {
        s->setup->unheard = true;
        return;
    }
    CHECK(buf_append(later, (const char *)data + n, len - n));
}

void session_say_all(struct session *s, struct link *to, struct buf *words)
{
    if (words->len > 0)
        session_say(s, to, words->data, words->len);
    buf_free(words);
}

/* Send what is left to say. */
static enum link_status say_rest(struct link *to, struct buf *later)
{
    return link_write_buf(to, later);
}

/* False when the step must wait until all is said, or the session has ended over it. A far side that breaks
 * meanwhile, or does not listen in time, is no end: what it was to hear is our own greeting, and the step
 * goes on from there. */
static bool may_step(struct session *s)
{
    struct setup *p = s->setup;
    if (p == NULL)
        return true;
    enum link_status status = say_rest(s->down, &p->say_down);
    if (status == LINK_ERROR) {
        session_end(s, CLOSE_CLIENT_RESET);
        s->state = SESSION_CLOSED;
    }
    if (status != LINK_OK || s->up == NULL || s->state == SESSION_DRAIN)
        return status == LINK_OK || (status == LINK_AGAIN && p->expired);
    status = say_rest(s->up, &p->say_up);
    p->unheard |= status == LINK_ERROR;
    return status != LINK_AGAIN || p->expired;
}

void session_run(struct session *s)
{
    CHECK_MAGIC(s, SESSION_MAGIC);
    if (s->running) { /* woken by something that a step did: look again when it is done */
        loop_defer(s->worker->loop, &s->again);
        return;
    }
    s->running = true;
    while (s->state != SESSION_CLOSED && may_step(s)) {
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

static void on_link_wake(struct link *l)
{
    session_run(l->owner);
}

void session_own(struct session *s, struct link *link)
{
    link->wake = on_link_wake;
    link->owner = s;
}

/* Not at once: a dial may be woken from within another session's step (the resolver answers several queries
 * when one of its sockets fails), and that step may have bytes in the thread's scratch. */
void session_wake_dial(void *owner)
{
    struct session *s = owner;
    loop_defer(s->worker->loop, &s->again);
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
        str_copy(s->setup->detail, sizeof(s->setup->detail), text,
                 strnlen(text, sizeof(s->setup->detail) - 1));
}

void session_kill(struct session *s, enum close_reason reason)
{
    CHECK_MAGIC(s, SESSION_MAGIC);
    CHECK(!s->running);
    session_end(s, reason);
    s->state = SESSION_CLOSED;
    teardown(s);
}

bool session_is_called(const struct session *s, uint64_t id, bool streams)
{
    return s->state != SESSION_LINGER && id == (streams ? s->carrier : s->id);
}

struct session *session_of_node(struct list *node)
{
    struct session *s = CONTAINER_OF(node, struct session, node);
    CHECK_MAGIC(s, SESSION_MAGIC);
    return s;
}

void session_drain(struct session *s)
{
    if (s->resident != NULL)
        s->resident->ops->drain(s->resident);
    visit_drain(s);
}

void session_review(struct session *s, struct review *sum)
{
    if (s->resident == NULL)
        return;
    sum->carriers += s->resident->ops->transport != NULL;
    if (s->resident->ops->review != NULL)
        review_soon(s->worker, s->resident);
}

void resident_wake(struct resident *r)
{
    loop_defer(r->landlord->worker->loop, &r->landlord->again);
}

bool session_is_routed(const struct session *s)
{
    return s->route != NULL;
}

bool session_end_ready(struct session *s)
{
    if (!session_is_ready(s))
        return false;
    session_kill(s, CLOSE_UNUSED);
    return true;
}

void session_keep_descriptors(struct session *s, size_t n)
{
    CHECK(n <= s->descriptors);
    admission_release(s->worker->admission, s->descriptors - n);
    s->descriptors = n;
}

/* ---- another configuration ---- */

void session_catch_up(struct session *s)
{
    struct worker *w = s->worker;
    uint32_t listener;
    CHECK(s->route == NULL);
    if (s->setup->talk.spoken != NULL) /* by a script of the configuration that it began in */
        return;
    if (s->epoch == w->epoch || !standing_listener(s->epoch->snap, s->listener, w->epoch->snap, &listener))
        return;
    struct epoch *before = s->epoch;
    s->epoch = worker_hold(w, w->epoch);
    s->listener = listener;
    worker_release(w, before);
}

bool session_renew(struct session *s, struct standing *st, const struct hello_note *hello)
{
    struct link_peer peer;
    struct route_stats *before = s->route->stats; /* the route may go with its configuration */
    link_peer(s->down, &peer);
    st->epoch = s->epoch;
    st->route = s->route;
    st->listener = s->listener;
    if (st->proven == 0)
        st->proven = s->when.opened;
    bool udp = s->transport != NULL; /* a stream that has not said yet what it wants */
    bool welcome = standing_renew(st, s->worker, hello, &peer, udp);
    if (st->route->stats != before) {
        atomic_fetch_sub_explicit(&before->live, 1, memory_order_relaxed);
        atomic_fetch_add_explicit(&st->route->stats->live, 1, memory_order_relaxed);
    }
    s->epoch = st->epoch;
    s->route = st->route;
    s->listener = st->listener;
    return welcome;
}

/* ---- beginning ---- */

bool session_enter_route(struct session *s, const struct route_runtime *route)
{
    size_t limit = route->config->limits.connections;
    uint32_t before = atomic_fetch_add_explicit(&route->stats->live, 1, memory_order_relaxed);
    s->route = route;
    counter_add(&worker_counters(s->worker, route->stats)->n[COUNTER_CONNECTIONS], 1);
    return limit == 0 || before < limit;
}

static struct session *session_new(struct worker *w, struct epoch *epoch, struct link *link,
                                   uint32_t listener, const struct net_addr *peer)
{
    struct session *s = calloc(1, sizeof(*s));
    struct setup *setup = calloc(1, sizeof(*setup));
    CHECK(s != NULL && setup != NULL);
    s->magic = SESSION_MAGIC;
    s->worker = w;
    s->epoch = worker_hold(w, epoch);
    s->listener = listener;
    s->id = worker_next_id(w);
    s->peer = *peer;
    s->setup = setup;
    list_init(&setup->visit.waiter.node);
    certify_init(s);
    s->when.accepted = s->when.active = loop_now(w->loop);
    s->down = link;
    session_own(s, link);
    timer_init(&s->timer, on_timer);
    task_init(&s->again, on_again);
    worker_joined(w, &s->node);
    return s;
}

void session_start(struct worker *w, struct link *link, uint32_t listener, const struct net_addr *peer)
{
    struct session *s = session_new(w, w->epoch, link, listener, peer);
    s->descriptors = SESSION_FDS;
    session_deadline(s, session_limits(s)->hello_timeout);
    session_run(s);
}

/* Each costs who makes up addresses one datagram, so they have a limit of their own, and those turned away no
 * audit line. */
static bool admit_unproven(struct worker *w, struct link *link, const struct session_origin *o)
{
    const struct snapshot *snap = o->epoch->snap;
    size_t limit = snap->config->limits.connections;
    bool reserved = !w->draining && admission_reserve(w->admission, FAR_FDS, snap->descriptor_limit);
    if (reserved && admission_enter_unproven(w->admission, limit, MAX(limit / 2, (size_t)1)))
        return true;
    if (reserved)
        admission_release(w->admission, FAR_FDS);
    link_close(link, true);
    counter_add(&worker_counters(w, snap->door)->reason[w->draining ? CLOSE_SHUTDOWN : CLOSE_LIMIT_TOTAL], 1);
    return false;
}

/* May another connection of that origin begin? Else it is turned away with an audit line. */
static bool admit(struct worker *w, struct link *link, const struct session_origin *o, size_t descriptors)
{
    if (o->unproven)
        return admit_unproven(w, link, o);
    const struct snapshot *snap = o->epoch->snap;
    enum admission_verdict verdict = worker_admit(w, snap, o->peer, descriptors);
    if (verdict == ADMIT_OK && !w->draining)
        return true;
    if (verdict == ADMIT_OK) /* whoever takes the door's place may serve it */
        quic_stream_set_code(link_bottom(link), CLOSE_CODE_NOT_BEGUN);
    link_close(link, true);
    if (verdict == ADMIT_OK) {
        admission_leave(w->admission, o->peer);
        admission_release(w->admission, descriptors);
    }
    session_refused(w, o,
                    verdict == ADMIT_OK         ? CLOSE_SHUTDOWN
                    : verdict == ADMIT_TOO_MANY ? CLOSE_LIMIT_TOTAL
                                                : CLOSE_LIMIT_SOURCE);
    return false;
}

/* Begin in that state, on the origin's route. */
static void begin_at(struct session *s, enum session_state state, const struct route_runtime *route)
{
    s->state = state;
    if (session_enter_route(s, route))
        session_run(s);
    else
        session_kill(s, CLOSE_LIMIT_ROUTE);
}

void session_start_stream(struct worker *w, struct link *link, const struct session_origin *o)
{
    if (!admit(w, link, o, FAR_FDS))
        return;
    struct session *s = session_new(w, o->epoch, link, o->listener, o->peer);
    s->descriptors = FAR_FDS;
    s->carrier = o->carrier;
    s->transport = o->transport;
    s->setup->hello = *o->hello;
    s->setup->front = o->front;
    if (o->request != NULL)
        s->setup->request = *o->request;
    if (o->why != NULL) {
        s->setup->refused = o->refused;
        session_detail(s, o->why);
    }
    s->when.routed = s->when.opened = s->when.accepted;
    session_deadline(s, session_limits(s)->handshake_timeout);
    begin_at(s, SESSION_AUTHORISE, o->route);
}

void session_start_visit(struct worker *w, struct link *link, const struct session_origin *o)
{
    const struct offer *offer = o->visits;
    size_t descriptors = o->unproven ? FAR_FDS : SESSION_FDS; /* flows over UDP share the port's socket */
    if (!admit(w, link, o, descriptors))
        return;
    struct session *s = session_new(w, o->epoch, link, o->listener, o->peer);
    s->descriptors = descriptors;
    s->when.routed = s->when.accepted;
    s->unproven = o->unproven;
    session_visit(s, offer->name, OFFER_PUBLIC);
    s->setup->visit.port = offer->port;
    s->setup->visit.udp = offer->udp;
    session_offer_target(offer, s->setup->target, sizeof(s->setup->target));
    session_deadline(s, session_limits(s)->dial_timeout);
    begin_at(s, SESSION_DIAL, o->route);
}

/* ---- the end ---- */

static void talk_free(struct talk *t)
{
    starttls_run_free(t->near);
    starttls_run_free(t->far);
    starttls_relay_free(t->relay);
    if (t->scripts != NULL)
        plan_unref(t->scripts);
    buf_free(&t->far_bytes);
}

static void setup_free(struct session *s)
{
    if (s->setup == NULL)
        return;
    dial_cancel(&s->setup->dial);
    visit_cancel(s);
    certify_cancel(s);
    talk_free(&s->setup->talk);
    challenge_free(s->setup->challenge);
    buf_free(&s->setup->bytes);
    buf_free(&s->setup->say_down);
    buf_free(&s->setup->say_up);
    ech_attempt_end(&s->setup->ech);
    free(s->setup);
    s->setup = NULL;
}

void session_settle(struct session *s)
{
    struct buf notes = {0};
    for (int i = 0; i < NOTES; i++) {
        struct str text = session_note(s, (enum note)i);
        s->note_len[i] = (uint16_t)text.len;
        CHECK(buf_append(&notes, text.p, text.len));
    }
    s->offers = s->setup->hello.offers;
    s->notes = notes.len == 0 ? NULL : realloc(notes.data, notes.len);
    CHECK(s->notes != NULL || notes.len == 0);
    setup_free(s);
}

static void session_free(struct task *t)
{
    struct session *s = CONTAINER_OF(t, struct session, again);
    s->magic = 0;
    free(s);
}

/* May the client take what it got for all there is? So where both sides ended, and where it was told how it
 * is: by its front, by an alert, by a resident. */
static bool ends_in_order(const struct session *s)
{
    return s->told || s->resident != NULL || close_reason_alert(s->reason) == IN_ORDER;
}

/* A client without TLS that is to be reset, but has yet to get what was written to it before: a reset would
 * take that back, and an end in order would hide that there was more. */
static bool must_linger(const struct session *s)
{
    return !ends_in_order(s) && s->linger_by == 0 && link_bottom(s->down) == s->down &&
           socket_unsent(link_socket(s->down)) > 0;
}

/* Tell of it, and give back all but the client's link and the session's place. */
static void settle_accounts(struct session *s)
{
    programs_tell(s);
    session_write_audit(s);
    session_count(s);
    pipe_free(&s->pipe);
    /* A client that went without an end of its own may have had more to say */
    link_close(s->up, !ends_in_order(s) || (s->reason == CLOSE_DONE && s->broken != NULL));
    s->up = NULL;
    programs_leave(s);
    if (s->backend != NULL)
        backend_release(s->backend);
    if (s->agent != NULL)
        agent_exit(s->agent);
    agent_unref(s->agent);
    s->backend = NULL;
    s->agent = NULL;
    setup_free(s);
}

/* Where the transport has words of ours for it. HTTP/3 has its own, and says them when its link is closed. */
static void say_why(struct session *s)
{
    uint64_t code = close_reason_code(s->reason);
    if (code != 0)
        quic_stream_set_code(link_bottom(s->down), code);
    link_refuse(s->down, close_reason_alert(s->reason));
}

static void close_down(struct session *s)
{
    if (s->resident != NULL) {
        list_remove(&s->resident->unreviewed);
        s->resident->ops->close(s->resident);
    }
    if (s->spare_for != NULL) {
        agents_bring(s->worker->agents, s->spare_for, s->down);
    } else if (ends_in_order(s)) {
        link_close(s->down, false);
    } else {
        say_why(s);
        s->linger_by > 0 ? link_close(s->down, true) : link_cut(s->down);
    }
    s->down = NULL;
    session_forget_further(s);
    agent_unref(s->spare_for);
}

/* The audit line tells how a program exited, which is seen a moment after the end of its connection. */
static bool must_reap(const struct session *s)
{
    return !s->reaped && s->setup == NULL && !s->worker->draining && programs_awaited(s);
}

static void teardown(struct session *s)
{
    struct worker *w = s->worker;
    CHECK(s->state == SESSION_CLOSED);
    wheel_cancel(&s->timer);
    list_remove(&s->again.node);
    if (must_reap(s)) {
        s->reaped = true;
        s->state = SESSION_REAP;
        session_deadline(s, SESSION_REAP_NS);
        session_run(s);
        return;
    }
    if (s->linger_by == 0)
        settle_accounts(s);
    if (must_linger(s)) {
        s->linger_by = loop_now(w->loop) + LINGER_NS;
        s->state = SESSION_LINGER;
        session_run(s);
        return;
    }
    close_down(s);
    free(s->notes);
    const struct net_addr nobody = {0};
    session_keep_descriptors(s, 0);
    if (s->unproven)
        admission_leave_unproven(w->admission);
    else
        admission_leave(w->admission, s->uncounted ? &nobody : &s->peer);
    w->last = s->reason;
    worker_left(w, &s->node);
    worker_release(w, s->epoch);
    task_init(&s->again, session_free); /* a link that wakes in this round may still name the session */
    loop_defer(w->loop, &s->again);
}
