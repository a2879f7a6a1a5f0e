/* SPDX-License-Identifier: Apache-2.0 */
/* Packets out: streams take turns, a packet is filled from as many of them as it holds, and packets of equal
 * length leave with one call.
 *
 * Pacing (RFC 9002, 7.7). The library says when the next packet may go; our timers are a tick apart. So one
 * flush may send what the congestion controller's rate lets go within a tick, and then waits for its time. */
#include <string.h>

#include "base/clock.h"
#include "quic/quic_internal.h"

/* Most bytes of one flush, so that others have a turn. */
#define TURN_MAX (1024 * 1024)
#define MAX_ACK_DELAY (25 * NGTCP2_MILLISECONDS) /* how long a peer may hold back an acknowledgement */

/* ---- one packet ---- */

struct packet {
    uint8_t *out;
    size_t cap;
    ngtcp2_path *path;
    ngtcp2_pkt_info *info;
    ngtcp2_tstamp now;
};

/* Datagrams go before the streams, but not for ever. */
#define DATAGRAM_ROW_MAX 4

/* Fill the packet with datagrams. *ret_more: it has room for something else, or holds nothing yet. */
static ngtcp2_ssize write_datagrams(struct quic_conn *c, const struct packet *p, bool *ret_more)
{
    struct quic_stream *s;
    *ret_more = true;
    while (*ret_more && (s = datagram_next(c, p->cap)) != NULL) {
        struct ring_piece pieces[RING_PIECES];
        ngtcp2_vec vec[RING_PIECES];
        size_t count = ring_pieces(&s->datagrams.out, pieces);
        uint64_t name = datagram_name(s->id, ring_next(&s->datagrams.out));
        int accepted = 0;
        for (size_t i = 0; i < count; i++)
            vec[i] = (ngtcp2_vec){pieces[i].p, pieces[i].len};
        ngtcp2_ssize n =
            ngtcp2_conn_writev_datagram(c->lib, p->path, p->info, p->out, p->cap, &accepted,
                                        NGTCP2_WRITE_DATAGRAM_FLAG_MORE, name, vec, count, p->now);
        if (accepted)
            datagram_gone(c, s);
        *ret_more = n == NGTCP2_ERR_WRITE_MORE;
        if (!*ret_more)
            return n;
    }
    return 0;
}

static void wrote(struct quic_stream *s, ngtcp2_ssize taken, bool fin)
{
    if (taken < 0)
        return;
    stream_sent(s, (size_t)taken);
    s->fin_sent = s->fin_sent || (fin && s->out.marked == s->out.len);
}

/* Nothing more of it for now: until credit comes, or more is written. */
static bool is_idle(const struct quic_stream *s)
{
    return s->out.marked == s->out.len && (!s->fin || s->fin_sent);
}

/* Whose turn it is. Without credit of the connection there are still ends to be told: they need none. */
static struct quic_stream *next_stream(struct quic_conn *c)
{
    bool credit = ngtcp2_conn_get_max_data_left2(c->lib) > 0;
    for (struct list *n = c->ready.next, *next; n != &c->ready; n = next) {
        struct quic_stream *s = CONTAINER_OF(n, struct quic_stream, ready);
        next = n->next;
        if (is_idle(s)) /* credit came, but there is nothing to use it for */
            list_remove(&s->ready);
        else if (credit || s->out.marked == s->out.len)
            return s;
    }
    return NULL;
}

/* Fill the packet from one stream, or with what the library itself has to say. *ret_more: the packet has room
 * for another. */
static ngtcp2_ssize write_stream(struct quic_conn *c, struct quic_stream *s, const struct packet *p,
                                 bool *ret_more)
{
    struct queue_span spans[8];
    ngtcp2_vec vec[ARRAY_LEN(spans)];
    size_t count = queue_unmarked(&s->out, p->cap, spans, ARRAY_LEN(spans)), len = 0;
    for (size_t i = 0; i < count; i++) {
        vec[i] = (ngtcp2_vec){(uint8_t *)(uintptr_t)spans[i].p, spans[i].len};
        len += spans[i].len;
    }
    bool fin = s->fin && s->out.marked + len == s->out.len;
    ngtcp2_ssize taken = -1;
    ngtcp2_ssize n = ngtcp2_conn_writev_stream(
        c->lib, p->path, p->info, p->out, p->cap, &taken,
        NGTCP2_WRITE_STREAM_FLAG_MORE | (fin ? NGTCP2_WRITE_STREAM_FLAG_FIN : 0u), s->id, vec, count, p->now);
    wrote(s, taken, fin);
    *ret_more = n == NGTCP2_ERR_WRITE_MORE || n == NGTCP2_ERR_STREAM_DATA_BLOCKED ||
                n == NGTCP2_ERR_STREAM_SHUT_WR || n == NGTCP2_ERR_STREAM_NOT_FOUND;
    bool stuck = *ret_more && n != NGTCP2_ERR_WRITE_MORE;
    if (stuck || is_idle(s))
        list_remove(&s->ready);
    return *ret_more ? 0 : n;
}

static ngtcp2_ssize write_rest(struct quic_conn *c, const struct packet *p)
{
    return ngtcp2_conn_writev_stream(c->lib, p->path, p->info, p->out, p->cap, NULL, 0, -1, NULL, 0, p->now);
}

/* For the library's ngtcp2_conn_write_aggregate_pkt2(): one packet, 0 when there is nothing to say. */
static ngtcp2_ssize write_packet(ngtcp2_conn *lib, ngtcp2_path *path, ngtcp2_pkt_info *info, uint8_t *out,
                                 size_t cap, ngtcp2_tstamp now, void *user)
{
    struct quic_conn *c = user;
    cap = MIN(cap, c->packet_most);
    struct packet p = {out, cap, path, info, now};
    /* A datagram is not divided: it wants a whole packet of the congestion window. */
    bool room = !list_empty(&c->datagram_turns) && ngtcp2_conn_get_cwnd_left2(lib) >= cap, more = true;
    bool later = c->datagram_row >= DATAGRAM_ROW_MAX && !list_empty(&c->ready);
    ngtcp2_ssize n = room && !later ? write_datagrams(c, &p, &more) : 0;
    c->datagram_row = room && !later ? c->datagram_row + 1 : 0;
    if (!more)
        return n;
    for (struct quic_stream *s; (s = next_stream(c)) != NULL;) {
        n = write_stream(c, s, &p, &more);
        if (!more) {
            if (!list_empty(&s->ready)) { /* the next packet begins with another one */
                list_remove(&s->ready);
                list_insert(&c->ready, &s->ready);
            }
            return n;
        }
    }
    n = room && later ? write_datagrams(c, &p, &more) : 0;
    return more ? write_rest(c, &p) : n;
}

/* ---- sending ---- */

/* Hand packets to the socket; what it does not take is kept. False then. */
static bool send_out(struct quic_conn *c, const struct udp_packets *p)
{
    struct quic_socket *s = endpoint_socket(c->endpoint, &p->from);
    size_t taken = 0;
    if (s->writable && udp_send(&s->udp, p, &taken) == UDP_SENT)
        return true;
    endpoint_socket_full(s);
    CHECK(buf_append(&c->unsent, p->data + taken, p->len - taken));
    c->unsent_head = *p;
    return false;
}

static bool send_unsent(struct quic_conn *c)
{
    struct udp_packets p = c->unsent_head;
    size_t taken = 0;
    if (c->unsent.len == 0)
        return true;
    p.data = c->unsent.data;
    p.len = c->unsent.len;
    struct quic_socket *s = endpoint_socket(c->endpoint, &p.from);
    if (!s->writable)
        return false;
    if (udp_send(&s->udp, &p, &taken) == UDP_AGAIN) {
        endpoint_socket_full(s);
        buf_consume(&c->unsent, taken);
        return false;
    }
    buf_free(&c->unsent);
    return true;
}

/* ---- how much ---- */

static size_t most_in_packet(struct quic_conn *c, const ngtcp2_conn_info *i, ngtcp2_tstamp now)
{
    struct path_facts facts = {
        .now = (int64_t)now,
        .timeout = (int64_t)(i->smoothed_rtt + MAX(4 * i->rttvar, NGTCP2_MILLISECONDS) + MAX_ACK_DELAY),
        .sample = i->latest_rtt,
        .in_flight = i->bytes_in_flight,
        .lost = i->pkt_lost,
        .lost_bytes = i->bytes_lost,
    };
    return c->state == CONN_OPEN ? path_size_most(&c->size, &facts) : SIZE_MAX;
}

/* How much may go in this flush. */
static size_t allowance(const struct quic_conn *c, const ngtcp2_conn_info *info)
{
    uint64_t tick = info->smoothed_rtt == 0 || info->cwnd > UINT64_MAX / WHEEL_TICK_NS / 4
                        ? TURN_MAX
                        : info->cwnd * 5 / 4 * (uint64_t)WHEEL_TICK_NS / info->smoothed_rtt;
    return (size_t)MAX((uint64_t)ngtcp2_conn_get_send_quantum2(c->lib), MIN(tick, (uint64_t)TURN_MAX));
}

static struct net_addr address_of(const ngtcp2_addr *a)
{
    struct sockaddr_storage sa = {0};
    memcpy(&sa, a->addr, a->addrlen);
    return net_addr_from(&sa);
}

/* What is in flight grows by what is sent and shrinks by what is acknowledged: a probe timeout takes nothing
 * out of it, and a loss shows by an acknowledgement only (RFC 9002, 6). */
static void note_acknowledged(struct quic_conn *c, const ngtcp2_conn_info *info)
{
    if (info->bytes_in_flight < c->in_flight)
        c->unacknowledged = 0;
}

static void note_sent(struct quic_conn *c, int64_t now)
{
    ngtcp2_conn_info info;
    ngtcp2_conn_get_conn_info2(c->lib, &info);
    c->in_flight = info.bytes_in_flight;
    if (c->in_flight == 0)
        c->unacknowledged = 0;
    else if (c->unacknowledged == 0)
        c->unacknowledged = now;
}

void conn_flush(struct quic_conn *c)
{
    if (c->state > CONN_OPEN || !send_unsent(c))
        return;
    ngtcp2_tstamp now = (ngtcp2_tstamp)clock_monotonic();
    ngtcp2_conn_info about;
    ngtcp2_conn_get_conn_info2(c->lib, &about);
    note_acknowledged(c, &about);
    size_t most = allowance(c, &about), sent = 0;
    bool sending = true;
    c->packet_most = most_in_packet(c, &about, now);
    while (sending && sent < most) {
        ngtcp2_path_storage path;
        ngtcp2_pkt_info info = {0};
        size_t segment = 0;
        ngtcp2_path_storage_zero(&path);
        c->inside = true;
        ngtcp2_ssize n = ngtcp2_conn_write_aggregate_pkt2(
            c->lib, &path.path, &info, c->endpoint->scratch->out, sizeof(c->endpoint->scratch->out), &segment,
            write_packet, 0, now);
        c->inside = false;
        if (n < 0)
            conn_fail(c, (int)n);
        if (n <= 0)
            break;
        struct udp_packets p = {.data = c->endpoint->scratch->out,
                                .len = (size_t)n,
                                .segment = segment,
                                .from = address_of(&path.path.local),
                                .to = address_of(&path.path.remote),
                                .ecn = (uint8_t)info.ecn};
        sending = send_out(c, &p);
        sent += (size_t)n;
    }
    if (c->state > CONN_OPEN)
        return;
    note_sent(c, (int64_t)now);
    ngtcp2_conn_update_pkt_tx_time(c->lib, now);
}
