/* SPDX-License-Identifier: Apache-2.0 */
/* Reading: a piece of the stream is taken only when the frames of the one before have been read, so a slow
 * reader stops its writer.
 *
 * The stream wakes us. What waits to be written is written then, and after that the owner is woken: he may
 * close us, so nothing follows. */
#include "link/datagram_link.h"

#include "link/frames.h"

#define DATAGRAM_LINK_MAGIC 0xda7a9111u
#define PIECE (16 * 1024)       /* of the stream at once */
#define UNSENT_MAX (128 * 1024) /* bytes that the stream does not take yet, where datagrams may be lost */

static struct datagram_link *datagrams_of(const struct link *l)
{
    struct datagram_link *d = CONTAINER_OF((struct link *)(uintptr_t)l, struct datagram_link, link);
    CHECK_MAGIC(d, DATAGRAM_LINK_MAGIC);
    return d;
}

static enum link_status datagrams_open(struct link *l)
{
    return link_open(datagrams_of(l)->down);
}

/* ---- in ---- */

/* What waits is read before more is taken, so this is no more than one piece of the stream brings. */
void datagram_link_keep(void *arg, const uint8_t *data, size_t len)
{
    struct datagram_link *d = arg;
    CHECK(frames_put(&d->waiting, data, len, SIZE_MAX));
}

/* NULL: nothing is wrong. */
static void spoil(struct datagram_link *d, const char *why)
{
    if (why == NULL)
        return;
    d->spoiled = true;
    link_fail(&d->link, why);
    if (d->form->spoiled != NULL)
        d->form->spoiled(d->down);
}

static enum link_status read_stream(struct datagram_link *d)
{
    uint8_t piece[PIECE];
    size_t n = 0;
    if (d->spoiled)
        return LINK_ERROR;
    enum link_status status = link_read(d->down, piece, sizeof(piece), &n);
    if (status == LINK_OK)
        spoil(d, d->form->feed(d, piece, n)); /* what was whole before it went wrong is still read */
    else if (status == LINK_EOF && d->form->check_end != NULL)
        spoil(d, d->form->check_end(d));
    else if (status == LINK_ERROR)
        link_fail(&d->link, link_error(d->down));
    return d->spoiled ? LINK_ERROR : status;
}

/* One that waits, straight to where it is wanted if there is room. */
static size_t receive(struct datagram_link *d, size_t len, uint8_t *out, size_t cap)
{
    bool fits = FRAMES_HEAD + len <= cap;
    if (!fits)
        CHECK(buf_reserve(&d->waiting, FRAMES_HEAD + len));
    uint8_t *to = fits ? out : d->waiting.data;
    to[0] = (uint8_t)(len >> 8);
    to[1] = (uint8_t)len;
    d->form->receive(d->down, to + FRAMES_HEAD);
    if (fits)
        return FRAMES_HEAD + len;
    d->waiting.len = FRAMES_HEAD + len;
    return frames_move(&d->waiting, out, cap);
}

static bool waits(const struct datagram_link *d, size_t *ret_len)
{
    return d->form->waits != NULL && !d->stays_in_stream && d->form->waits(d->down, ret_len);
}

/* First the rest of what was begun, then datagrams, then the stream: a frame is never cut by another one. */
static enum link_status datagrams_read(struct link *l, void *buf, size_t cap, size_t *ret_n)
{
    struct datagram_link *d = datagrams_of(l);
    uint8_t *out = buf;
    size_t len, n = frames_move(&d->waiting, out, cap);
    while (d->waiting.len == 0 && n < cap && waits(d, &len))
        n += receive(d, len, out + n, cap - n);
    enum link_status status = LINK_OK;
    while (n == 0 && status == LINK_OK) {
        status = read_stream(d);
        n = frames_move(&d->waiting, out, cap);
    }
    *ret_n = n;
    return n > 0 ? LINK_OK : status;
}

/* ---- out ---- */

/* The stream takes what it can. LINK_OK: nothing is left. */
static enum link_status flush(struct datagram_link *d)
{
    if (d->flushing) /* woken by our own write: it goes on writing */
        return LINK_AGAIN;
    d->flushing = true;
    enum link_status status = link_write_buf(d->down, &d->unsent);
    d->flushing = false;
    return status == LINK_ERROR ? link_fail(&d->link, link_error(d->down)) : status;
}

static void send_datagram(void *arg, const uint8_t *data, size_t len)
{
    struct datagram_link *d = arg;
    const struct datagram_form *form = d->form;
    if (form->send != NULL && !d->stays_in_stream && form->send(d->down, data, len))
        return;
    if (!form->put(&d->unsent, data, len, form->send != NULL ? UNSENT_MAX : SIZE_MAX))
        d->dropped++;
}

static enum link_status datagrams_write(struct link *l, const void *buf, size_t len, size_t *ret_n)
{
    struct datagram_link *d = datagrams_of(l);
    enum link_status status = LINK_OK;
    CHECK(!d->shut);
    if (d->form->send == NULL)
        status = flush(d);
    if (status != LINK_OK)
        return status;
    frames_feed(&d->partial, buf, len, send_datagram, d);
    *ret_n = len;
    return flush(d) == LINK_ERROR ? LINK_ERROR : LINK_OK;
}

static enum link_status datagrams_shutdown(struct link *l, bool closing)
{
    struct datagram_link *d = datagrams_of(l);
    d->shut = true;
    enum link_status status = flush(d);
    if (status != LINK_OK)
        return status;
    return closing ? link_finish(d->down) : link_shutdown(d->down);
}

/* ---- the rest ---- */

static void on_wake(struct link *down)
{
    struct datagram_link *d = datagrams_of(down->owner);
    flush(d);
    link_wake(&d->link);
}

static void datagrams_close(struct link *l, bool abort)
{
    struct datagram_link *d = datagrams_of(l);
    struct link *down = d->down;
    down->wake = NULL;
    down->keep_written = l->keep_written;
    buf_free(&d->waiting);
    buf_free(&d->partial);
    buf_free(&d->unsent);
    d->magic = 0;
    d->form->free(d);
    link_close(down, abort);
}

static void datagrams_peer(const struct link *l, struct link_peer *ret)
{
    link_peer(datagrams_of(l)->down, ret);
}

static void datagrams_refuse(struct link *l, uint8_t alert)
{
    link_refuse(datagrams_of(l)->down, alert);
}

static struct link *datagrams_below(struct link *l)
{
    return datagrams_of(l)->down;
}

static const struct link_ops datagram_ops = {
    .name = "datagrams",
    .open = datagrams_open,
    .read = datagrams_read,
    .write = datagrams_write,
    .shutdown = datagrams_shutdown,
    .close = datagrams_close,
    .peer = datagrams_peer,
    .refuse = datagrams_refuse,
    .below = datagrams_below,
};

void datagram_link_init(struct datagram_link *d, const struct datagram_form *form, struct link *down,
                        struct str early, struct str unsent)
{
    d->link.ops = &datagram_ops;
    d->magic = DATAGRAM_LINK_MAGIC;
    d->form = form;
    d->down = down;
    down->wake = on_wake;
    down->owner = &d->link;
    CHECK(buf_append(&d->unsent, unsent.p, unsent.len));
    spoil(d, form->feed(d, early.p, early.len));
}

uint64_t datagram_link_dropped(const struct link *l)
{
    return l->ops == &datagram_ops ? datagrams_of(l)->dropped : 0;
}
