/* SPDX-License-Identifier: Apache-2.0 */
/* The life of a connection. Packets and timers drive the library; what comes of it is told to the owner in
 * conn_after_batch(), when the library is off the stack. Everything that has something to send touches the
 * connection, and one flush at the end of the round sends for all.
 *
 * An end is told to the owner at once; the connection itself stays for three probe timeouts, to answer late
 * packets of a peer that has not heard of it (RFC 9000, 10.2), holding one packet and no streams. */
#include <ngtcp2/ngtcp2_crypto.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "quic/quic_internal.h"
#include "tls/quic.h"

/* ---- end ---- */

static void forget_ids(struct quic_conn *c)
{
    size_t n = ngtcp2_conn_get_scid2(c->lib, NULL);
    ngtcp2_cid *ids = calloc(n + 1, sizeof(*ids));
    CHECK(ids != NULL);
    ngtcp2_conn_get_scid2(c->lib, ids);
    for (size_t i = 0; i < n; i++)
        cids_remove(&c->endpoint->cids, &ids[i], c);
    free(ids);
    /* Not as the library has it: that one knows it only once the packet has proved to be good. */
    cids_remove(&c->endpoint->cids, &c->first, c);
}

static void conn_free(struct task *t)
{
    struct quic_conn *c = CONTAINER_OF(t, struct quic_conn, flush);
    CHECK(c->state == CONN_DEAD);
    c->magic = 0;
    free(c);
}

/* Nothing is left to say: gone at the end of the round. */
static void bury(struct quic_conn *c)
{
    if (c->state == CONN_DEAD)
        return;
    c->state = CONN_DEAD;
    forget_ids(c);
    wheel_cancel(&c->timer);
    list_remove(&c->flush.node);
    list_remove(&c->received);
    list_remove(&c->node);
    ngtcp2_conn_del(c->lib);
    tls_quic_unref(c->tls);
    buf_free(&c->hello);
    buf_free(&c->unsent);
    buf_free(&c->goodbye);
    task_init(&c->flush, conn_free);
    loop_defer(c->endpoint->loop, &c->flush);
}

static void uncount(struct quic_conn *c)
{
    if (c->counted)
        c->endpoint->opening--;
    c->counted = false;
}

static void tell_closed(struct quic_conn *c, enum quic_end end, const char *text)
{
    void *owner = c->owner;
    uncount(c);
    c->owner = NULL;
    for (struct list *n; (n = list_pop(&c->fresh)) != NULL;) /* nobody has heard of them */
        CONTAINER_OF(n, struct quic_stream, woken)->abandoned = true;
    for (struct list *n; (n = c->streams.next) != &c->streams;)
        stream_orphan(CONTAINER_OF(n, struct quic_stream, node));
    if (owner != NULL)
        c->events->closed(owner, end, text);
}

/* Say goodbye, and be ready to say it again. */
static void write_goodbye(struct quic_conn *c, const ngtcp2_ccerr *error)
{
    ngtcp2_path_storage path;
    ngtcp2_pkt_info info = {0};
    ngtcp2_path_storage_zero(&path);
    CHECK(buf_reserve(&c->goodbye, NGTCP2_MAX_UDP_PAYLOAD_SIZE));
    ngtcp2_ssize n = ngtcp2_conn_write_connection_close(c->lib, &path.path, &info, c->goodbye.data,
                                                        NGTCP2_MAX_UDP_PAYLOAD_SIZE, error,
                                                        (ngtcp2_tstamp)clock_monotonic());
    c->goodbye.len = n > 0 ? (size_t)n : 0;
}

static void repeat_goodbye(struct quic_conn *c)
{
    const ngtcp2_path *path = ngtcp2_conn_get_path2(c->lib);
    struct sockaddr_storage local = {0}, peer = {0};
    size_t taken;
    memcpy(&local, path->local.addr, path->local.addrlen);
    memcpy(&peer, path->remote.addr, path->remote.addrlen);
    struct udp_packets p = {.data = c->goodbye.data,
                            .len = c->goodbye.len,
                            .segment = c->goodbye.len,
                            .from = net_addr_from(&local),
                            .to = net_addr_from(&peer)};
    if (p.len > 0)
        udp_send(&endpoint_socket(c->endpoint, &p.from)->udp, &p, &taken);
}

/* Stay for a while without streams. */
static void linger(struct quic_conn *c, enum conn_state state)
{
    c->state = state;
    list_remove(&c->flush.node);
    loop_set_timer(c->endpoint->loop, &c->timer,
                   clock_monotonic() + 3 * (int64_t)ngtcp2_conn_get_pto2(c->lib));
}

void conn_finish(struct quic_conn *c, const ngtcp2_ccerr *error, enum quic_end end, const char *text)
{
    if (c->state > CONN_OPEN)
        return;
    write_goodbye(c, error);
    repeat_goodbye(c);
    if (c->goodbye.len > 0)
        linger(c, CONN_CLOSING);
    tell_closed(c, end, text);
    if (c->goodbye.len == 0)
        bury(c);
}

static void drop(struct quic_conn *c, enum quic_end end, const char *text)
{
    tell_closed(c, end, text);
    bury(c);
}

void conn_unanswered(struct quic_conn *c)
{
    if (c->state == CONN_OPENING && ngtcp2_conn_get_handshake_completed2(c->lib) == 0)
        drop(c, QUIC_END_TRANSPORT, "nobody listens there (UDP)");
}

void conn_end_now(struct quic_conn *c)
{
    ngtcp2_ccerr error;
    ngtcp2_ccerr_default(&error);
    conn_finish(c, &error, QUIC_END_LOCAL, "the endpoint is closing");
    bury(c);
}

/* What the peer closed with. */
static void peer_closed(struct quic_conn *c)
{
    const ngtcp2_ccerr *error = ngtcp2_conn_get_ccerr2(c->lib);
    bool tls = error->type == NGTCP2_CCERR_TYPE_TRANSPORT &&
               (error->error_code & ~UINT64_C(0xff)) == NGTCP2_CRYPTO_ERROR;
    enum quic_end end = tls ? QUIC_END_TLS : c->was_reset ? QUIC_END_RESET : QUIC_END_PEER;
    if (tls && c->tls != NULL)
        tls_quic_alerted(c->tls, (uint8_t)error->error_code);
    linger(c, CONN_DRAINING);
    tell_closed(c, end,
                tls            ? tls_quic_failure(c->tls)
                : c->was_reset ? "the peer no longer knows the connection"
                               : "closed by the peer");
}

void conn_fail(struct quic_conn *c, int library_error)
{
    ngtcp2_ccerr error;
    ngtcp2_ccerr_default(&error);
    if (c->state > CONN_OPEN)
        return;
    switch (library_error) {
    case NGTCP2_ERR_DRAINING:
        peer_closed(c);
        return;
    case NGTCP2_ERR_IDLE_CLOSE:
        drop(c, QUIC_END_IDLE, "nothing was heard for too long");
        return;
    case NGTCP2_ERR_DROP_CONN:
    case NGTCP2_ERR_RETRY:
        drop(c, QUIC_END_PROTOCOL, "not the beginning of a connection");
        return;
    case NGTCP2_ERR_CRYPTO:
        ngtcp2_ccerr_set_tls_alert(&error, c->alert != 0 ? c->alert : 80, NULL, 0);
        conn_finish(c, &error, QUIC_END_TLS, tls_quic_failure(c->tls));
        return;
    default:
        ngtcp2_ccerr_set_liberr(&error, library_error, NULL, 0);
        conn_finish(c, &error, QUIC_END_PROTOCOL, ngtcp2_strerror(library_error));
    }
}

/* ---- going on ---- */

/* It is for the peer to go on with the handshake. */
static bool is_opening(const struct quic_conn *c)
{
    return c->state == CONN_OPENING && c->held == 0;
}

void conn_arm(struct quic_conn *c)
{
    int64_t when = (int64_t)MIN(ngtcp2_conn_get_expiry2(c->lib), (ngtcp2_tstamp)INT64_MAX);
    if (is_opening(c))
        when = MIN(when, c->due);
    if (when == INT64_MAX)
        wheel_cancel(&c->timer);
    else
        loop_set_timer(c->endpoint->loop, &c->timer, when);
}

/* Send for all that has asked so far. */
static void go_on(struct quic_conn *c)
{
    list_remove(&c->flush.node);
    conn_flush(c);
    if (c->state > CONN_OPEN)
        return;
    conn_arm(c);
    if (!list_empty(&c->woken))
        conn_touch(c);
}

static void on_flush(struct task *t)
{
    struct quic_conn *c = CONTAINER_OF(t, struct quic_conn, flush);
    CHECK_MAGIC(c, CONN_MAGIC);
    conn_after_batch(c);
}

void conn_touch(struct quic_conn *c)
{
    if (c->state <= CONN_OPEN)
        loop_defer(c->endpoint->loop, &c->flush);
}

static void on_timer(struct timer *t)
{
    struct quic_conn *c = CONTAINER_OF(t, struct quic_conn, timer);
    CHECK_MAGIC(c, CONN_MAGIC);
    if (c->state > CONN_OPEN) {
        bury(c);
        return;
    }
    if (is_opening(c) && clock_monotonic() >= c->due) {
        drop(c, QUIC_END_TIMEOUT, "the handshake took too long");
        return;
    }
    c->inside = true;
    int error = ngtcp2_conn_handle_expiry(c->lib, (ngtcp2_tstamp)clock_monotonic());
    c->inside = false;
    c->overdue = c->unacknowledged != 0;
    if (error != 0)
        conn_fail(c, error);
    else
        conn_after_batch(c);
}

/* What the server has sent before we answered, as it does not know yet that our address is ours (RFC 9000,
 * 8.1). */
static void count_opening(struct quic_conn *c)
{
    ngtcp2_conn_info info;
    ngtcp2_conn_get_conn_info2(c->lib, &info);
    if (c->opening.first_out == 0)
        c->opening.first_out = info.bytes_sent;
    if (c->opening.first_out == info.bytes_sent)
        c->opening.first_in = info.bytes_recv;
    c->opening.out = info.bytes_sent;
    c->opening.in = info.bytes_recv;
}

void conn_receive(struct quic_conn *c, const struct udp_packets *p, const uint8_t *data, size_t len)
{
    struct sockaddr_storage local, peer;
    ngtcp2_path path = {.local = library_addr(&p->to, &local), .remote = library_addr(&p->from, &peer)};
    ngtcp2_pkt_info info = {.ecn = p->ecn};
    if (c->state == CONN_CLOSING) {
        c->asked++;
        if ((c->asked & (c->asked - 1)) == 0)
            repeat_goodbye(c); /* ever more rarely: the first, second, fourth, eighth time */
    }
    if (c->state > CONN_OPEN)
        return;
    bool counts = !c->opened && !ngtcp2_conn_is_server2(c->lib);
    c->inside = true;
    int error = ngtcp2_conn_read_pkt(c->lib, &path, &info, data, len, (ngtcp2_tstamp)clock_monotonic());
    c->inside = false;
    c->heard = clock_monotonic();
    if (counts)
        count_opening(c);
    if (error != 0)
        conn_fail(c, error);
    else if (list_empty(&c->received))
        list_insert(&c->endpoint->received, &c->received);
}

static void hand_out_streams(struct quic_conn *c)
{
    struct list *n;
    while (c->owner != NULL && (n = list_pop(&c->fresh)) != NULL)
        c->events->stream(c->owner, &CONTAINER_OF(n, struct quic_stream, woken)->link);
}

static void wake_streams(struct quic_conn *c)
{
    struct list batch, *n;
    list_init(&batch);
    list_splice(&batch, &c->woken); /* who is woken again meanwhile waits for the next round */
    while ((n = list_pop(&batch)) != NULL)
        link_wake(&CONTAINER_OF(n, struct quic_stream, woken)->link);
}

/* The owner knows now what he says to the ClientHello. */
static void answer_hello(struct quic_conn *c)
{
    c->asks_again = false;
    c->inside = true;
    int error = library_answer_hello(c);
    c->inside = false;
    if (error != 0)
        conn_fail(c, error);
}

/* Any of these calls may close the connection. */
static void tell_owner(struct quic_conn *c)
{
    if (c->state == CONN_OPENING && c->asks_again)
        answer_hello(c);
    if (c->opened && c->state == CONN_OPENING) {
        c->state = CONN_OPEN;
        uncount(c);
        if (c->owner != NULL)
            c->events->opened(c->owner);
    }
    if (c->state == CONN_OPEN)
        hand_out_streams(c);
    wake_streams(c);
    if (c->state == CONN_OPEN && c->bad_datagram && c->owner != NULL && c->events->bad_datagram != NULL) {
        c->bad_datagram = false;
        c->events->bad_datagram(c->owner);
    }
    if (c->state == CONN_OPEN && c->taken_back > 0 && c->owner != NULL && c->events->taken_back != NULL) {
        unsigned streams = c->taken_back;
        c->taken_back = 0;
        c->events->taken_back(c->owner, streams);
    }
    if (c->state == CONN_OPEN && c->overdue && c->owner != NULL && c->events->overdue != NULL) {
        c->overdue = false;
        c->events->overdue(c->owner);
    }
    if (c->state == CONN_OPEN && c->streams_left && c->owner != NULL && c->events->streams_left != NULL) {
        c->streams_left = false;
        c->events->streams_left(c->owner);
    }
}

void conn_after_batch(struct quic_conn *c)
{
    tell_owner(c);
    if (c->state <= CONN_OPEN)
        go_on(c);
}

/* ---- beginning ---- */

static struct quic_conn *conn_new(struct quic_endpoint *e, const struct quic_events *events)
{
    struct quic_conn *c = calloc(1, sizeof(*c));
    CHECK(c != NULL);
    c->magic = CONN_MAGIC;
    c->endpoint = e;
    c->events = events;
    c->hello.max = e->settings.hello_size;
    c->packet_most = SIZE_MAX;
    c->due = clock_monotonic() + e->settings.handshake_timeout;
    c->stream_window = e->settings.stream_window;
    c->growth_left = e->settings.window * WINDOW_GROWTH;
    list_init(&c->received);
    list_init(&c->streams);
    list_init(&c->ready);
    list_init(&c->woken);
    list_init(&c->fresh);
    list_init(&c->datagram_turns);
    timer_init(&c->timer, on_timer);
    task_init(&c->flush, on_flush);
    list_insert(&e->conns, &c->node);
    return c;
}

/* One that has no library object yet. */
static void discard(struct quic_conn *c)
{
    list_remove(&c->node);
    c->magic = 0;
    free(c);
}

struct quic_conn *conn_accept(struct quic_endpoint *e, const ngtcp2_pkt_hd *head, const ngtcp2_cid *original,
                              const struct udp_packets *p)
{
    struct sockaddr_storage local, peer;
    ngtcp2_path path = {.local = library_addr(&p->to, &local), .remote = library_addr(&p->from, &peer)};
    struct quic_conn *c = conn_new(e, e->server.events);
    ngtcp2_settings settings;
    ngtcp2_transport_params params;
    ngtcp2_cid own;
    c->owner = e->server.incoming(e->server.arg, c, &p->from, original != NULL);
    if (c->owner == NULL) {
        discard(c);
        return NULL;
    }
    library_settings(&e->settings, &settings, &params);
    library_make_cid(e, &own, QUIC_CID_LEN);
    params.original_dcid = original != NULL ? *original : head->dcid;
    params.original_dcid_present = 1;
    params.retry_scid_present = original != NULL;
    if (original != NULL) {
        params.retry_scid = head->dcid;
        settings.token = head->token;
        settings.tokenlen = head->tokenlen;
        settings.token_type = NGTCP2_TOKEN_TYPE_RETRY;
    }
    params.stateless_reset_token_present = 1;
    library_reset_token(e, &own, params.stateless_reset_token);
    CHECK(ngtcp2_conn_server_new(&c->lib, &head->scid, &own, &path, head->version, &library_server, &settings,
                                 &params, NULL, c) == 0);
    c->first = head->dcid;
    cids_put(&e->cids, &own, c);
    cids_put(&e->cids, &c->first, c);
    c->counted = true;
    e->opening++;
    return c;
}

struct quic_conn *quic_connect(struct quic_endpoint *e, const struct net_addr *to, struct tls_quic *tls,
                               const struct quic_events *events, void *owner)
{
    struct quic_conn *c = conn_new(e, events);
    struct quic_socket *s = CONTAINER_OF(e->sockets.prev, struct quic_socket, node);
    struct sockaddr_storage local, peer;
    ngtcp2_path path = {.local = library_addr(&s->udp.local, &local), .remote = library_addr(to, &peer)};
    ngtcp2_settings settings;
    ngtcp2_transport_params params;
    ngtcp2_cid own, theirs;
    library_settings(&e->settings, &settings, &params);
    library_make_cid(e, &own, QUIC_CID_LEN);
    library_make_cid(e, &theirs, NGTCP2_MIN_INITIAL_DCIDLEN + 8);
    CHECK(ngtcp2_conn_client_new(&c->lib, &theirs, &own, &path, NGTCP2_PROTO_VER_V1, &library_client,
                                 &settings, &params, NULL, c) == 0);
    cids_put(&e->cids, &own, c);
    c->owner = owner;
    c->tls = tls;
    library_attach(c);
    if (e->settings.keep_alive > 0)
        ngtcp2_conn_set_keep_alive_timeout(c->lib, (ngtcp2_duration)e->settings.keep_alive);
    conn_touch(c);
    return c;
}

/* ---- what the owner does ---- */

void quic_conn_peer(const struct quic_conn *c, struct link_peer *ret)
{
    CHECK_MAGIC(c, CONN_MAGIC);
    *ret = (struct link_peer){.failure = ""};
    if (c->tls != NULL)
        tls_quic_peer(c->tls, ret);
}

int quic_conn_export(const struct quic_conn *c, enum authenticator_sender sender,
                     struct authenticator_keys *ret, struct err *err)
{
    CHECK_MAGIC(c, CONN_MAGIC);
    if (c->state != CONN_OPEN)
        return err_set(err, "the QUIC connection is not open");
    return tls_quic_export(c->tls, sender, ret, err);
}

void quic_conn_renew(struct quic_conn *c, struct authenticator_proof *by)
{
    CHECK_MAGIC(c, CONN_MAGIC);
    tls_quic_renew(c->tls, by);
}

struct link *quic_conn_open_stream(struct quic_conn *c)
{
    int64_t id;
    CHECK_MAGIC(c, CONN_MAGIC);
    if (c->state != CONN_OPEN || ngtcp2_conn_open_bidi_stream(c->lib, &id, NULL) != 0)
        return NULL;
    struct quic_stream *s = stream_new(c, id);
    ngtcp2_conn_set_stream_user_data(c->lib, id, s);
    return &s->link;
}

struct link *quic_conn_open_uni(struct quic_conn *c)
{
    int64_t id;
    CHECK_MAGIC(c, CONN_MAGIC);
    if (c->state != CONN_OPEN || ngtcp2_conn_open_uni_stream(c->lib, &id, NULL) != 0)
        return NULL;
    struct quic_stream *s = stream_new(c, id);
    ngtcp2_conn_set_stream_user_data(c->lib, id, s);
    return &s->link;
}

void quic_conn_ask_again(struct quic_conn *c)
{
    CHECK_MAGIC(c, CONN_MAGIC);
    c->asks_again = c->held != 0;
    conn_touch(c);
}

void quic_conn_allow_uni(struct quic_conn *c, uint64_t streams)
{
    CHECK_MAGIC(c, CONN_MAGIC);
    ngtcp2_transport_params params = *ngtcp2_conn_get_local_transport_params2(c->lib);
    params.initial_max_streams_uni = streams;
    CHECK(ngtcp2_conn_set_local_transport_params(c->lib, &params) == 0);
}

bool quic_conn_migrate(struct quic_conn *c, int fd)
{
    struct sockaddr_storage local, peer;
    const ngtcp2_path *now = ngtcp2_conn_get_path2(c->lib);
    CHECK_MAGIC(c, CONN_MAGIC);
    struct quic_socket *s = endpoint_add_socket(c->endpoint, fd, EPOLLIN);
    if (s == NULL)
        return false;
    memset(&peer, 0, sizeof(peer));
    memcpy(&peer, now->remote.addr, now->remote.addrlen);
    ngtcp2_path path = {.local = library_addr(&s->udp.local, &local),
                        .remote = {(ngtcp2_sockaddr *)&peer, now->remote.addrlen}};
    if (c->state != CONN_OPEN ||
        ngtcp2_conn_initiate_immediate_migration(c->lib, &path, (ngtcp2_tstamp)clock_monotonic()) != 0) {
        endpoint_remove_socket(s);
        return false;
    }
    endpoint_keep_two(c->endpoint);
    buf_free(&c->unsent);
    conn_touch(c);
    return true;
}

void quic_conn_facts(const struct quic_conn *c, struct quic_path_facts *ret)
{
    const ngtcp2_path *path = ngtcp2_conn_get_path2(c->lib);
    struct sockaddr_storage local = {0}, peer = {0};
    ngtcp2_conn_info info;
    CHECK_MAGIC(c, CONN_MAGIC);
    memcpy(&local, path->local.addr, path->local.addrlen);
    memcpy(&peer, path->remote.addr, path->remote.addrlen);
    ngtcp2_conn_get_conn_info2(c->lib, &info);
    *ret = (struct quic_path_facts){.local = net_addr_from(&local),
                                    .peer = net_addr_from(&peer),
                                    .rtt = (int64_t)info.smoothed_rtt,
                                    .congestion_window = info.cwnd,
                                    .bytes_in = info.bytes_recv,
                                    .bytes_out = info.bytes_sent,
                                    .bytes_lost = info.bytes_lost,
                                    .streams = c->stream_count,
                                    .heard = c->heard,
                                    .unacknowledged = c->unacknowledged};
}

void quic_conn_handshake(const struct quic_conn *c, struct quic_handshake_facts *ret)
{
    CHECK_MAGIC(c, CONN_MAGIC);
    const ngtcp2_transport_params *p = ngtcp2_conn_get_remote_transport_params2(c->lib);
    CHECK(p != NULL);
    *ret =
        (struct quic_handshake_facts){.version = ngtcp2_conn_get_negotiated_version2(c->lib),
                                      .retried = c->opening.retried,
                                      .first_out = c->opening.first_out,
                                      .first_in = c->opening.first_in,
                                      .out = c->opening.out,
                                      .in = c->opening.in,
                                      .idle_timeout = (int64_t)MIN(p->max_idle_timeout, (uint64_t)INT64_MAX),
                                      .payload_max = p->max_udp_payload_size,
                                      .datagram_max = p->max_datagram_frame_size,
                                      .data = p->initial_max_data,
                                      .stream_data = p->initial_max_stream_data_bidi_remote,
                                      .streams = p->initial_max_streams_bidi,
                                      .unis = p->initial_max_streams_uni,
                                      .connection_ids = p->active_connection_id_limit,
                                      .stays = p->disable_active_migration};
}

size_t quic_conn_held(const struct quic_conn *c)
{
    size_t n = 0;
    CHECK_MAGIC(c, CONN_MAGIC);
    for (struct list *l = c->streams.next; l != &c->streams; l = l->next) {
        const struct quic_stream *s = CONTAINER_OF(l, struct quic_stream, node);
        n += !quic_stream_is_uni(&s->link) && !s->abandoned && !s->uncounted;
    }
    return n;
}

bool quic_conn_busy(const struct quic_conn *c)
{
    CHECK_MAGIC(c, CONN_MAGIC);
    for (struct list *n = c->streams.next; n != &c->streams; n = n->next) {
        const struct quic_stream *s = CONTAINER_OF(n, struct quic_stream, node);
        if (s->abandoned && !s->gone)
            return true;
    }
    return false;
}

void quic_conn_close(struct quic_conn *c, uint64_t code)
{
    ngtcp2_ccerr error;
    CHECK_MAGIC(c, CONN_MAGIC);
    CHECK(!c->inside);
    c->owner = NULL;
    if (code == 0)
        conn_flush(c); /* the ends of streams that were closed just now */
    ngtcp2_ccerr_set_application_error(&error, code, NULL, 0);
    conn_finish(c, &error, QUIC_END_LOCAL, "");
}
