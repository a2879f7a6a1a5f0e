/* SPDX-License-Identifier: Apache-2.0 */
/* A request, and then a link whose bytes are the content of DATA frames. Requests are read by nghttp3, as is
 * all that comes; our own DATA frames are made here, straight into the stream. */
#include <stdlib.h>
#include <string.h>

#include "base/cursor.h"
#include "http/answer.h"
#include "http/h3_internal.h"
#include "session/worker.h"

#define STREAM_MAGIC 0x435741e3u

#define REQUEST_PIECE 2048 /* bytes that are read of a request at once */
#define FRAME_DATA 0x00    /* RFC 9114, 7.2.1 */
#define FRAME_HEAD_MAX 9   /* type and length (7.1) */

struct h3_stream *h3_stream_of(const struct link *l)
{
    struct h3_stream *s = CONTAINER_OF((struct link *)(uintptr_t)l, struct h3_stream, link);
    CHECK_MAGIC(s, STREAM_MAGIC);
    return s;
}

/* ---- a request ---- */

void h3_stream_field(struct h3_stream *s, struct str name, struct str value)
{
    s->connects = s->connects || (str_is(name, ":method") && str_is(value, "CONNECT"));
    if (s->request != NULL)
        request_field(s->request, name, value);
}

void h3_stream_whole(struct h3_stream *s)
{
    s->whole = true;
}

void h3_stream_body(struct h3_stream *s, const uint8_t *data, size_t len)
{
    if (s->sink == NULL) {
        CHECK(buf_append(&s->early, data, len));
        return;
    }
    memcpy(s->sink + s->sunk, data, len);
    s->sunk += len;
}

static void stream_free(struct h3_stream *s)
{
    wheel_cancel(&s->timer);
    list_remove(&s->node);
    free(s->request);
    free(s->why);
    buf_free(&s->early);
    s->magic = 0;
    free(s);
}

void h3_stream_drop(struct h3_stream *s, uint64_t code)
{
    s->code = code;
    link_close(&s->link, true);
}

/* A piece of the stream for nghttp3. */
static enum link_status take(struct h3_stream *s, size_t most)
{
    struct h3_conn *c = s->conn;
    uint8_t bytes[H3_PIECE];
    size_t n = 0;
    enum link_status status = link_read(s->raw, bytes, MIN(most, sizeof(bytes)), &n);
    bool ends = status == LINK_EOF && !s->ended;
    if (status != LINK_OK && !ends)
        return status;
    s->ended = ends;
    c->reading = s;
    bool good = h3_feed(c, s->id, bytes, n, ends);
    c->reading = NULL;
    return good ? status : LINK_ERROR;
}

static void begin_session(struct h3_stream *s)
{
    struct front_request request;
    struct err err;
    if (request_end(s->request, &request, &err) != FRONT_TARGET)
        s->why = strdup(err.text);
    free(s->request);
    s->request = NULL;
    wheel_cancel(&s->timer);
    list_remove(&s->node);
    tenant_begin_session(&s->conn->tenant, &s->link, &request);
}

static void read_request(struct h3_stream *s)
{
    struct h3_conn *c = s->conn;
    enum link_status status = LINK_OK;
    while (status == LINK_OK && !s->whole && !c->unwanted)
        status = take(s, REQUEST_PIECE);
    if (s->whole && !c->failed)
        begin_session(s);
    else if (c->unwanted && !c->failed)
        h3_stream_drop(s, c->unwanted_code);
    else if (status != LINK_AGAIN)
        h3_stream_drop(s, NGHTTP3_H3_REQUEST_INCOMPLETE);
}

static void on_raw_wake(struct link *raw)
{
    struct h3_stream *s = raw->owner;
    CHECK_MAGIC(s, STREAM_MAGIC);
    s->conn->unwanted = false;
    if (s->request != NULL)
        read_request(s);
    else
        link_wake(&s->link);
}

static void on_late(struct timer *t)
{
    struct h3_stream *s = CONTAINER_OF(t, struct h3_stream, timer);
    CHECK_MAGIC(s, STREAM_MAGIC);
    h3_stream_drop(s, NGHTTP3_H3_REQUEST_REJECTED);
}

/* ---- the answer ---- */

/* Once the client has broken the protocol, on whichever stream, nghttp3 says nothing more: a stream without
 * HEADERS never gets them, and nothing else may stand in their place (RFC 9114, 4.1). So all of them break at
 * once, not only when the connection is closed. */
static enum link_status broken(struct h3_stream *s)
{
    return link_fail(&s->link, s->raw->error != NULL ? s->raw->error : "not HTTP/3");
}

static nghttp3_nv field(const char *name, struct str value)
{
    return (nghttp3_nv){(const uint8_t *)name, (const uint8_t *)value.p, strlen(name), value.len, 0};
}

/* For nghttp3 there is never content: DATA frames are made here. */
static nghttp3_ssize no_content(nghttp3_conn *lib, int64_t id, nghttp3_vec *vec, size_t cap, uint32_t *flags,
                                void *user, void *stream)
{
    (void)lib;
    (void)id;
    (void)vec;
    (void)cap;
    (void)flags;
    (void)user;
    (void)stream;
    return NGHTTP3_ERR_WOULDBLOCK;
}

void h3_stream_tell(struct link *down, const struct front_answer *from)
{
    struct h3_stream *s = h3_stream_of(down);
    struct h3_conn *c = s->conn;
    struct front_answer said = *from;
    struct answer a;
    nghttp3_nv fields[1 + ANSWER_FIELDS_MAX];
    nghttp3_data_reader reader = {no_content};
    if (c->failed) {
        broken(s);
        return;
    }
    if (s->why != NULL && said.outcome != FRONT_DENIED)
        said.text = s->why;
    answer_make(&a, &said, from->udp);
    fields[0] = field(":status", (struct str){a.status_text, strlen(a.status_text)});
    for (size_t i = 0; i < a.n; i++)
        fields[1 + i] = field(a.fields[i].name, a.fields[i].value);
    s->code = from->outcome == FRONT_OK ? NGHTTP3_H3_CONNECT_ERROR : NGHTTP3_H3_NO_ERROR;
    if (nghttp3_conn_submit_response(c->lib, s->id, fields, 1 + a.n, &reader) != 0)
        link_fail(down, "the request is gone");
    h3_pump(c, s);
    size_t n;
    if (a.body.len > 0)
        link_write(down, a.body.p, a.body.len, &n); /* nothing was written before: there is room */
    answer_free(&a);
}

/* ---- the link ---- */

static enum link_status stream_open(struct link *l)
{
    return l->error != NULL ? LINK_ERROR : LINK_OK;
}

static enum link_status stream_read(struct link *l, void *buf, size_t cap, size_t *ret_n)
{
    struct h3_stream *s = h3_stream_of(l);
    enum link_status status = LINK_OK;
    if (s->early.len > 0) {
        *ret_n = MIN(cap, s->early.len);
        memcpy(buf, s->early.data, *ret_n);
        buf_consume(&s->early, *ret_n);
        return LINK_OK;
    }
    buf_free(&s->early);
    s->sink = buf;
    s->sunk = 0;
    while (status == LINK_OK && s->sunk == 0)
        status = take(s, cap);
    s->sink = NULL;
    *ret_n = s->sunk;
    if (s->sunk > 0)
        return LINK_OK;
    return status == LINK_ERROR ? broken(s) : status;
}

static enum link_status stream_write(struct link *l, const void *buf, size_t len, size_t *ret_n)
{
    struct h3_stream *s = h3_stream_of(l);
    uint8_t head[FRAME_HEAD_MAX];
    struct writer w = writer_of(head, sizeof(head));
    size_t room;
    enum link_status status =
        l->error != NULL || s->conn->failed ? LINK_ERROR : quic_stream_room(s->raw, &room);
    if (status != LINK_OK)
        return status == LINK_ERROR ? broken(s) : status;
    len = MIN(MIN(len, room - FRAME_HEAD_MAX), (size_t)1 << 24);
    writer_varint(&w, FRAME_DATA);
    writer_varint(&w, len);
    quic_stream_put(s->raw, head, (size_t)(w.p - head));
    quic_stream_put(s->raw, buf, len);
    *ret_n = len;
    return LINK_OK;
}

static enum link_status stream_shutdown(struct link *l, bool closing)
{
    struct h3_stream *s = h3_stream_of(l);
    if (s->conn->failed)
        return broken(s);
    return closing ? link_finish(s->raw) : link_shutdown(s->raw);
}

static void stream_close(struct link *l, bool abort)
{
    struct h3_stream *s = h3_stream_of(l);
    struct h3_conn *c = s->conn;
    bool broken = s->raw->error != NULL || s->request != NULL;
    quic_stream_set_code(s->raw, abort ? s->code : NGHTTP3_H3_NO_ERROR);
    s->raw->keep_written = l->keep_written;
    link_close(s->raw, abort);
    h3_forget(c, s->id);
    if (broken)
        h3_bear(c);
    stream_free(s);
    h3_unref(c);
}

static void stream_peer(const struct link *l, struct link_peer *ret)
{
    link_peer(h3_stream_of(l)->raw, ret);
}

static struct link *stream_below(struct link *l)
{
    return h3_stream_of(l)->raw;
}

static const struct link_ops stream_ops = {
    .name = "HTTP/3 stream",
    .open = stream_open,
    .read = stream_read,
    .write = stream_write,
    .shutdown = stream_shutdown,
    .close = stream_close,
    .peer = stream_peer,
    .below = stream_below,
};

void h3_stream_new(struct h3_conn *c, struct link *raw)
{
    struct h3_stream *s = calloc(1, sizeof(*s));
    struct request *request = calloc(1, sizeof(*request));
    CHECK(s != NULL && request != NULL);
    s->link.ops = &stream_ops;
    s->magic = STREAM_MAGIC;
    s->conn = c;
    s->raw = raw;
    s->id = quic_stream_id(raw);
    s->request = request;
    s->code = NGHTTP3_H3_REQUEST_REJECTED;
    request_begin(request);
    timer_init(&s->timer, on_late);
    loop_set_timer(c->worker->loop, &s->timer, loop_now(c->worker->loop) + c->handshake_timeout);
    list_insert(&c->requests, &s->node);
    c->refs++;
    c->unwanted = false;
    raw->wake = on_raw_wake;
    raw->owner = s;
    read_request(s);
}
