/* SPDX-License-Identifier: Apache-2.0 */
/* A carrier's life: a stranger's first packet is admitted like a TCP connection, under its source only once
 * the address has proven to be the stranger's; the ClientHello chooses a route in the same way; then streams
 * come and go. What it is told comes from src/quic/, never from within a call of its own. It leaves an audit
 * line of its own; so does each of its streams, which names it. */
#include <stdlib.h>

#include "audit/record.h"
#include "base/alert.h"
#include "base/clock.h"
#include "cert/trust.h"
#include "ech/open.h"
#include "ech/ring.h"
#include "session/certify.h"
#include "session/ending.h"
#include "session/expiry.h"
#include "session/front.h"
#include "session/quic_carrier_internal.h"
#include "session/renewal.h"
#include "session/review.h"
#include "session/session.h"
#include "session/worker.h"
#include "tls/quic.h"

#define QUIC_EXCESSIVE 1 /* the application's error code of cardea/1: the client asks too much */

/* ---- who comes ---- */

static void on_certificate(struct cert_waiter *waiter);
static void on_no_certificate(struct timer *t);
static void on_leaving(struct timer *t);
static void on_expiry(struct timer *t);

/* One whose address may be made up costs its maker a packet: it leaves no line, and takes no place of whoever
 * has that address. */
static bool admit_unproven(struct worker *w)
{
    const struct snapshot *snap = w->epoch->snap;
    size_t limit = snap->config->limits.connections;
    if (!w->draining && admission_enter_unproven(w->admission, limit, MAX(limit / 2, (size_t)1)))
        return true;
    counter_add(&worker_counters(w, snap->door)->reason[w->draining ? CLOSE_SHUTDOWN : CLOSE_LIMIT_TOTAL], 1);
    return false;
}

static bool admit(struct quic_port *port, const struct net_addr *peer)
{
    struct worker *w = port->worker;
    const struct snapshot *snap = w->epoch->snap;
    enum admission_verdict verdict =
        w->draining ? ADMIT_TOO_MANY : worker_admit(w, snap, peer, 0); /* it has no socket of its own */
    const struct session_origin origin = {
        .epoch = w->epoch, .listener = port->listener, .peer = peer, .transport = "quic"};
    if (verdict != ADMIT_OK)
        session_refused(w, &origin,
                        w->draining                 ? CLOSE_SHUTDOWN
                        : verdict == ADMIT_TOO_MANY ? CLOSE_LIMIT_TOTAL
                                                    : CLOSE_LIMIT_SOURCE);
    return verdict == ADMIT_OK;
}

void *quic_carrier_incoming(void *arg, struct quic_conn *conn, const struct net_addr *peer, bool proven)
{
    struct quic_port *port = arg;
    struct worker *w = port->worker;
    if (!(proven ? admit(port, peer) : admit_unproven(w)))
        return NULL;
    struct quic_carrier *c = calloc(1, sizeof(*c));
    CHECK(c != NULL);
    *c = (struct quic_carrier){.magic = CARRIER_MAGIC,
                               .worker = w,
                               .port = port,
                               .conn = conn,
                               .at = {.epoch = worker_hold(w, w->epoch), .listener = port->listener},
                               .id = worker_next_id(w),
                               .peer = *peer,
                               .place = proven ? COUNTED : UNPROVEN,
                               .began = loop_now(w->loop)};
    list_insert(&port->all, &c->node);
    c->wanted.waiter.wake = on_certificate;
    list_init(&c->wanted.waiter.node);
    timer_init(&c->wanted.late, on_no_certificate);
    timer_init(&c->leaving, on_leaving);
    timer_init(&c->expiry, on_expiry);
    patience_init(&c->patience, c->began);
    port->carriers++;
    return c;
}

static struct quic_hello_answer refuse(struct quic_carrier *c, enum close_reason reason, uint8_t alert)
{
    c->reason = reason;
    return (struct quic_hello_answer){.result = QUIC_HELLO_REFUSED, .alert = alert};
}

/* ---- the certificate ---- */

static void on_certificate(struct cert_waiter *waiter)
{
    const struct quic_carrier *c = CONTAINER_OF(waiter, struct quic_carrier, wanted.waiter);
    CHECK_MAGIC(c, CARRIER_MAGIC);
    quic_conn_ask_again(c->conn);
}

static void on_no_certificate(struct timer *t)
{
    struct quic_carrier *c = CONTAINER_OF(t, struct quic_carrier, wanted.late);
    CHECK_MAGIC(c, CARRIER_MAGIC);
    c->wanted.over = true;
    quic_conn_ask_again(c->conn);
}

static void want_no_more(struct quic_carrier *c)
{
    list_remove(&c->wanted.waiter.node);
    wheel_cancel(&c->wanted.late);
}

/* For a certificate that must be fetched the client waits, as over TCP. */
static enum cert_desk_result certify(struct quic_carrier *c, const struct tls_server *server,
                                     struct tls_client_hello *hello)
{
    const struct certify_wish wish = {.desk = c->at.epoch->desk,
                                      .route = c->at.route,
                                      .query = &hello->query,
                                      .peer = &c->peer,
                                      .late = c->wanted.over,
                                      .candidates = certify_shows_candidates(c->at.route, server)};
    struct worker *w = c->worker;
    c->wanted.waiter.unproven = c->place == UNPROVEN;
    enum cert_desk_result result = certify_choose(&wish, &c->wanted.waiter, &hello->cert, &c->wanted.why);
    if (result != CERT_DESK_WAIT)
        want_no_more(c);
    else if (!timer_is_set(&c->wanted.late))
        loop_set_timer(w->loop, &c->wanted.late,
                       loop_now(w->loop) + c->at.epoch->snap->config->limits.certificate_timeout);
    return result;
}

/* What a ClientHello that gets no certificate is answered with. */
static struct quic_hello_answer answer_uncertified(struct quic_carrier *c, enum cert_desk_result result)
{
    return result == CERT_DESK_WAIT ? (struct quic_hello_answer){.result = QUIC_HELLO_LATER}
                                    : refuse(c, CLOSE_UNCERTIFIED, certify_alert(result, c->wanted.over));
}

/* ---- the ClientHello ---- */

/* It may come to be asked for more than once. */
static void set_route(struct quic_carrier *c, const struct route_runtime *route, struct str alpn)
{
    if (c->at.route == NULL)
        counter_add(&worker_counters(c->worker, route->stats)->n[COUNTER_CONNECTIONS], 1);
    c->at.route = route;
    c->front = snapshot_front(c->worker->shared, alpn);
    if (c->front->tenant != NULL)
        quic_conn_allow_uni(c->conn, c->front->tenant->uni_streams);
}

/* Where the hello leads. */
static struct quic_hello_answer take_hello(struct quic_carrier *c, const struct hello *h)
{
    const struct snapshot *snap = c->at.epoch->snap;
    struct routing_client client;
    struct route_match match = routing_find(snap, c->at.listener, FIRST_BYTES_TLS, h);
    routing_note(h, &match, JA4_QUIC, &c->hello);
    const struct route_runtime *route = match.route == ROUTE_NONE ? NULL : &snap->routes[match.route];
    bool known = route != NULL || routing_knows_name(snap, c->at.listener, FIRST_BYTES_TLS, h);
    if (route == NULL || !snapshot_carries(c->worker->shared, route, match.alpn))
        return refuse(c, CLOSE_NO_ROUTE, known ? ALERT_NO_APPLICATION_PROTOCOL : ALERT_UNRECOGNIZED_NAME);
    set_route(c, route, match.alpn);
    routing_client(h, &c->hello, &route->config->tls, &client);
    c->verifies = cert_kinds_verified(&client.hello.query);
    const struct tls_server *server =
        certify_server(snap->config, c->at.listener, &c->peer, route, route->tls);
    enum cert_desk_result result = certify(c, server, &client.hello);
    if (result != CERT_DESK_FOUND)
        return answer_uncertified(c, result);
    return (struct quic_hello_answer){.result = QUIC_HELLO_TAKEN,
                                      .tls = tls_server_quic(server, &client.hello)};
}

/* The TLS library opens an encrypted hello by itself here, by the same keys: it is opened once more so that
 * the route is that of the name within, and of the protocols within. */
static struct quic_hello_answer on_hello(void *owner, const uint8_t *message, size_t len)
{
    struct quic_carrier *c = owner;
    const struct ech_ring *ring = c->at.epoch->snap->ech;
    struct ech_opened opened = {0};
    struct hello h, inner;
    CHECK_MAGIC(c, CARRIER_MAGIC);
    if (hello_parse(message, len, &h) != HELLO_REASON_NONE)
        return refuse(c, CLOSE_HELLO_BAD, ALERT_DECODE_ERROR);
    c->ech = ECH_NONE; /* when it was asked for before, keys may have been others */
    c->hello.outer[0] = '\0';
    if (ring == NULL || h.ech != HELLO_ECH_OUTER)
        return take_hello(c, &h);
    c->ech = ech_open(ech_ring_keys(ring), &h, &opened);
    switch (c->ech) {
    case ECH_OPENED:
        break;
    case ECH_BAD:
        return refuse(c, CLOSE_HELLO_BAD, (uint8_t)opened.alert);
    default:
        return take_hello(c, &h);
    }
    CHECK(hello_parse(opened.inner.data, opened.inner.len, &inner) == HELLO_REASON_NONE);
    memcpy(c->hello.outer, h.name, (size_t)h.name_len + 1);
    struct quic_hello_answer answer = take_hello(c, &inner);
    ech_opening_free(opened.opening);
    buf_free(&opened.inner);
    return answer;
}

static void finish(struct quic_carrier *c, enum close_reason reason, uint64_t code, const char *text);

/* The handshake has shown that the client is where it says (RFC 9000, 8.1). */
static bool prove(struct quic_carrier *c)
{
    if (c->place == UNPROVEN)
        c->place =
            admission_prove(c->worker->admission, &c->peer, c->at.epoch->snap->config->limits.per_source)
                ? COUNTED
                : OF_NO_SOURCE;
    return c->place == COUNTED;
}

static void leave_place(struct quic_carrier *c)
{
    static const struct net_addr nowhere = {.family = AF_UNSPEC};
    struct admission *a = c->worker->admission;
    if (c->place == UNPROVEN)
        admission_leave_unproven(a);
    else
        admission_leave(a, c->place == COUNTED ? &c->peer : &nowhere);
}

/* ---- who may stay ---- */

/* Where its protocol has a word for it: said once, and never taken back. */
static void say_goodbye(struct quic_carrier *c)
{
    if (c->tenant == NULL || c->told)
        return;
    c->told = true;
    c->tenant->ops->drain(c->tenant);
}

#define LEAVING_NS (100 * NSEC_PER_MSEC)
#define LAST_WORDS_NS (2 * NSEC_PER_SEC) /* for what was said last to arrive */

static void tell_leaving(const struct quic_carrier *c, const struct link_peer *peer)
{
    char id[AUDIT_ID_MAX], from[NET_ADDR_TEXT_MAX];
    worker_notice(
        c->worker, "connection %s of %s from %s begins nothing new, and ends with what runs on it: %s (%s)",
        audit_id_text(c->id, id), peer->identity == NULL ? "nobody" : identity_label(peer->identity),
        net_addr_format(&c->peer, from), c->at.why->text, close_reason_word(c->at.refused));
}

/* The route may have changed, and with it what becomes of who has run out. */
static void arm_expiry(struct quic_carrier *c, const struct link_peer *peer)
{
    struct loop *loop = c->worker->loop;
    int64_t due = expiry_due(expiry_of(c->at.route->config, peer), loop_now(loop));
    if (due == INT64_MAX || c->at.refused == CLOSE_EXPIRED)
        wheel_cancel(&c->expiry);
    else
        loop_set_timer(loop, &c->expiry, due);
}

/* May its client begin something new? Else the carrier ends with what it has carried until then, whatever
 * comes later once the goodbye has been said. */
static bool is_welcome(struct quic_carrier *c)
{
    struct link_peer peer;
    if (c->told && c->at.refused != CLOSE_DONE)
        return false;
    quic_conn_peer(c->conn, &peer);
    bool welcome = standing_renew(&c->at, c->worker, &c->hello, &peer, true);
    arm_expiry(c, &peer);
    if (welcome) {
        wheel_cancel(&c->leaving);
        c->left = 0;
    } else if (!timer_is_set(&c->leaving)) {
        tell_leaving(c, &peer);
        loop_set_timer(c->worker->loop, &c->leaving, loop_now(c->worker->loop) + LEAVING_NS);
    }
    return welcome;
}

/* ---- the handshake is complete ---- */

static void move_in(struct quic_carrier *c)
{
    if (c->front->tenant == NULL)
        return;
    c->tenant = c->front->tenant->open(c->worker, c->conn, c->at.epoch->snap);
    c->tenant->landlord = c;
    if (c->worker->draining)
        say_goodbye(c);
}

static void on_opened(void *owner)
{
    struct quic_carrier *c = owner;
    struct link_peer peer;
    CHECK_MAGIC(c, CARRIER_MAGIC);
    if (!prove(c)) {
        finish(c, CLOSE_LIMIT_SOURCE, 1, "");
        return;
    }
    c->opened = loop_now(c->worker->loop);
    quic_conn_peer(c->conn, &peer);
    worker_count_handshake(worker_counters(c->worker, c->at.route->stats), &peer, c->opened - c->began);
    move_in(c);
    arm_expiry(c, &peer);
    if (c->at.epoch != c->worker->epoch) /* quic_port_review() passes by those in the handshake */
        is_welcome(c);
}

/* ---- streams ---- */

/* The peer may have moved since; its streams are counted where it was admitted. */
static void begin_session(struct quic_carrier *c, struct link *link, const struct front_request *request)
{
    bool welcome = is_welcome(c);
    if (!welcome) /* one after the other must not keep the carrier */
        quic_stream_uncount(link);
    struct session_origin origin = {.listener = c->at.listener,
                                    .peer = &c->peer,
                                    .epoch = c->at.epoch,
                                    .route = c->at.route,
                                    .hello = &c->hello,
                                    .carrier = c->id,
                                    .transport = quic_carrier_transport(c),
                                    .front = request == NULL ? NULL : c->front,
                                    .refused = c->at.refused,
                                    .why = welcome ? NULL : c->at.why->text,
                                    .request = request};
    c->streams++;
    session_start_stream(c->worker, link, &origin);
}

static void on_stream(void *owner, struct link *link)
{
    struct quic_carrier *c = owner;
    CHECK_MAGIC(c, CARRIER_MAGIC);
    if (c->told && c->at.refused != CLOSE_DONE) /* a request that never becomes one must not keep it either */
        quic_stream_uncount(link);
    if (c->tenant != NULL)
        c->tenant->ops->stream(c->tenant, link);
    else
        begin_session(c, link, NULL);
}

void tenant_begin_session(struct tenant *t, struct link *link, const struct front_request *request)
{
    CHECK_MAGIC(t->landlord, CARRIER_MAGIC);
    begin_session(t->landlord, link, request);
}

static void on_bad_datagram(void *owner)
{
    struct quic_carrier *c = owner;
    CHECK_MAGIC(c, CARRIER_MAGIC);
    if (c->tenant != NULL)
        c->tenant->ops->bad_datagram(c->tenant);
}

/* ---- the end ---- */

static enum close_reason reason_of(const struct quic_carrier *c, enum quic_end end,
                                   const struct link_peer *peer)
{
    if (c->reason != CLOSE_DONE)
        return c->reason;
    switch (end) {
    case QUIC_END_TLS:
        return peer->no_certificate     ? CLOSE_NO_CERTIFICATE
               : *peer->failure != '\0' ? CLOSE_BAD_CERTIFICATE
                                        : CLOSE_HANDSHAKE_FAILED;
    case QUIC_END_IDLE:
        return c->opened == 0 ? CLOSE_HANDSHAKE_TIMEOUT : CLOSE_IDLE_TIMEOUT;
    case QUIC_END_TIMEOUT:
        return CLOSE_HANDSHAKE_TIMEOUT;
    case QUIC_END_LOCAL:
        return CLOSE_SHUTDOWN;
    case QUIC_END_PEER:
        return c->opened == 0 ? CLOSE_CLIENT_LEFT : CLOSE_DONE;
    default:
        return CLOSE_CLIENT_RESET;
    }
}

static void on_closed(void *owner, enum quic_end end, const char *text)
{
    struct quic_carrier *c = owner;
    struct worker *w = c->worker;
    struct link_peer peer;
    CHECK_MAGIC(c, CARRIER_MAGIC);
    if (c->tenant != NULL) {
        c->tenant->landlord = NULL;
        c->tenant->ops->close(c->tenant);
    }
    quic_conn_peer(c->conn, &peer);
    enum close_reason reason = reason_of(c, end, &peer);
    quic_carrier_audit(c, &peer, reason,
                       c->at.why != NULL && reason == c->at.refused ? c->at.why->text
                       : reason == CLOSE_UNCERTIFIED                ? c->wanted.why
                                                                    : text);
    struct route_stats *stats = c->at.route != NULL ? c->at.route->stats : c->at.epoch->snap->door;
    struct counters *counters = worker_counters(w, stats);
    counter_add(&counters->reason[reason], 1);
    if (reason == CLOSE_NO_CERTIFICATE)
        counter_add(&counters->n[COUNTER_NO_CERTIFICATE], 1);
    leave_place(c);
    want_no_more(c);
    worker_release(w, c->at.epoch);
    standing_free(&c->at);
    wheel_cancel(&c->leaving);
    wheel_cancel(&c->expiry);
    list_remove(&c->node);
    quic_port_leave(c->port);
    c->magic = 0;
    free(c);
}

/* By us. `text` is for the audit line. */
static void finish(struct quic_carrier *c, enum close_reason reason, uint64_t code, const char *text)
{
    struct quic_conn *conn = c->conn;
    struct quic_port *port = c->port;
    c->reason = reason;
    port->carriers++; /* the port stays until the connection, which needs its endpoint, is closed */
    on_closed(c, QUIC_END_LOCAL, text);
    quic_conn_close(conn, code);
    quic_port_leave(port);
}

void tenant_leave(struct tenant *t, uint64_t code, const char *text)
{
    CHECK_MAGIC(t->landlord, CARRIER_MAGIC);
    finish(t->landlord, CLOSE_BAD_REQUEST, code, text);
}

/* Each may have been a dial and is an audit line. A tenant has a patience of its own. */
static void on_taken_back(void *owner, unsigned streams)
{
    struct quic_carrier *c = owner;
    int64_t now = loop_now(c->worker->loop);
    CHECK_MAGIC(c, CARRIER_MAGIC);
    if (c->tenant != NULL)
        return;
    while (streams > 0 && patience_bear(&c->patience, now))
        streams--;
    if (streams > 0)
        finish(c, CLOSE_BAD_REQUEST, QUIC_EXCESSIVE,
               "too many streams that were reset before they had an answer");
}

/* What its streams were told last is to arrive, too. */
static void on_leaving(struct timer *t)
{
    struct quic_carrier *c = CONTAINER_OF(t, struct quic_carrier, leaving);
    CHECK_MAGIC(c, CARRIER_MAGIC);
    say_goodbye(c);
    int64_t now = loop_now(c->worker->loop);
    bool held = quic_conn_held(c->conn) > 0;
    if (!held && c->left == 0)
        c->left = now;
    if (held || (quic_conn_busy(c->conn) && now < c->left + LAST_WORDS_NS))
        loop_set_timer(c->worker->loop, &c->leaving, now + LEAVING_NS);
    else
        finish(c, c->at.refused, 0, NULL);
}

/* What it carries ends with it, and is told why. */
static void on_expiry(struct timer *t)
{
    struct quic_carrier *c = CONTAINER_OF(t, struct quic_carrier, expiry);
    struct link_peer peer;
    CHECK_MAGIC(c, CARRIER_MAGIC);
    quic_conn_peer(c->conn, &peer);
    if (!expiry_is_past(expiry_of(c->at.route->config, &peer))) {
        arm_expiry(c, &peer);
        return;
    }
    standing_expire(&c->at, &peer);
    say_goodbye(c);
    ending_streams(c->worker, c->id, CLOSE_EXPIRED);
    if (!timer_is_set(&c->leaving)) {
        tell_leaving(c, &peer);
        loop_set_timer(c->worker->loop, &c->leaving, loop_now(c->worker->loop) + LEAVING_NS);
    }
}

const struct quic_events quic_carrier_events = {.hello = on_hello,
                                                .opened = on_opened,
                                                .stream = on_stream,
                                                .bad_datagram = on_bad_datagram,
                                                .taken_back = on_taken_back,
                                                .closed = on_closed};

/* ---- all of them ---- */

/* So many are judged at a time: a verification of a chain takes about a tenth of a millisecond. */
#define REVIEW_NS NSEC_PER_MSEC
#define REVIEW_COUNT 4

/* A new configuration judges those too that begin nothing: who is not welcome any more does not stay. Each is
 * judged before its next stream in any case. */
void quic_port_review(struct timer *t)
{
    struct quic_port *port = CONTAINER_OF(t, struct quic_port, review);
    CHECK_MAGIC(port, PORT_MAGIC);
    for (size_t i = 0; i < REVIEW_COUNT && port->unreviewed > 0 && !list_empty(&port->all); i++) {
        struct quic_carrier *c = CONTAINER_OF(port->all.next, struct quic_carrier, node);
        port->unreviewed--;
        list_remove(&c->node);
        list_insert(&port->all, &c->node);
        if (c->opened != 0)
            is_welcome(c);
    }
    if (port->unreviewed > 0 && !list_empty(&port->all))
        loop_set_timer(port->worker->loop, &port->review, loop_now(port->worker->loop) + REVIEW_NS);
}

void quic_carriers_review(struct worker *w, struct review *sum)
{
    for (struct list *n = w->quic_ports.next; n != &w->quic_ports; n = n->next) {
        struct quic_port *port = CONTAINER_OF(n, struct quic_port, node);
        port->unreviewed = port->carriers;
        for (struct list *c = port->all.next; c != &port->all; c = c->next)
            sum->carriers += CONTAINER_OF(c, struct quic_carrier, node)->opened != 0;
        if (port->unreviewed > 0)
            loop_set_timer(w->loop, &port->review, loop_now(w->loop) + REVIEW_NS);
    }
}

void quic_carriers_drain(struct worker *w)
{
    for (struct list *n = w->quic_ports.next; n != &w->quic_ports; n = n->next) {
        struct quic_port *port = CONTAINER_OF(n, struct quic_port, node);
        quic_endpoint_refuse(port->endpoint);
        for (struct list *o = port->all.next; o != &port->all; o = o->next)
            say_goodbye(CONTAINER_OF(o, struct quic_carrier, node));
    }
}

static struct quic_carrier *find_carrier(const struct worker *w, uint64_t id)
{
    for (struct list *n = w->quic_ports.next; n != &w->quic_ports; n = n->next) {
        struct quic_port *port = CONTAINER_OF(n, struct quic_port, node);
        for (struct list *o = port->all.next; o != &port->all; o = o->next) {
            struct quic_carrier *c = CONTAINER_OF(o, struct quic_carrier, node);
            if (c->id == id)
                return c;
        }
    }
    return NULL;
}

size_t quic_carriers_end(struct worker *w, uint64_t id)
{
    struct quic_carrier *c = find_carrier(w, id);
    if (c != NULL)
        finish(c, CLOSE_ENDED, 0, NULL);
    return c != NULL;
}

/* As one that comes now with these certificates would be judged. */
static bool renew(struct quic_carrier *c, const struct renewal_question *q, int64_t *ret_expires,
                  struct err *err)
{
    const struct snapshot *now = c->worker->epoch->snap;
    const struct route_runtime *route = standing_lead(&c->at, now, &c->hello, true, err);
    struct authenticator_keys keys;
    struct authenticator_proof proof;
    struct link_peer peer;
    quic_conn_peer(c->conn, &peer);
    if (route == NULL || quic_conn_export(c->conn, AUTHENTICATOR_CLIENT, &keys, err) != 0)
        return false;
    bool good = renewal_prove(q, &keys, route, now, &peer, &proof, err);
    authenticator_forget(&keys);
    if (!good)
        return false;
    *ret_expires = trust_expires(proof.chain);
    quic_conn_renew(c->conn, &proof);
    standing_proven(&c->at);
    return is_welcome(c);
}

bool quic_carriers_renew(struct worker *w, const struct renewal_question *q, bool *ret_good,
                         int64_t *ret_expires, struct err *err)
{
    struct quic_carrier *c = find_carrier(w, q->id);
    if (c == NULL || c->opened == 0)
        return false;
    err_set(err, "the connection begins nothing new any more");
    *ret_good = !c->told && c->at.refused != CLOSE_EXPIRED && renew(c, q, ret_expires, err);
    return true;
}
