/* SPDX-License-Identifier: Apache-2.0 */
/* Reading: a piece of the stream below is taken only when the frames of the one before have been read, so a
 * slow reader stops its writer. Writing: capsules that the link below does not take at once wait in `out`,
 * and nothing more is accepted until they have gone.
 *
 * The link below wakes us. What waits to be written is written then, and after that the owner is woken: he
 * may close us, so nothing follows. */
#include "http/capsule_link.h"

#include <stdlib.h>

#include "base/buf.h"
#include "http/capsule.h"
#include "link/frames.h"

#define CAPSULE_LINK_MAGIC 0xca950111u
#define PIECE (16 * 1024)

struct capsule_link {
    struct link link;
    uint32_t magic;
    struct link *down;
    struct capsule_reader reader;
    struct buf waiting; /* frames to be read */
    struct buf partial; /* the beginning of a frame that is being written */
    struct buf out;     /* capsules, and what was to go before them */
    bool flushing;      /* on the stack */
    bool shut;
};

static struct capsule_link *capsule_of(const struct link *l)
{
    struct capsule_link *c = CONTAINER_OF((struct link *)(uintptr_t)l, struct capsule_link, link);
    CHECK_MAGIC(c, CAPSULE_LINK_MAGIC);
    return c;
}

/* Write what waits. LINK_OK: nothing does any more. */
static enum link_status flush(struct capsule_link *c)
{
    enum link_status s = LINK_OK;
    if (c->flushing) /* woken by our own write: it goes on writing */
        return LINK_AGAIN;
    c->flushing = true;
    size_t at = 0;
    while (at < c->out.len && s == LINK_OK) {
        size_t n = 0;
        s = link_write(c->down, c->out.data + at, c->out.len - at, &n);
        at += s == LINK_OK ? n : 0;
    }
    buf_consume(&c->out, at);
    if (c->out.len == 0)
        buf_free(&c->out);
    c->flushing = false;
    return s == LINK_ERROR ? link_fail(&c->link, link_error(c->down)) : s;
}

static void on_wake(struct link *down)
{
    struct capsule_link *c = down->owner;
    CHECK_MAGIC(c, CAPSULE_LINK_MAGIC);
    flush(c);
    link_wake(&c->link);
}

static void take_datagram(void *arg, const uint8_t *data, size_t len)
{
    struct capsule_link *c = arg;
    frames_put(&c->waiting, data, len, SIZE_MAX); /* bounded by PIECE, and one datagram */
}

static bool feed(struct capsule_link *c, const void *data, size_t len)
{
    const char *bad = capsule_feed(&c->reader, data, len, take_datagram, c);
    if (bad != NULL)
        link_fail(&c->link, bad);
    return bad == NULL;
}

static enum link_status capsule_open(struct link *l)
{
    return link_open(capsule_of(l)->down);
}

static enum link_status capsule_read(struct link *l, void *buf, size_t cap, size_t *ret_n)
{
    struct capsule_link *c = capsule_of(l);
    while (c->waiting.len == 0) {
        uint8_t piece[PIECE];
        size_t n;
        if (l->error != NULL)
            return LINK_ERROR;
        enum link_status s = link_read(c->down, piece, sizeof(piece), &n);
        if (s == LINK_EOF && !capsule_is_whole(&c->reader))
            return link_fail(l, "the stream ended within a capsule");
        if (s == LINK_ERROR)
            return link_fail(l, link_error(c->down));
        if (s != LINK_OK)
            return s;
        feed(c, piece, n); /* what was whole before it went wrong is still read */
    }
    *ret_n = frames_move(&c->waiting, buf, cap);
    return LINK_OK;
}

static void send_datagram(void *arg, const uint8_t *data, size_t len)
{
    struct capsule_link *c = arg;
    CHECK(capsule_put(&c->out, data, len));
}

static enum link_status capsule_write(struct link *l, const void *buf, size_t len, size_t *ret_n)
{
    struct capsule_link *c = capsule_of(l);
    CHECK(!c->shut);
    enum link_status s = c->out.len > 0 ? flush(c) : LINK_OK;
    if (s != LINK_OK)
        return s;
    frames_feed(&c->partial, buf, len, send_datagram, c);
    if (flush(c) == LINK_ERROR)
        return LINK_ERROR;
    *ret_n = len;
    return LINK_OK;
}

static enum link_status capsule_shutdown(struct link *l, bool closing)
{
    struct capsule_link *c = capsule_of(l);
    c->shut = true;
    enum link_status s = flush(c);
    if (s != LINK_OK)
        return s;
    return closing ? link_finish(c->down) : link_shutdown(c->down);
}

static void capsule_close(struct link *l, bool abort)
{
    struct capsule_link *c = capsule_of(l);
    struct link *down = c->down;
    down->wake = NULL;
    down->keep_written = l->keep_written;
    capsule_reader_free(&c->reader);
    buf_free(&c->waiting);
    buf_free(&c->partial);
    buf_free(&c->out);
    c->magic = 0;
    free(c);
    link_close(down, abort);
}

static void capsule_peer(const struct link *l, struct link_peer *ret)
{
    link_peer(capsule_of(l)->down, ret);
}

static void capsule_refuse(struct link *l, uint8_t alert)
{
    link_refuse(capsule_of(l)->down, alert);
}

static struct link *capsule_below(struct link *l)
{
    return capsule_of(l)->down;
}

static const struct link_ops capsule_ops = {
    .name = "capsules",
    .open = capsule_open,
    .read = capsule_read,
    .write = capsule_write,
    .shutdown = capsule_shutdown,
    .close = capsule_close,
    .peer = capsule_peer,
    .refuse = capsule_refuse,
    .below = capsule_below,
};

struct link *capsule_link_new(struct link *down, struct str early, struct str unsent)
{
    struct capsule_link *c = calloc(1, sizeof(*c));
    CHECK(c != NULL);
    c->link.ops = &capsule_ops;
    c->magic = CAPSULE_LINK_MAGIC;
    c->down = down;
    down->wake = on_wake;
    down->owner = c;
    CHECK(buf_append(&c->out, unsent.p, unsent.len));
    feed(c, early.p, early.len);
    return &c->link;
}

struct link *capsule_link_wrap(struct link *down, const struct front_target *target, struct str early,
                               struct str unsent)
{
    return target->udp ? capsule_link_new(down, early, unsent) : down;
}
