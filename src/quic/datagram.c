/* SPDX-License-Identifier: Apache-2.0 */
/* Datagrams (RFC 9221): a bounded queue each way; what does not fit is dropped, as a network would. */
#include <stdlib.h>

#include "quic/quic_internal.h"

#define WAITING_MAX (256 * 1024) /* bytes, each way */

static bool enqueue(struct queue *q, const uint8_t *data, size_t len)
{
    uint16_t head = (uint16_t)len;
    if (len == 0 || len > UINT16_MAX || q->len + len > WAITING_MAX)
        return false;
    queue_put(q, &head, sizeof(head));
    queue_put(q, data, len);
    return true;
}

void datagram_received(struct quic_conn *c, const uint8_t *data, size_t len)
{
    if (c->owner != NULL && c->events->datagram != NULL)
        enqueue(&c->datagrams_in, data, len);
}

static bool next(struct queue *q, struct buf *ret)
{
    uint16_t head;
    if (q->len == 0)
        return false;
    queue_take(q, &head, sizeof(head));
    CHECK(buf_reserve(ret, head));
    ret->len = queue_take(q, ret->data, head);
    CHECK(ret->len == head);
    return true;
}

bool datagram_fetch(struct quic_conn *c)
{
    return c->datagram.len > 0 || next(&c->datagrams_out, &c->datagram);
}

void datagrams_deliver(struct quic_conn *c)
{
    struct buf data = {0};
    while (c->owner != NULL && next(&c->datagrams_in, &data))
        c->events->datagram(c->owner, data.data, data.len);
    buf_free(&data);
}

size_t quic_conn_datagram_max(const struct quic_conn *c)
{
    /* A packet of one frame: short header, our id, packet number, frame head, tag. */
    size_t overhead = 1 + NGTCP2_MAX_CIDLEN + 4 + 3 + 16;
    if (c->state != CONN_OPEN || c->datagram_max == 0)
        return 0;
    size_t path = ngtcp2_conn_get_path_max_tx_udp_payload_size2(c->lib);
    return MIN(path - overhead, c->datagram_max - 3);
}

bool quic_conn_send_datagram(struct quic_conn *c, const uint8_t *data, size_t len)
{
    CHECK_MAGIC(c, CONN_MAGIC);
    if (len > quic_conn_datagram_max(c) || !enqueue(&c->datagrams_out, data, len))
        return false;
    conn_touch(c);
    return true;
}
