/* SPDX-License-Identifier: Apache-2.0 */
/* A client of the door's HTTP/3 without a network: what src/http/h3*.c is given by src/quic/ (a connection,
 * its streams and datagrams) and by src/session/ (a carrier, sessions) is made here, in their stead, and
 * behaves as quic.h and tenant.h say. What comes in is bytes of streams; what the door answers is kept. For
 * the unit test and the fuzz target. */
#ifndef CARDEA_TESTS_UNIT_H3_PEER_H
#define CARDEA_TESTS_UNIT_H3_PEER_H

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/check.h"
#include "base/clock.h"
#include "base/cursor.h"
#include "config/config.h"
#include "http/h3.h"
#include "link/frames.h"
#include "quic/datagram_head.h"
#include "quic/quic.h"
#include "session/snapshot.h"
#include "session/tenant.h"
#include "session/worker.h"
#include "tests/unit/session_double.h"

#define PEER_STREAMS 128     /* of either kind */
#define PEER_TIGHT 4096      /* what a stream holds where the client takes nothing */
#define PEER_LOOSE (1 << 20) /* ... and where it does */

#define PEER_UNI(n) ((int64_t)(n)*4 + 2) /* ids of the client's streams (RFC 9000, 2.1) */
#define PEER_BIDI(n) ((int64_t)(n)*4)
#define PEER_OWN(n) ((int64_t)(n)*4 + 3) /* the door's */

struct peer_stream {
    struct link link;
    struct peer *peer;
    int64_t id;
    struct buf in, out; /* from the client, to it */
    struct buf frames;  /* datagrams that came, as frames */
    bool in_ended, refused, fin;
    bool takes;       /* datagrams */
    bool closed;      /* by the door; nothing may touch it any more */
    bool aborted;     /* ... in that way */
    size_t taken;     /* of `out`, by the client */
    size_t datagrams; /* sent */
    uint64_t code;    /* with which it was closed, where both directions had not ended */
    struct peer_stream *next;
};

struct peer {
    struct worker worker;
    struct snapshot snapshot;
    struct config config;
    struct tenant *tenant;
    struct peer_stream *streams;
    struct sessions sessions;
    size_t own; /* streams of the door's */
    bool over;
    bool told;       /* that nothing new is taken any more: once, as the carrier does */
    uint64_t code;   /* with which the door closed the connection */
    const char *why; /* ... */
    /* How the other parts of the door behave; to be set before or after peer_begin(), which copies nothing.
     */
    size_t unis;         /* streams that the client allows the door */
    size_t datagram_max; /* 0: it takes none */
    bool tight;          /* the client takes nothing off the door's streams */
};

/* ---- streams, in place of src/quic/ ---- */

static struct peer_stream *peer_stream_of(const struct link *l)
{
    struct peer_stream *s = CONTAINER_OF((struct link *)(uintptr_t)l, struct peer_stream, link);
    CHECK(!s->closed);
    return s;
}

static size_t peer_room(const struct peer_stream *s)
{
    size_t most = s->peer->tight ? PEER_TIGHT : PEER_LOOSE, held = s->out.len - s->taken;
    return most - MIN(most, held);
}

static bool peer_is_writable(const struct peer_stream *s)
{
    return s->link.error == NULL && !s->refused;
}

static enum link_status peer_link_open(struct link *l)
{
    return peer_stream_of(l)->link.error != NULL ? LINK_ERROR : LINK_OK;
}

static enum link_status peer_link_read(struct link *l, void *buf, size_t cap, size_t *ret_n)
{
    struct peer_stream *s = peer_stream_of(l);
    size_t n = MIN(cap, s->in.len);
    if (n == 0)
        return s->in_ended ? LINK_EOF : l->error != NULL ? LINK_ERROR : LINK_AGAIN;
    memcpy(buf, s->in.data, n);
    buf_consume(&s->in, n);
    *ret_n = n;
    return LINK_OK;
}

static enum link_status peer_link_write(struct link *l, const void *buf, size_t len, size_t *ret_n)
{
    struct peer_stream *s = peer_stream_of(l);
    CHECK(!s->fin);
    if (!peer_is_writable(s))
        return link_fail(l, "connection reset");
    *ret_n = MIN(len, peer_room(s));
    if (*ret_n == 0)
        return LINK_AGAIN;
    CHECK(buf_append(&s->out, buf, *ret_n));
    return LINK_OK;
}

static enum link_status peer_link_shutdown(struct link *l, bool closing)
{
    (void)closing;
    peer_stream_of(l)->fin = true;
    return LINK_OK;
}

static void peer_link_close(struct link *l, bool abort)
{
    struct peer_stream *s = peer_stream_of(l);
    s->closed = true;
    s->aborted = abort;
    l->wake = NULL;
}

static const struct link_ops peer_link_ops = {
    .name = "stream without QUIC",
    .open = peer_link_open,
    .read = peer_link_read,
    .write = peer_link_write,
    .shutdown = peer_link_shutdown,
    .close = peer_link_close,
};

static struct peer_stream *peer_find(const struct peer *p, int64_t id)
{
    struct peer_stream *s = p->streams;
    while (s != NULL && s->id != id)
        s = s->next;
    return s;
}

static struct peer_stream *peer_stream_new(struct peer *p, int64_t id)
{
    struct peer_stream *s = calloc(1, sizeof(*s));
    CHECK(s != NULL);
    *s = (struct peer_stream){.link.ops = &peer_link_ops, .peer = p, .id = id, .code = 1, .next = p->streams};
    s->in_ended = (id & 3) == 3; /* one of the two directions is over before it began */
    s->fin = (id & 3) == 2;
    p->streams = s;
    return s;
}

int64_t quic_stream_id(const struct link *l)
{
    return peer_stream_of(l)->id;
}

void quic_stream_set_code(struct link *l, uint64_t code)
{
    peer_stream_of(l)->code = code;
}

enum link_status quic_stream_room(struct link *l, size_t *ret)
{
    struct peer_stream *s = peer_stream_of(l);
    if (!peer_is_writable(s))
        return link_fail(l, "connection reset");
    *ret = peer_room(s);
    return *ret < 1024 ? LINK_AGAIN : LINK_OK;
}

void quic_stream_put(struct link *l, const void *data, size_t len)
{
    struct peer_stream *s = peer_stream_of(l);
    CHECK(peer_is_writable(s) && !s->fin && len <= peer_room(s) && buf_append(&s->out, data, len));
    l->bytes_written += len;
}

void quic_stream_take_datagrams(struct link *l)
{
    peer_stream_of(l)->takes = true;
}

bool quic_stream_datagram_waits(const struct link *l, size_t *ret_len)
{
    const struct peer_stream *s = peer_stream_of(l);
    if (s->frames.len == 0)
        return false;
    *ret_len = (size_t)s->frames.data[0] << 8 | s->frames.data[1];
    return true;
}

void quic_stream_read_datagram(struct link *l, void *out)
{
    struct peer_stream *s = peer_stream_of(l);
    size_t len;
    CHECK(quic_stream_datagram_waits(l, &len));
    memcpy(out, s->frames.data + FRAMES_HEAD, len);
    buf_consume(&s->frames, FRAMES_HEAD + len);
}

bool quic_stream_send_datagram(struct link *l, const void *payload, size_t len)
{
    struct peer_stream *s = peer_stream_of(l);
    CHECK(len == 0 || payload != NULL);
    CHECK(s->out.len > 0 || s->refused || l->error != NULL); /* the answer comes first */
    if (len > s->peer->datagram_max || s->peer->datagram_max == 0 || s->peer->over)
        return false;
    s->datagrams++;
    return true;
}

struct link *quic_conn_open_uni(struct quic_conn *c)
{
    struct peer *p = (void *)c;
    return p->own == p->unis ? NULL : &peer_stream_new(p, PEER_OWN(p->own++))->link;
}

/* ---- the carrier, in place of src/session/ ---- */

void tenant_begin_session(struct tenant *t, struct link *link, const struct front_request *request)
{
    struct peer *p = (void *)t->landlord;
    CHECK(p != NULL && !p->over);
    session_begin(&p->sessions, &front_h3, link, quic_stream_id(link_bottom(link)), request);
}

/* The connection is over: its streams fail, as those of QUIC do. */
static void peer_over(struct peer *p)
{
    p->tenant->landlord = NULL;
    p->over = true;
    p->tenant->ops->close(p->tenant);
    for (struct peer_stream *s = p->streams; s != NULL; s = s->next) {
        if (s->closed)
            continue;
        link_fail(&s->link, "connection lost");
        link_wake(&s->link);
    }
}

void tenant_leave(struct tenant *t, uint64_t code, const char *text)
{
    struct peer *p = (void *)t->landlord;
    CHECK(p != NULL && !p->over && text != NULL);
    p->code = code;
    p->why = text;
    peer_over(p);
}

/* ---- what a client does ---- */

static inline void peer_begin(struct peer *p, uint64_t streams)
{
    struct err err;
    p->worker.loop = loop_new(&err);
    CHECK(p->worker.loop != NULL);
    if (p->config.limits.handshake_timeout == 0)
        p->config.limits.handshake_timeout = NSEC_PER_SEC;
    p->config.quic.streams = streams;
    p->snapshot.config = &p->config;
    p->tenant = front_h3.tenant->open(&p->worker, (void *)p, &p->snapshot);
    p->tenant->landlord = (void *)p;
    loop_settle(p->worker.loop);
}

/* The client and the network are free of any rule but QUIC's own. */
static struct peer_stream *peer_stream_for(struct peer *p, int64_t id, bool *ret_fresh)
{
    struct peer_stream *s = peer_find(p, id);
    *ret_fresh = s == NULL;
    return s != NULL ? s : peer_stream_new(p, id);
}

/* Bytes of a stream of its own, and its end; the first ones open it. */
static inline void peer_send(struct peer *p, int64_t id, const void *data, size_t len, bool fin)
{
    bool fresh;
    if (p->over)
        return;
    struct peer_stream *s = peer_stream_for(p, id, &fresh);
    if (s->closed || s->in_ended || s->link.error != NULL)
        return;
    CHECK(buf_append(&s->in, data, len));
    s->in_ended = fin;
    if (fresh)
        p->tenant->ops->stream(p->tenant, &s->link);
    else
        link_wake(&s->link);
    loop_settle(p->worker.loop);
}

/* RESET_STREAM. */
static inline void peer_reset(struct peer *p, int64_t id)
{
    struct peer_stream *s = peer_find(p, id);
    if (p->over || s == NULL || s->closed)
        return;
    if (!s->in_ended)
        link_fail(&s->link, "connection reset");
    link_wake(&s->link);
    loop_settle(p->worker.loop);
}

/* STOP_SENDING. */
static inline void peer_refuse(struct peer *p, int64_t id)
{
    struct peer_stream *s = peer_find(p, id);
    if (p->over || s == NULL || s->closed)
        return;
    s->refused = true;
    if (s->in_ended)
        link_fail(&s->link, "connection reset");
    link_wake(&s->link);
    loop_settle(p->worker.loop);
}

/* A DATAGRAM frame. */
static inline void peer_datagram(struct peer *p, const void *data, size_t len)
{
    struct datagram_head head = {0};
    if (p->over)
        return;
    enum datagram_head_result result = datagram_head_read(data, len, &head);
    if (result == DATAGRAM_HEAD_NO_STREAM)
        p->tenant->ops->bad_datagram(p->tenant);
    struct peer_stream *s = result == DATAGRAM_HEAD_OK ? peer_find(p, head.stream) : NULL;
    if (s != NULL && !s->closed && head.context == 0) {
        CHECK(frames_put(&s->frames, (const uint8_t *)data + head.len, len - head.len, SIZE_MAX));
        if (s->takes)
            link_wake(&s->link);
    }
    loop_settle(p->worker.loop);
}

/* The client takes all that waits for it. */
static inline void peer_take(struct peer *p)
{
    for (struct peer_stream *s = p->streams; s != NULL && !p->over; s = s->next) {
        s->taken = s->out.len;
        if (!s->closed)
            link_wake(&s->link);
    }
    loop_settle(p->worker.loop);
}

/* Sessions that have not answered yet do. */
static inline void peer_answer(struct peer *p)
{
    sessions_answer(&p->sessions);
    loop_settle(p->worker.loop);
}

static inline void peer_drain(struct peer *p)
{
    if (!p->over && !p->told)
        p->tenant->ops->drain(p->tenant);
    p->told = true;
    loop_settle(p->worker.loop);
}

/* ---- what it looks at ---- */

static inline struct session_double *peer_session(const struct peer *p, int64_t id)
{
    return sessions_find(&p->sessions, id);
}

/* The door's answer on a stream: HEADERS, then whole DATA frames, and nothing else (RFC 9114, 4.1). The
 * content is appended to `ret`, which may be NULL; returns how long the HEADERS are, 0: there are none. */
static inline size_t peer_read_answer(const struct peer_stream *s, struct buf *ret)
{
    struct cursor c = cursor_of(s->out.data, s->out.len);
    size_t headers = 0;
    while (c.p < c.end) {
        uint64_t type, len;
        CHECK(cursor_varint(&c, &type) && cursor_varint(&c, &len) && len <= (uint64_t)(c.end - c.p));
        CHECK(type == (headers == 0 ? 1 : 0));
        if (type == 1)
            headers = len;
        else if (ret != NULL)
            CHECK(buf_append(ret, c.p, len));
        c.p += len;
    }
    return headers;
}

/* The connection ends, if it has not; nothing may be left of it. */
static inline void peer_end(struct peer *p)
{
    if (!p->over)
        peer_over(p);
    sessions_end(&p->sessions);
    loop_settle(p->worker.loop);
    for (struct peer_stream *s = p->streams, *next; s != NULL; s = next) {
        next = s->next;
        CHECK(s->closed);
        if ((s->id & 3) == 0)
            peer_read_answer(s, NULL);
        buf_free(&s->in);
        buf_free(&s->out);
        buf_free(&s->frames);
        free(s);
    }
    loop_free(p->worker.loop);
}

/* ---- frames and fields ---- */

/* Append a frame (RFC 9114, 7.1). */
static inline void peer_frame(struct buf *out, uint64_t type, const void *data, size_t len)
{
    uint8_t head[16];
    struct writer w = writer_of(head, sizeof(head));
    writer_varint(&w, type);
    writer_varint(&w, len);
    CHECK(buf_append(out, head, (size_t)(w.p - head)) && buf_append(out, data, len));
}

/* Append a HEADERS frame of literal fields (RFC 9204, 4.5.6) out of "name\0value\0...", as it stands. */
static inline void peer_headers(struct buf *out, const void *text, size_t len)
{
    struct buf block = {0};
    const char *p = text, *end = p + len;
    CHECK(buf_append(&block, "\0", 2)); /* nothing of the dynamic table */
    for (bool name = true; p < end; name = !name) {
        size_t n = strnlen(p, (size_t)(end - p));
        put_integer(&block, name ? 0x20 : 0, name ? 3 : 7, n);
        CHECK(buf_append(&block, p, n));
        p += MIN(n + 1, (size_t)(end - p));
        if (name && p == end) /* a name without a value */
            put_integer(&block, 0, 7, 0);
    }
    peer_frame(out, 1, block.data, block.len);
    buf_free(&block);
}

/* Send a request of that form. */
static inline void peer_request(struct peer *p, int64_t id, const void *text, size_t len, bool fin)
{
    struct buf b = {0};
    peer_headers(&b, text, len);
    peer_send(p, id, b.data, b.len, fin);
    buf_free(&b);
}

#define PEER_CONNECT ":method\0CONNECT\0:authority\0a.b:1"
#define PEER_CONNECT_UDP                                                           \
    ":method\0CONNECT\0:protocol\0connect-udp\0:scheme\0https\0:authority\0door\0" \
    ":path\0/.well-known/masque/udp/a.b/1/\0capsule-protocol\0?1"

/* Its control stream, with SETTINGS that say that it takes HTTP datagrams (RFC 9297, 2.1.1). */
#define PEER_CONTROL "\0\4\2\x33\1"

#endif
