/* SPDX-License-Identifier: Apache-2.0 */
/* One buffer: what is on its way to whoever reads; and within the stream the second hello, as long as it is
 * not whole. Both are empty once the handshake is under way. */
#include "ech/ech_link.h"

#include <stdlib.h>
#include <string.h>

#include "ech/stream.h"

#define TAKE_MOST 4096u

#define ECH_LINK_MAGIC 0xec411210u

struct ech_link {
    struct link link;
    uint32_t magic;
    struct link *lower;
    struct ech_stream stream;
    struct buf ready;
};

static const struct link_ops looking, passing, splicing;

static struct ech_link *ech_of(const struct link *l)
{
    struct ech_link *e = CONTAINER_OF((struct link *)(uintptr_t)l, struct ech_link, link);
    CHECK_MAGIC(e, ECH_LINK_MAGIC);
    return e;
}

/* From now on calls go to what this stands on. */
static void dissolve(struct ech_link *e)
{
    if (e->stream.state == ECH_STREAM_OVER && e->ready.len == 0)
        e->link.ops = link_splices(e->lower) ? &splicing : &passing;
}

/* What broke below broke this. */
static enum link_status as_below(struct link *l, enum link_status status)
{
    return status == LINK_ERROR ? link_fail(l, link_error(ech_of(l)->lower)) : status;
}

static enum link_status pass_read(struct link *l, void *buf, size_t cap, size_t *ret_n)
{
    return as_below(l, link_read(ech_of(l)->lower, buf, cap, ret_n));
}

static enum link_status pass_write(struct link *l, const void *buf, size_t len, size_t *ret_n)
{
    link_more(ech_of(l)->lower, l->more);
    return as_below(l, link_write(ech_of(l)->lower, buf, len, ret_n));
}

/* The client is told in the clear: nothing is encrypted yet, for it waits for an answer to this hello. */
static enum link_status refuse(struct ech_link *e)
{
    uint8_t alert[] = {21, 3, 3, 0, 2, 2, (uint8_t)e->stream.alert};
    size_t n;
    link_write(e->lower, alert, sizeof(alert), &n);
    return link_fail(&e->link, e->stream.why);
}

static enum link_status look_read(struct link *l, void *buf, size_t cap, size_t *ret_n)
{
    struct ech_link *e = ech_of(l);
    uint8_t bytes[TAKE_MOST];
    while (e->ready.len == 0) {
        size_t n = 0;
        if (e->stream.state == ECH_STREAM_BAD)
            return l->error == NULL ? refuse(e) : LINK_ERROR;
        dissolve(e);
        if (l->ops != &looking)
            return pass_read(l, buf, cap, ret_n);
        enum link_status status = as_below(l, link_read(e->lower, bytes, sizeof(bytes), &n));
        if (status != LINK_OK)
            return status;
        ech_stream_up(&e->stream, bytes, n, &e->ready);
    }
    *ret_n = MIN(cap, e->ready.len);
    memcpy(buf, e->ready.data, *ret_n);
    buf_consume(&e->ready, *ret_n);
    if (e->ready.len == 0)
        buf_free(&e->ready);
    dissolve(e);
    return LINK_OK;
}

static enum link_status look_write(struct link *l, const void *buf, size_t len, size_t *ret_n)
{
    struct ech_link *e = ech_of(l);
    enum link_status status = pass_write(l, buf, len, ret_n);
    if (status == LINK_OK)
        ech_stream_down(&e->stream, buf, *ret_n);
    dissolve(e);
    return status;
}

static enum link_status ech_open_link(struct link *l)
{
    return as_below(l, link_open(ech_of(l)->lower));
}

static enum link_status ech_shutdown(struct link *l, bool closing)
{
    struct link *lower = ech_of(l)->lower;
    return as_below(l, closing ? link_finish(lower) : link_shutdown(lower));
}

static void ech_close(struct link *l, bool abort)
{
    struct ech_link *e = ech_of(l);
    e->lower->keep_written = l->keep_written;
    link_close(e->lower, abort);
    ech_stream_free(&e->stream);
    buf_free(&e->ready);
    e->magic = 0;
    free(e);
}

static int ech_socket(const struct link *l)
{
    return link_socket(ech_of(l)->lower);
}

static void ech_peer(const struct link *l, struct link_peer *ret)
{
    link_peer(ech_of(l)->lower, ret);
    ret->misspoke |= ech_of(l)->stream.state == ECH_STREAM_BAD;
}

static struct link *ech_below(struct link *l)
{
    return ech_of(l)->lower;
}

static void ech_leave(struct link *l)
{
    struct link *lower = ech_of(l)->lower;
    lower->ops->leave(lower);
}

static bool ech_enter(struct link *l, const struct link_home *home)
{
    return link_enter(ech_of(l)->lower, home);
}

static enum link_status pass_splice_read(struct link *l, int kernel_pipe, size_t cap, size_t *ret_n)
{
    return as_below(l, link_splice_read(ech_of(l)->lower, kernel_pipe, cap, ret_n));
}

static enum link_status pass_splice_write(struct link *l, int kernel_pipe, size_t len, size_t *ret_n)
{
    link_more(ech_of(l)->lower, l->more);
    return as_below(l, link_splice_write(ech_of(l)->lower, kernel_pipe, len, ret_n));
}

static size_t pass_splice_room(const struct link *l)
{
    return link_splice_room(ech_of(l)->lower);
}

#define COMMON                                                                          \
    .name = "ECH", .open = ech_open_link, .shutdown = ech_shutdown, .close = ech_close, \
    .socket = ech_socket, .peer = ech_peer, .below = ech_below, .leave = ech_leave, .enter = ech_enter

static const struct link_ops looking = {COMMON, .read = look_read, .write = look_write};
static const struct link_ops passing = {COMMON, .read = pass_read, .write = pass_write};
static const struct link_ops splicing = {COMMON,
                                         .read = pass_read,
                                         .write = pass_write,
                                         .splice_read = pass_splice_read,
                                         .splice_write = pass_splice_write,
                                         .splice_room = pass_splice_room};

static void lower_wake(struct link *lower)
{
    link_wake(&((struct ech_link *)lower->owner)->link);
}

struct link *ech_link_new(struct link *lower, struct ech_opened *opened, struct str rest, size_t hello_max)
{
    struct ech_link *e = calloc(1, sizeof(*e));
    CHECK(e != NULL && ech_stream_put_records(&opened->inner, &e->ready));
    e->link.ops = &looking;
    e->magic = ECH_LINK_MAGIC;
    e->lower = lower;
    e->link.bytes_written = lower->bytes_written;
    ech_stream_begin(&e->stream, opened->opening, hello_max);
    ech_stream_up(&e->stream, (const uint8_t *)rest.p, rest.len, &e->ready);
    buf_free(&opened->inner);
    opened->opening = NULL;
    lower->owner = e;
    lower->wake = lower_wake;
    return &e->link;
}
