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
#include "quic/quic.h"
#include "session/resident.h"
#include "session/routing.h"
#include "session/session.h"
#include "session/worker.h"
#include "tunnel/agent_wire.h"
#include "tunnel/udp_port.h"
#include "tunnel/wire.h"

#define OFFER_MAGIC 0x0ffe4000u
#define READ_ROOM 4096
#define SILENCE_NS (15 * NSEC_PER_SEC) /* then we give a sign of life, over TCP */
#define DEAD_NS (45 * NSEC_PER_SEC)    /* of silence, after which the agent is gone */
#define ID_LIFE_NS (60 * NSEC_PER_SEC)
#define READ_TURN 16               /* reads of a control stream before others have a turn */
#define UNSENT_MAX (64 * 1024)     /* bytes that an agent may leave unread */
#define FLOW_WAITS_MAX (16 * 1024) /* bytes of a flow that wait for the agent; strangers begin flows */
#define WAITING_MAX 1024           /* visitors who wait for a connection of the agent */
#define SPARES_KEPT 2              /* connections that wait for visitors */
#define SILENCE_RTTS 4             /* round trips after a visitor over QUIC; at least a second, however: */
#define SILENT_NS NSEC_PER_SEC     /* who has acknowledged nothing by then gets no more visitors */
#define LOOK_NS (250 * NSEC_PER_MSEC)
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
    struct link *link; /* the control stream */
    struct agent *agent;
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
    int64_t heard;
    struct timer look; /* over QUIC: at whether the agent is heard */
    int64_t told;      /* of a visitor, and nothing was heard from the agent since; 0: not so */
    bool silent;       /* for so long that it is not ready, whatever it said */
    bool ready;        /* what it said */
    bool over_streams;
    bool draining;
    bool begun;   /* the first spares have been asked for */
    char *detail; /* how it ended */
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

/* Have as many ready or coming as are kept, and one for each visitor that waits. An id that is not used in
 * time is replaced. */
static void ask_for_spares(struct offer_life *o)
{
    struct wire_control control = {0};
    size_t wanted = SPARES_KEPT + MIN(o->waiting_count, (size_t)OFFER_IDS_MAX),
           have = o->spare_count + agent_grants_out(o->agent, now_of(o));
    if (o->over_streams || o->draining)
        return;
    for (; have < wanted && control.spares < OFFER_IDS_MAX; have++, control.spares++)
        if (!agent_grant(o->agent, now_of(o), now_of(o) + ID_LIFE_NS, control.spare[control.spares]))
            break;
    if (control.spares > 0)
        say(o, &control);
}

static void on_timer(struct timer *t)
{
    struct offer_life *o = CONTAINER_OF(t, struct offer_life, timer);
    say(o, &(struct wire_control){0});
    ask_for_spares(o); /* for ids that nobody has used in time */
    loop_set_timer(o->worker->loop, &o->timer, now_of(o) + SILENCE_NS);
}

static struct link *spare_take(struct spare *s)
{
    struct link *link = s->link;
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
    } else if (link != NULL) {
        struct spare *s = calloc(1, sizeof(*s));
        CHECK(s != NULL);
        *s = (struct spare){.offer = o, .link = link};
        link->wake = on_spare_wake;
        link->owner = s;
        list_insert(&o->spares, &s->node);
        o->spare_count++;
        on_spare_wake(link); /* what came while it was moved made no wake */
    }
    ask_for_spares(o);
}

/* ---- agents over QUIC that fall silent ---- */

/* A packet that tells of a visitor is acknowledged at once. Where it is not, the agent may have been killed
 * or its network have gone, which QUIC itself takes a minute to find out: nobody is sent there until it is
 * heard again. */
static void set_ready(struct offer_life *o)
{
    agents_set_ready(o->worker->agents, o->agent, o->ready && !o->silent);
}

static void on_look(struct timer *t)
{
    struct offer_life *o = CONTAINER_OF(t, struct offer_life, look);
    struct quic_path_facts path;
    if (!quic_stream_path(link_bottom(o->link), &path))
        return;
    bool heard = path.heard >= o->told;
    int64_t silent_at = o->told + MAX(SILENT_NS, SILENCE_RTTS * path.rtt);
    o->silent = !heard && now_of(o) >= silent_at;
    o->told = heard ? 0 : o->told;
    set_ready(o);
    if (!heard)
        loop_set_timer(o->worker->loop, &o->look, o->silent ? now_of(o) + LOOK_NS : silent_at);
}

static void listen_for_agent(struct offer_life *o)
{
    if (o->told != 0)
        return;
    o->told = clock_monotonic(); /* the round's time may be before the last packet's */
    loop_set_timer(o->worker->loop, &o->look, o->told + SILENT_NS);
}

/* ---- visitors ---- */

/* Room for one more? Those at the front who have gone make some. */
static bool may_wait(struct offer_life *o)
{
    first_waiting(o);
    return o->waiting_count < WAITING_MAX;
}

static void add_waiting(struct offer_life *o, struct errand *e)
{
    list_insert(&o->waiting, errand_node(e));
    o->waiting_count++;
}

static void on_wanted(void *owner, struct errand *e)
{
    struct offer_life *o = owner;
    CHECK_MAGIC(o, OFFER_MAGIC);
    struct link *link = o->over_streams ? link_branch(o->link) : NULL;
    if (!list_empty(&o->spares))
        link = spare_take(CONTAINER_OF(o->spares.next, struct spare, node));
    o->resident.streams++;
    if (link != NULL && o->over_streams)
        listen_for_agent(o);
    if (link != NULL)
        errand_give(e, link);
    else if (o->over_streams || !may_wait(o))
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
    session_start_visit(o->worker, link, &origin, agent_offer(o->agent)->name);
}

static void close_port(struct offer_life *o)
{
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
    int64_t idle = o->origin.epoch->snap->config->limits.udp_idle_timeout;
    int fd = udp_listen(host, port, false, err);
    if (fd < 0)
        return err_prefix(err, "port %u of the door", port);
    o->udp_port = udp_port_for_visitors(o->worker->loop, fd, idle, FLOW_WAITS_MAX, flow_begun, o, err);
    return o->udp_port == NULL ? -1 : 0;
}

/* At the address of the listener that the agent came by. */
static int open_port(struct offer_life *o, const struct offer *offer, struct err *err)
{
    const struct config_listener *l = &o->origin.epoch->snap->config->listeners.v[o->origin.listener];
    if (offer->udp)
        return open_udp_port(o, l->address.host, offer->port, err);
    int fd = socket_listen_tcp(l->address.host, offer->port, false, err);
    if (fd < 0)
        return err_prefix(err, "port %u of the door", offer->port);
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

/* Whoever held the port may have gone: it is ours then. */
static void on_changed(void *owner)
{
    struct offer_life *o = owner;
    struct err ignored;
    const struct offer *offer = agent_offer(o->agent);
    if (offer->port != 0 && o->port == NULL && o->udp_port == NULL && !o->draining)
        open_port(o, offer, &ignored);
}

static const struct agent_ops agent_ops = {.wanted = on_wanted, .brought = on_brought, .changed = on_changed};

/* ---- the control stream ---- */

static bool finish(struct offer_life *o, struct resident_end *ret, enum close_reason reason,
                   const char *detail)
{
    free(o->detail);
    o->detail = *detail == '\0' ? NULL : strdup(detail);
    *ret = (struct resident_end){reason, o->detail};
    return false;
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
        if (control.says_ready) {
            o->ready = control.ready;
            set_ready(o);
        }
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
    while (o->out.len > 0) {
        size_t n = 0;
        enum link_status status = link_write(o->link, o->out.data, o->out.len, &n);
        if (status == LINK_AGAIN && o->out.len > UNSENT_MAX)
            return finish(o, ret, CLOSE_CLIENT_RESET, "the agent does not read its control stream");
        if (status == LINK_AGAIN)
            return true;
        if (status == LINK_ERROR)
            return finish(o, ret, CLOSE_CLIENT_RESET, link_error(o->link));
        buf_consume(&o->out, n);
    }
    buf_free(&o->out);
    return true;
}

static bool offer_run(struct resident *r, struct resident_end *ret)
{
    struct offer_life *o = offer_of(r);
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
    close_port(o);
    say(o, &(struct wire_control){.drain = true});
}

static void offer_close(struct resident *r)
{
    struct offer_life *o = offer_of(r);
    struct list *n;
    wheel_cancel(&o->timer);
    wheel_cancel(&o->look);
    close_port(o);
    agents_withdraw(o->worker->agents, o->agent);
    while ((n = list_pop(&o->waiting)) != NULL)
        errand_fail(errand_of_node(n));
    for (struct list *s = o->spares.next, *next; s != &o->spares; s = next) {
        next = s->next;
        link_close(spare_take(CONTAINER_OF(s, struct spare, node)), true);
    }
    buf_free(&o->in);
    buf_free(&o->out);
    free(o->hello);
    free(o->detail);
    o->magic = 0;
    free(o);
}

static const struct resident_ops offer_ops = {
    .action = "offer", .carries = true, .run = offer_run, .drain = offer_drain, .close = offer_close};

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
                             .ready = true,
                             .over_streams = link_branches(link)};
    o->origin.hello = hello;
    o->origin.front = NULL;
    o->origin.request = NULL;
    list_init(&o->spares);
    list_init(&o->waiting);
    timer_init(&o->timer, on_timer);
    timer_init(&o->look, on_look);
    CHECK(buf_append(&o->in, early.p, early.len));
    return o;
}

/* Say yes, before anything else is said on the control stream. */
static void accept_offer(struct offer_life *o, const struct front *front)
{
    CHECK(front->answer(&(struct front_answer){.outcome = FRONT_OK}, &o->out));
}

static struct agent *make_known(struct offer_life *o, const struct session_origin *origin,
                                const struct offer *offer)
{
    struct agent_terms terms = {.offer = *offer,
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
    if (o->agent == NULL)
        return err_set(err, "another agent offers %s in another kind, or at another port", offer->name);
    if (offer->port == 0 || open_port(o, offer, err) == 0 || others)
        return 0;
    agents_withdraw(o->worker->agents, o->agent);
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

static void put(char *to, size_t cap, const char *p, size_t len)
{
    if (!str_copy(to, cap, p, len))
        str_copy(to, cap, p, cap - 1);
}

bool offer_greet(const struct front_visit *visit, struct buf *out)
{
    struct wire_visit v = {.peer = visit->peer, .local = visit->local, .udp = visit->udp};
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
