/* SPDX-License-Identifier: Apache-2.0 */
/* What a backend answers over HTTP/1.1, followed but not changed: which request is answered, and whether the
 * connection has become another protocol's. Pure. */
#ifndef CARDEA_HTTP1_RESPONSE_H
#define CARDEA_HTTP1_RESPONSE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "http1/body.h"

struct rewritten;

#define RESPONSES_MAX 32         /* requests that may wait for their answers (pipelining) */
#define RESPONSE_HEAD_MAX 262144 /* bytes of a head */

enum response_state {
    RESPONSE_HEAD,
    RESPONSE_BODY,
    RESPONSE_TRAILERS,
    RESPONSE_RAW,  /* another protocol is spoken now, both ways */
    RESPONSE_LOST, /* it is no HTTP/1.1 that can be followed: no later answer is recognised */
};

struct responses {
    enum response_state state;
    bool begun;    /* within a message */
    unsigned open; /* requests that are not answered in full; a bit each below, the oldest first */
    uint32_t head, upgrade;
    struct body body;
    size_t line;        /* bytes of the line at hand of a head or trailer section */
    struct buf partial; /* a head that has not come in full; else without memory */
};

/* A request goes out; there must be room. */
void responses_expect(struct responses *r, const struct rewritten *request);

/* Bytes of the backend's that have gone to the client. */
void responses_feed(struct responses *r, const uint8_t *data, size_t len);

void responses_free(struct responses *r);

#endif
