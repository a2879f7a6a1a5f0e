/* SPDX-License-Identifier: Apache-2.0 */
#include "http/capsule_link.h"

#include <stdlib.h>

struct capsule_link {
    struct datagram_link base;
    struct capsule_reader reader;
};

static struct capsule_link *capsule_of(struct datagram_link *d)
{
    return CONTAINER_OF(d, struct capsule_link, base);
}

const char *capsule_link_feed(struct datagram_link *d, const void *data, size_t len)
{
    return capsule_feed(&capsule_of(d)->reader, data, len, datagram_link_keep, d);
}

const char *capsule_link_check_end(struct datagram_link *d)
{
    return capsule_is_whole(&capsule_of(d)->reader) ? NULL : "the stream ended within a capsule";
}

bool capsule_link_put(struct buf *out, const void *data, size_t len, size_t most)
{
    if (out->len + CAPSULE_HEAD_MAX + len > most)
        return false;
    CHECK(capsule_put(out, data, len));
    return true;
}

void capsule_link_free(struct datagram_link *d)
{
    capsule_reader_free(&capsule_of(d)->reader);
    free(capsule_of(d));
}

static const struct datagram_form capsule_form = {
    .feed = capsule_link_feed,
    .put = capsule_link_put,
    .free = capsule_link_free,
    .check_end = capsule_link_check_end,
};

struct link *capsule_link_in(const struct datagram_form *form, struct link *down, struct str early,
                             struct str unsent)
{
    struct capsule_link *c = calloc(1, sizeof(*c));
    CHECK(c != NULL);
    datagram_link_init(&c->base, form, down, early, unsent);
    return &c->base.link;
}

struct link *capsule_link_new(struct link *down, struct str early, struct str unsent)
{
    return capsule_link_in(&capsule_form, down, early, unsent);
}

struct link *capsule_link_wrap(struct link *down, const struct front_request *request, struct str early,
                               struct str unsent)
{
    return request->target.udp ? capsule_link_new(down, early, unsent) : down;
}
