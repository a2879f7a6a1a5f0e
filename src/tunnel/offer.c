/* SPDX-License-Identifier: Apache-2.0 */
/* Over QUIC a visitor gets a fresh stream of the agent's connection. Over TCP he gets a connection that the
 * agent has brought ready; a few are kept, more are asked for while visitors wait. */
#include "tunnel/offer.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "link/fd_link.h"
#include "mux/agents.h"
#include "net/acceptor.h"
#include "net/socket.h"
#include "net/udp.h"
#include "quic/flow_link.h"
#include "quic/quic.h"
#include "session/admission.h"
#include "session/resident.h"
#include "session/routing.h"
#include "session/session.h"
#include "session/worker.h"
#include "tunnel/agent_wire.h"
#include "tunnel/offer_advice.h"
#include "tunnel/udp_port.h"
#include "tunnel/wire.h"

#define OFFER_MAGIC 0x0ffe4000u
#define READ_ROOM 4096
#define SILENCE_NS (15 * NSEC_PER_SEC) /* then we give a sign of life, over TCP */
#define DEAD_NS (45 * NSEC_PER_SEC)    /* of silence, after which the agent is gone */
#define ID_LIFE_NS (60 * NSEC_PER_SEC)
#define SOON_NS NSEC_PER_SEC          /* in which an agent brings a connection, where nothing is wrong */
#define READ_TURN 16                  /* reads of a control stream before others have a turn */
#define UNSENT_MAX (64 * 1024)        /* bytes that an agent may leave unread */
#define FLOW_WAITS_MAX (16 * 1024)    /* bytes of a flow that wait for the agent; strangers begin flows */
#define GOODBYE_NS (2 * NSEC_PER_SEC) /* for an agent to read that its offer is withdrawn */
#define REOPEN_NS (2 * NSEC_PER_SEC)  /* between tries to have a port that another one has */
#define WAITING_MAX 1024              /* visitors who wait for a connection of the agent */
#define SPARES_KEPT 2                 /* connections that wait for visitors */
#define CROWDED_PARTS 4               /* where three of four places at the door are taken none are kept */
#define CLOSED_TEXT "the agent closed its control stream in the middle of a message"

/* A connection that waits for a visitor. */
struct spare {
    struct list node;
    struct offer_life *offer;
    struct link *link;
};

/* A port of the door that leads to the name. */
struct offer_port {
    struct acceptor acceptor;
    struct offer_life *offer;
    struct task free_later;
};

struct offer_life {
    struct resident resident;
    uint32_t magic;
    struct worker *worker;
    struct link *link;            /* the control stream */
    struct agent *agent;          /* NULL once it is withdrawn */
    struct session_origin origin; /* for visitors at the port; the epoch is the landlord's hold */
    struct net_addr peer;
    struct hello_note *hello;
    struct buf in, out;
    struct list spares; /* struct spare */
    size_t spare_count;
    struct list waiting; /* errands that wait for a spare */
    size_t waiting_count;
    struct offer_port *port;
    struct udp_port *udp_port;
    struct timer timer;
    struct timer reopen; /* until the port can be had */
    int64_t heard;
    bool over_streams;
    bool draining;
    bool begun;    /* the first spares have been asked for */
    bool stops;    /* the agent has said so */
    bool late;     /* it does not take leave */
    bool portless; /* the port could not be had */
    char *detail;  /* how it ended */
};

static struct offer_life *offer_of(struct resident *r)
{
    struct offer_life *o = CONTAINER_OF(r, struct offer_life, resident);
    CHECK_MAGIC(o, OFFER_MAGIC);
    return o;
}

static int64_t now_of(const struct offer_life *o)
{
    return loop_now(o->worker->loop);
}

/* ---- what we say ---- */

static void say(struct offer_life *o, const struct wire_control *control)
{
    CHECK(wire_encode_control(control, &o->out));
    resident_wake(&o->resident);
}

/* ---- places ---- */

/* What an offer holds beside its own connection, which may be for long, counts as connections do: the limit
 * is there so that descriptors suffice. */
static bool take_place(const struct offer_life *o)
{
    const struct net_addr nobody = {0};
    size_t limit = o->origin.epoch->snap->connection_limit;
    return admission_enter(o->worker->admission, &nobody, limit, SIZE_MAX) == ADMIT_OK;
}

static void give_place(const struct offer_life *o)
{
    const struct net_addr nobody = {0};
    admission_leave(o->worker->admission, &nobody);
}

static bool is_crowded(const struct offer_life *o)
{
    size_t part = o->origin.epoch->snap->connection_limit / CROWDED_PARTS;
    return admission_total(o->worker->admission) >= part * (CROWDED_PARTS - 1);
}

/* ---- connections for visitors over TCP ---- */

/* The visitor who waits longest; those who have gone are let go. NULL: nobody waits. */
static struct errand *first_waiting(struct offer_life *o)
{
    for (struct list *n = o->waiting.next, *next; n != &o->waiting; n = next) {
        struct errand *e = errand_of_node(n);
        next = n->next;
        if (!errand_is_void(e))
            return e;
        o->waiting_count--;
        errand_fail(e);
    }
    return NULL;
}

/* How many ids are out that were granted so lately. */
static size_t coming(const struct offer_life *o, int64_t lately)
{
    return agent_grants_out(o->agent, now_of(o) + ID_LIFE_NS - lately);
}

static size_t lacks(size_t wanted, size_t have)
{
    return wanted > have ? wanted - have : 0;
}

/* Have as many ready or coming as are kept, and one for each visitor that waits; what ought to have come for
 * him by now is no longer counted on. An id that is not used in time is replaced. */
static void ask_for_spares(struct offer_life *o)
{
    struct wire_control control = {0};
    size_t kept = is_crowded(o) ? 0 : SPARES_KEPT, waiting = MIN(o->waiting_count, (size_t)OFFER_IDS_MAX);
    if (o->over_streams || o->draining || o->agent == NULL)
        return;
    size_t more = MAX(lacks(kept + waiting, o->spare_count + coming(o, ID_LIFE_NS)),
                      lacks(waiting, o->spare_count + coming(o, SOON_NS)));
    for (; more > 0 && control.spares < OFFER_IDS_MAX; more--, control.spares++)
        if (!agent_grant(o->agent, now_of(o), now_of(o) + ID_LIFE_NS, control.spare[control.spares]))
            break;
    if (control.spares > 0)
        say(o, &control);
}

static void on_timer(struct timer *t)
{
    struct offer_life *o = CONTAINER_OF(t, struct offer_life, timer);
    o->late = o->agent == NULL;
    if (o->late) {
        resident_wake(&o->resident);
        return;
    }
    say(o, &(struct wire_control){0});
    ask_for_spares(o); /* for ids that nobody has used in time */
    loop_set_timer(o->worker->loop, &o->timer, now_of(o) + (o->waiting_count > 0 ? SOON_NS : SILENCE_NS));
}

static struct link *spare_take(struct spare *s)
{
    struct link *link = s->link;
    give_place(s->offer);
    list_remove(&s->node);
    s->offer->spare_count--;
    free(s);
    return link;
}

/* An agent says nothing before it is told of a visitor: a connection that wakes has ended. */
static void on_spare_wake(struct link *l)
{
    struct spare *s = l->owner;
    struct offer_life *o = s->offer;
    uint8_t byte;
    size_t n;
    if (link_read(l, &byte, 1, &n) == LINK_AGAIN)
        return;
    link_close(spare_take(s), true);
    ask_for_spares(o);
}

static void on_brought(void *owner, struct link *link)
{
    struct offer_life *o = owner;
    CHECK_MAGIC(o, OFFER_MAGIC);
    struct errand *waiting = link == NULL ? NULL : first_waiting(o);
    if (waiting != NULL) {
        o->waiting_count--;
        errand_give(waiting, link);
    } else if (link != NULL && (is_crowded(o) || !take_place(o))) {
        link_close(link, false); /* many were asked for at once */
    } else if (link != NULL) {
        struct spare *s = calloc(1, sizeof(*s));
        CHECK(s != NULL);
        *s = (struct spare){.offer = o, .link = link};
        socket_watch_peer(link_socket(link_bottom(link)));
        link->wake = on_spare_wake;
        link->owner = s;
        list_insert(&o->spares, &s->node);
        o->spare_count++;
        on_spare_wake(link); /* what came while it was moved made no wake */
    }
    ask_for_spares(o);
}

/* ---- visitors ---- */

static bool takes_datagrams(struct str answer)
{
    struct wire_answer a;
    size_t used;
    return wire_parse_answer((const uint8_t *)answer.p, answer.len, &a, &used, NULL) == WIRE_OK &&
           a.datagrams;
}

/* A fresh stream of the agent's connection; NULL when there is none to be had. It becomes a flow here and not
 * at the visitor, who may be on another worker, where it leads to him in frames. */
static struct link *open_stream(const struct offer_life *o)
{
    struct link *link = link_branch(o->link);
    if (link != NULL && agent_offer(o->agent)->udp && quic_stream_datagram_max(link) > 0)
        return flow_link_greeting(link, takes_datagrams);
    return link;
}

/* Room for one more? Those at the front who have gone make some. */
static bool may_wait(struct offer_life *o)
{
    first_waiting(o);
    return o->waiting_count < WAITING_MAX;
}

static void add_waiting(struct offer_life *o, struct errand *e)
{
    list_insert(&o->waiting, errand_node(e));
    if (o->waiting_count++ == 0)
        loop_set_timer(o->worker->loop, &o->timer, now_of(o) + SOON_NS);
}

static void on_wanted(void *owner, struct errand *e)
{
    struct offer_life *o = owner;
    CHECK_MAGIC(o, OFFER_MAGIC);
    struct link *link = NULL;
    if (!list_empty(&o->spares))
        link = spare_take(CONTAINER_OF(o->spares.next, struct spare, node));
    else if (o->over_streams)
        link = open_stream(o);
    o->resident.streams++;
    if (link != NULL)
        errand_give(e, link);
    else if (o->over_streams || o->draining || !may_wait(o))
        errand_fail(e);
    else
        add_waiting(o, e);
    ask_for_spares(o);
}

/* ---- a port of the door ---- */

static void port_accepted(struct acceptor *a, int fd, const struct net_addr *peer)
{
    struct offer_life *o = CONTAINER_OF(a, struct offer_port, acceptor)->offer;
    struct link *link = fd_link_socket(o->worker->loop, fd, false);
    if (link == NULL) {
        close(fd);
        session_refused(o->worker, o->origin.listener, peer, CLOSE_NO_DESCRIPTOR);
        return;
    }
    struct session_origin origin = o->origin;
    origin.peer = peer;
    session_start_visit(o->worker, link, &origin, agent_offer(o->agent)->name);
}

static void port_refused(struct acceptor *a, int error)
{
    const struct offer_life *o = CONTAINER_OF(a, struct offer_port, acceptor)->offer;
    (void)error;
    session_refused(o->worker, o->origin.listener, NULL, CLOSE_NO_DESCRIPTOR);
}

static void port_free(struct task *t)
{
    free(CONTAINER_OF(t, struct offer_port, free_later));
}

static void flow_begun(void *owner, const struct net_addr *source, struct link *link)
{
    struct offer_life *o = owner;
    struct session_origin origin = o->origin;
    origin.peer = source;
    origin.unproven = true;
    session_start_visit(o->worker, link, &origin, agent_offer(o->agent)->name);
}

static void close_port(struct offer_life *o)
{
    wheel_cancel(&o->reopen);
    if (o->port != NULL || o->udp_port != NULL)
        give_place(o);
    udp_port_close(o->udp_port);
    o->udp_port = NULL;
    if (o->port == NULL)
        return;
    acceptor_stop(&o->port->acceptor);
    task_init(&o->port->free_later, port_free);
    loop_defer(o->worker->loop, &o->port->free_later);
    o->port = NULL;
}

static int open_udp_port(struct offer_life *o, const char *host, uint16_t port, struct err *err)
{
    const struct config *c = o->origin.epoch->snap->config;
    const struct udp_port_visitors visitors = {.idle = c->limits.udp_idle_timeout,
                                               .flows = c->agents.flows,
                                               .waits = FLOW_WAITS_MAX,
                                               .factor = c->agents.answer_factor};
    int fd = udp_listen(host, port, false, err);
    if (fd < 0)
        return err_prefix(err, "port %u of the door", port);
    o->udp_port = udp_port_for_visitors(o->worker->loop, fd, &visitors, flow_begun, o, err);
    return o->udp_port == NULL ? -1 : 0;
}

static int open_tcp_port(struct offer_life *o, const char *host, uint16_t port, struct err *err)
{
    int fd = socket_listen_tcp(host, port, false, err);
    if (fd < 0)
        return err_prefix(err, "port %u of the door", port);
    struct offer_port *p = calloc(1, sizeof(*p));
    CHECK(p != NULL);
    p->offer = o;
    p->acceptor.accepted = port_accepted;
    p->acceptor.refused = port_refused;
    if (acceptor_start(&p->acceptor, o->worker->loop, fd, err) != 0) {
        free(p);
        return -1;
    }
    o->port = p;
    return 0;
}

/* At the address of the listener that the agent came by. */
static int open_port(struct offer_life *o, const struct offer *offer, struct err *err)
{
    const struct config_listener *l = &o->origin.epoch->snap->config->listeners.v[o->origin.listener];
    if (!take_place(o))
        return err_set(err, "port %u of the door: the door holds as many connections as it may", offer->port);
    int result = offer->udp ? open_udp_port(o, l->address.host, offer->port, err)
                            : open_tcp_port(o, l->address.host, offer->port, err);
    if (result != 0)
        give_place(o);
    return result;
}

/* Whoever held the port may have gone: it is ours then. Where it cannot be had it is tried again and again;
 * that is worth a word where no other agent has it. */
static void want_port(struct offer_life *o)
{
    struct err err;
    const struct offer *offer = agent_offer(o->agent);
    wheel_cancel(&o->reopen);
    if (offer->port == 0 || o->port != NULL || o->udp_port != NULL || o->draining)
        return;
    bool failed = open_port(o, offer, &err) != 0;
    if (failed && !o->portless && agents_count(o->worker->agents, offer->name) == 1)
        worker_notice(o->worker, "the offer of %s by %s has no port now: %s; it is tried again every %d s",
                      offer->name, agent_identity(o->agent), err.text, (int)(REOPEN_NS / NSEC_PER_SEC));
    o->portless = failed;
    if (failed)
        loop_set_timer(o->worker->loop, &o->reopen, now_of(o) + REOPEN_NS);
}

static void on_reopen(struct timer *t)
{
    want_port(CONTAINER_OF(t, struct offer_life, reopen));
}

static void on_changed(void *owner)
{
    struct offer_life *o = owner;
    CHECK_MAGIC(o, OFFER_MAGIC);
    want_port(o);
}

/* ---- the control stream ---- */

static bool finish(struct offer_life *o, struct resident_end *ret, enum close_reason reason,
                   const char *detail)
{
    free(o->detail);
    o->detail = *detail == '\0' ? NULL : strdup(detail);
    *ret = (struct resident_end){reason, o->detail};
    return false;
}

/* Not ready: the service is down, or else the agent stops. */
static void hear_ready(struct offer_life *o, const struct wire_control *control)
{
    o->stops = !control->ready && control->down == FRONT_OK;
    agents_set_ready(o->worker->agents, o->agent, !o->stops);
    agents_set_down(o->worker->agents, o->agent, control->ready ? FRONT_OK : control->down);
}

/* Work off the messages that are complete. */
static bool hear(struct offer_life *o, struct resident_end *ret)
{
    for (;;) {
        struct wire_control control;
        struct err err;
        size_t used;
        switch (wire_parse_control(o->in.data, o->in.len, &control, &used, &err)) {
        case WIRE_MORE:
            return true;
        case WIRE_BAD:
            return finish(o, ret, CLOSE_BAD_REQUEST, err.text);
        case WIRE_OK:
            break;
        }
        buf_consume(&o->in, used);
        o->heard = now_of(o);
        if (control.says_ready)
            hear_ready(o, &control);
    }
}

static bool read_all(struct offer_life *o, struct resident_end *ret)
{
    for (int turn = 0;; turn++) {
        size_t n = 0;
        if (turn == READ_TURN) {
            resident_wake(&o->resident);
            break;
        }
        CHECK(buf_reserve(&o->in, READ_ROOM));
        enum link_status status = link_read(o->link, o->in.data + o->in.len, READ_ROOM, &n);
        if (status == LINK_AGAIN)
            break;
        if (status == LINK_EOF)
            return finish(o, ret, CLOSE_DONE, o->in.len > 0 ? CLOSED_TEXT : "");
        if (status == LINK_ERROR)
            return finish(o, ret, CLOSE_CLIENT_RESET, link_error(o->link));
        o->in.len += n;
        if (!hear(o, ret))
            return false;
    }
    if (o->in.len == 0)
        buf_free(&o->in);
    return true;
}

static bool write_all(struct offer_life *o, struct resident_end *ret)
{
    enum link_status status = link_write_buf(o->link, &o->out);
    if (status == LINK_AGAIN && o->out.len > UNSENT_MAX)
        return finish(o, ret, CLOSE_CLIENT_RESET, "the agent does not read its control stream");
    if (status == LINK_ERROR)
        return finish(o, ret, CLOSE_CLIENT_RESET, link_error(o->link));
    return true;
}

/* ---- the end of an offer ---- */

static void put(char *to, size_t cap, const char *p, size_t len)
{
    if (!str_copy(to, cap, p, len))
        str_copy(to, cap, p, cap - 1);
}

/* Nobody can be led to the agent any more: no connection of it will come. */
static void fail_waiting(struct offer_life *o)
{
    struct list *n;
    while ((n = list_pop(&o->waiting)) != NULL)
        errand_fail(errand_of_node(n));
    o->waiting_count = 0;
}

/* It leads nobody to the agent any more. */
static void take_back(struct offer_life *o, enum agents_leave how)
{
    close_port(o);
    agents_withdraw(o->worker->agents, o->agent, how);
    o->agent = NULL;
    fail_waiting(o);
    for (struct list *s = o->spares.next, *next; s != &o->spares; s = next) {
        next = s->next;
        link_close(spare_take(CONTAINER_OF(s, struct spare, node)), true);
    }
}

static void withdraw(struct offer_life *o, enum agents_leave how, const char *why)
{
    worker_notice(o->worker, "the offer of %s by %s is withdrawn: %s", agent_offer(o->agent)->name,
                  agent_identity(o->agent), why);
    take_back(o, how);
    free(o->detail);
    o->detail = strdup(why);
}

/* It ends without a word: the agent offers again then, and is told of the conflict as any other is. */
static void on_beaten(void *owner, const struct agent *by)
{
    struct offer_life *o = owner;
    struct err text;
    CHECK_MAGIC(o, OFFER_MAGIC);
    offer_is_taken(by, &text);
    withdraw(o, AGENTS_LOST, text.text);
    o->late = true;
    resident_wake(&o->resident);
}

static const struct agent_ops agent_ops = {
    .wanted = on_wanted, .brought = on_brought, .changed = on_changed, .beaten = on_beaten};

/* The policy that is in force now may not allow the offer any more. Whoever visits already stays, as every
 * connection does. */
static void offer_review(struct resident *r)
{
    struct offer_life *o = offer_of(r);
    struct session_denial denial;
    if (o->agent == NULL)
        return;
    agent_set_bandwidth(o->agent, o->worker->epoch->snap->config->agents.bandwidth);
    if (o->draining || session_may_offer(r->landlord, agent_offer(o->agent), &denial))
        return;
    struct wire_control control = {0};
    put(control.withdrawn, sizeof(control.withdrawn), denial.text, strlen(denial.text));
    withdraw(o, AGENTS_BARRED, denial.text);
    say(o, &control);
    loop_set_timer(o->worker->loop, &o->timer, now_of(o) + GOODBYE_NS);
}

/* The agent is to read why; closing with its bytes unread could overtake that. */
static bool take_leave(struct offer_life *o, struct resident_end *ret)
{
    enum link_status status = LINK_OK;
    uint8_t ignored[256];
    size_t n;
    *ret = (struct resident_end){CLOSE_DENIED, o->detail};
    status = link_write_buf(o->link, &o->out);
    if (status == LINK_OK)
        status = link_shutdown(o->link);
    if (o->late || status == LINK_ERROR)
        return false;
    for (int turn = 0; turn < READ_TURN; turn++) {
        status = link_read(o->link, ignored, sizeof(ignored), &n);
        if (status != LINK_OK)
            return status == LINK_AGAIN;
    }
    resident_wake(&o->resident);
    return true;
}

static bool offer_run(struct resident *r, struct resident_end *ret)
{
    struct offer_life *o = offer_of(r);
    if (o->agent == NULL)
        return take_leave(o, ret);
    if (!o->over_streams && now_of(o) >= o->heard + DEAD_NS)
        return finish(o, ret, CLOSE_IDLE_TIMEOUT, "nothing was heard from the agent");
    if (!o->begun)
        ask_for_spares(o);
    o->begun = true;
    return read_all(o, ret) && write_all(o, ret);
}

static void offer_drain(struct resident *r)
{
    struct offer_life *o = offer_of(r);
    o->draining = true;
    if (o->agent == NULL)
        return;
    close_port(o);
    fail_waiting(o);
    say(o, &(struct wire_control){.drain = true});
}

static void offer_close(struct resident *r)
{
    struct offer_life *o = offer_of(r);
    wheel_cancel(&o->timer);
    if (o->agent != NULL)
        take_back(o, o->stops ? AGENTS_STOPPED : AGENTS_LOST);
    buf_free(&o->in);
    buf_free(&o->out);
    free(o->hello);
    free(o->detail);
    o->magic = 0;
    free(o);
}

static const struct resident_ops offer_ops = {.action = "offer",
                                              .carries = true,
                                              .run = offer_run,
                                              .drain = offer_drain,
                                              .review = offer_review,
                                              .close = offer_close};

/* ---- beginning ---- */

static struct offer_life *offer_new(struct worker *w, struct link *link, const struct session_origin *origin,
                                    struct str early)
{
    struct offer_life *o = calloc(1, sizeof(*o));
    struct hello_note *hello = calloc(1, sizeof(*hello));
    CHECK(o != NULL && hello != NULL);
    *hello = *origin->hello;
    *o = (struct offer_life){.resident.ops = &offer_ops,
                             .magic = OFFER_MAGIC,
                             .worker = w,
                             .link = link,
                             .origin = *origin,
                             .peer = *origin->peer,
                             .hello = hello,
                             .heard = loop_now(w->loop),
                             .over_streams = link_branches(link)};
    o->origin.hello = hello;
    o->origin.front = NULL;
    o->origin.request = NULL;
    list_init(&o->spares);
    list_init(&o->waiting);
    timer_init(&o->timer, on_timer);
    timer_init(&o->reopen, on_reopen);
    CHECK(buf_append(&o->in, early.p, early.len));
    return o;
}

/* Say yes, before anything else is said on the control stream. */
static void accept_offer(struct offer_life *o, const struct front *front)
{
    struct err warning;
    struct front_answer answer = {.outcome = FRONT_OK};
    if (offer_warning(o->worker->epoch->snap, agent_offer(o->agent), &warning)) {
        answer.warning = warning.text;
        worker_notice(o->worker, "%s offers %s, but %s", agent_identity(o->agent),
                      agent_offer(o->agent)->name, warning.text);
    }
    CHECK(front->answer(&answer, &o->out));
}

static struct agent *make_known(struct offer_life *o, const struct session_origin *origin,
                                const struct offer *offer)
{
    struct agent_terms terms = {.offer = *offer,
                                .peer = *origin->peer,
                                .transport = origin->transport,
                                .since = clock_wall(),
                                .front = origin->front,
                                .bandwidth = origin->epoch->snap->config->agents.bandwidth,
                                .ops = &agent_ops,
                                .owner = o};
    struct link_peer peer;
    link_peer(o->link, &peer);
    CHECK(peer.identity != NULL); /* tunnels demand one */
    const char *label = identity_label(peer.identity);
    str_copy(terms.identity, sizeof(terms.identity), label, strlen(label));
    identity_digest(peer.identity, terms.fingerprint);
    return agents_offer(o->worker->agents, &terms);
}

/* Make the offer known, and open its port: in this order, for whoever is in the port's queue is led to the
 * agent. The first who offers a name at a port opens it; the others stand by. */
static int begin(struct offer_life *o, const struct session_origin *origin, struct err *err)
{
    const struct offer *offer = &origin->request->offer;
    enum offer_kind kind;
    bool others = agents_find(o->worker->agents, offer->name, 0, &kind) == AGENTS_PRESENT;
    o->agent = make_known(o, origin, offer);
    if (o->agent == NULL) {
        offer_rival(o->worker->agents, offer, err);
        return -1;
    }
    if (offer->port == 0 || open_port(o, offer, err) == 0 || others)
        return 0;
    offer_port_is_ours(o->worker->epoch->snap, o->worker->agents, offer, err);
    agents_withdraw(o->worker->agents, o->agent, AGENTS_LOST);
    return -1;
}

struct resident *offer_reside(struct worker *w, struct link *link, const struct session_origin *origin,
                              struct str early, struct err *err)
{
    struct offer_life *o = offer_new(w, link, origin, early);
    if (begin(o, origin, err) != 0) {
        buf_free(&o->in);
        free(o->hello);
        free(o);
        return NULL;
    }
    accept_offer(o, origin->front);
    if (!o->over_streams)
        loop_set_timer(w->loop, &o->timer, now_of(o) + SILENCE_NS);
    return &o->resident;
}

/* ---- what is said to the agent of a visitor ---- */

bool offer_greet(const struct front_visit *visit, struct buf *out)
{
    struct wire_visit v = {
        .peer = visit->peer, .local = visit->local, .udp = visit->udp, .datagrams = visit->udp};
    put(v.name, sizeof(v.name), visit->name, strlen(visit->name));
    put(v.identity, sizeof(v.identity), visit->identity == NULL ? "" : visit->identity,
        visit->identity == NULL ? 0 : strlen(visit->identity));
    put(v.sni, sizeof(v.sni), visit->sni.p == NULL ? "" : visit->sni.p, visit->sni.len);
    put(v.alpn, sizeof(v.alpn), visit->alpn.p == NULL ? "" : visit->alpn.p, visit->alpn.len);
    return wire_encode_visit(&v, out);
}

enum front_result offer_greeted(const uint8_t *data, size_t len, struct front_greeted *ret, struct err *err)
{
    struct wire_answer answer;
    switch (wire_parse_answer(data, len, &answer, &ret->used, err)) {
    case WIRE_MORE:
        return FRONT_MORE;
    case WIRE_BAD:
        err_prefix(err, "the agent's answer cannot be read");
        return FRONT_BAD;
    case WIRE_OK:
        break;
    }
    ret->outcome = answer.outcome;
    put(ret->text, sizeof(ret->text), answer.text, strlen(answer.text));
    return FRONT_TARGET;
}
