/* SPDX-License-Identifier: Apache-2.0 */
#include "http/h3.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "http/answer.h"
#include "http/h3_internal.h"
#include "session/worker.h"

#define H3_MAGIC 0x43c0aa03u
#define UNI_MAGIC 0x43051de0u

/* The client's control stream, its two of QPACK, and some that it greases with (RFC 9114, 6.2.3). */
#define UNI_STREAMS 8

/* A stream of one direction. */
struct uni {
    uint32_t magic;
    struct h3_conn *conn;
    struct link *link;
    int64_t id;
    struct list node;
};

/* ---- the end ---- */

static struct h3_conn *conn_of(struct tenant *t)
{
    struct h3_conn *c = CONTAINER_OF(t, struct h3_conn, tenant);
    CHECK_MAGIC(c, H3_MAGIC);
    return c;
}

static void on_leave(struct task *t)
{
    struct h3_conn *c = CONTAINER_OF(t, struct h3_conn, leave);
    CHECK_MAGIC(c, H3_MAGIC);
    tenant_leave(&c->tenant, c->code, c->why);
}

void h3_fail(struct h3_conn *c, uint64_t code, const char *why)
{
    if (c->failed)
        return;
    c->failed = true;
    c->code = code;
    c->why = why;
    if (c->quic != NULL)
        loop_defer(c->worker->loop, &c->leave);
}

static void fail_by(struct h3_conn *c, int library_error)
{
    h3_fail(c, nghttp3_err_infer_quic_app_error_code(library_error), nghttp3_strerror(library_error));
}

void h3_unref(struct h3_conn *c)
{
    if (--c->refs > 0)
        return;
    nghttp3_conn_del(c->lib);
    c->magic = 0;
    free(c);
}

void h3_forget(struct h3_conn *c, int64_t stream)
{
    if (c->failed)
        return;
    int error = nghttp3_conn_close_stream(c->lib, stream, NGHTTP3_H3_NO_ERROR);
    if (error != 0 && error != NGHTTP3_ERR_STREAM_NOT_FOUND) {
        fail_by(c, error);
        return;
    }
    nghttp3_conn_set_max_client_streams_bidi(c->lib, ++c->streams);
    h3_pump(c, NULL);
}

void h3_bear(struct h3_conn *c)
{
    if (c->quic != NULL && !patience_bear(&c->patience, loop_now(c->worker->loop)))
        h3_fail(c, NGHTTP3_H3_EXCESSIVE_LOAD, "too many resets and requests that never come");
}

/* ---- what nghttp3 calls ---- */

static struct str text_of(nghttp3_rcbuf *b)
{
    nghttp3_vec v = nghttp3_rcbuf_get_buf(b);
    return (struct str){(const char *)v.base, v.len};
}

static int on_field(nghttp3_conn *lib, int64_t id, int32_t token, nghttp3_rcbuf *name, nghttp3_rcbuf *value,
                    uint8_t flags, void *user, void *stream)
{
    const struct h3_conn *c = user;
    (void)lib;
    (void)id;
    (void)token;
    (void)flags;
    (void)stream;
    h3_stream_field(c->reading, text_of(name), text_of(value));
    return 0;
}

static int on_fields_end(nghttp3_conn *lib, int64_t id, int fin, void *user, void *stream)
{
    const struct h3_conn *c = user;
    (void)lib;
    (void)id;
    (void)fin;
    (void)stream;
    h3_stream_whole(c->reading);
    return 0;
}

/* Behind a CONNECT there are only DATA frames (RFC 9114, 4.4). Requests of other methods, which are all
 * refused, may have trailers (4.1): nobody reads them. */
static int on_trailers(nghttp3_conn *lib, int64_t id, void *user, void *stream)
{
    struct h3_conn *c = user;
    (void)lib;
    (void)id;
    (void)stream;
    if (!c->reading->connects)
        return 0;
    h3_fail(c, NGHTTP3_H3_FRAME_UNEXPECTED, "HEADERS behind a CONNECT");
    return NGHTTP3_ERR_CALLBACK_FAILURE;
}

static int on_body(nghttp3_conn *lib, int64_t id, const uint8_t *data, size_t len, void *user, void *stream)
{
    const struct h3_conn *c = user;
    (void)lib;
    (void)id;
    (void)stream;
    h3_stream_body(c->reading, data, len);
    return 0;
}

static int on_unwanted(nghttp3_conn *lib, int64_t id, uint64_t code, void *user, void *stream)
{
    struct h3_conn *c = user;
    (void)lib;
    (void)id;
    (void)stream;
    c->unwanted = true;
    c->unwanted_code = code;
    return 0;
}

static int on_settings(nghttp3_conn *lib, const nghttp3_settings *settings, void *user)
{
    struct h3_conn *c = user;
    (void)lib;
    c->datagrams = settings->h3_datagram;
    return 0;
}

static const nghttp3_callbacks callbacks = {
    .recv_header = on_field,
    .end_headers = on_fields_end,
    .begin_trailers = on_trailers,
    .recv_data = on_body,
    .stop_sending = on_unwanted,
    .reset_stream = on_unwanted,
    .recv_settings = on_settings,
};

/* ---- bytes in and out ---- */

bool h3_feed(struct h3_conn *c, int64_t stream, const uint8_t *data, size_t len, bool fin)
{
    if (c->failed)
        return false;
    c->unwanted = false;
    nghttp3_ssize n =
        nghttp3_conn_read_stream2(c->lib, stream, data, len, fin, (nghttp3_tstamp)clock_monotonic());
    if (n < 0)
        fail_by(c, (int)n);
    return !c->failed;
}

static struct link *link_with(const struct h3_conn *c, int64_t id, struct h3_stream *answering)
{
    if (answering != NULL && answering->id == id)
        return answering->raw;
    for (struct list *n = c->unis.next; n != &c->unis; n = n->next)
        if (CONTAINER_OF(n, struct uni, node)->id == id)
            return CONTAINER_OF(n, struct uni, node)->link;
    return NULL;
}

/* How much of it the stream takes. Only fields, settings and the like come this way: as a rule it is all. */
static size_t write_vecs(struct link *link, const nghttp3_vec *vec, size_t count)
{
    size_t sum = 0;
    for (size_t i = 0; i < count; i++) {
        size_t off = 0, n = 0;
        for (; off < vec[i].len && link_write(link, vec[i].base + off, vec[i].len - off, &n) == LINK_OK;
             off += n)
            sum += n;
        if (off < vec[i].len)
            break;
    }
    return sum;
}

/* The streams keep copies, so what they have taken is as good as acknowledged. */
void h3_pump(struct h3_conn *c, struct h3_stream *answering)
{
    nghttp3_vec vec[8];
    int64_t id;
    int fin;
    nghttp3_ssize count = 0;
    while (!c->failed && c->quic != NULL &&
           (count = nghttp3_conn_writev_stream(c->lib, &id, &fin, vec, ARRAY_LEN(vec))) >= 0 && id >= 0) {
        struct link *link = link_with(c, id, answering);
        size_t n = link == NULL ? 0 : write_vecs(link, vec, (size_t)count);
        if (n < nghttp3_vec_len(vec, (size_t)count))
            nghttp3_conn_block_stream(c->lib, id);
        int error = nghttp3_conn_add_write_offset(c->lib, id, n);
        if (error == 0 && n > 0)
            error = nghttp3_conn_add_ack_offset(c->lib, id, n);
        if (error != 0)
            fail_by(c, error);
    }
    if (count < 0)
        fail_by(c, (int)count);
}

/* ---- streams of one direction ---- */

static void uni_free(struct uni *u)
{
    list_remove(&u->node);
    u->magic = 0;
    free(u);
}

static void uni_close(struct uni *u, uint64_t code)
{
    quic_stream_set_code(u->link, code);
    link_close(u->link, false);
    uni_free(u);
}

/* It is over. One that the connection cannot be without (RFC 9114, 6.2.1; RFC 9204, 4.2) takes it along. */
static void uni_ended(struct uni *u, bool whole)
{
    struct h3_conn *c = u->conn;
    if (whole)
        h3_feed(c, u->id, NULL, 0, true);
    int error = c->failed ? 0 : nghttp3_conn_close_stream(c->lib, u->id, NGHTTP3_H3_NO_ERROR);
    if (error != 0 && error != NGHTTP3_ERR_STREAM_NOT_FOUND)
        fail_by(c, error);
    uni_close(u, NGHTTP3_H3_NO_ERROR);
}

static void uni_read(struct uni *u)
{
    struct h3_conn *c = u->conn;
    uint8_t bytes[H3_PIECE];
    size_t n;
    enum link_status status;
    while ((status = link_read(u->link, bytes, sizeof(bytes), &n)) == LINK_OK) {
        if (!h3_feed(c, u->id, bytes, n, false))
            return;
        if (c->unwanted) { /* of a type that nobody here knows (RFC 9114, 6.2.3) */
            uni_close(u, NGHTTP3_H3_STREAM_CREATION_ERROR);
            return;
        }
    }
    if (status != LINK_AGAIN)
        uni_ended(u, status == LINK_EOF);
    h3_pump(c, NULL);
}

static void on_uni_wake(struct link *l)
{
    struct uni *u = l->owner;
    CHECK_MAGIC(u, UNI_MAGIC);
    struct h3_conn *c = u->conn;
    size_t room;
    if (c->failed || c->quic == NULL)
        return;
    if ((u->id & 1) == 0) {
        uni_read(u);
    } else if (quic_stream_room(l, &room) == LINK_ERROR) {
        h3_fail(c, NGHTTP3_H3_CLOSED_CRITICAL_STREAM, "the client refuses a stream that HTTP/3 needs");
    } else {
        nghttp3_conn_unblock_stream(c->lib, u->id);
        h3_pump(c, NULL);
    }
}

static struct uni *uni_new(struct h3_conn *c, struct link *link)
{
    struct uni *u = calloc(1, sizeof(*u));
    CHECK(u != NULL);
    *u = (struct uni){.magic = UNI_MAGIC, .conn = c, .link = link, .id = quic_stream_id(link)};
    list_insert(&c->unis, &u->node);
    link->wake = on_uni_wake;
    link->owner = u;
    return u;
}

/* Control, QPACK encoder and decoder. False when the client lets us have none. */
static bool open_own(struct h3_conn *c)
{
    int64_t ids[3];
    for (size_t i = 0; i < ARRAY_LEN(ids); i++) {
        struct link *link = quic_conn_open_uni(c->quic);
        if (link == NULL)
            return false;
        ids[i] = uni_new(c, link)->id;
    }
    return nghttp3_conn_bind_control_stream(c->lib, ids[0]) == 0 &&
           nghttp3_conn_bind_qpack_streams(c->lib, ids[1], ids[2]) == 0;
}

/* ---- the tenant of a carrier ---- */

/* No dynamic table either way: requests here are few and short, and it is memory that strangers fill. */
static struct tenant *on_open(struct worker *w, struct quic_conn *quic, const struct snapshot *snap)
{
    struct h3_conn *c = calloc(1, sizeof(*c));
    nghttp3_settings settings;
    CHECK(c != NULL);
    *c = (struct h3_conn){.magic = H3_MAGIC,
                          .tenant = {.ops = front_h3.tenant},
                          .worker = w,
                          .quic = quic,
                          .refs = 1,
                          .handshake_timeout = snap->config->limits.handshake_timeout,
                          .streams = snap->config->quic.streams};
    patience_init(&c->patience, loop_now(w->loop));
    list_init(&c->unis);
    list_init(&c->requests);
    task_init(&c->leave, on_leave);
    nghttp3_settings_default(&settings);
    settings.max_field_section_size = REQUEST_LIST_MAX;
    settings.qpack_max_dtable_capacity = 0;
    settings.qpack_encoder_max_dtable_capacity = 0;
    settings.qpack_blocked_streams = 0;
    settings.enable_connect_protocol = 1;
    settings.h3_datagram = 1;
    CHECK(nghttp3_conn_server_new(&c->lib, &callbacks, &settings, nghttp3_mem_default(), c) == 0);
    nghttp3_conn_set_max_client_streams_bidi(c->lib, c->streams);
    if (open_own(c))
        h3_pump(c, NULL);
    else
        h3_fail(c, NGHTTP3_H3_STREAM_CREATION_ERROR, "the client allows fewer than three streams to it");
    return &c->tenant;
}

static void on_stream(struct tenant *t, struct link *link)
{
    struct h3_conn *c = conn_of(t);
    if (c->failed)
        link_close(link, true);
    else if (quic_stream_is_uni(link))
        uni_read(uni_new(c, link));
    else
        h3_stream_new(c, link);
}

static void on_bad_datagram(struct tenant *t)
{
    h3_fail(conn_of(t), H3_DATAGRAM_ERROR, "a datagram that belongs to no stream");
}

static void on_drain(struct tenant *t)
{
    struct h3_conn *c = conn_of(t);
    if (c->failed)
        return;
    int error = nghttp3_conn_shutdown(c->lib); /* GOAWAY: RFC 9114, 5.2 */
    if (error != 0)
        fail_by(c, error);
    h3_pump(c, NULL);
}

static void on_close(struct tenant *t)
{
    struct h3_conn *c = conn_of(t);
    c->quic = NULL;
    list_remove(&c->leave.node);
    for (struct list *n; (n = list_pop(&c->requests)) != NULL;)
        h3_stream_drop(CONTAINER_OF(n, struct h3_stream, node), NGHTTP3_H3_REQUEST_REJECTED);
    for (struct list *n; (n = list_pop(&c->unis)) != NULL;)
        uni_close(CONTAINER_OF(n, struct uni, node), NGHTTP3_H3_NO_ERROR);
    h3_unref(c);
}

static const struct tenant_ops tenant_ops = {
    .transport = "h3",
    .uni_streams = UNI_STREAMS,
    .open = on_open,
    .stream = on_stream,
    .bad_datagram = on_bad_datagram,
    .drain = on_drain,
    .close = on_close,
};

const struct front front_h3 = {
    .name = "HTTP/3",
    .over_quic = true,
    .ask = answer_bad,
    .tell = h3_stream_tell,
    .wrap = h3_flow_wrap,
    .tenant = &tenant_ops,
};
