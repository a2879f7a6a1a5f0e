/* SPDX-License-Identifier: Apache-2.0 */
/* UDP on a request of HTTP/3, as a link of frames: each payload goes as an HTTP datagram (RFC 9297, 2.1), or,
 * where the client takes none or the path is too narrow, as a capsule in the stream (3.5). Both are taken at
 * any time. */
#include "http/capsule_link.h"
#include "http/h3_internal.h"

static void spoiled(struct link *down)
{
    h3_stream_of(down)->code = NGHTTP3_H3_MESSAGE_ERROR; /* RFC 9297, 3.3 */
}

static bool waits(const struct link *down, size_t *ret_len)
{
    return quic_stream_datagram_waits(h3_stream_of(down)->raw, ret_len);
}

static void receive(struct link *down, void *out)
{
    quic_stream_read_datagram(h3_stream_of(down)->raw, out);
}

static bool send_beside(struct link *down, const void *data, size_t len)
{
    const struct h3_stream *s = h3_stream_of(down);
    return s->conn->datagrams && !s->conn->failed && quic_stream_send_datagram(s->raw, data, len);
}

static const struct datagram_form form = {
    .feed = capsule_link_feed,
    .put = capsule_link_put,
    .free = capsule_link_free,
    .check_end = capsule_link_check_end,
    .spoiled = spoiled,
    .waits = waits,
    .receive = receive,
    .send = send_beside,
};

struct link *h3_flow_wrap(struct link *down, const struct front_request *request, struct str early,
                          struct str unsent)
{
    CHECK(early.len == 0 && unsent.len == 0); /* a stream of HTTP/3 keeps what comes early itself */
    if (!request->target.udp)
        return down;
    struct link *flow = capsule_link_in(&form, down, early, unsent);
    quic_stream_take_datagrams(h3_stream_of(down)->raw);
    return flow;
}
