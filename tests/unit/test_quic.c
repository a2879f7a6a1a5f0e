/* SPDX-License-Identifier: Apache-2.0 */
/* Two endpoints in one loop, over loopback. */
#include "tests/unit/pki.h"

#include "base/clock.h"
#include "cert/cert.h"
#include "cert/identity.h"
#include "cert/store.h"
#include "cert/trust.h"
#include "hello/hello.h"
#include "quic/flow_link.h"
#include "quic/quic.h"
#include "tls/client.h"
#include "tls/quic.h"
#include "tls/server.h"

static const struct quic_settings settings = {
    .idle_timeout = 5 * NSEC_PER_SEC,
    .handshake_timeout = 2 * NSEC_PER_SEC,
    .streams = 10,
    .stream_window = 64 * 1024,
    .window = 256 * 1024,
    .send_buffer = 128 * 1024,
    .connection_buffer = 512 * 1024,
    .datagrams = true,
    .hello_size = 64 * 1024,
    .retry_above = 100,
};

static const int groups[] = {HELLO_GROUP_X25519MLKEM768, HELLO_GROUP_X25519};

/* One end of one connection, and of at most one stream on it. */
struct end {
    struct world *world;
    struct quic_conn *conn;
    struct link *link;
    bool opened;
    bool closed;
    enum quic_end how;
    char text[256];
    char peer[64];
    size_t to_send; /* of the pattern */
    size_t sent;
    size_t got;
    bool ended; /* EOF was read */
    bool broken;
    bool echo;
    struct buf back;  /* echo: not written yet */
    size_t datagrams; /* that came */
    size_t longest;
    uint32_t last; /* the number of the last one */
    bool idle;     /* leaves them where they are */
    bool repeats;  /* sends each back */
};

struct world {
    struct loop *loop;
    struct quic_scratch *scratch;
    struct quic_secrets secrets;
    struct cert *certs[2];
    struct cert_store *store;
    struct trust *trust;
    struct tls_server *tls_server;
    struct tls_client *tls_client, *tls_nobody;
    struct quic_endpoint *server, *client;
    struct net_addr address;
    struct end s, c;
    bool wary;                       /* the server wants to see the peer's address proven first */
    bool by_hand;                    /* streams that come are left to the test */
    bool mute;                       /* the server closes streams at once */
    bool abort;                      /* ... as broken */
    size_t part;                     /* ... after it has said so much, which is not taken back */
    uint8_t refuse;                  /* the server refuses hellos with this alert */
    bool later;                      /* the server does not know yet what it answers to them */
    unsigned hellos;                 /* how often it was asked */
    struct quic_endpoint *others[3]; /* that share its address, by index; they listen elsewhere */
    size_t handed_on;
    struct timer limit;
    bool late;
};

/* ---- an end ---- */

static uint8_t pattern(size_t i)
{
    return (uint8_t)(i * 31 + i / 251);
}

static void send_more(struct end *e)
{
    while (e->sent < e->to_send) {
        uint8_t bytes[5000];
        size_t n = MIN(sizeof(bytes), e->to_send - e->sent), taken;
        for (size_t i = 0; i < n; i++)
            bytes[i] = pattern(e->sent + i);
        if (link_write(e->link, bytes, n, &taken) != LINK_OK)
            return;
        e->sent += taken;
    }
    if (e->to_send > 0)
        link_shutdown(e->link);
}

static bool send_back(struct end *e)
{
    while (e->back.len > 0) {
        size_t taken;
        if (link_write(e->link, e->back.data, e->back.len, &taken) != LINK_OK)
            return false;
        buf_consume(&e->back, taken);
    }
    if (e->ended)
        link_shutdown(e->link);
    return true;
}

static void read_more(struct end *e)
{
    while (!e->ended && (!e->echo || send_back(e))) {
        uint8_t bytes[7000];
        size_t n;
        enum link_status status = link_read(e->link, bytes, sizeof(bytes), &n);
        if (status == LINK_AGAIN)
            return;
        if (status == LINK_ERROR) {
            e->broken = true;
            return;
        }
        if (status == LINK_EOF) {
            e->ended = true;
            break;
        }
        for (size_t i = 0; i < n; i++)
            assert_int_equal(bytes[i], pattern(e->got + i));
        e->got += n;
        if (e->echo)
            assert_true(buf_append(&e->back, bytes, n));
    }
    if (e->echo)
        send_back(e);
}

/* The first four bytes of a datagram are its number; an empty one has none. */
static void read_datagrams(struct end *e)
{
    static uint8_t data[65536];
    size_t len;
    while (!e->idle && quic_stream_datagram_waits(e->link, &len)) {
        quic_stream_read_datagram(e->link, data);
        e->datagrams++;
        e->longest = MAX(e->longest, len);
        if (len >= sizeof(e->last))
            memcpy(&e->last, data, sizeof(e->last));
        if (e->repeats)
            quic_stream_send_datagram(e->link, data, len);
    }
}

static void on_wake(struct link *l)
{
    struct end *e = l->owner;
    if (e->link == NULL)
        return;
    read_datagrams(e);
    send_more(e);
    read_more(e);
    if (e == &e->world->c && (e->ended || e->broken))
        loop_stop(e->world->loop);
}

static void take_link(struct end *e, struct link *l)
{
    e->link = l;
    l->owner = e;
    l->wake = on_wake;
    on_wake(l);
}

static void on_opened(void *owner)
{
    struct end *e = owner;
    struct link_peer peer;
    quic_conn_peer(e->conn, &peer);
    e->opened = true;
    if (peer.identity != NULL)
        snprintf(e->peer, sizeof(e->peer), "%s", identity_label(peer.identity));
    if (e == &e->world->c)
        loop_stop(e->world->loop);
}

static void on_stream(void *owner, struct link *link)
{
    struct end *e = owner;
    assert_null(e->link);
    e->echo = true;
    if (e->world->part > 0) {
        uint8_t bytes[5000];
        size_t n;
        for (size_t i = 0; i < e->world->part; i++)
            bytes[i] = pattern(i);
        assert_int_equal(link_write(link, bytes, e->world->part, &n), LINK_OK);
        assert_int_equal(n, e->world->part);
        link_cut(link);
    } else if (e->world->by_hand)
        e->link = link;
    else if (e->world->mute)
        link_close(link, e->world->abort);
    else
        take_link(e, link);
}

static void on_closed(void *owner, enum quic_end end, const char *text)
{
    struct end *e = owner;
    e->closed = true;
    e->how = end;
    snprintf(e->text, sizeof(e->text), "%s", text);
    if (e == &e->world->c)
        loop_stop(e->world->loop);
}

static struct quic_hello_answer on_hello(void *owner, const uint8_t *message, size_t len)
{
    const struct end *e = owner;
    struct hello h;
    static const uint16_t algorithms[] = {0x0403};
    assert_int_equal(hello_parse(message, len, &h), HELLO_REASON_NONE);
    struct tls_client_hello hello = {.query = {.version = 0x0304, .sigalgs = algorithms, .sigalgs_len = 1}};
    e->world->hellos++;
    if (e->world->later)
        return (struct quic_hello_answer){.result = QUIC_HELLO_LATER};
    if (e->world->refuse != 0)
        return (struct quic_hello_answer){.result = QUIC_HELLO_REFUSED, .alert = e->world->refuse};
    return (struct quic_hello_answer){.result = QUIC_HELLO_TAKEN,
                                      .tls = tls_server_quic(e->world->tls_server, &hello)};
}

static const struct quic_events server_events = {
    .hello = on_hello, .opened = on_opened, .stream = on_stream, .closed = on_closed};
static const struct quic_events client_events = {
    .opened = on_opened, .stream = on_stream, .closed = on_closed};

static void *on_incoming(void *arg, struct quic_conn *conn, const struct net_addr *peer, bool proven)
{
    struct world *w = arg;
    assert_int_equal(peer->family, AF_INET);
    if (w->wary && !proven)
        return NULL;
    w->s = (struct end){.world = w, .conn = conn};
    return &w->s;
}

/* ---- the world ---- */

static void on_limit(struct timer *t)
{
    struct world *w = CONTAINER_OF(t, struct world, limit);
    w->late = true;
    loop_stop(w->loop);
}

/* Until the client's end stops the loop; fails after ten seconds. */
static void run(struct world *w)
{
    struct err err;
    loop_set_timer(w->loop, &w->limit, clock_monotonic() + 10 * NSEC_PER_SEC);
    assert_int_equal(loop_run(w->loop, &err), 0);
    wheel_cancel(&w->limit);
    assert_false(w->late);
}

/* A while, so that what is on its way arrives. In slices: what a busy machine takes from us is some of them,
 * not all. */
static void run_for(struct world *w, int64_t ns)
{
    struct err err;
    for (; ns > 0; ns -= WHEEL_TICK_NS) {
        loop_set_timer(w->loop, &w->limit, clock_monotonic() + MIN(ns, WHEEL_TICK_NS));
        while (!w->late)
            assert_int_equal(loop_run(w->loop, &err), 0);
        w->late = false;
    }
}

static struct cert *load(const char *name)
{
    struct err err;
    char cert[64], key[64];
    snprintf(cert, sizeof(cert), "%s.pem", name);
    snprintf(key, sizeof(key), "%s.key", name);
    struct cert *c =
        cert_load(&(struct cert_files){.certificate = pki_path(cert), .key = pki_path(key)}, &err);
    assert_non_null(c);
    return c;
}

static void make_tls(struct world *w)
{
    struct err err;
    static const char *const alpn[] = {"cardea/1"};
    struct ca *root = pki_root("root"), *server = pki_server(root, "door.test"),
              *client = pki_client(root, "alice");
    pki_save(root, "root");
    pki_save(server, "server");
    pki_save(client, "client");
    ca_free(server);
    ca_free(client);
    ca_free(root);
    const char *ca = pki_path("root.pem");
    w->trust = trust_load(&(struct trust_files){.name = "root", .ca = &ca, .ca_len = 1}, &err);
    assert_non_null(w->trust);
    w->certs[0] = load("server");
    w->certs[1] = load("client");
    w->store = cert_store_build(w->certs, 1, &err);
    assert_non_null(w->store);
    w->tls_server = tls_server_new(&(struct tls_server_params){.min_version = 0x0303,
                                                               .max_version = 0x0304,
                                                               .groups = groups,
                                                               .groups_len = ARRAY_LEN(groups),
                                                               .store = w->store,
                                                               .alpn = alpn,
                                                               .alpn_len = 1,
                                                               .clients = TLS_CLIENTS_REQUIRED,
                                                               .trust = w->trust,
                                                               .scope = "test"},
                                   &err);
    assert_non_null(w->tls_server);
    struct tls_client_params params = {.min_version = 0x0303,
                                       .max_version = 0x0304,
                                       .groups = groups,
                                       .groups_len = ARRAY_LEN(groups),
                                       .trust = w->trust,
                                       .cert = w->certs[1],
                                       .alpn = alpn,
                                       .alpn_len = 1};
    w->tls_client = tls_client_new(&params, &err);
    params.cert = NULL;
    w->tls_nobody = tls_client_new(&params, &err);
    assert_true(w->tls_client != NULL && w->tls_nobody != NULL);
}

static void make_client(struct world *w)
{
    struct err err;
    int fd = udp_connect(&w->address);
    assert_true(fd >= 0);
    w->client = quic_endpoint_client(w->loop, fd, &settings, &w->secrets, w->scratch, &err);
    assert_non_null(w->client);
}

static void make_endpoints(struct world *w)
{
    struct err err = {{0}};
    struct quic_server server = {
        .incoming = on_incoming, .events = &server_events, .arg = w, .index = 1, .count = 3};
    int fd = udp_listen("127.0.0.1", 0, false, &err);
    assert_true(fd >= 0);
    w->address = udp_socket_of(fd).local;
    w->server = quic_endpoint_new(w->loop, fd, &server, &w->secrets, w->scratch, &err);
    assert_non_null(w->server);
    quic_endpoint_serve(w->server, &settings);
    make_client(w);
}

static int set_up(void **state)
{
    struct world *w = calloc(1, sizeof(*w));
    struct err err;
    w->loop = loop_new(&err);
    w->scratch = quic_scratch_new();
    quic_secrets_make(&w->secrets);
    timer_init(&w->limit, on_limit);
    make_tls(w);
    make_endpoints(w);
    w->c.world = w->s.world = w;
    *state = w;
    return 0;
}

static int tear_down(void **state)
{
    struct world *w = *state;
    struct end *ends[] = {&w->s, &w->c};
    for (size_t i = 0; i < ARRAY_LEN(ends); i++) {
        struct link *l = ends[i]->link;
        ends[i]->link = NULL;
        link_close(l, false);
        buf_free(&ends[i]->back);
    }
    quic_endpoint_free(w->client);
    quic_endpoint_free(w->server);
    loop_stop(w->loop);
    loop_run(w->loop, NULL);
    loop_free(w->loop);
    quic_scratch_free(w->scratch);
    tls_client_free(w->tls_client);
    tls_client_free(w->tls_nobody);
    tls_server_free(w->tls_server);
    cert_store_free(w->store);
    trust_unref(w->trust);
    cert_unref(w->certs[0]);
    cert_unref(w->certs[1]);
    free(w);
    return 0;
}

static void connect_with(struct world *w, struct tls_client *tls, const char *host)
{
    w->c.conn = quic_connect(w->client, &w->address, tls_client_quic(tls, &(struct tls_peer){.host = host}),
                             &client_events, &w->c);
    run(w);
}

static void make_connection(struct world *w)
{
    connect_with(w, w->tls_client, "door.test");
    if (!w->c.opened)
        fail_msg("%s", w->c.text);
}

/* ---- tests ---- */

static void both_ends_know_each_other(void **state)
{
    struct world *w = *state;
    struct link_peer peer;
    make_connection(w);
    run_for(w, 20 * NSEC_PER_MSEC);
    assert_true(w->s.opened);
    assert_string_equal(w->s.peer, "alice");
    quic_conn_peer(w->s.conn, &peer);
    assert_int_equal(peer.version, 0x0304);
    assert_int_equal(peer.group, HELLO_GROUP_X25519MLKEM768);
    assert_true(str_is(peer.alpn, "cardea/1"));
}

static void a_stream_carries_bytes_and_both_ends(void **state)
{
    struct world *w = *state;
    make_connection(w);
    w->c.to_send = 20 * 1000 * 1000 + 7;
    take_link(&w->c, quic_conn_open_stream(w->c.conn));
    run(w);
    assert_true(w->c.ended && !w->c.broken);
    assert_int_equal(w->c.got, w->c.to_send);
    assert_true(w->s.ended);
}

static void a_reset_is_an_error_on_the_other_side(void **state)
{
    struct world *w = *state;
    make_connection(w);
    w->c.to_send = 1000;
    take_link(&w->c, quic_conn_open_stream(w->c.conn));
    run_for(w, 50 * NSEC_PER_MSEC);
    assert_non_null(w->s.link);
    struct link *l = w->s.link;
    w->s.link = NULL;
    w->c.ended = false;
    link_close(l, true);
    run_for(w, 50 * NSEC_PER_MSEC);
    assert_true(w->c.broken || w->c.got == 1000);
}

static void a_client_without_a_certificate_is_refused(void **state)
{
    struct world *w = *state;
    connect_with(w, w->tls_nobody, "door.test");
    if (!w->c.closed)
        run(w);
    assert_int_equal(w->c.how, QUIC_END_TLS);
    assert_string_equal(w->c.text, "the peer sent the alert certificate_required");
    assert_false(w->s.opened);
    assert_int_equal(w->s.how, QUIC_END_TLS);
}

static void a_server_of_another_name_is_refused(void **state)
{
    struct world *w = *state;
    connect_with(w, w->tls_client, "other.test");
    assert_false(w->c.opened);
    assert_int_equal(w->c.how, QUIC_END_TLS);
    assert_non_null(strstr(w->c.text, "other.test"));
}

static void a_refused_hello_is_told_with_its_alert(void **state)
{
    struct world *w = *state;
    w->refuse = 112;
    connect_with(w, w->tls_client, "door.test");
    assert_int_equal(w->c.how, QUIC_END_TLS);
    assert_string_equal(w->c.text, "the peer sent the alert unrecognized_name");
}

/* Connect: the server has the ClientHello, and does not answer it yet. */
static void begin_and_hold(struct world *w)
{
    struct quic_settings patient = settings;
    patient.handshake_timeout = 8 * NSEC_PER_SEC;
    quic_endpoint_serve(w->client, &patient);
    w->later = true;
    w->c.conn = quic_connect(w->client, &w->address,
                             tls_client_quic(w->tls_client, &(struct tls_peer){.host = "door.test"}),
                             &client_events, &w->c);
    for (int i = 0; i < 200 && w->hellos == 0; i++)
        run_for(w, 20 * NSEC_PER_MSEC);
    assert_int_equal(w->hellos, 1);
}

/* The time that it takes is not the client's, and what he sends again meanwhile does nothing. */
static void the_answer_to_a_hello_may_take_time(void **state)
{
    struct world *w = *state;
    struct quic_settings hasty = settings;
    hasty.handshake_timeout = NSEC_PER_SEC;
    quic_endpoint_serve(w->server, &hasty);
    begin_and_hold(w);
    run_for(w, 1500 * NSEC_PER_MSEC);
    assert_int_equal(w->hellos, 1);
    quic_conn_ask_again(w->s.conn);
    run_for(w, 20 * NSEC_PER_MSEC);
    assert_int_equal(w->hellos, 2);
    w->later = false;
    quic_conn_ask_again(w->s.conn);
    quic_conn_ask_again(w->s.conn);
    assert_int_equal(w->hellos, 2); /* never from within the call */
    run(w);
    assert_int_equal(w->hellos, 3);
    if (!w->c.opened)
        fail_msg("%s", w->c.text);
    run_for(w, 20 * NSEC_PER_MSEC);
    assert_string_equal(w->s.peer, "alice");
    quic_conn_ask_again(w->s.conn); /* nothing is asked */
    run_for(w, 20 * NSEC_PER_MSEC);
    assert_int_equal(w->hellos, 3);
}

static void the_answer_may_be_a_late_no(void **state)
{
    struct world *w = *state;
    begin_and_hold(w);
    w->later = false;
    w->refuse = 112;
    quic_conn_ask_again(w->s.conn);
    run(w);
    assert_int_equal(w->c.how, QUIC_END_TLS);
    assert_string_equal(w->c.text, "the peer sent the alert unrecognized_name");
    assert_int_equal(w->s.how, QUIC_END_TLS);
}

static void who_waits_for_the_answer_may_leave(void **state)
{
    struct world *w = *state;
    begin_and_hold(w);
    quic_conn_close(w->c.conn, 0);
    run_for(w, 50 * NSEC_PER_MSEC);
    assert_true(w->s.closed);
    assert_int_equal(w->s.how, QUIC_END_PEER);
    assert_int_equal(w->hellos, 1);
}

static void the_server_may_end_before_it_has_answered(void **state)
{
    struct world *w = *state;
    begin_and_hold(w);
    quic_conn_ask_again(w->s.conn);
    quic_endpoint_free(w->server);
    w->server = NULL;
    assert_true(w->s.closed);
    assert_int_equal(w->s.how, QUIC_END_LOCAL);
    run(w);
    assert_true(w->c.closed);
    assert_int_equal(w->c.how, QUIC_END_PEER);
    assert_int_equal(w->hellos, 1);
}

static void a_retry_is_answered(void **state)
{
    struct world *w = *state;
    struct quic_settings wary = settings;
    wary.retry_above = 0;
    quic_endpoint_serve(w->server, &wary);
    make_connection(w);
}

/* An owner who does not take a stranger at his word asks for a Retry. */
static void who_has_proven_nothing_may_be_asked_to(void **state)
{
    struct world *w = *state;
    w->wary = true;
    make_connection(w);
}

/* A stream that both ends know, and take datagrams of. */
static void make_flow(struct world *w)
{
    make_connection(w);
    take_link(&w->c, quic_conn_open_stream(w->c.conn));
    size_t n;
    assert_int_equal(link_write(w->c.link, (uint8_t[]){pattern(0)}, 1, &n), LINK_OK);
    run_for(w, 30 * NSEC_PER_MSEC);
    assert_non_null(w->s.link);
    quic_stream_take_datagrams(w->c.link);
    quic_stream_take_datagrams(w->s.link);
}

static void send_numbered(struct end *e, uint32_t number, size_t len)
{
    uint8_t data[2000] = {0};
    memcpy(data, &number, sizeof(number));
    assert_true(quic_stream_send_datagram(e->link, data, len));
}

static void datagrams_go_both_ways(void **state)
{
    struct world *w = *state;
    uint8_t data[2000] = {1, 2, 3};
    struct quic_datagram_facts facts;
    make_flow(w);
    size_t most = quic_stream_datagram_max(w->c.link);
    assert_in_range(most, 1100, 1500);
    w->s.repeats = true;
    assert_false(quic_stream_send_datagram(w->c.link, data, most + 1));
    assert_true(quic_stream_send_datagram(w->c.link, data, most));
    assert_true(quic_stream_send_datagram(w->c.link, NULL, 0));
    run_for(w, 60 * NSEC_PER_MSEC);
    assert_int_equal(w->s.datagrams, 2);
    assert_int_equal(w->c.datagrams, 2);
    assert_int_equal(w->c.longest, most);
    quic_stream_datagram_facts(w->c.link, &facts);
    assert_int_equal(facts.sent, 2);
    assert_int_equal(facts.acked, 2);
    assert_int_equal(facts.received, 2);
    assert_int_equal(facts.largest, most);
    assert_int_equal(facts.lost + facts.dropped_in + facts.dropped_out, 0);
}

/* The path is found to carry more than the first packets could count on: 1,350 bytes in one packet. */
static void a_wireguard_packet_fits_ethernet(void **state)
{
    struct world *w = *state;
    make_flow(w);
    for (int i = 0; i < 50 && quic_stream_datagram_max(w->c.link) < 1350; i++)
        run_for(w, 20 * NSEC_PER_MSEC);
    send_numbered(&w->c, 7, 1350);
    run_for(w, 20 * NSEC_PER_MSEC);
    assert_int_equal(w->s.last, 7);
}

static void datagrams_need_both_ends(void **state)
{
    struct world *w = *state;
    struct quic_settings without = settings;
    without.datagrams = false;
    quic_endpoint_serve(w->server, &without);
    make_connection(w);
    take_link(&w->c, quic_conn_open_stream(w->c.conn));
    assert_int_equal(quic_stream_datagram_max(w->c.link), 0);
    assert_false(quic_stream_send_datagram(w->c.link, NULL, 0));
    run_for(w, 20 * NSEC_PER_MSEC);
    struct link *ours = quic_conn_open_stream(w->s.conn);
    assert_non_null(ours);
    assert_int_equal(quic_stream_datagram_max(ours), 0);
    link_close(ours, true);
}

/* A stream that the server has opened has datagrams of its own, also where the client has opened the one with
 * the same Quarter Stream ID. */
static void datagrams_of_a_stream_that_the_server_opened(void **state)
{
    struct world *w = *state;
    struct quic_datagram_facts facts;
    size_t n;
    make_connection(w);
    run_for(w, 20 * NSEC_PER_MSEC); /* the server has opened it too */
    take_link(&w->s, quic_conn_open_stream(w->s.conn));
    struct link *other = quic_conn_open_stream(w->c.conn);
    assert_int_equal(quic_stream_id(other) / 4, quic_stream_id(w->s.link) / 4);
    assert_int_equal(link_write(w->s.link, (uint8_t[]){pattern(0)}, 1, &n), LINK_OK);
    run_for(w, 30 * NSEC_PER_MSEC);
    assert_non_null(w->c.link);
    quic_stream_take_datagrams(w->c.link);
    quic_stream_take_datagrams(w->s.link);
    w->c.repeats = true;
    for (uint32_t i = 0; i < 5; i++)
        send_numbered(&w->s, i, 1000);
    run_for(w, 60 * NSEC_PER_MSEC);
    assert_int_equal(w->c.datagrams, 5);
    assert_int_equal(w->s.datagrams, 5);
    assert_int_equal(w->s.last, 4);
    quic_stream_datagram_facts(w->s.link, &facts);
    assert_int_equal(facts.acked, 5);
    quic_stream_datagram_facts(other, &facts);
    assert_int_equal(facts.received + facts.dropped_in, 0);
    link_close(other, true);
}

/* ---- a flow that begins with a greeting ---- */

#define FRAME(text) "\0" text, sizeof(text)

static bool is_yes(struct str answer)
{
    return answer.len == 3 && answer.p[2] == 'y';
}

static void write_frames(struct link *l, const char *bytes, size_t len)
{
    size_t n;
    assert_int_equal(link_write(l, bytes, len, &n), LINK_OK);
    assert_int_equal(n, len);
}

static void expect_frames(struct link *l, const char *bytes, size_t len)
{
    char got[100];
    size_t all = 0, n;
    while (all < len && link_read(l, got + all, sizeof(got) - all, &n) == LINK_OK)
        all += n;
    assert_int_equal(all, len);
    assert_memory_equal(got, bytes, len);
}

/* The messages stay in the stream; what follows goes as datagrams if the answer says so. */
static void check_greeting(struct world *w, const char *answer, bool datagrams)
{
    struct quic_datagram_facts facts;
    w->by_hand = true;
    make_connection(w);
    run_for(w, 20 * NSEC_PER_MSEC);
    struct link *flow = flow_link_greeting(quic_conn_open_stream(w->s.conn), is_yes);
    write_frames(flow, FRAME("\5hello"));
    run_for(w, 30 * NSEC_PER_MSEC);
    assert_non_null(w->c.link);
    expect_frames(w->c.link, FRAME("\5hello"));
    write_frames(w->c.link, answer, 3);
    if (datagrams)
        assert_true(quic_stream_send_datagram(w->c.link, "early", 5));
    run_for(w, 30 * NSEC_PER_MSEC);
    expect_frames(flow, answer, 3);
    write_frames(flow, FRAME("\3one"));
    run_for(w, 30 * NSEC_PER_MSEC);
    quic_stream_datagram_facts(w->c.link, &facts);
    assert_int_equal(facts.received, datagrams ? 1 : 0);
    if (datagrams)
        expect_frames(flow, FRAME("\5early"));
    else
        expect_frames(w->c.link, FRAME("\3one"));
    link_close(flow, false);
}

static void a_greeting_that_is_agreed_to(void **state)
{
    check_greeting(*state, "\0\1y", true);
}

static void a_greeting_that_is_not(void **state)
{
    check_greeting(*state, "\0\1n", false);
}

static void run_until_received(struct world *w, const struct end *e, size_t count)
{
    struct quic_datagram_facts facts = {0};
    for (int i = 0; i < 1000 && facts.received < count; i++) {
        run_for(w, 10 * NSEC_PER_MSEC);
        quic_stream_datagram_facts(e->link, &facts);
    }
    assert_int_equal(facts.received, count);
}

/* Of a flood that nobody takes the newest are kept, within a bound; and a few of those that came before the
 * owner said that he takes them. */
static void a_flood_drives_out_the_oldest(void **state)
{
    struct world *w = *state;
    struct quic_datagram_facts facts;
    make_flow(w);
    w->s.idle = true;
    for (uint32_t i = 0; i < 2000; i++)
        send_numbered(&w->c, i, 1000);
    quic_stream_datagram_facts(w->c.link, &facts);
    assert_in_range(facts.dropped_out, 1800, 1900);
    size_t kept = 2000 - facts.dropped_out;
    run_until_received(w, &w->s, kept);
    for (uint32_t i = 0; i < 400; i++) {
        send_numbered(&w->c, 5000 + i, 1000);
        if (i % 50 == 49)
            run_until_received(w, &w->s, kept + i + 1);
    }
    quic_stream_datagram_facts(w->s.link, &facts);
    assert_in_range(facts.received - facts.dropped_in, 120, 131);
    w->s.idle = false;
    on_wake(w->s.link);
    assert_int_equal(w->s.datagrams, facts.received - facts.dropped_in);
    assert_int_equal(w->s.last, 5399);
}

static void a_few_early_datagrams_wait_for_their_owner(void **state)
{
    struct world *w = *state;
    make_connection(w);
    take_link(&w->c, quic_conn_open_stream(w->c.conn));
    size_t n;
    assert_int_equal(link_write(w->c.link, (uint8_t[]){pattern(0)}, 1, &n), LINK_OK);
    run_for(w, 30 * NSEC_PER_MSEC);
    w->s.idle = true;
    for (uint32_t i = 0; i < 10; i++)
        send_numbered(&w->c, i, 1000);
    run_for(w, 50 * NSEC_PER_MSEC);
    w->s.idle = false;
    quic_stream_take_datagrams(w->s.link);
    run_for(w, 20 * NSEC_PER_MSEC);
    assert_int_equal(w->s.datagrams, 4); /* 4 KiB */
    assert_int_equal(w->s.last, 9);
}

/* Bytes of a stream get their share although datagrams go first. */
static void a_stream_gets_on_beside_a_flood(void **state)
{
    struct world *w = *state;
    make_flow(w);
    size_t sent = 1;
    for (int i = 0; i < 400 && w->c.got < 200 * 1000; i++) {
        for (uint32_t k = 0; k < 150; k++)
            send_numbered(&w->c, k, 1000);
        uint8_t bytes[1000];
        size_t n = sizeof(bytes);
        for (size_t k = 0; k < n; k++)
            bytes[k] = pattern(sent + k);
        assert_int_equal(link_write(w->c.link, bytes, n, &n), LINK_OK);
        sent += n;
        run_for(w, 2 * NSEC_PER_MSEC);
    }
    assert_true(w->c.got >= 200 * 1000);
}

static void the_peer_hears_of_a_close(void **state)
{
    struct world *w = *state;
    make_connection(w);
    take_link(&w->c, quic_conn_open_stream(w->c.conn));
    run_for(w, 20 * NSEC_PER_MSEC);
    quic_conn_close(w->s.conn, 0);
    if (!w->c.closed)
        run(w);
    assert_int_equal(w->c.how, QUIC_END_PEER);
    assert_true(w->c.broken);
}

/* Each of them brings as much as a stream may; together they would use up the connection's window. */
static void broken_streams_do_not_use_up_the_window(void **state)
{
    struct world *w = *state;
    make_connection(w);
    w->mute = true;
    for (int i = 0; i < 60; i++) {
        w->abort = i % 2 == 0;
        w->c.ended = w->c.broken = false;
        w->c.sent = w->c.got = 0;
        w->c.to_send = 60 * 1000;
        take_link(&w->c, quic_conn_open_stream(w->c.conn));
        run_for(w, 5 * NSEC_PER_MSEC);
        link_close(w->c.link, true);
        w->c.link = NULL;
        run_for(w, 5 * NSEC_PER_MSEC);
    }
    w->mute = false;
    w->c.to_send = 300 * 1000;
    w->c.sent = w->c.got = 0;
    w->c.ended = w->c.broken = false;
    w->s = (struct end){.world = w, .conn = w->s.conn};
    take_link(&w->c, quic_conn_open_stream(w->c.conn));
    if (!w->c.ended)
        run(w);
    assert_int_equal(w->c.got, w->c.to_send);
}

/* More of them than the connection's first window holds. Each waits with what its own window lets in. */
static void streams_that_nobody_reads_do_not_stop_another(void **state)
{
    struct world *w = *state;
    struct link *ours[6], *theirs[6];
    static const uint8_t bytes[100 * 1000];
    make_connection(w);
    w->by_hand = true;
    for (size_t i = 0; i < ARRAY_LEN(ours); i++) {
        size_t n;
        ours[i] = quic_conn_open_stream(w->c.conn);
        assert_int_equal(link_write(ours[i], bytes, sizeof(bytes), &n), LINK_OK);
        run_for(w, 20 * NSEC_PER_MSEC);
        assert_non_null(theirs[i] = w->s.link);
        w->s.link = NULL;
    }
    w->by_hand = false;
    w->c.to_send = 1000 * 1000;
    take_link(&w->c, quic_conn_open_stream(w->c.conn));
    if (!w->c.ended)
        run(w);
    assert_int_equal(w->c.got, w->c.to_send);
    for (size_t i = 0; i < ARRAY_LEN(ours); i++) {
        static uint8_t got[sizeof(bytes)];
        size_t n;
        assert_int_equal(link_read(theirs[i], got, sizeof(got), &n), LINK_OK);
        assert_int_equal(n, settings.stream_window);
        link_close(theirs[i], true);
        link_close(ours[i], true);
    }
}

static void streams_beyond_the_limit_wait(void **state)
{
    struct world *w = *state;
    make_connection(w);
    struct link *links[11];
    for (size_t i = 0; i < 10; i++) {
        links[i] = quic_conn_open_stream(w->c.conn);
        assert_non_null(links[i]);
    }
    assert_null(quic_conn_open_stream(w->c.conn));
    for (size_t i = 0; i < 10; i++)
        link_close(links[i], true);
}

static size_t fill(struct link *l)
{
    static const uint8_t bytes[50 * 1000];
    size_t held = 0, n;
    while (link_write(l, bytes, sizeof(bytes), &n) == LINK_OK)
        held += n;
    return held;
}

/* What is cut off after it has said something has that delivered, and does not look like a whole one. */
static void what_is_cut_is_no_end(void **state)
{
    struct world *w = *state;
    make_connection(w);
    w->part = 5000;
    w->c.to_send = 1;
    take_link(&w->c, quic_conn_open_stream(w->c.conn));
    run(w);
    assert_int_equal(w->c.got, 5000);
    assert_true(w->c.broken);
    assert_false(w->c.ended);
}

/* Streams hold no more together than the connection may, and a small part each when it is full. What they
 * held is free again when they are over. */
static void a_connection_holds_so_much(void **state)
{
    struct world *w = *state;
    struct link *links[9];
    size_t held = 0;
    make_connection(w);
    w->mute = w->abort = true;
    for (size_t i = 0; i < ARRAY_LEN(links); i++) {
        links[i] = quic_conn_open_stream(w->c.conn);
        assert_non_null(links[i]);
        size_t n = fill(links[i]);
        assert_int_equal(n, i < 4 ? 128 * 1024 : 32 * 1024);
        held += n;
    }
    assert_int_equal(held, (512 + 5 * 32) * 1024);
    run_for(w, 100 * NSEC_PER_MSEC);
    for (size_t i = 0; i < ARRAY_LEN(links); i++)
        link_close(links[i], true);
    run_for(w, 50 * NSEC_PER_MSEC);
    struct link *next = quic_conn_open_stream(w->c.conn);
    assert_non_null(next);
    assert_int_equal(fill(next), 128 * 1024);
    link_close(next, true);
}

/* A stream that got a small part only is asked again and again, so it gets all of its bytes across. */
static void a_stream_gets_on_although_the_connection_is_full(void **state)
{
    struct world *w = *state;
    struct quic_settings little = settings;
    little.connection_buffer = 16384;
    quic_endpoint_serve(w->server, &little);
    make_connection(w);
    w->c.to_send = 2 * 1000 * 1000;
    take_link(&w->c, quic_conn_open_stream(w->c.conn));
    if (!w->c.ended)
        run(w);
    assert_int_equal(w->c.got, w->c.to_send);
}

static void a_connection_survives_another_address(void **state)
{
    struct world *w = *state;
    make_connection(w);
    w->c.to_send = 5 * 1000 * 1000;
    take_link(&w->c, quic_conn_open_stream(w->c.conn));
    run_for(w, 5 * NSEC_PER_MSEC);
    int fd = udp_connect(&w->address);
    assert_true(fd >= 0);
    assert_true(quic_conn_migrate(w->c.conn, fd));
    if (!w->c.ended)
        run(w);
    assert_int_equal(w->c.got, w->c.to_send);
    struct quic_path_facts facts;
    quic_conn_facts(w->s.conn, &facts);
    assert_int_equal(facts.peer.port, udp_socket_of(fd).local.port);
    for (int i = 0; i < 5; i++) { /* sockets of old do not pile up */
        int next = udp_connect(&w->address);
        assert_in_range(next, 0, fd + 2);
        assert_true(quic_conn_migrate(w->c.conn, next));
        run_for(w, 20 * NSEC_PER_MSEC);
    }
}

/* What comes for another of the endpoints at the address is handed on to it. */
static void on_astray(void *arg, unsigned owner, const struct udp_packets *packet)
{
    struct world *w = arg;
    w->handed_on++;
    assert_non_null(w->others[owner]);
    quic_endpoint_take(w->others[owner], packet);
}

static struct quic_endpoint *make_server(struct world *w, unsigned index, uint16_t port)
{
    struct err err;
    struct quic_server server = {.incoming = on_incoming,
                                 .astray = on_astray,
                                 .events = &server_events,
                                 .arg = w,
                                 .index = index,
                                 .count = ARRAY_LEN(w->others)};
    int fd = udp_listen("127.0.0.1", port, true, &err);
    assert_true(fd >= 0);
    if (port == 0)
        w->address = udp_socket_of(fd).local;
    struct quic_endpoint *e = quic_endpoint_new(w->loop, fd, &server, &w->secrets, w->scratch, &err);
    assert_non_null(e);
    quic_endpoint_serve(e, &settings);
    return e;
}

/* Without steering the kernel gives packets to any of the sockets, and after a change of address to another
 * one: each connection goes on at one endpoint. */
static void packets_find_their_endpoint(void **state)
{
    struct world *w = *state;
    for (unsigned i = 0; i < ARRAY_LEN(w->others); i++)
        w->others[i] = make_server(w, i, i == 0 ? 0 : w->address.port);
    quic_endpoint_free(w->client);
    make_client(w);
    make_connection(w);
    w->c.to_send = 20 * 1000 * 1000;
    take_link(&w->c, quic_conn_open_stream(w->c.conn));
    for (int i = 0; i < 8 && !w->c.ended; i++) {
        run_for(w, 5 * NSEC_PER_MSEC);
        quic_conn_migrate(w->c.conn, udp_connect(&w->address));
    }
    if (!w->c.ended)
        run(w);
    assert_int_equal(w->c.got, w->c.to_send);
    assert_true(w->handed_on > 0);
    quic_endpoint_free(w->client); /* the other end first, which is one of theirs */
    w->client = NULL;
    for (unsigned i = 0; i < ARRAY_LEN(w->others); i++)
        quic_endpoint_free(w->others[i]);
}

/* Its end that pings does so as often as the other's patience asks for, which it learns in the handshake. */
static void an_idle_connection_is_kept_alive(void **state)
{
    struct world *w = *state;
    struct quic_settings impatient = settings, lively = settings;
    impatient.idle_timeout = 600 * NSEC_PER_MSEC;
    lively.keep_alive = 4 * NSEC_PER_SEC;
    quic_endpoint_serve(w->server, &impatient);
    quic_endpoint_serve(w->client, &lively);
    make_connection(w);
    run_for(w, 1500 * NSEC_PER_MSEC);
    assert_false(w->s.closed);
    assert_false(w->c.closed);
}

/* More nanoseconds than there are, of a server that says so: still not none, which would be 0. */
static void patience_without_an_end_is_told(void **state)
{
    struct world *w = *state;
    struct quic_settings endless = settings;
    struct quic_handshake_facts facts;
    endless.idle_timeout = -NSEC_PER_SEC; /* to the library, which knows no sign, five hundred years */
    quic_endpoint_serve(w->server, &endless);
    make_connection(w);
    quic_conn_handshake(w->c.conn, &facts);
    assert_int_equal(facts.idle_timeout, INT64_MAX);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(both_ends_know_each_other),
        TEST(a_stream_carries_bytes_and_both_ends),
        TEST(a_reset_is_an_error_on_the_other_side),
        TEST(a_client_without_a_certificate_is_refused),
        TEST(a_server_of_another_name_is_refused),
        TEST(a_refused_hello_is_told_with_its_alert),
        TEST(the_answer_to_a_hello_may_take_time),
        TEST(the_answer_may_be_a_late_no),
        TEST(who_waits_for_the_answer_may_leave),
        TEST(the_server_may_end_before_it_has_answered),
        TEST(a_retry_is_answered),
        TEST(who_has_proven_nothing_may_be_asked_to),
        TEST(datagrams_go_both_ways),
        TEST(a_wireguard_packet_fits_ethernet),
        TEST(datagrams_need_both_ends),
        TEST(datagrams_of_a_stream_that_the_server_opened),
        TEST(a_greeting_that_is_agreed_to),
        TEST(a_greeting_that_is_not),
        TEST(a_flood_drives_out_the_oldest),
        TEST(a_few_early_datagrams_wait_for_their_owner),
        TEST(a_stream_gets_on_beside_a_flood),
        TEST(the_peer_hears_of_a_close),
        TEST(broken_streams_do_not_use_up_the_window),
        TEST(streams_that_nobody_reads_do_not_stop_another),
        TEST(streams_beyond_the_limit_wait),
        TEST(a_connection_holds_so_much),
        TEST(what_is_cut_is_no_end),
        TEST(a_stream_gets_on_although_the_connection_is_full),
        TEST(a_connection_survives_another_address),
        TEST(packets_find_their_endpoint),
        TEST(an_idle_connection_is_kept_alive),
        TEST(patience_without_an_end_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, pki_remove);
}
