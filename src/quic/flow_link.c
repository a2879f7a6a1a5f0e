/* SPDX-License-Identifier: Apache-2.0 */
#include "quic/flow_link.h"

#include <stdlib.h>

#include "link/frames.h"
#include "quic/quic.h"

#define FLOW_MAGIC 0xf10b11c0u
#define UNSENT_MAX (128 * 1024) /* bytes that the stream does not take yet: more is dropped */
#define READ_SIZE (16 * 1024)   /* of the stream at once */

struct flow {
    struct link link;
    uint32_t magic;
    struct link *stream;
    struct buf waiting;  /* whole frames, to be read; perhaps the rest of one */
    struct buf coming;   /* the beginning of a frame, of the stream */
    struct buf outgoing; /* the same, of what is being written */
    struct buf unsent;   /* for the stream */
    uint64_t dropped;
    bool (*agrees)(struct str answer); /* asked about the first message that comes; NULL: not any more */
    bool sends;                        /* datagrams may go out */
};

static struct flow *flow_of(const struct link *l)
{
    struct flow *f = CONTAINER_OF((struct link *)(uintptr_t)l, struct flow, link);
    CHECK_MAGIC(f, FLOW_MAGIC);
    return f;
}

static enum link_status flow_open(struct link *l)
{
    (void)l;
    return LINK_OK;
}

/* ---- in ---- */

/* What is waiting is read before more is taken, so this is no more than one read of the stream brings. */
static void keep_frame(void *arg, const uint8_t *data, size_t len)
{
    struct flow *f = arg;
    bool (*agrees)(struct str) = f->agrees;
    CHECK(frames_put(&f->waiting, data, len, SIZE_MAX));
    f->agrees = NULL;
    if (agrees == NULL || !agrees((struct str){(const char *)f->waiting.data, f->waiting.len}))
        return;
    f->sends = true;
    quic_stream_take_datagrams(f->stream);
}

/* One that waits, straight to where it is wanted if there is room. */
static size_t read_datagram(struct flow *f, size_t len, uint8_t *out, size_t cap)
{
    bool fits = FRAMES_HEAD + len <= cap;
    if (!fits)
        CHECK(buf_reserve(&f->waiting, FRAMES_HEAD + len));
    uint8_t *to = fits ? out : f->waiting.data;
    to[0] = (uint8_t)(len >> 8);
    to[1] = (uint8_t)len;
    quic_stream_read_datagram(f->stream, to + FRAMES_HEAD);
    if (fits)
        return FRAMES_HEAD + len;
    f->waiting.len = FRAMES_HEAD + len;
    return frames_move(&f->waiting, out, cap);
}

static enum link_status read_stream(struct flow *f)
{
    uint8_t bytes[READ_SIZE];
    size_t n = 0;
    enum link_status status = link_read(f->stream, bytes, sizeof(bytes), &n);
    if (status == LINK_OK)
        frames_feed(&f->coming, bytes, n, keep_frame, f);
    else if (status == LINK_ERROR)
        link_fail(&f->link, link_error(f->stream));
    return status;
}

/* First the rest of what was begun, then datagrams, then the stream: a frame is never cut by another one. */
static enum link_status flow_read(struct link *l, void *buf, size_t cap, size_t *ret_n)
{
    struct flow *f = flow_of(l);
    uint8_t *out = buf;
    size_t len, n = frames_move(&f->waiting, out, cap);
    while (f->sends && f->waiting.len == 0 && cap - n > FRAMES_HEAD &&
           quic_stream_datagram_waits(f->stream, &len))
        n += read_datagram(f, len, out + n, cap - n);
    enum link_status status = LINK_OK;
    while (n == 0 && status == LINK_OK) {
        status = read_stream(f);
        n = frames_move(&f->waiting, out, cap);
    }
    *ret_n = n;
    return n > 0 ? LINK_OK : status;
}

/* ---- out ---- */

/* The stream takes what it can. LINK_OK: nothing is left. */
static enum link_status send_unsent(struct flow *f)
{
    enum link_status status = LINK_OK;
    while (f->unsent.len > 0 && status == LINK_OK) {
        size_t n = 0;
        status = link_write(f->stream, f->unsent.data, f->unsent.len, &n);
        if (status == LINK_OK && n == f->unsent.len)
            buf_free(&f->unsent);
        else if (status == LINK_OK)
            buf_consume(&f->unsent, n);
    }
    return status == LINK_ERROR ? link_fail(&f->link, link_error(f->stream)) : status;
}

static void send_frame(void *arg, const uint8_t *data, size_t len)
{
    struct flow *f = arg;
    if (f->sends && quic_stream_send_datagram(f->stream, data, len))
        return;
    if (!frames_put(&f->unsent, data, len, UNSENT_MAX))
        f->dropped++;
}

static enum link_status flow_write(struct link *l, const void *buf, size_t len, size_t *ret_n)
{
    struct flow *f = flow_of(l);
    frames_feed(&f->outgoing, buf, len, send_frame, f);
    *ret_n = len;
    return send_unsent(f) == LINK_ERROR ? LINK_ERROR : LINK_OK;
}

static enum link_status flow_shutdown(struct link *l, bool closing)
{
    struct flow *f = flow_of(l);
    enum link_status status = send_unsent(f);
    if (status != LINK_OK)
        return status;
    return closing ? link_finish(f->stream) : link_shutdown(f->stream);
}

/* ---- the rest ---- */

static void on_wake(struct link *stream)
{
    struct flow *f = flow_of(stream->owner);
    send_unsent(f);
    link_wake(&f->link);
}

static void flow_close(struct link *l, bool abort)
{
    struct flow *f = flow_of(l);
    f->stream->keep_written = l->keep_written;
    link_close(f->stream, abort);
    buf_free(&f->waiting);
    buf_free(&f->coming);
    buf_free(&f->outgoing);
    buf_free(&f->unsent);
    f->magic = 0;
    free(f);
}

static void flow_peer(const struct link *l, struct link_peer *ret)
{
    link_peer(flow_of(l)->stream, ret);
}

static struct link *flow_below(struct link *l)
{
    return flow_of(l)->stream;
}

static const struct link_ops flow_ops = {
    .name = "flow of datagrams",
    .open = flow_open,
    .read = flow_read,
    .write = flow_write,
    .shutdown = flow_shutdown,
    .close = flow_close,
    .peer = flow_peer,
    .below = flow_below,
};

static struct flow *flow_new(struct link *stream)
{
    struct flow *f = calloc(1, sizeof(*f));
    CHECK(f != NULL);
    f->link.ops = &flow_ops;
    f->magic = FLOW_MAGIC;
    f->stream = stream;
    stream->wake = on_wake;
    stream->owner = &f->link;
    return f;
}

struct link *flow_link(struct link *stream, struct str came, struct str unsent)
{
    struct flow *f = flow_new(stream);
    f->sends = true;
    CHECK(unsent.len == 0 || buf_append(&f->unsent, unsent.p, unsent.len));
    if (came.len > 0)
        frames_feed(&f->coming, came.p, came.len, keep_frame, f);
    quic_stream_take_datagrams(stream);
    return &f->link;
}

struct link *flow_link_greeting(struct link *stream, bool (*agrees)(struct str answer))
{
    struct flow *f = flow_new(stream);
    f->agrees = agrees;
    return &f->link;
}

uint64_t flow_link_dropped(const struct link *flow)
{
    return flow->ops == &flow_ops ? flow_of(flow)->dropped : 0;
}
