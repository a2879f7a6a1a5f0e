/* SPDX-License-Identifier: Apache-2.0 */
/* A lookup, then one connection after the other to the addresses, until somebody is there; then a while of
 * listening, for tickets, and for what the server has against us. One timer bounds all of it. */
#include "probe/quic_probe.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/unit.h"
#include "net/resolver.h"
#include "net/udp.h"
#include "quic/initial.h"
#include "tls/client.h"
#include "tls/quic.h"
#include "tls/sessions.h"

/* So long it may take until tickets are here, or a server says what it has against us. */
#define AFTERWORD_NS (2 * NSEC_PER_SEC)
#define TICKET_NS (20 * NSEC_PER_MSEC) /* ... and so often it is looked */

#define AMPLIFICATION 3 /* RFC 9000, 8.1 */

#define QUIC_PROBE_MAGIC 0x9b0be1c5u

struct quic_probe {
    uint32_t magic;
    struct quic_probe_params params;
    struct quic_probe_result result;
    struct quic_settings settings;
    struct resolve_query *query;
    struct net_addr address[RESOLVE_ADDRS_MAX];
    size_t addresses, next;
    struct quic_endpoint *endpoint;
    struct quic_conn *conn; /* NULL: none that has not ended */
    struct tls_sessions *sessions;
    struct quic_versions_question question;
    struct watch asked; /* on a socket of its own; its fd is -1 where there is none */
    int64_t began;      /* the lookup, then the handshake; clock_monotonic() */
    int64_t deadline;
    struct timer timer;
    struct task over;
};

const char *quic_version_text(uint32_t version, char *space)
{
    if (version == QUIC_VERSION_1)
        return "v1";
    if (version == QUIC_VERSION_2)
        return "v2";
    snprintf(space, QUIC_VERSION_TEXT_MAX, "0x%08x", version);
    return space;
}

/* ---- ends ---- */

static void stop_asking(struct quic_probe *p)
{
    loop_close(p->params.to.loop, &p->asked);
    p->asked.fd = -1;
}

/* Our end is said at once, and nothing is waited for: what a name server or a server says now comes too
 * late. */
static void leave(struct quic_probe *p)
{
    resolve_cancel(p->query);
    p->query = NULL;
    if (p->conn != NULL)
        quic_conn_close(p->conn, 0);
    p->conn = NULL;
    stop_asking(p);
    quic_endpoint_free(p->endpoint);
    p->endpoint = NULL;
}

static void finish(struct quic_probe *p)
{
    leave(p);
    wheel_cancel(&p->timer);
    loop_defer(p->params.to.loop, &p->over);
}

/* With an outcome and why. `fmt` is printf's. */
__attribute__((format(printf, 3, 4))) static void end(struct quic_probe *p, enum probe_outcome outcome,
                                                      const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(p->result.shake.text.text, sizeof(p->result.shake.text.text), fmt, ap);
    va_end(ap);
    p->result.shake.outcome = outcome;
    finish(p);
}

/* ---- what is found ---- */

/* One for the handshake, and one for each time that the server had to hear from us first: for a Retry, for
 * another key share, and to be allowed to send the rest. */
static unsigned count_round_trips(const struct quic_probe_result *r)
{
    const struct quic_handshake_facts *h = &r->handshake;
    bool waited = !h->retried && h->in > r->allowed;
    return 1 + (h->retried ? 1 : 0) + (r->shake.traffic.retried ? 1 : 0) + (waited ? 1 : 0);
}

static void note_tickets(struct quic_probe *p)
{
    p->result.tickets = tls_sessions_count(p->sessions) > 0;
    p->result.early_data = tls_sessions_take_early(p->sessions);
}

/* ---- versions ---- */

/* One at a time: who sends without end holds up nothing else. */
static void on_answer(struct watch *w, uint32_t ready)
{
    struct quic_probe *p = CONTAINER_OF(w, struct quic_probe, asked);
    uint8_t datagram[QUIC_ASK_LEN];
    (void)ready;
    ssize_t len = recv(w->fd, datagram, sizeof(datagram), 0);
    if (len > 0 && p->result.versions.len == 0)
        quic_versions_read(&p->question, datagram, (size_t)len, &p->result.versions);
}

/* Beside the handshake, and once: what has no answer by its end has none. */
static void ask_versions(struct quic_probe *p, const struct net_addr *to)
{
    stop_asking(p);
    int fd = udp_connect(to);
    if (fd < 0)
        return;
    quic_versions_ask(&p->question);
    if (send(fd, p->question.packet, sizeof(p->question.packet), 0) < 0 ||
        loop_watch(p->params.to.loop, &p->asked, fd, EPOLLIN, on_answer) != 0) {
        close(fd);
        p->asked.fd = -1;
    }
}

/* ---- the connection ---- */

/* Nobody tells that one has come. A server that gives out some has nothing against us. */
static void await_ticket(struct quic_probe *p)
{
    loop_set_timer(p->params.to.loop, &p->timer, MIN(p->deadline, loop_now(p->params.to.loop) + TICKET_NS));
}

static void on_opened(void *owner)
{
    struct quic_probe *p = owner;
    struct quic_probe_result *r = &p->result;
    struct link_peer peer;
    CHECK_MAGIC(p, QUIC_PROBE_MAGIC);
    r->shake.spent[PROBE_TLS] = clock_monotonic() - p->began;
    quic_conn_peer(p->conn, &peer);
    quic_conn_handshake(p->conn, &r->handshake);
    server_probe_take(&peer, &r->shake);
    r->shake.traffic.sent = r->handshake.out;
    r->shake.traffic.received = r->handshake.in;
    r->allowed = AMPLIFICATION * r->handshake.first_out;
    r->round_trips = count_round_trips(r);
    server_probe_prove(&r->shake, p->params.trust, p->params.to.name, &r->path);
    p->deadline = MIN(p->deadline, loop_now(p->params.to.loop) + AFTERWORD_NS);
    await_ticket(p);
}

static void on_stream(void *owner, struct link *link)
{
    (void)owner;
    link_close(link, false);
}

static void connect_next(struct quic_probe *p);

static void end_unopened(struct quic_probe *p, enum quic_end how, const char *text)
{
    switch (how) {
    case QUIC_END_TRANSPORT:
        p->result.shake.outcome = PROBE_REFUSED;
        err_set(&p->result.shake.text, "%s", text);
        connect_next(p);
        return;
    case QUIC_END_TLS:
        end(p, PROBE_TLS_FAILED, "%s", text);
        return;
    case QUIC_END_TIMEOUT:
    case QUIC_END_IDLE:
        end(p, PROBE_TIMED_OUT, "%s", text);
        return;
    case QUIC_END_PROTOCOL:
        end(p, PROBE_OTHER_PROTOCOL, "%s", text);
        return;
    default:
        end(p, PROBE_CLOSED, "%s", text);
    }
}

/* In TLS 1.3 a server refuses a client's certificate only after the client takes the handshake for
 * complete. */
static void on_closed(void *owner, enum quic_end how, const char *text)
{
    struct quic_probe *p = owner;
    struct server_probe_result *r = &p->result.shake;
    CHECK_MAGIC(p, QUIC_PROBE_MAGIC);
    p->conn = NULL;
    if (!r->shook_hands) {
        end_unopened(p, how, text);
        return;
    }
    note_tickets(p);
    if (how == QUIC_END_TLS && r->outcome == PROBE_GOOD)
        end(p, PROBE_TURNED_AWAY, "the server broke off behind the handshake: %s", text);
    else
        finish(p);
}

static const struct quic_events events = {.opened = on_opened, .stream = on_stream, .closed = on_closed};

static void connect_to(struct quic_probe *p, const struct net_addr *to, int fd)
{
    const struct quic_probe_params *params = &p->params;
    struct err err;
    quic_endpoint_free(p->endpoint);
    p->endpoint =
        quic_endpoint_client(params->to.loop, fd, &p->settings, params->secrets, params->scratch, &err);
    if (p->endpoint == NULL) {
        end(p, PROBE_UNREACHABLE, "%s", err.text);
        return;
    }
    struct tls_quic *tls =
        tls_client_quic(params->tls, &(struct tls_peer){.host = params->to.name, .sessions = p->sessions});
    p->conn = quic_connect(p->endpoint, to, tls, &events, p);
}

/* The next address; where there is none any more, what became of the last one is the end. */
static void connect_next(struct quic_probe *p)
{
    while (p->next < p->addresses) {
        const struct net_addr *to = &p->address[p->next++];
        int fd = udp_connect(to);
        if (fd < 0)
            continue;
        p->result.shake.address = *to;
        ask_versions(p, to);
        p->began = clock_monotonic();
        connect_to(p, to, fd);
        return;
    }
    if (p->result.shake.outcome == PROBE_REFUSED)
        finish(p);
    else
        end(p, PROBE_UNREACHABLE, "the address cannot be reached");
}

static void on_resolved(void *arg, enum resolve_status status, const struct net_addr *addrs, size_t count)
{
    struct quic_probe *p = arg;
    p->query = NULL;
    p->result.shake.spent[PROBE_LOOKUP] = clock_monotonic() - p->began;
    memcpy(p->address, addrs, count * sizeof(*addrs));
    p->addresses = count;
    if (status == RESOLVE_OK)
        connect_next(p);
    else
        end(p, status == RESOLVE_FAILED ? PROBE_UNRESOLVED : PROBE_NO_SUCH_HOST, "%s: %s", p->params.to.host,
            resolve_status_text(status));
}

/* ---- the whole ---- */

static void on_timer(struct timer *t)
{
    struct quic_probe *p = CONTAINER_OF(t, struct quic_probe, timer);
    char within[UNIT_TEXT_MAX];
    if (!p->result.shake.shook_hands) {
        end(p, PROBE_TIMED_OUT, "no handshake within %s",
            unit_format(p->params.timeout, unit_durations, within));
        return;
    }
    note_tickets(p);
    if (p->result.tickets || loop_now(p->params.to.loop) >= p->deadline)
        finish(p);
    else
        await_ticket(p);
}

static void on_over(struct task *t)
{
    struct quic_probe *p = CONTAINER_OF(t, struct quic_probe, over);
    CHECK_MAGIC(p, QUIC_PROBE_MAGIC);
    p->params.done(p->params.owner);
}

static void set_up(struct quic_probe *p)
{
    p->settings = (struct quic_settings){.congestion = QUIC_CUBIC,
                                         .idle_timeout = p->params.timeout,
                                         .handshake_timeout = p->params.timeout,
                                         .streams = 1,
                                         .stream_window = 16384,
                                         .window = 65536,
                                         .send_buffer = 16384,
                                         .connection_buffer = 65536,
                                         .datagrams = true};
}

struct quic_probe *quic_probe_start(const struct quic_probe_params *params)
{
    struct quic_probe *p = calloc(1, sizeof(*p));
    struct loop *loop = params->to.loop;
    CHECK(p != NULL);
    p->magic = QUIC_PROBE_MAGIC;
    p->params = *params;
    p->asked.fd = -1;
    p->sessions = tls_sessions_new();
    for (int step = 0; step < PROBE_STEPS; step++)
        p->result.shake.spent[step] = PROBE_NOT_REACHED;
    set_up(p);
    timer_init(&p->timer, on_timer);
    task_init(&p->over, on_over);
    p->deadline = loop_now(loop) + params->timeout;
    loop_set_timer(loop, &p->timer, p->deadline);
    p->began = clock_monotonic();
    p->query = resolver_lookup(params->to.resolver, params->to.host, params->to.port, on_resolved, p);
    return p;
}

const struct quic_probe_result *quic_probe_result(const struct quic_probe *p)
{
    CHECK_MAGIC(p, QUIC_PROBE_MAGIC);
    return &p->result;
}

void quic_probe_free(struct quic_probe *p)
{
    if (p == NULL)
        return;
    CHECK_MAGIC(p, QUIC_PROBE_MAGIC);
    wheel_cancel(&p->timer);
    list_remove(&p->over.node);
    leave(p);
    tls_sessions_free(p->sessions);
    path_report_free(&p->result.path);
    server_probe_let_go(&p->result.shake);
    p->magic = 0;
    free(p);
}
