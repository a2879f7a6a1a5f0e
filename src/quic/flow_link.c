/* SPDX-License-Identifier: Apache-2.0 */
#include "quic/flow_link.h"

#include <stdlib.h>

#include "link/datagram_link.h"
#include "link/frames.h"
#include "quic/quic.h"

struct flow {
    struct datagram_link base;
    struct buf coming;                 /* the beginning of a frame, of the stream */
    bool (*agrees)(struct str answer); /* asked about the first message that comes; NULL: not any more */
};

static struct flow *flow_of(struct datagram_link *d)
{
    return CONTAINER_OF(d, struct flow, base);
}

/* The first message says whether datagrams may go beside the stream. */
static void keep(void *arg, const uint8_t *data, size_t len)
{
    struct flow *f = flow_of(arg);
    const struct buf *waiting = &f->base.waiting;
    bool (*agrees)(struct str) = f->agrees;
    datagram_link_keep(&f->base, data, len);
    f->agrees = NULL;
    if (agrees == NULL || !agrees((struct str){(const char *)waiting->data, waiting->len}))
        return;
    f->base.stays_in_stream = false;
    quic_stream_take_datagrams(f->base.down);
}

static const char *flow_feed(struct datagram_link *d, const void *data, size_t len)
{
    frames_feed(&flow_of(d)->coming, data, len, keep, d);
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

static struct flow *flow_new(struct link *stream, struct str came, struct str unsent)
{
    struct flow *f = calloc(1, sizeof(*f));
    CHECK(f != NULL);
    datagram_link_init(&f->base, &flow_form, stream, came, unsent);
    return f;
}

struct link *flow_link(struct link *stream, struct str came, struct str unsent)
{
    struct flow *f = flow_new(stream, came, unsent);
    quic_stream_take_datagrams(stream);
    return &f->base.link;
}

struct link *flow_link_greeting(struct link *stream, bool (*agrees)(struct str answer))
{
    struct flow *f = flow_new(stream, (struct str){"", 0}, (struct str){"", 0});
    f->agrees = agrees;
    f->base.stays_in_stream = true;
    return &f->base.link;
}
