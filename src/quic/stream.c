/* SPDX-License-Identifier: Apache-2.0 */
/* A stream as a link. What comes waits in `in` until the owner reads it; reading gives the peer credit for
 * more on this stream (RFC 9000, 4.1), so a slow reader stops its writer, and nobody else's: the connection's
 * credit comes back as bytes arrive. What waits is bounded by the streams' windows: each has `stream_window`,
 * and a busy one grows, at the expense of what all may grow by together. What is written waits in `out` until
 * it is acknowledged; there is room for `send_buffer` bytes, and for fewer while all streams together hold
 * more than `connection_buffer`, or have more to send than keeps the connection busy: what waits longer than
 * that only leaves the processor's cache.
 *
 * A stream has two masters: its owner, who holds the link, and the library. It is freed when both are done
 * with it; a link that was closed in order goes on delivering what was written to it. */
#include <stdlib.h>

#include "base/clock.h"
#include "quic/quic_internal.h"
#include "tls/quic.h"

#define STREAM_MAGIC 0x9075e4a0u

/* With this error code a stream is reset: RFC 9000 leaves its meaning to the application, ours has one. */
#define STREAM_CUT 1

/* Credit goes back in pieces of at least this size: one frame for many reads. */
#define CREDIT_MIN (16 * 1024)

/* Left to a stream whatever the others hold. */
#define ROOM_MIN ((size_t)32 * 1024)

/* More than this waits to be sent: a stream adds to it only what is left to it anyway. */
#define UNSENT_ENOUGH ((size_t)512 * 1024)

/* Less room than this is none: for who writes in units that must not be cut. */
#define UNIT_MIN 1024

static struct quic_stream *stream_of(const struct link *l)
{
    struct quic_stream *s = CONTAINER_OF((struct link *)(uintptr_t)l, struct quic_stream, link);
    CHECK_MAGIC(s, STREAM_MAGIC);
    return s;
}

static size_t unsent(const struct quic_stream *s)
{
    return s->out.len - s->out.marked;
}

/* Nothing of what was written will be sent any more. */
static void forget_written(struct quic_stream *s)
{
    if (s->conn != NULL) {
        s->conn->unacked -= s->out.len;
        s->conn->pending -= unsent(s);
    }
    queue_free(&s->out);
}

static void stream_free(struct quic_stream *s)
{
    list_remove(&s->node);
    list_remove(&s->ready);
    list_remove(&s->woken);
    datagrams_forget(s);
    queue_free(&s->in);
    forget_written(s);
    tls_quic_unref(s->tls);
    s->magic = 0;
    free(s);
}

/* Freed when neither master is left. */
static void let_go(struct quic_stream *s)
{
    if (s->abandoned && (s->gone || s->conn == NULL))
        stream_free(s);
}

void stream_wake_later(struct quic_stream *s)
{
    if (s->abandoned || s->conn == NULL || !list_empty(&s->woken))
        return;
    list_insert(&s->conn->woken, &s->woken);
    conn_touch(s->conn);
}

void stream_ready(struct quic_stream *s)
{
    if (s->conn == NULL || s->gone)
        return;
    if (list_empty(&s->ready))
        list_insert(&s->conn->ready, &s->ready);
    conn_touch(s->conn);
}

/* ---- from the library ---- */

void stream_received(struct quic_stream *s, const uint8_t *data, size_t len, bool fin)
{
    bool was_starved = s->starved;
    ngtcp2_conn_extend_max_offset(s->conn->lib, len);
    if (s->abandoned) /* nobody reads it */
        return;
    queue_put(&s->in, data, len);
    s->in_ended = s->in_ended || fin;
    s->starved = false;
    if (was_starved)
        stream_wake_later(s);
}

struct room {
    size_t held;   /* at most: not acknowledged yet */
    size_t unsent; /* likewise: of that */
};

/* A stream has its own bounds until all together hold much; then it has the least that keeps it going. */
static struct room room_of(const struct quic_stream *s)
{
    const struct quic_conn *c = s->conn;
    size_t own = c->endpoint->settings.send_buffer, least = MIN(ROOM_MIN, own);
    return (struct room){
        .held = c->unacked >= c->endpoint->settings.connection_buffer ? least : own,
        .unsent = c->pending >= UNSENT_ENOUGH ? least : own,
    };
}

/* How much more a stream may be given now. */
static size_t room_left(const struct quic_stream *s)
{
    struct room r = room_of(s);
    return r.held > s->out.len && r.unsent > unsent(s) ? MIN(r.held - s->out.len, r.unsent - unsent(s)) : 0;
}

/* Who waits is woken when there is room for more than a little. */
static void offer_room(struct quic_stream *s)
{
    struct room r = room_of(s);
    if (!s->blocked || s->out.len > r.held / 2 || unsent(s) > r.unsent / 2)
        return;
    s->blocked = false;
    stream_wake_later(s);
}

/* A stream that waits holds something: when that is acknowledged it is asked again how much it may hold. */
void stream_acked(struct quic_stream *s, size_t len)
{
    s->arrived = true;
    queue_drop(&s->out, len);
    s->conn->unacked -= len;
    if (s->cut_later && s->out.len == 0)
        ngtcp2_conn_shutdown_stream_write(s->conn->lib, 0, s->id, s->code);
    offer_room(s);
}

bool quic_stream_arrived(const struct link *l)
{
    const struct quic_stream *s = stream_find(l);
    return s == NULL || s->arrived || s->in_ended || l->bytes_read > 0;
}

void stream_sent(struct quic_stream *s, size_t len)
{
    queue_mark(&s->out, len);
    s->conn->pending -= len;
    offer_room(s);
}

static void note_taken_back(struct quic_stream *s)
{
    struct quic_conn *c = s->conn;
    if (c == NULL || s->taken_back || s->link.bytes_written > 0 ||
        ngtcp2_conn_is_local_stream2(c->lib, s->id))
        return;
    s->taken_back = true;
    c->taken_back++;
}

static void note_code(struct quic_stream *s, uint64_t code)
{
    if (s->peer_code == 0)
        s->peer_code = code;
}

void stream_reset(struct quic_stream *s, uint64_t code)
{
    note_code(s, code);
    note_taken_back(s);
    if (!s->in_ended)
        link_fail(&s->link, "connection reset");
    stream_wake_later(s);
}

/* Only writing is over: what the peer has said may still be read. Where that has ended the link is broken,
 * for whoever has nothing to write to see. */
void stream_refused(struct quic_stream *s, uint64_t code)
{
    note_code(s, code);
    note_taken_back(s);
    s->refused = !s->fin;
    if (s->refused && s->in_ended)
        link_fail(&s->link, "connection reset");
    stream_wake_later(s);
}

void stream_gone(struct quic_stream *s)
{
    s->gone = true;
    forget_written(s);
    list_remove(&s->ready);
    list_remove(&s->datagrams.turn);
    if (s->conn != NULL)
        s->conn->stream_count--;
    let_go(s);
}

void stream_orphan(struct quic_stream *s)
{
    list_remove(&s->node);
    list_remove(&s->ready);
    list_remove(&s->woken);
    list_remove(&s->datagrams.turn);
    forget_written(s);
    s->conn = NULL;
    if (!s->in_ended || !s->fin_sent)
        link_fail(&s->link, "connection lost");
    if (s->abandoned)
        stream_free(s);
    else
        link_wake(&s->link);
}

/* ---- the link ---- */

static enum link_status stream_open(struct link *l)
{
    return stream_of(l)->link.error != NULL ? LINK_ERROR : LINK_OK;
}

/* How much the window may grow by, now that so much of it was read. A half within two round trips: the peer
 * may have waited for credit. Then it doubles, as far as its bound allows and half of what the others have
 * left. */
static uint64_t grow(struct quic_stream *s, size_t n)
{
    struct quic_conn *c = s->conn;
    uint64_t window = c->stream_window + s->grown;
    s->round += n;
    if (s->round < window / 2)
        return 0;
    ngtcp2_conn_info info;
    int64_t now = clock_monotonic(), began = s->round_at;
    ngtcp2_conn_get_conn_info2(c->lib, &info);
    s->round = 0;
    s->round_at = now;
    if (now - began >= 2 * (int64_t)info.smoothed_rtt)
        return 0;
    uint64_t more = MIN(MIN(window, c->stream_window * STREAM_GROWTH - window), c->growth_left / 2);
    s->grown += more;
    c->growth_left -= more;
    return more;
}

/* The owner has read so much. */
static void give_credit(struct quic_stream *s, size_t n)
{
    if (s->conn == NULL || s->gone || s->in_ended)
        return;
    s->credit += n + grow(s, n);
    if (s->credit < CREDIT_MIN && s->in.len > 0)
        return;
    ngtcp2_conn_extend_max_stream_offset(s->conn->lib, s->id, s->credit);
    s->credit = 0;
    conn_touch(s->conn);
}

static enum link_status stream_read(struct link *l, void *buf, size_t cap, size_t *ret_n)
{
    struct quic_stream *s = stream_of(l);
    size_t n = queue_take(&s->in, buf, cap);
    if (n > 0) {
        give_credit(s, n);
        *ret_n = n;
        return LINK_OK;
    }
    if (s->in_ended)
        return LINK_EOF;
    if (l->error != NULL)
        return LINK_ERROR;
    s->starved = true;
    return LINK_AGAIN;
}

static bool is_writable(const struct quic_stream *s)
{
    return s->link.error == NULL && !s->refused && s->conn != NULL && !s->gone;
}

static void put(struct quic_stream *s, const void *data, size_t len)
{
    queue_put(&s->out, data, len);
    s->conn->unacked += len;
    s->conn->pending += len;
    stream_ready(s);
}

static enum link_status stream_write(struct link *l, const void *buf, size_t len, size_t *ret_n)
{
    struct quic_stream *s = stream_of(l);
    CHECK(!s->fin);
    if (!is_writable(s))
        return link_fail(l, "connection reset");
    size_t most = room_left(s);
    if (most == 0) {
        s->blocked = true;
        return LINK_AGAIN;
    }
    *ret_n = MIN(len, most);
    put(s, buf, *ret_n);
    return LINK_OK;
}

static enum link_status stream_shutdown(struct link *l, bool closing)
{
    struct quic_stream *s = stream_of(l);
    (void)closing;
    if (!s->fin && l->error == NULL) {
        s->fin = true;
        stream_ready(s);
    }
    return LINK_OK;
}

/* Nobody reads it any more: others may grow instead. */
static void give_up_unread(struct quic_stream *s)
{
    queue_free(&s->in);
    if (s->conn != NULL)
        s->conn->growth_left += s->grown;
    s->grown = 0;
}

/* The owner is done. In order: what was written is still delivered, and what the peer sends from now on is
 * not wanted. With `abort`: both directions break. */
static void stream_close(struct link *l, bool abort)
{
    struct quic_stream *s = stream_of(l);
    s->abandoned = true;
    l->wake = NULL;
    list_remove(&s->woken);
    give_up_unread(s);
    if (abort)
        datagrams_forget(s);
    if (s->conn == NULL || s->gone) {
        stream_free(s);
        return;
    }
    bool deliver = !abort || (l->keep_written && s->out.len > 0);
    s->cut_later = abort && deliver && !s->fin;
    if (!abort)
        stream_shutdown(l, true);
    if (!deliver)
        ngtcp2_conn_shutdown_stream(s->conn->lib, 0, s->id, s->code);
    else if (!s->in_ended)
        ngtcp2_conn_shutdown_stream_read(s->conn->lib, 0, s->id, s->code);
    conn_touch(s->conn);
}

static void stream_peer(const struct link *l, struct link_peer *ret)
{
    tls_quic_peer(stream_of(l)->tls, ret);
}

static struct link *stream_branch(struct link *l)
{
    struct quic_stream *s = stream_of(l);
    return s->conn == NULL ? NULL : quic_conn_open_stream(s->conn);
}

static const struct link_ops stream_ops = {
    .name = "QUIC stream",
    .open = stream_open,
    .read = stream_read,
    .write = stream_write,
    .shutdown = stream_shutdown,
    .close = stream_close,
    .peer = stream_peer,
    .branch = stream_branch,
};

int64_t quic_stream_id(const struct link *l)
{
    return stream_of(l)->id;
}

void quic_stream_set_code(struct link *l, uint64_t code)
{
    struct quic_stream *s = stream_find(l);
    if (s != NULL)
        s->code = code;
}

void quic_stream_uncount(struct link *l)
{
    struct quic_stream *s = stream_find(l);
    if (s != NULL)
        s->uncounted = true;
}

uint64_t quic_stream_peer_code(const struct link *l)
{
    const struct quic_stream *s = stream_find(l);
    return s == NULL ? 0 : s->peer_code;
}

int quic_stream_export(const struct link *l, enum authenticator_sender sender, struct authenticator_keys *ret,
                       struct err *err)
{
    const struct quic_stream *s = stream_find(l);
    if (s == NULL || s->conn == NULL)
        return err_set(err, "the QUIC connection is over");
    return quic_conn_export(s->conn, sender, ret, err);
}

enum link_status quic_stream_room(struct link *l, size_t *ret)
{
    struct quic_stream *s = stream_of(l);
    if (!is_writable(s))
        return link_fail(l, "connection reset");
    size_t most = room_left(s);
    s->blocked = most < UNIT_MIN;
    *ret = s->blocked ? 0 : most;
    return s->blocked ? LINK_AGAIN : LINK_OK;
}

void quic_stream_put(struct link *l, const void *data, size_t len)
{
    struct quic_stream *s = stream_of(l);
    CHECK(is_writable(s) && !s->fin);
    put(s, data, len);
    l->bytes_written += len;
}

struct quic_stream *stream_find(const struct link *l)
{
    return l->ops == &stream_ops ? stream_of(l) : NULL;
}

int64_t quic_stream_unacknowledged(const struct link *l)
{
    const struct quic_stream *s = stream_find(l);
    return s == NULL || s->conn == NULL ? 0 : s->conn->unacknowledged;
}

struct quic_stream *stream_new(struct quic_conn *c, int64_t id)
{
    struct quic_stream *s = calloc(1, sizeof(*s));
    CHECK(s != NULL);
    s->link.ops = &stream_ops;
    s->magic = STREAM_MAGIC;
    s->conn = c;
    s->tls = tls_quic_ref(c->tls);
    s->id = id;
    s->code = STREAM_CUT;
    s->starved = true;
    s->round_at = clock_monotonic();
    if (!ngtcp2_is_bidi_stream(id)) { /* one of the two directions is over before it began */
        bool ours = ngtcp2_conn_is_local_stream2(c->lib, id) != 0;
        s->in_ended = ours;
        s->fin = s->fin_sent = !ours;
    }
    list_init(&s->ready);
    list_init(&s->woken);
    list_init(&s->datagrams.turn);
    list_insert(&c->streams, &s->node);
    c->stream_count++;
    return s;
}
