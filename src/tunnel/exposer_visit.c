/* SPDX-License-Identifier: Apache-2.0 */
/* A visitor on the way to the service. Over QUIC it begins with a stream that the door has opened, in WAIT;
 * over TCP with an id, under which a connection is brought that waits for one. */
#include <stdlib.h>
#include <string.h>

#include "base/alert.h"
#include "base/clean.h"
#include "base/clock.h"
#include "base/hash.h"
#include "cert/identity.h"
#include "net/proxy_protocol.h"
#include "net/socket.h"
#include "quic/flow_link.h"
#include "quic/quic.h"
#include "tunnel/agent_tls.h"
#include "tunnel/client_internal.h"
#include "tunnel/exposer_internal.h"

#define VISIT_MAGIC 0x7151700fu
#define HANDSHAKE_NS (10 * NSEC_PER_SEC) /* for the visitor's message, and for the TLS of one end-to-end */
#define HEADER_MAX 1024

/* That the door has to end its side of a connection over TCP, when all is said within. */
#define LINGER_NS (2 * NSEC_PER_SEC)
#define LINGER_TURN 16 /* reads in a row of what it says till then */

/* A connection that nobody has needed for that long is replaced, each at a time of its own up to half as much
 * later: what a middlebox thinks of it grows no better with age. */
#define SPARE_AGE_NS (300 * NSEC_PER_SEC)

enum visit_state {
    VISIT_REACH,
    VISIT_HELLO,
    VISIT_ANSWER,
    VISIT_WAIT,  /* for the visitor's message */
    VISIT_DIAL,  /* the service */
    VISIT_REPLY, /* to the door */
    VISIT_TLS,   /* with the visitor, end-to-end */
    VISIT_PIPE,
    VISIT_LINGER, /* all is said: for the end of the connection that carried it */
    VISIT_CLOSED,
};

struct exposer_visit {
    uint32_t magic;
    enum visit_state state;
    struct list node;
    struct exposer *agent;
    struct exposer_offer *offer; /* NULL: not known yet */
    char id[OFFER_ID_TEXT];      /* over TCP */
    struct way way;
    struct link *far; /* the visitor */
    struct link *local;
    struct dial dial;
    struct agent_tls *tls; /* the offer's, as it was when he came */
    struct buf bytes;      /* as they come in; what is behind a message goes to the service */
    struct buf out;
    struct wire_visit about;
    struct pipe pipe;
    struct timer timer;
    struct task again; /* runs soon, frees at the end */
    int64_t began;
    const char *reason;
    char identity[WIRE_IDENTITY_MAX];
    bool waits;   /* one of the offer's spares */
    bool visits;  /* there is a visitor: he counts, and is told of */
    bool told;    /* ... and has been */
    bool lingers; /* he is gone, but the end of the connection that carried him */
    bool flow;    /* the visitor's stream carries datagrams as such */
    bool refused; /* the reply is a no */
    bool cut;     /* close as broken */
    bool running;
};

static void visit_run(struct exposer_visit *v);

/* ---- ending ---- */

static enum visit_state finish(struct exposer_visit *v, const char *reason, bool cut)
{
    v->reason = reason;
    v->cut = cut;
    return VISIT_CLOSED;
}

static void visit_free(struct task *t)
{
    struct exposer_visit *v = CONTAINER_OF(t, struct exposer_visit, again);
    CHECK_MAGIC(v, VISIT_MAGIC);
    v->magic = 0;
    free(v);
}

static void report(struct exposer_visit *v)
{
    struct exposer *a = v->agent;
    struct agent_visited visited = {
        .service = &v->offer->service,
        .about = &v->about,
        .identity = v->identity[0] != '\0' ? v->identity : v->about.identity,
        .reason = v->reason,
        .to_service = v->local != NULL ? v->local->bytes_written : 0,
        .from_service = v->local != NULL ? v->local->bytes_read : 0,
        .duration = loop_now(a->loop) - v->began,
    };
    v->told = true;
    a->events->visited(a->owner, &visited);
}

static void no_longer_spare(struct exposer_visit *v)
{
    if (v->waits)
        v->offer->spares--;
    v->waits = false;
}

static void teardown(struct exposer_visit *v)
{
    v->state = VISIT_CLOSED;
    if (v->lingers) {
        v->offer->lingering--;
        v->agent->lingering--;
    }
    wheel_cancel(&v->timer);
    list_remove(&v->again.node);
    list_remove(&v->node);
    no_longer_spare(v);
    if (v->visits && !v->told)
        report(v);
    if (v->way.door != NULL)
        way_cancel(&v->way);
    dial_cancel(&v->dial);
    pipe_free(&v->pipe);
    v->cut ? link_cut(v->far) : link_close(v->far, false); /* what the service said before comes first */
    link_close(v->local, v->cut);
    v->far = v->local = NULL;
    agent_tls_unref(v->tls);
    buf_free(&v->bytes);
    buf_free(&v->out);
    if (v->visits) {
        v->agent->visitors--;
        exposer_offer_left(v->offer);
    }
    task_init(&v->again, visit_free); /* a link that wakes in this round may still name us */
    loop_defer(v->agent->loop, &v->again);
}

/* ---- a connection over TCP: REACH, HELLO, ANSWER ---- */

static void on_wake(struct link *l)
{
    visit_run(l->owner);
}

static void on_owner_wake(void *owner)
{
    visit_run(owner);
}

static void adopt(struct exposer_visit *v, struct link *l)
{
    l->wake = on_wake;
    l->owner = v;
}

static void set_timer(struct exposer_visit *v, int64_t in)
{
    loop_set_timer(v->agent->loop, &v->timer, loop_now(v->agent->loop) + in);
}

static enum visit_state step_reach(struct exposer_visit *v)
{
    enum way_status status = way_step(&v->way);
    if (status == WAY_WAIT)
        return VISIT_REACH;
    if (status != WAY_OK)
        return finish(v, "the door was not reached", true);
    v->far = way_take(&v->way);
    adopt(v, v->far);
    CHECK(wire_encode_spare(v->id, &v->out));
    return VISIT_HELLO;
}

static enum visit_state step_hello(struct exposer_visit *v)
{
    enum link_status status = link_write_buf(v->far, &v->out);
    if (status == LINK_AGAIN)
        return VISIT_HELLO;
    return status == LINK_OK ? VISIT_ANSWER : finish(v, "the door left", true);
}

static enum link_status read_more(struct exposer_visit *v)
{
    CHECK(v->bytes.len < WIRE_MESSAGE_MAX);
    return link_read_buf(v->far, &v->bytes, AGENT_ROOM);
}

static enum visit_state step_answer(struct exposer_visit *v)
{
    for (;;) {
        struct wire_answer answer;
        size_t used;
        enum wire_result r = wire_parse_answer(v->bytes.data, v->bytes.len, &answer, &used, NULL);
        if (r == WIRE_BAD || (r == WIRE_OK && answer.outcome != FRONT_OK))
            return finish(v, "the door does not take the connection", true);
        if (r == WIRE_OK) {
            buf_consume(&v->bytes, used);
            socket_watch_peer(link_socket(link_bottom(v->far)));
            set_timer(v, SPARE_AGE_NS + (int64_t)(hash_random_key().k0 % (SPARE_AGE_NS / 2)));
            return VISIT_WAIT;
        }
        enum link_status status = read_more(v);
        if (status != LINK_OK)
            return status == LINK_AGAIN ? VISIT_ANSWER : finish(v, "the door left", true);
    }
}

/* ---- WAIT, REPLY ---- */

static enum visit_state reply(struct exposer_visit *v, enum front_outcome outcome, const char *text)
{
    v->flow =
        outcome == FRONT_OK && v->about.udp && v->about.datagrams && quic_stream_datagram_max(v->far) > 0;
    struct front_answer answer = {.outcome = outcome, .text = text, .datagrams = v->flow};
    CHECK(front_cardea.answer(&answer, &v->out));
    v->refused = outcome != FRONT_OK;
    return VISIT_REPLY;
}

static enum visit_state refuse(struct exposer_visit *v, enum front_outcome outcome, const char *text)
{
    v->reason = text;
    return reply(v, outcome, text);
}

/* He may not come in: who runs the agent hears of it. */
static void turn_away(const struct exposer_visit *v, const char *why)
{
    turned_away_note(v->offer, &v->about.peer, why);
}

static struct exposer_offer *find_offer(const struct exposer *a, const char *name, bool udp)
{
    for (struct list *n = a->offers.next; n != &a->offers; n = n->next) {
        struct exposer_offer *o = CONTAINER_OF(n, struct exposer_offer, node);
        if (!o->gone && strcmp(o->service.offer.name, name) == 0 && o->service.offer.udp == udp)
            return o;
    }
    return NULL;
}

static enum visit_state dial_service(struct exposer_visit *v)
{
    v->dial = (struct dial){.loop = v->agent->loop, .wake = on_owner_wake, .owner = v};
    set_timer(v, v->offer->service.dial_timeout);
    exposer_offer_dial(v->offer, &v->dial);
    return VISIT_DIAL;
}

/* The visitor is known: may he come in? End-to-end he has to prove himself to us before the service hears of
 * him, so the door is told yes at once. */
static enum visit_state receive(struct exposer_visit *v)
{
    struct exposer *a = v->agent;
    struct exposer_offer *o = find_offer(a, v->about.name, v->about.udp);
    if (v->waits)
        socket_expect_ack(link_socket(link_bottom(v->far)), 0);
    no_longer_spare(v);
    v->offer = o;
    if (o == NULL)
        return refuse(v, FRONT_DENIED, "this agent does not offer that");
    v->visits = true;
    v->began = loop_now(a->loop);
    o->visitors++;
    a->visitors++;
    set_timer(v, HANDSHAKE_NS);
    if (a->stopping)
        return refuse(v, FRONT_LIMIT, "the agent stops");
    if (o->visitors - o->lingering > o->service.connections) {
        turn_away(v, "as many visitors are here as may be (connections)");
        return refuse(v, FRONT_LIMIT, "the agent has as many visitors as it takes");
    }
    if (own_cert_is_missing(o))
        return refuse(v, FRONT_UNREACHABLE, "the agent has no certificate yet");
    v->tls = agent_tls_ref(o->service.tls);
    if (v->tls != NULL)
        return reply(v, FRONT_OK, NULL);
    return dial_service(v);
}

static enum visit_state step_wait(struct exposer_visit *v)
{
    for (;;) {
        size_t used;
        enum wire_result r = wire_parse_visit(v->bytes.data, v->bytes.len, &v->about, &used, NULL);
        if (r == WIRE_BAD)
            return finish(v, "the door's message cannot be read", true);
        if (r == WIRE_OK) {
            buf_consume(&v->bytes, used);
            return receive(v);
        }
        enum link_status status = read_more(v);
        if (status != LINK_OK)
            return status == LINK_AGAIN ? VISIT_WAIT : finish(v, "the door left", true);
    }
}

/* ---- DIAL ---- */

static enum visit_state unreached(struct exposer_visit *v, enum dial_status status)
{
    static const struct {
        enum front_outcome outcome;
        const char *text;
    } rows[] = {
        [DIAL_NO_SUCH_HOST] = {FRONT_UNREACHABLE, "the agent does not find the host of the service"},
        [DIAL_UNRESOLVED] = {FRONT_UNREACHABLE, "the agent's name servers do not tell where the service is"},
        [DIAL_REFUSED] = {FRONT_REFUSED, "the service refused the agent's connection"},
        [DIAL_UNREACHABLE] = {FRONT_UNREACHABLE, "the agent cannot reach the service"},
        [DIAL_NO_DESCRIPTOR] = {FRONT_LIMIT, "the agent has no file descriptor left"},
    };
    CHECK((size_t)status < ARRAY_LEN(rows) && rows[status].text != NULL);
    probe_visitor_failed(v->offer, status);
    if (v->tls != NULL) /* the door has its yes */
        return finish(v, rows[status].text, true);
    return refuse(v, rows[status].outcome, rows[status].text);
}

static size_t proxy_header(const struct exposer_visit *v, uint8_t *out, size_t cap)
{
    const struct wire_visit *about = &v->about;
    struct sockaddr_storage src, dst;
    bool known = net_addr_to(&about->peer, &src) > 0 && net_addr_to(&about->local, &dst) > 0;
    const struct sockaddr_storage *from = known ? &src : NULL, *to = known ? &dst : NULL;
    struct proxy_tlv tlvs[2];
    size_t count = 0;
    if (v->offer->service.proxy == AGENT_PROXY_V1)
        return proxy_protocol_write_v1(out, cap, from, to);
    if (about->sni[0] != '\0')
        tlvs[count++] = (struct proxy_tlv){PROXY_TLV_AUTHORITY, (uint16_t)strlen(about->sni), about->sni};
    if (about->alpn[0] != '\0')
        tlvs[count++] = (struct proxy_tlv){PROXY_TLV_ALPN, (uint16_t)strlen(about->alpn), about->alpn};
    return proxy_protocol_write_v2(out, cap, from, to, tlvs, known ? count : 0);
}

/* Bytes from now on; the first for the service are the PROXY header and what came behind the message. */
static enum visit_state join(struct exposer_visit *v)
{
    struct buf first = {0};
    uint8_t header[HEADER_MAX];
    size_t len = 0;
    if (v->offer->service.proxy != AGENT_PROXY_NONE && !v->offer->service.offer.udp)
        len = proxy_header(v, header, sizeof(header));
    if (v->flow) {
        v->far =
            flow_link(v->far, (struct str){(const char *)v->bytes.data, v->bytes.len}, (struct str){NULL, 0});
        adopt(v, v->far);
        buf_free(&v->bytes);
    }
    CHECK(buf_append(&first, header, len) && buf_append(&first, v->bytes.data, v->bytes.len));
    wheel_cancel(&v->timer);
    if (v->offer->throttle.loop != NULL && v->tls == NULL) {
        v->far = throttle_link(&v->offer->throttle, v->far);
        adopt(v, v->far);
    }
    pipe_init(&v->pipe, v->local, v->far);
    pipe_prime(&v->pipe, PIPE_B, first.data, first.len);
    buf_free(&first);
    buf_free(&v->bytes);
    return VISIT_PIPE;
}

static enum visit_state step_dial(struct exposer_visit *v)
{
    enum dial_status status = dial_step(&v->dial);
    if (status == DIAL_WAIT)
        return VISIT_DIAL;
    if (status != DIAL_OK)
        return unreached(v, status);
    v->local = dial_take(&v->dial);
    adopt(v, v->local);
    probe_visitor_served(v->offer);
    return v->tls != NULL ? join(v) : reply(v, FRONT_OK, NULL);
}

/* ---- REPLY, TLS ---- */

static enum visit_state begin_tls(struct exposer_visit *v)
{
    struct str early = {(const char *)v->bytes.data, v->bytes.len};
    set_timer(v, HANDSHAKE_NS);
    if (v->offer->throttle.loop != NULL)
        v->far = throttle_link(&v->offer->throttle, v->far);
    v->far = agent_tls_accept(v->tls, v->far, early, &v->agent->inner);
    adopt(v, v->far);
    return VISIT_TLS;
}

static enum visit_state step_reply(struct exposer_visit *v)
{
    enum link_status status = link_write_buf(v->far, &v->out);
    if (status == LINK_AGAIN)
        return VISIT_REPLY;
    if (status != LINK_OK)
        return finish(v, "the door left", true);
    if (v->refused) {
        link_finish(v->far);
        return finish(v, v->reason, false);
    }
    return v->tls != NULL ? begin_tls(v) : join(v);
}

/* With TLS inside the door's TLS that of the visitor ends first. What the door's connection says behind it,
 * if only its close_notify, would have the kernel reset one that is closed by then, and take back what it has
 * not sent yet (RFC 2525, 2.17). So our side ends, and the door's is waited for. */
static enum visit_state end_in_order(struct exposer_visit *v, const char *reason)
{
    enum visit_state closed = finish(v, reason, false);
    if (v->tls == NULL || link_socket(link_bottom(v->far)) < 0)
        return closed;
    report(v);
    v->lingers = true;
    v->offer->lingering++;
    v->agent->lingering++;
    link_close(v->local, false);
    v->local = NULL;
    set_timer(v, LINGER_NS);
    return VISIT_LINGER;
}

/* Nobody wants what comes, so it is not deciphered, nor held up by a throttle. */
static enum visit_state step_linger(struct exposer_visit *v)
{
    uint8_t rest[4096];
    size_t n;
    if (link_shutdown(v->far) == LINK_ERROR)
        return VISIT_CLOSED;
    for (int i = 0; i < LINGER_TURN; i++) {
        enum link_status status = link_read(link_bottom(v->far), rest, sizeof(rest), &n);
        if (status != LINK_OK)
            return status == LINK_AGAIN ? VISIT_LINGER : VISIT_CLOSED;
    }
    loop_defer(v->agent->loop, &v->again);
    return VISIT_LINGER;
}

static enum visit_state tls_failed(struct exposer_visit *v)
{
    struct link_peer peer;
    struct err why;
    link_peer(v->far, &peer);
    if (peer.no_certificate) {
        turn_away(v, "shows no certificate");
    } else if (*peer.failure != '\0') {
        err_set(&why, "the certificate does not prove good: %s", peer.failure);
        turn_away(v, why.text);
    }
    /* The alert is on its way: the connection ends as an end, not as a break that would take it back. */
    return end_in_order(v, peer.no_certificate     ? "the visitor shows no certificate"
                           : *peer.failure != '\0' ? "the visitor's certificate does not prove good"
                                                   : "no TLS with the visitor");
}

static enum visit_state step_tls(struct exposer_visit *v)
{
    struct link_peer peer;
    struct err why;
    enum link_status status = link_open(v->far);
    if (status == LINK_AGAIN)
        return VISIT_TLS;
    if (status != LINK_OK)
        return tls_failed(v);
    buf_free(&v->bytes); /* TLS has taken them */
    link_peer(v->far, &peer);
    if (peer.identity != NULL)
        str_clean(v->identity, sizeof(v->identity), identity_label(peer.identity));
    if (!agent_tls_allows(v->tls, peer.identity)) {
        link_refuse(v->far, ALERT_ACCESS_DENIED);
        link_finish(v->far);
        err_set(&why, "%s is not among those that may visit (allow)", v->identity);
        turn_away(v, why.text);
        return end_in_order(v, "denied");
    }
    return dial_service(v);
}

/* ---- PIPE ---- */

static enum visit_state step_pipe(struct exposer_visit *v)
{
    struct link_peer peer;
    enum pipe_status status = pipe_run(&v->pipe, &v->agent->door->pipe_scratch);
    if (status == PIPE_FAILED)
        return finish(v, v->pipe.failed == PIPE_A ? "the service broke off" : "the visitor broke off", true);
    if (v->pipe.half[PIPE_B].shut && link_peer(v->far, &peer) && peer.truncated)
        return finish(v, "the visitor broke off", true);
    if (status == PIPE_DONE)
        return end_in_order(v, "done");
    if (status == PIPE_WAIT && pipe_has_lost(&v->pipe, PIPE_B)) /* the door has given him up */
        return finish(v, "the visitor broke off", true);
    if (status == PIPE_YIELD)
        loop_defer(v->agent->loop, &v->again);
    return VISIT_PIPE;
}

/* ---- the driver ---- */

static enum visit_state (*const steps[])(struct exposer_visit *) = {
    [VISIT_REACH] = step_reach, [VISIT_HELLO] = step_hello, [VISIT_ANSWER] = step_answer,
    [VISIT_WAIT] = step_wait,   [VISIT_DIAL] = step_dial,   [VISIT_REPLY] = step_reply,
    [VISIT_TLS] = step_tls,     [VISIT_PIPE] = step_pipe,   [VISIT_LINGER] = step_linger,
};

static void visit_run(struct exposer_visit *v)
{
    CHECK_MAGIC(v, VISIT_MAGIC);
    if (v->state == VISIT_CLOSED)
        return;
    if (v->running) {
        loop_defer(v->agent->loop, &v->again);
        return;
    }
    v->running = true;
    while (v->state != VISIT_CLOSED) {
        enum visit_state next = steps[v->state](v);
        if (next == v->state)
            break;
        v->state = next;
    }
    v->running = false;
    if (v->state == VISIT_CLOSED)
        teardown(v);
}

static void on_again(struct task *t)
{
    visit_run(CONTAINER_OF(t, struct exposer_visit, again));
}

static void on_timer(struct timer *t)
{
    struct exposer_visit *v = CONTAINER_OF(t, struct exposer_visit, timer);
    if (v->state == VISIT_DIAL)
        probe_visitor_failed(v->offer, DIAL_WAIT);
    if (v->state == VISIT_DIAL && v->tls == NULL) {
        dial_cancel(&v->dial);
        v->state = refuse(v, FRONT_TIMEOUT, "the service did not answer the agent in time");
        set_timer(v, HANDSHAKE_NS);
        visit_run(v);
        return;
    }
    if (v->state == VISIT_LINGER) {
        teardown(v);
        return;
    }
    bool aged = v->state == VISIT_WAIT && v->waits; /* the door asks for another one */
    finish(v, v->state == VISIT_TLS ? "no TLS with the visitor in time" : "time is over", !aged);
    teardown(v);
}

static struct exposer_visit *visit_new(struct exposer *a, struct exposer_offer *o)
{
    struct exposer_visit *v = calloc(1, sizeof(*v));
    CHECK(v != NULL);
    v->magic = VISIT_MAGIC;
    v->agent = a;
    v->offer = o;
    v->began = loop_now(a->loop);
    timer_init(&v->timer, on_timer);
    task_init(&v->again, on_again);
    list_insert(&a->visits, &v->node);
    loop_defer(a->loop, &v->again);
    return v;
}

void exposer_visit_take(struct exposer *a, struct link *far)
{
    struct exposer_visit *v = visit_new(a, NULL);
    v->state = VISIT_WAIT;
    v->far = far;
    adopt(v, far);
    set_timer(v, HANDSHAKE_NS);
}

void exposer_visit_bring(struct exposer_offer *o, const char *id)
{
    struct exposer *a = o->agent;
    struct exposer_visit *v = visit_new(a, o);
    int64_t deadline = loop_now(a->loop) + a->door->timeout;
    v->waits = true;
    o->spares++;
    memcpy(v->id, id, OFFER_ID_TEXT);
    loop_set_timer(a->loop, &v->timer, deadline);
    v->way = (struct way){.door = a->door, .wake = on_owner_wake, .owner = v, .tcp_only = true};
    way_start(&v->way, deadline);
}

void exposer_visit_drop(struct exposer *a, const struct exposer_offer *o)
{
    for (struct list *n = a->visits.next, *next; n != &a->visits; n = next) {
        struct exposer_visit *v = CONTAINER_OF(n, struct exposer_visit, node);
        next = n->next;
        if (o != NULL && (v->offer != o || !v->waits))
            continue;
        if (v->state != VISIT_LINGER)
            finish(v, "the agent ends", true);
        teardown(v);
    }
}
