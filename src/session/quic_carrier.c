/* SPDX-License-Identifier: Apache-2.0 */
/* A carrier's life: a stranger's first packet is admitted like a TCP connection, under its source only once
 * the address has proven to be the stranger's; the ClientHello chooses a route in the same way; then streams
 * come and go. What it is told comes from src/quic/, never from within a call of its own. It leaves an audit
 * line of its own; so does each of its streams, which names it. */
#include "session/quic_carrier.h"

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "audit/record.h"
#include "base/alert.h"
#include "base/clock.h"
#include "base/patience.h"
#include "cert/trust.h"
#include "quic/quic.h"
#include "session/astray.h"
#include "session/certify.h"
#include "session/ending.h"
#include "session/expiry.h"
#include "session/front.h"
#include "session/renewal.h"
#include "session/review.h"
#include "session/routing.h"
#include "session/session.h"
#include "session/session_row.h"
#include "session/standing.h"
#include "session/tenant.h"
#include "session/worker.h"
#include "tls/quic.h"

#define CARRIER_MAGIC 0xca441e40u
#define PORT_MAGIC 0xca440904u
#define QUIC_EXCESSIVE 1 /* the application's error code of cardea/1: the client asks too much */

struct quic_port {
    uint32_t magic;
    struct worker *worker;
    struct quic_endpoint *endpoint;
    struct list node; /* of the worker */
    struct list all;  /* its carriers */
    char *key;        /* the address as configured: what it is known by across reloads */
    uint32_t listener;
    size_t carriers;
    size_t unreviewed;   /* at the front of `all`: not judged by the present configuration yet */
    struct timer review; /* goes on with them */
    bool retired;
    struct task free_later;
};

struct quic_carrier {
    uint32_t magic;
    struct worker *worker;
    struct quic_port *port;
    struct quic_conn *conn;
    struct standing at;
    const struct front *front;
    struct tenant *tenant; /* of a front that has one, once the handshake is complete */
    struct list node;      /* of the port */
    struct timer leaving;  /* its client is refused: until its streams have ended */
    int64_t left;          /* ... and when the last had; 0: not yet */
    struct timer expiry;   /* its client's certificate runs out: see expiry.h */
    bool told;             /* the tenant has said that nothing new is taken any more */
    uint64_t id;
    struct net_addr peer; /* as it was when it was admitted: there it is counted */
    enum { COUNTED, UNPROVEN, OF_NO_SOURCE } place;
    struct hello_note hello;
    unsigned verifies; /* see cert_kinds_verified() */
    int64_t began;     /* monotonic */
    int64_t opened;
    uint64_t streams;         /* so far */
    struct patience patience; /* for streams that are taken back */
    enum close_reason reason;
};

/* ---- who comes ---- */

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

static void *on_incoming(void *arg, struct quic_conn *conn, const struct net_addr *peer, bool proven)
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
    timer_init(&c->leaving, on_leaving);
    timer_init(&c->expiry, on_expiry);
    patience_init(&c->patience, c->began);
    port->carriers++;
    return c;
}

static struct tls_quic *refuse(struct quic_carrier *c, enum close_reason reason, uint8_t alert,
                               uint8_t *ret_alert)
{
    c->reason = reason;
    *ret_alert = alert;
    return NULL;
}

/* A certificate that must be fetched is asked for, but not waited for: the client comes again, or over TCP.
 */
static bool certify(struct quic_carrier *c, const struct tls_server *server, struct tls_client_hello *hello)
{
    const struct certify_wish wish = {.desk = c->at.epoch->desk,
                                      .route = c->at.route,
                                      .query = &hello->query,
                                      .peer = &c->peer,
                                      .candidates = certify_shows_candidates(c->at.route, server)};
    const char *why;
    return certify_choose(&wish, NULL, &hello->cert, &why) == CERT_DESK_FOUND;
}

static struct tls_quic *on_hello(void *owner, const uint8_t *message, size_t len, uint8_t *ret_alert)
{
    struct quic_carrier *c = owner;
    const struct snapshot *snap = c->at.epoch->snap;
    struct hello h;
    struct routing_client client;
    CHECK_MAGIC(c, CARRIER_MAGIC);
    if (hello_parse(message, len, &h) != HELLO_REASON_NONE)
        return refuse(c, CLOSE_HELLO_BAD, ALERT_DECODE_ERROR, ret_alert);
    struct route_match match = routing_find(snap, c->at.listener, FIRST_BYTES_TLS, &h);
    routing_note(&h, &match, JA4_QUIC, &c->hello);
    const struct route_runtime *route = match.route == ROUTE_NONE ? NULL : &snap->routes[match.route];
    bool known = route != NULL || routing_knows_name(snap, c->at.listener, FIRST_BYTES_TLS, &h);
    if (route == NULL || !snapshot_carries(c->worker->shared, route, match.alpn))
        return refuse(c, CLOSE_NO_ROUTE, known ? ALERT_NO_APPLICATION_PROTOCOL : ALERT_UNRECOGNIZED_NAME,
                      ret_alert);
    c->at.route = route;
    c->front = snapshot_front(c->worker->shared, match.alpn);
    if (c->front->tenant != NULL)
        quic_conn_allow_uni(c->conn, c->front->tenant->uni_streams);
    counter_add(&worker_counters(c->worker, route->stats)->n[COUNTER_CONNECTIONS], 1);
    routing_client(&h, &c->hello, &route->config->tls, &client);
    c->verifies = cert_kinds_verified(&client.hello.query);
    const struct tls_server *server =
        certify_server(snap->config, c->at.listener, &c->peer, route, route->tls);
    if (!certify(c, server, &client.hello))
        return refuse(c, CLOSE_UNCERTIFIED, ALERT_INTERNAL_ERROR, ret_alert);
    return tls_server_quic(server, &client.hello);
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
    struct counters *counters = worker_counters(c->worker, c->at.route->stats);
    counters_handshake(counters, peer.version, peer.group, c->opened - c->began);
    counter_add(&counters->n[COUNTER_RESUMED], peer.resumed);
    move_in(c);
    arm_expiry(c, &peer);
    if (c->at.epoch != c->worker->epoch) /* on_review() passes by those in the handshake */
        is_welcome(c);
}

/* ---- streams ---- */

static const char *transport_of(const struct quic_carrier *c)
{
    return c->front != NULL && c->front->tenant != NULL ? c->front->tenant->transport : "quic";
}

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
                                    .transport = transport_of(c),
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

static void write_audit(const struct quic_carrier *c, const struct link_peer *peer, enum close_reason reason,
                        const char *text)
{
    struct worker *w = c->worker;
    char from[NET_ADDR_TEXT_MAX];
    bool open = c->opened != 0;
    struct buf verifies = {0};
    struct audit_record r = {
        .time = clock_wall(),
        .id = c->id,
        .listener = c->at.epoch->snap->config->listeners.v[c->at.listener].name.text,
        .transport = transport_of(c),
        .peer = net_addr_format(&c->peer, from),
        .sni = {c->hello.sni, strlen(c->hello.sni)},
        .alpn = {c->hello.alpn, c->hello.alpn_len},
        .route = c->at.route == NULL ? NULL : c->at.route->config->name.text,
        .action = "carrier",
        .ja4 = {c->hello.ja4, strlen(c->hello.ja4)},
        .carries = true,
        .streams = c->streams,
        .handshake_ns = open ? c->opened - c->began : -1,
        .total_ns = loop_now(w->loop) - c->began,
        .reason = reason,
        .detail = reason == CLOSE_DONE ? NULL : text,
    };
    if (open) {
        r.tls = true;
        r.version = "1.3";
        r.verifies = cert_put_kinds(&verifies, c->verifies) ? buf_text(&verifies) : NULL;
        r.group = peer->group_name;
        r.cipher = peer->cipher;
        r.resumed = peer->resumed;
        r.identity = peer->identity == NULL ? NULL : identity_label(peer->identity);
    }
    audit_format(sink_lines(&w->sink), &r);
    buf_free(&verifies);
    sink_commit(&w->sink);
}

static void port_free(struct quic_port *port);

static void port_leave(struct quic_port *port)
{
    CHECK(port->carriers > 0);
    if (--port->carriers == 0 && port->retired)
        port_free(port);
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
    write_audit(c, &peer, reason, c->at.why != NULL && reason == c->at.refused ? c->at.why->text : text);
    struct route_stats *stats = c->at.route != NULL ? c->at.route->stats : c->at.epoch->snap->door;
    struct counters *counters = worker_counters(w, stats);
    counter_add(&counters->reason[reason], 1);
    if (reason == CLOSE_NO_CERTIFICATE)
        counter_add(&counters->n[COUNTER_NO_CERTIFICATE], 1);
    leave_place(c);
    worker_release(w, c->at.epoch);
    standing_free(&c->at);
    wheel_cancel(&c->leaving);
    wheel_cancel(&c->expiry);
    list_remove(&c->node);
    port_leave(c->port);
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
    port_leave(port);
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

static const struct quic_events events = {.hello = on_hello,
                                          .opened = on_opened,
                                          .stream = on_stream,
                                          .bad_datagram = on_bad_datagram,
                                          .taken_back = on_taken_back,
                                          .closed = on_closed};

/* ---- listeners ---- */

static struct quic_settings settings_of(const struct config *c)
{
    return (struct quic_settings){
        .congestion = c->quic.congestion == CONFIG_BBR ? QUIC_BBR : QUIC_CUBIC,
        .idle_timeout = c->quic.idle_timeout,
        .handshake_timeout = c->limits.handshake_timeout,
        .streams = c->quic.streams,
        .stream_window = c->quic.stream_window,
        .window = c->quic.window,
        .send_buffer = c->quic.send_buffer,
        .connection_buffer = c->quic.connection_buffer,
        .datagrams = true,
        .hello_size = c->limits.hello_size,
        .retry_above = c->quic.retry_above,
    };
}

/* So many are judged at a time: a verification of a chain takes about a tenth of a millisecond. */
#define REVIEW_NS NSEC_PER_MSEC
#define REVIEW_COUNT 4

/* A new configuration judges those too that begin nothing: who is not welcome any more does not stay. Each is
 * judged before its next stream in any case. */
static void on_review(struct timer *t)
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

static void on_astray(void *arg, unsigned owner, const struct udp_packets *packet)
{
    struct quic_port *port = arg;
    CHECK_MAGIC(port, PORT_MAGIC);
    astray_send(port->worker, owner, port->key, packet);
}

static void port_done(struct task *t)
{
    struct quic_port *port = CONTAINER_OF(t, struct quic_port, free_later);
    port->magic = 0;
    free(port->key);
    free(port);
}

struct quic_port *quic_port_new(struct worker *w, const char *key, int fd, struct err *err)
{
    struct quic_port *port = calloc(1, sizeof(*port));
    CHECK(port != NULL);
    *port = (struct quic_port){.magic = PORT_MAGIC, .worker = w, .key = strdup(key)};
    CHECK(port->key != NULL);
    list_init(&port->node);
    list_init(&port->all);
    timer_init(&port->review, on_review);
    task_init(&port->free_later, port_done);
    struct quic_server server = {.incoming = on_incoming,
                                 .astray = on_astray,
                                 .events = &events,
                                 .arg = port,
                                 .place = port->key,
                                 .index = w->index,
                                 .count = (unsigned)w->shared->workers};
    port->endpoint = quic_endpoint_new(w->loop, fd, &server, w->shared->quic_secrets, w->quic_scratch, err);
    if (port->endpoint != NULL)
        return port;
    port_done(&port->free_later);
    return NULL;
}

void quic_port_drop(struct quic_port *port)
{
    if (port == NULL)
        return;
    CHECK_MAGIC(port, PORT_MAGIC);
    CHECK(list_empty(&port->node));
    quic_endpoint_drop(port->endpoint);
    port_done(&port->free_later);
}

static void port_serve(struct quic_port *port, uint32_t listener)
{
    struct worker *w = port->worker;
    struct quic_settings settings = settings_of(w->epoch->snap->config);
    CHECK_MAGIC(port, PORT_MAGIC);
    if (list_empty(&port->node))
        list_insert(&w->quic_ports, &port->node);
    port->listener = listener;
    quic_endpoint_serve(port->endpoint, &settings);
}

static void set_retired(struct quic_port *port, bool retired)
{
    if (retired != port->retired)
        atomic_fetch_add(&port->worker->fellows->retired, retired ? 1 : (size_t)-1);
    port->retired = retired;
}

static void port_free(struct quic_port *port)
{
    CHECK_MAGIC(port, PORT_MAGIC);
    set_retired(port, false); /* the carriers that end now are not to end it once more */
    list_remove(&port->node);
    wheel_cancel(&port->review);
    quic_endpoint_free(port->endpoint);
    loop_defer(port->worker->loop, &port->free_later);
}

/* No new clients; closed with the last of its carriers. */
static void port_retire(struct quic_port *port)
{
    if (port->carriers == 0) {
        port_free(port);
        return;
    }
    set_retired(port, true);
    quic_endpoint_refuse(port->endpoint);
}

static struct quic_port *find_port(struct worker *w, const char *key)
{
    for (struct list *n = w->quic_ports.next; n != &w->quic_ports; n = n->next) {
        struct quic_port *port = CONTAINER_OF(n, struct quic_port, node);
        if (strcmp(port->key, key) == 0)
            return port;
    }
    return NULL;
}

/* One that is here for its carriers only goes on in place of the fresh one, so that all packets for the
 * address still come to one place. */
static void port_begin(struct quic_port *fresh, uint32_t listener)
{
    struct quic_port *here = find_port(fresh->worker, fresh->key);
    if (here != NULL) {
        CHECK(here->retired);
        port_free(fresh);
        set_retired(here, false);
    }
    port_serve(here != NULL ? here : fresh, listener);
}

static const struct worker_listener *find_listener(const struct worker_listener *listeners, size_t count,
                                                   const char *key)
{
    for (size_t i = 0; i < count; i++)
        if (listeners[i].udp && listeners[i].fresh_udp == NULL && strcmp(listeners[i].key, key) == 0)
            return &listeners[i];
    return NULL;
}

void quic_carriers_install(struct worker *w, const struct worker_listener *listeners, size_t count)
{
    for (struct list *n = w->quic_ports.next, *next; n != &w->quic_ports; n = next) {
        struct quic_port *port = CONTAINER_OF(n, struct quic_port, node);
        const struct worker_listener *l = port->retired ? NULL : find_listener(listeners, count, port->key);
        next = n->next;
        if (l != NULL)
            port_serve(port, (uint32_t)(l - listeners));
        else if (!port->retired)
            port_retire(port);
    }
    for (size_t i = 0; i < count; i++)
        if (listeners[i].fresh_udp != NULL)
            port_begin(listeners[i].fresh_udp, (uint32_t)i);
}

void quic_carriers_take(struct worker *w, const char *key, const struct udp_packets *packet)
{
    struct quic_port *port = find_port(w, key);
    if (port != NULL)
        quic_endpoint_take(port->endpoint, packet);
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

static bool to_json(const struct quic_carrier *c, struct buf *out)
{
    struct link_peer peer;
    struct quic_path_facts facts;
    quic_conn_peer(c->conn, &peer);
    quic_conn_facts(c->conn, &facts);
    const char *route = c->at.route == NULL ? "" : c->at.route->config->name.text;
    const char *identity = peer.identity == NULL ? "" : identity_label(peer.identity);
    bool leaves = c->at.refused != CLOSE_DONE;
    const struct session_row row = {
        .id = c->id,
        .peer = &c->peer,
        .state = c->opened == 0 ? "handshake"
                 : leaves       ? "leaving"
                                : "carrier",
        .reason = leaves ? close_reason_word(c->at.refused) : NULL,
        .detail = leaves ? c->at.why->text : NULL,
        .transport = transport_of(c),
        .carries = true,
        .streams = quic_conn_held(c->conn),
        .route = {route, strlen(route)},
        .sni = {c->hello.sni, strlen(c->hello.sni)},
        .identity = {identity, strlen(identity)},
        .in = facts.bytes_in,
        .out = facts.bytes_out,
        .age = loop_now(c->worker->loop) - c->began,
    };
    return session_row_json(&row, out);
}

size_t quic_carriers_count(const struct worker *w)
{
    size_t count = 0;
    for (struct list *n = w->quic_ports.next; n != &w->quic_ports; n = n->next)
        count += CONTAINER_OF(n, struct quic_port, node)->carriers;
    return count;
}

bool quic_carriers_json(const struct worker *w, size_t limit, struct buf *out)
{
    bool ok = true;
    size_t told = 0;
    for (struct list *n = w->quic_ports.next; n != &w->quic_ports; n = n->next) {
        struct quic_port *port = CONTAINER_OF(n, struct quic_port, node);
        for (struct list *o = port->all.next; ok && o != &port->all && told < limit; o = o->next, told++)
            ok = (told == 0 || buf_append(out, ",\n", 2)) &&
                 to_json(CONTAINER_OF(o, struct quic_carrier, node), out);
    }
    return ok;
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

bool quic_carriers_busy(const struct worker *w)
{
    for (struct list *n = w->quic_ports.next; n != &w->quic_ports; n = n->next)
        if (quic_endpoint_busy(CONTAINER_OF(n, struct quic_port, node)->endpoint))
            return true;
    return false;
}

void quic_carriers_close(struct worker *w)
{
    while (!list_empty(&w->quic_ports))
        port_free(CONTAINER_OF(w->quic_ports.next, struct quic_port, node));
}
