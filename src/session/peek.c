/* SPDX-License-Identifier: Apache-2.0 */
/* From accept to a route: the PROXY header, the first bytes, the ClientHello. Bytes are read into the
 * thread's scratch first; a hello that comes whole, as nearly all do, is parsed where it lies and nothing is
 * allocated for it. */
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "net/proxy_protocol.h"
#include "session/certify.h"
#include "session/plan.h"
#include "session/session_internal.h"
#include "session/worker.h"
#include "starttls/starttls.h"
#include "tls/tls_link.h"

#define READ_FIRST 4096 /* into the scratch; a classical hello has 250 to 600 bytes, a hybrid one 1,700 */
#define READ_MORE 2048

static bool in_scratch(const struct session *s)
{
    const struct setup *p = s->setup;
    return p->view.len > 0 && p->bytes.len == 0;
}

void setup_keep(struct session *s)
{
    struct setup *p = s->setup;
    if (!in_scratch(s))
        return;
    CHECK(buf_append(&p->bytes, p->view.p, p->view.len));
    p->view.p = (const char *)p->bytes.data;
}

/* Read more bytes of the client's. LINK_ERROR also when it has ended. */
static enum link_status read_more(struct session *s)
{
    struct setup *p = s->setup;
    size_t n = 0;
    enum link_status status;
    setup_keep(s);
    if (p->bytes.len == 0) {
        uint8_t *scratch = s->worker->pipe_scratch.data;
        status = link_read(s->down, scratch, READ_FIRST, &n);
        if (status == LINK_OK)
            p->view = (struct str){(const char *)scratch, n};
        return status == LINK_EOF ? LINK_ERROR : status;
    }
    CHECK(buf_reserve(&p->bytes, READ_MORE));
    status = link_read(s->down, p->bytes.data + p->bytes.len, READ_MORE, &n);
    if (status == LINK_OK)
        p->bytes.len += n;
    p->view = (struct str){(const char *)p->bytes.data, p->bytes.len};
    return status == LINK_EOF ? LINK_ERROR : status;
}

void session_consume(struct session *s, size_t n)
{
    struct setup *p = s->setup;
    CHECK(n <= p->view.len);
    if (in_scratch(s)) {
        p->view.p += n;
        p->view.len -= n;
        return;
    }
    buf_consume(&p->bytes, n);
    p->view = (struct str){(const char *)p->bytes.data, p->bytes.len};
}

enum session_state session_need_more(struct session *s, enum session_state here, bool *ret_again)
{
    enum link_status status = read_more(s);
    *ret_again = status == LINK_OK;
    if (status != LINK_ERROR)
        return here;
    return session_end(s, s->down->error == NULL ? CLOSE_CLIENT_LEFT : CLOSE_CLIENT_RESET);
}

/* ---- NEW, PROXY ---- */

static bool from_trusted_proxy(const struct session *s)
{
    const struct config_proxy *proxy = s->epoch->snap->config->listeners.v[s->listener].proxy_protocol;
    for (size_t i = 0; proxy != NULL && i < proxy->from.n; i++) {
        const struct config_network *net = &proxy->from.v[i];
        if (net_addr_in(&s->peer, net->family, net->addr, net->prefix))
            return true;
    }
    return false;
}

/* A tunnel goes on in another configuration, and its first words stay of this one. */
static void begin_talk(struct session *s, const struct starttls *protocol)
{
    s->setup->talk.spoken = protocol;
    s->setup->talk.scripts = plan_ref(s->epoch->snap->plan);
}

/* What the listener's clients begin with. */
static enum session_state begin(struct session *s)
{
    struct setup *p = s->setup;
    const struct plan_port *port = &s->epoch->snap->plan->ports[s->listener];
    p->scan = hello_scan_start(session_limits(s)->hello_size);
    if (port->speaks != NULL)
        begin_talk(s, port->speaks);
    p->kind = port->plain ? FIRST_BYTES_PLAIN : port->speaks != NULL ? FIRST_BYTES_STARTTLS : p->kind;
    if (relay_leads(s))
        return SESSION_ROUTE;
    return port->plain ? SESSION_ROUTE : port->speaks != NULL ? SESSION_PREAMBLE : SESSION_PEEK;
}

enum session_state step_new(struct session *s)
{
    return from_trusted_proxy(s) ? SESSION_PROXY : begin(s);
}

static enum session_state take_proxy_header(struct session *s, const struct proxy_header *h)
{
    session_consume(s, h->len);
    if (h->local || h->src.ss_family == AF_UNSPEC)
        return begin(s);
    struct net_addr real = net_addr_from(&h->src);
    s->setup->local = net_addr_from(&h->dst);
    bool admitted = admission_move(s->worker->admission, &s->peer, &real, session_limits(s)->per_source);
    s->peer = real;
    if (admitted)
        return begin(s);
    s->uncounted = true;
    return session_end(s, CLOSE_LIMIT_SOURCE);
}

enum session_state step_proxy(struct session *s)
{
    struct proxy_header h;
    for (bool again = true; again;) {
        const struct setup *p = s->setup;
        switch (proxy_protocol_read((const uint8_t *)p->view.p, p->view.len, PROXY_V2_MAX, &h)) {
        case PROXY_DONE:
            return take_proxy_header(s, &h);
        case PROXY_ABSENT:
            session_detail(s, "this peer must begin with a PROXY header");
            return session_end(s, CLOSE_PROXY_BAD);
        case PROXY_BAD:
            session_detail(s, proxy_reason_text(h.reason));
            return session_end(s, CLOSE_PROXY_BAD);
        case PROXY_MORE:
            break;
        }
        enum session_state next = session_need_more(s, SESSION_PROXY, &again);
        if (next != SESSION_PROXY)
            return next;
    }
    return SESSION_PROXY;
}

/* ---- PEEK ---- */

/* A fatal alert in the clear, in the record version that every client reads. */
enum session_state session_refuse_hello(struct session *s, uint8_t alert, enum close_reason reason)
{
    const uint8_t record[] = {21, 3, 3, 0, 2, 2, alert};
    return session_farewell(s, record, sizeof(record), reason);
}

static enum session_state bad_hello(struct session *s)
{
    enum hello_reason reason = s->setup->scan.reason;
    session_detail(s, hello_reason_text(reason));
    return session_refuse_hello(s, hello_reason_alert(reason), CLOSE_HELLO_BAD);
}

/* The first words of clients that would go on to STARTTLS. */
static const char *protocol_of_words(struct str said)
{
    static const struct {
        const char *word;
        const char *protocol;
    } rows[] = {{"EHLO ", "smtp"}, {"HELO ", "smtp"},   {"LHLO ", "lmtp"},
                {"STLS", "pop3"},  {"CAPA\r", "pop3"},  {"NICK ", "irc"},
                {"CAP ", "irc"},   {"AUTH TLS", "ftp"}, {"MODE READER", "nntp"}};
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        size_t n = strlen(rows[i].word);
        if (said.len >= n && strncasecmp(said.p, rows[i].word, n) == 0)
            return rows[i].protocol;
    }
    return NULL;
}

static bool is_line_of_text(struct str said)
{
    const char *end = memchr(said.p, '\n', said.len);
    size_t n = end != NULL ? (size_t)(end - said.p) : 0;
    for (size_t i = 0; i < n; i++)
        if ((unsigned char)said.p[i] < ' ' && said.p[i] != '\r' && said.p[i] != '\t')
            return false;
    return n > 0;
}

/* What it said is not told: it may be a password. */
static enum session_state not_tls(struct session *s, const char *protocol)
{
    char text[256];
    if (protocol != NULL)
        snprintf(
            text, sizeof(text),
            "TLS was to begin at once, and the client began in the clear, in %s: for STARTTLS the listener "
            "needs 'speaks: %s'",
            protocol, protocol);
    else
        snprintf(
            text, sizeof(text),
            "TLS was to begin at once, and the client sent a line of text in the clear: for STARTTLS the "
            "listener needs 'speaks:' and the protocol");
    if (protocol != NULL || is_line_of_text(s->setup->view))
        session_detail(s, text);
    return session_end(s, CLOSE_NOT_TLS);
}

/* A client that asks in a protocol of its own, in the clear, for TLS: where some route takes such. */
static enum session_state begin_in_clear(struct session *s, enum first_bytes kind)
{
    struct setup *p = s->setup;
    const struct plan *plan = s->epoch->snap->plan;
    kind = kind == FIRST_BYTES_POSTGRES_GSS ? FIRST_BYTES_POSTGRES_TLS : kind;
    if ((plan->ports[s->listener].kinds & 1u << kind) == 0)
        return not_tls(s, plan_protocol_of(kind));
    p->kind = kind;
    begin_talk(s, plan_protocol(plan, plan_protocol_of(kind)));
    return SESSION_PREAMBLE;
}

/* Not TLS: is it something that a route asks for? SESSION_PEEK: look again (MORE is told by *ret_more). */
static enum session_state peek_other(struct session *s, bool *ret_more)
{
    struct setup *p = s->setup;
    enum first_bytes kind = first_bytes_read((const uint8_t *)p->view.p, p->view.len);
    *ret_more = false;
    if (p->talk.spoken != NULL) {
        session_detail(s, "TLS was to begin, and something else came");
        return session_end(s, CLOSE_NOT_TLS);
    }
    switch (kind) {
    case FIRST_BYTES_MORE:
        *ret_more = true;
        return SESSION_PEEK;
    case FIRST_BYTES_POSTGRES_TLS:
    case FIRST_BYTES_POSTGRES_GSS:
    case FIRST_BYTES_XMPP:
    case FIRST_BYTES_LDAP:
        return begin_in_clear(s, kind);
    case FIRST_BYTES_SSH:
    case FIRST_BYTES_HTTP:
        p->kind = kind;
        return SESSION_ROUTE;
    default:
        return not_tls(s, protocol_of_words(p->view));
    }
}

static enum hello_result scan_view(struct session *s)
{
    struct setup *p = s->setup;
    return hello_scan(&p->scan, (const uint8_t *)p->view.p, p->view.len);
}

enum session_state step_peek(struct session *s)
{
    struct setup *p = s->setup;
    for (bool again = true; again;) {
        bool more = true;
        enum session_state next = SESSION_PEEK;
        switch (p->view.len == 0 ? HELLO_MORE : scan_view(s)) {
        case HELLO_DONE:
            if (p->talk.spoken == NULL)
                p->kind = FIRST_BYTES_TLS;
            return SESSION_ROUTE;
        case HELLO_BAD:
            return bad_hello(s);
        case HELLO_NOT_TLS:
            next = peek_other(s, &more);
            break;
        case HELLO_MORE:
            break;
        }
        if (next == SESSION_PEEK && more)
            next = session_need_more(s, SESSION_PEEK, &again);
        if (next != SESSION_PEEK)
            return next;
    }
    return SESSION_PEEK;
}

/* ---- ROUTE ---- */

/* Nothing matched. */
static enum session_state no_route(struct session *s, const struct hello *h)
{
    if (h == NULL) {
        session_detail(s, s->setup->kind == FIRST_BYTES_SSH ? "the client speaks SSH, and no route takes that"
                          : s->setup->kind == FIRST_BYTES_HTTP
                              ? "the client speaks HTTP without TLS, and no route takes that"
                              : "");
        return session_end(s, CLOSE_NOT_TLS);
    }
    const char *why;
    enum alert alert = routing_refusal(s->epoch->snap, s->listener, s->setup->kind, h, &why);
    session_detail(s, why);
    return session_refuse_hello(s, (uint8_t)alert, CLOSE_NO_ROUTE);
}

/* The first handshake step runs while the bytes and the hello are at hand. */
void session_accept_tls(struct session *s, const struct tls_server *server, struct tls_client_hello *hello)
{
    struct setup *p = s->setup;
    hello->early = p->view;
    s->down = tls_server_accept(server, hello, s->down, &s->worker->tls_scratch);
    if (p->talk.spoken != NULL && starttls_closes_premature(p->talk.spoken))
        tls_link_take_premature_close(s->down);
    session_own(s, s->down);
    link_open(s->down); /* reads the view; what it says is asked again in HANDSHAKE */
    buf_free(&p->bytes);
    p->view = (struct str){0};
}

enum session_state session_begin_tls(struct session *s, const struct tls_server *server,
                                     const struct hello *h)
{
    struct routing_client client;
    routing_client(h, &s->setup->hello, &s->route->config->tls, &client);
    s->verifies = (uint16_t)cert_kinds_verified(&client.hello.query);
    server = certify_server(s->epoch->snap->config, s->listener, &s->peer, s->route, server);
    enum session_state next = certify_client(s, server, &client.hello);
    if (next == SESSION_HANDSHAKE)
        session_accept_tls(s, server, &client.hello);
    return next;
}

static enum session_state take_route(struct session *s, const struct hello *h)
{
    const struct config_route *rc = s->route->config;
    if (h == NULL && s->setup->talk.spoken != NULL)
        return relay_leads(s) ? SESSION_DIAL : preamble_serve_plain(s);
    switch (rc->action) {
    case CONFIG_PASS:
    case CONFIG_FORWARD:
        return SESSION_DIAL;
    case CONFIG_REJECT:
        if (h == NULL)
            return session_end(s, CLOSE_REJECTED);
        return session_refuse_hello(s, (uint8_t)rc->reject, CLOSE_REJECTED);
    case CONFIG_SERVE:
        return h == NULL ? SESSION_AUTHORISE : session_begin_tls(s, s->route->tls, h);
    case CONFIG_EXPOSE:
        CHECK(h != NULL);
        session_visit(s, s->setup->hello.sni, VISIT_ANY_KIND);
        return SESSION_MEET;
    default:
        CHECK(h != NULL);
        return session_begin_tls(s, s->route->tls, h);
    }
}

static enum session_state refuse_protocols(struct session *s)
{
    session_detail(s, ROUTING_ANOTHER);
    return session_refuse_hello(s, ALERT_NO_APPLICATION_PROTOCOL, CLOSE_NO_ROUTE);
}

static enum session_state route_with(struct session *s, const struct hello *h)
{
    enum session_state next;
    s->when.routed = loop_now(s->worker->loop);
    if (h != NULL && session_decrypts(s, h, &next))
        return next;
    if (h != NULL && session_is_challenge(s, h, &next))
        return next;
    struct route_match match = routing_find(s->epoch->snap, s->listener, s->setup->kind, h);
    bool another = h != NULL && routing_wants_another(h, s->setup->talk.spoken, &match);
    if (h != NULL) {
        routing_note(h, &match, JA4_TCP, &s->setup->hello);
        s->setup->hello.kind = (uint8_t)s->setup->kind;
    }
    if (match.route == ROUTE_NONE)
        return no_route(s, h);
    if (another)
        return refuse_protocols(s);
    if (!session_enter_route(s, &s->epoch->snap->routes[match.route]))
        return h == NULL ? session_end(s, CLOSE_LIMIT_ROUTE)
                         : session_refuse_hello(s, ALERT_INTERNAL_ERROR, CLOSE_LIMIT_ROUTE);
    return take_route(s, h);
}

enum session_state session_with_hello(struct session *s,
                                      enum session_state (*then)(struct session *, const struct hello *))
{
    struct setup *p = s->setup;
    struct buf message = {0}; /* only for a hello in several records */
    if (p->scan.records > 1)
        CHECK(buf_reserve(&message, p->scan.message_len));
    struct hello h;
    p->scan.reason = hello_parse(hello_scan_message(&p->scan, (const uint8_t *)p->view.p, message.data),
                                 p->scan.message_len, &h);
    enum session_state next = p->scan.reason == HELLO_REASON_NONE ? then(s, &h) : bad_hello(s);
    buf_free(&message);
    return next;
}

/* The route is the listener's only one. */
static enum session_state go_on_with(struct session *s, const struct hello *h)
{
    struct route_match match = {.route = session_route_id(s)};
    enum session_state next;
    s->when.routed = loop_now(s->worker->loop);
    if (session_decrypts(s, h, &next))
        return next;
    bool another = routing_wants_another(h, s->setup->talk.spoken, &match);
    routing_note(h, &match, JA4_TCP, &s->setup->hello);
    if (another)
        return refuse_protocols(s);
    return session_begin_tls(s, s->route->tls, h);
}

enum session_state step_route(struct session *s)
{
    if (s->route != NULL)
        return session_with_hello(s, go_on_with);
    bool hello = s->setup->scan.message_len > 0;
    session_catch_up(s);
    return hello ? session_with_hello(s, route_with) : route_with(s, NULL);
}
