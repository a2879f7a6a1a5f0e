/* SPDX-License-Identifier: Apache-2.0 */
#include "quic/flow_link.h"

#include <stdlib.h>

#include "link/datagram_link.h"
#include "link/frames.h"
#include "quic/quic.h"

struct flow {
    struct datagram_link base;
    struct buf coming; /* the beginning of a frame, of the stream */
};

static struct flow *flow_of(struct datagram_link *d)
{
    return CONTAINER_OF(d, struct flow, base);
}

static const char *flow_feed(struct datagram_link *d, const void *data, size_t len)
{
    frames_feed(&flow_of(d)->coming, data, len, datagram_link_keep, d);
    return NULL;
}

static void flow_free(struct datagram_link *d)
{
    buf_free(&flow_of(d)->coming);
    free(flow_of(d));
}

static const struct datagram_form flow_form = {
    .feed = flow_feed,
    .put = frames_put,
    .free = flow_free,
    .waits = quic_stream_datagram_waits,
    .receive = quic_stream_read_datagram,
    .send = quic_stream_send_datagram,
};

struct link *flow_link(struct link *stream, struct str came, struct str unsent)
{
    struct flow *f = calloc(1, sizeof(*f));
    CHECK(f != NULL);
    datagram_link_init(&f->base, &flow_form, stream, came, unsent);
    quic_stream_take_datagrams(stream);
    return &f->base.link;
}
