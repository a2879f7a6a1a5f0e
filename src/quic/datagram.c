/* SPDX-License-Identifier: Apache-2.0 */
/* Datagrams (RFC 9221) that belong to streams. Each stream has a bounded queue each way, and all streams of a
 * connection have a bound together; what does not fit drives out the oldest of its own stream, as a network
 * would drop it. Those to be sent take turns by stream, so a stream that floods delays no other one. */
#include "quic/datagram_head.h"
#include "quic/quic_internal.h"

#define WAITING_MAX (128 * 1024)   /* bytes of a stream, each way */
#define EARLY_MAX (4 * 1024)       /* the same, of one whose owner has not said yet that he takes them */
#define TOGETHER_MAX (1024 * 1024) /* bytes of a connection, each way */

/* RFC 9298, 4; and our own, of streams that the server has opened: a Quarter Stream ID cannot name them, so
 * that of the client's stream before stands for them under another context. */
#define CONTEXT_PAYLOAD 0
#define CONTEXT_SERVERS 1
#define SERVERS_BIT 1 /* of a stream's id (RFC 9000, 2.1) */

/* ---- queues ---- */

/* A new one goes into a queue of the stream; `together` is what all of these queues hold. Returns how many
 * datagrams were lost over it. */
static size_t enqueue(struct ring *r, size_t most, size_t *together, const void *head, size_t head_len,
                      const void *data, size_t len)
{
    size_t before = r->len, driven_out = 0;
    size_t others = *together - before;
    most = MIN(most, TOGETHER_MAX - MIN(others, (size_t)TOGETHER_MAX));
    if (!ring_put(r, head, head_len, data, len, most, &driven_out))
        return 1;
    *together = others + r->len;
    return driven_out;
}

static void dequeue(struct ring *r, size_t *together, void *out)
{
    size_t before = r->len;
    if (out != NULL)
        ring_take(r, out);
    else
        ring_drop(r);
    *together -= before - r->len;
}

static void empty(struct ring *r, size_t *together)
{
    *together -= r->len;
    ring_free(r);
}

void datagrams_forget(struct quic_stream *s)
{
    struct datagrams *d = &s->datagrams;
    list_remove(&d->turn);
    if (s->conn != NULL) {
        empty(&d->in, &s->conn->datagrams_in);
        empty(&d->out, &s->conn->datagrams_out);
    }
    ring_free(&d->in);
    ring_free(&d->out);
}

/* ---- from the library ---- */

/* The stream that it belongs to. Where the server has opened none there, the context is one that nobody
 * knows; it is counted for the client's. */
static struct quic_stream *owner_of(struct quic_conn *c, struct datagram_head *head)
{
    struct quic_stream *s = NULL;
    if (head->context == CONTEXT_SERVERS)
        s = ngtcp2_conn_get_stream_user_data2(c->lib, head->stream | SERVERS_BIT);
    if (s == NULL)
        return ngtcp2_conn_get_stream_user_data2(c->lib, head->stream);
    head->context = CONTEXT_PAYLOAD;
    return s;
}

void datagram_received(struct quic_conn *c, const uint8_t *data, size_t len)
{
    struct datagram_head head = {0};
    enum datagram_head_result result = datagram_head_read(data, len, &head);
    c->bad_datagram = c->bad_datagram || result == DATAGRAM_HEAD_NO_STREAM;
    struct quic_stream *s = result == DATAGRAM_HEAD_NO_STREAM ? NULL : owner_of(c, &head);
    if (s == NULL || s->abandoned)
        return;
    struct datagrams *d = &s->datagrams;
    if (result != DATAGRAM_HEAD_OK || head.context != CONTEXT_PAYLOAD) {
        d->facts.dropped_in++;
        return;
    }
    bool was_empty = d->in.count == 0;
    d->facts.received++;
    d->facts.largest = MAX(d->facts.largest, len - head.len);
    d->facts.dropped_in += enqueue(&d->in, d->taken ? WAITING_MAX : EARLY_MAX, &c->datagrams_in, NULL, 0,
                                   data + head.len, len - head.len);
    if (was_empty && d->taken)
        stream_wake_later(s);
}

uint64_t datagram_name(int64_t stream, size_t len)
{
    return (uint64_t)stream | (len >= PATH_SIZE_LONG ? DATAGRAM_IS_LONG : 0);
}

static struct quic_stream *stream_of_name(const struct quic_conn *c, uint64_t name)
{
    return ngtcp2_conn_get_stream_user_data2(c->lib, (int64_t)(name & ~DATAGRAM_IS_LONG));
}

void datagram_acked(struct quic_conn *c, uint64_t name)
{
    struct quic_stream *s = stream_of_name(c, name);
    path_size_arrived(&c->size, (name & DATAGRAM_IS_LONG) != 0 ? PATH_SIZE_LONG : 0);
    if (s != NULL)
        s->datagrams.facts.acked++;
}

void datagram_lost(const struct quic_conn *c, uint64_t name)
{
    struct quic_stream *s = stream_of_name(c, name);
    if (s != NULL)
        s->datagrams.facts.lost++;
}

/* ---- sending ---- */

/* The longest that goes into a packet of this size, its head included. */
static size_t most_in_packet(const struct quic_conn *c, size_t packet)
{
    /* A packet of one frame: short header, their id, packet number, frame head, tag. */
    size_t overhead = 1 + NGTCP2_MAX_CIDLEN + 4 + 3 + 16;
    return MIN(packet - overhead, c->datagram_max - 3);
}

struct quic_stream *datagram_next(struct quic_conn *c, size_t packet)
{
    while (!list_empty(&c->datagram_turns)) {
        struct quic_stream *s = CONTAINER_OF(c->datagram_turns.next, struct quic_stream, datagrams.turn);
        if (ring_next(&s->datagrams.out) <= most_in_packet(c, packet))
            return s;
        s->datagrams.facts.dropped_out++; /* the path carries less than when it was queued */
        datagram_gone(c, s);
    }
    return NULL;
}

void datagram_gone(struct quic_conn *c, struct quic_stream *s)
{
    struct datagrams *d = &s->datagrams;
    dequeue(&d->out, &c->datagrams_out, NULL);
    list_remove(&d->turn);
    if (d->out.count > 0)
        list_insert(&c->datagram_turns, &d->turn);
}

/* ---- what owners call ---- */

/* Can it have datagrams at all? */
static bool carries(const struct quic_stream *s)
{
    const struct quic_conn *c = s->conn;
    return c != NULL && !s->gone && c->state == CONN_OPEN && c->datagram_max > 3 &&
           c->endpoint->settings.datagrams && (s->id & 2) == 0;
}

static size_t write_head(const struct quic_stream *s, uint8_t out[DATAGRAM_HEAD_MAX])
{
    bool servers = (s->id & SERVERS_BIT) != 0;
    return datagram_head_write(s->id & ~(int64_t)SERVERS_BIT, servers ? CONTEXT_SERVERS : CONTEXT_PAYLOAD,
                               out);
}

size_t quic_stream_datagram_max(const struct link *l)
{
    uint8_t head[DATAGRAM_HEAD_MAX];
    const struct quic_stream *s = stream_find(l);
    if (s == NULL || !carries(s))
        return 0;
    size_t used = write_head(s, head);
    size_t packet = MIN(ngtcp2_conn_get_path_max_tx_udp_payload_size2(s->conn->lib), s->conn->packet_most);
    size_t most = most_in_packet(s->conn, packet);
    return most > used ? most - used : 0;
}

bool quic_stream_send_datagram(struct link *l, const void *payload, size_t len)
{
    uint8_t head[DATAGRAM_HEAD_MAX];
    struct quic_stream *s = stream_find(l);
    if (s == NULL || len > quic_stream_datagram_max(l) || !carries(s))
        return false;
    struct datagrams *d = &s->datagrams;
    size_t head_len = write_head(s, head);
    d->facts.sent++;
    d->facts.largest = MAX(d->facts.largest, len);
    d->facts.dropped_out +=
        enqueue(&d->out, WAITING_MAX, &s->conn->datagrams_out, head, head_len, payload, len);
    if (d->out.count > 0 && list_empty(&d->turn))
        list_insert(&s->conn->datagram_turns, &d->turn);
    conn_touch(s->conn);
    return true;
}

void quic_stream_take_datagrams(struct link *l)
{
    struct quic_stream *s = stream_find(l);
    CHECK(s != NULL);
    s->datagrams.taken = true;
    if (s->datagrams.in.count > 0)
        stream_wake_later(s);
}

bool quic_stream_datagram_waits(const struct link *l, size_t *ret_len)
{
    const struct quic_stream *s = stream_find(l);
    if (s == NULL || s->datagrams.in.count == 0)
        return false;
    *ret_len = ring_next(&s->datagrams.in);
    return true;
}

void quic_stream_read_datagram(struct link *l, void *out)
{
    struct quic_stream *s = stream_find(l);
    CHECK(s != NULL);
    size_t none = s->datagrams.in.len;
    dequeue(&s->datagrams.in, s->conn != NULL ? &s->conn->datagrams_in : &none, out);
}

bool quic_stream_datagram_facts(const struct link *l, struct quic_datagram_facts *ret)
{
    const struct quic_stream *s = stream_find(l);
    *ret = (struct quic_datagram_facts){0};
    if (s == NULL)
        return false;
    *ret = s->datagrams.facts;
    /* What was taken for lost and acknowledged later was not lost. */
    uint64_t left = ret->sent - MIN(ret->sent, ret->acked + ret->dropped_out);
    ret->lost = MIN(ret->lost, left);
    return true;
}
