/* SPDX-License-Identifier: Apache-2.0 */
/* UDP on a request of HTTP/3, as a link of frames (link/frames.h): each payload goes as an HTTP datagram (RFC
 * 9297, 2.1), or, where the client takes none or the path is too narrow, as a capsule in the stream (3.5).
 * Both are taken at any time. Writing never waits: what cannot leave in time is lost, as on a network. */
#include <stdlib.h>

#include "http/capsule.h"
#include "http/h3_internal.h"
#include "link/frames.h"

#define FLOW_MAGIC 0x43f10b03u
#define UNSENT_MAX (128 * 1024) /* bytes of capsules that the stream does not take yet: more is dropped */

struct flow {
    struct link link;
    uint32_t magic;
    struct h3_stream *stream;
    struct capsule_reader capsules;
    struct buf waiting;  /* frames to be read: whole, or the rest of one */
    struct buf outgoing; /* the beginning of a frame that is being written */
    struct buf unsent;   /* capsules, for the stream */
};

static struct flow *flow_of(const struct link *l)
{
    struct flow *f = CONTAINER_OF((struct link *)(uintptr_t)l, struct flow, link);
    CHECK_MAGIC(f, FLOW_MAGIC);
    return f;
}

static enum link_status flow_open(struct link *l)
{
    return l->error != NULL ? LINK_ERROR : LINK_OK;
}

/* ---- in ---- */

/* What waits is read before more is taken, so this is no more than one piece of the stream brings. */
static void keep_payload(void *arg, const uint8_t *data, size_t len)
{
    struct flow *f = arg;
    CHECK(frames_put(&f->waiting, data, len, SIZE_MAX));
}

static enum link_status spoil(struct flow *f, const char *why)
{
    f->stream->code = NGHTTP3_H3_MESSAGE_ERROR; /* RFC 9297, 3.3 */
    return link_fail(&f->link, why);
}

static enum link_status read_stream(struct flow *f)
{
    uint8_t bytes[H3_PIECE];
    size_t n = 0;
    enum link_status status = link_read(&f->stream->link, bytes, sizeof(bytes), &n);
    const char *bad = status == LINK_OK ? capsule_feed(&f->capsules, bytes, n, keep_payload, f) : NULL;
    if (status == LINK_EOF && !capsule_is_whole(&f->capsules))
        bad = "the stream ends in the middle of a capsule";
    if (bad != NULL)
        return spoil(f, bad);
    return status == LINK_ERROR ? link_fail(&f->link, link_error(&f->stream->link)) : status;
}

static size_t read_datagram(struct flow *f, size_t len, uint8_t *out, size_t cap)
{
    CHECK(buf_reserve(&f->waiting, FRAMES_HEAD + len));
    f->waiting.data[0] = (uint8_t)(len >> 8);
    f->waiting.data[1] = (uint8_t)len;
    quic_stream_read_datagram(f->stream->raw, f->waiting.data + FRAMES_HEAD);
    f->waiting.len = FRAMES_HEAD + len;
    return frames_move(&f->waiting, out, cap);
}

static enum link_status flow_read(struct link *l, void *buf, size_t cap, size_t *ret_n)
{
    struct flow *f = flow_of(l);
    uint8_t *out = buf;
    size_t len, n = frames_move(&f->waiting, out, cap);
    while (f->waiting.len == 0 && n < cap && quic_stream_datagram_waits(f->stream->raw, &len))
        n += read_datagram(f, len, out + n, cap - n);
    enum link_status status = l->error != NULL ? LINK_ERROR : LINK_OK;
    while (n == 0 && status == LINK_OK) {
        status = read_stream(f);
        n = frames_move(&f->waiting, out, cap);
    }
    *ret_n = n;
    return n > 0 ? LINK_OK : status;
}

/* ---- out ---- */

/* LINK_OK: nothing is left. */
static enum link_status send_unsent(struct flow *f)
{
    enum link_status status = LINK_OK;
    while (f->unsent.len > 0 && status == LINK_OK) {
        size_t n = 0;
        status = link_write(&f->stream->link, f->unsent.data, f->unsent.len, &n);
        if (status == LINK_OK && n == f->unsent.len)
            buf_free(&f->unsent);
        else if (status == LINK_OK)
            buf_consume(&f->unsent, n);
    }
    return status == LINK_ERROR ? link_fail(&f->link, link_error(&f->stream->link)) : status;
}

static void send_payload(void *arg, const uint8_t *data, size_t len)
{
    struct flow *f = arg;
    if (f->stream->conn->datagrams && quic_stream_send_datagram(f->stream->raw, data, len))
        return;
    if (f->unsent.len + CAPSULE_HEAD_MAX + len <= UNSENT_MAX)
        CHECK(capsule_put(&f->unsent, data, len));
}

static enum link_status flow_write(struct link *l, const void *buf, size_t len, size_t *ret_n)
{
    struct flow *f = flow_of(l);
    if (l->error != NULL)
        return LINK_ERROR;
    frames_feed(&f->outgoing, buf, len, send_payload, f);
    *ret_n = len;
    return send_unsent(f) == LINK_ERROR ? LINK_ERROR : LINK_OK;
}

static enum link_status flow_shutdown(struct link *l, bool closing)
{
    struct flow *f = flow_of(l);
    enum link_status status = send_unsent(f);
    if (status != LINK_OK)
        return status;
    return closing ? link_finish(&f->stream->link) : link_shutdown(&f->stream->link);
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
    f->stream->link.keep_written = l->keep_written;
    link_close(&f->stream->link, abort);
    capsule_reader_free(&f->capsules);
    buf_free(&f->waiting);
    buf_free(&f->outgoing);
    buf_free(&f->unsent);
    f->magic = 0;
    free(f);
}

static void flow_peer(const struct link *l, struct link_peer *ret)
{
    link_peer(&flow_of(l)->stream->link, ret);
}

static struct link *flow_below(struct link *l)
{
    return &flow_of(l)->stream->link;
}

static const struct link_ops flow_ops = {
    .name = "UDP on HTTP/3",
    .open = flow_open,
    .read = flow_read,
    .write = flow_write,
    .shutdown = flow_shutdown,
    .close = flow_close,
    .peer = flow_peer,
    .below = flow_below,
};

struct link *h3_flow_wrap(struct link *down, const struct front_target *target, struct str early,
                          struct str unsent)
{
    CHECK(early.len == 0 && unsent.len == 0); /* a stream of HTTP/3 keeps what comes early itself */
    if (!target->udp)
        return down;
    struct flow *f = calloc(1, sizeof(*f));
    CHECK(f != NULL);
    f->link.ops = &flow_ops;
    f->magic = FLOW_MAGIC;
    f->stream = h3_stream_of(down);
    down->wake = on_wake;
    down->owner = &f->link;
    quic_stream_take_datagrams(f->stream->raw);
    return &f->link;
}
