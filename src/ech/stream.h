/* SPDX-License-Identifier: Apache-2.0 */
/* A connection whose first hello was opened, until it can have no second one: what the client sends goes on
 * to whoever answers the inner hello; where that is a HelloRetryRequest, the second hello is opened as well
 * (RFC 9849, 7.1.1). Everything else passes as it is. Pure: bytes in, bytes out. */
#ifndef CARDEA_ECH_STREAM_H
#define CARDEA_ECH_STREAM_H

#include "base/buf.h"
#include "ech/open.h"
#include "hello/scan.h"

enum ech_stream_state {
    ECH_STREAM_ANSWER, /* the server has not answered yet */
    ECH_STREAM_SECOND, /* by a HelloRetryRequest; the client's hello is to come */
    ECH_STREAM_OVER,   /* nothing more to do */
    ECH_STREAM_BAD,    /* the client has broken the rules: `why`, `alert` */
};

#define ECH_STREAM_ANSWER_MAX 38 /* header, version and random of a ServerHello */

/* Where it stands. Callers read `state`, `why` and `alert`. */
struct ech_stream {
    enum ech_stream_state state;
    const char *why;
    enum alert alert;
    struct ech_opening *opening;
    uint32_t hello_max;
    uint8_t up_head[5]; /* of the client's record under way, as far as it is here */
    size_t up_head_len;
    size_t up_left;  /* bytes of that record that are still to come */
    struct buf held; /* records of the second hello, which is not whole */
    struct hello_scan scan;
    uint8_t down_head[5]; /* likewise of the server's */
    size_t down_head_len;
    size_t down_left;
    uint8_t answer[ECH_STREAM_ANSWER_MAX]; /* how his first message begins */
    size_t answer_len;
};

/* Begin, behind the first hello; `opening` is the stream's from now on. `hello_max` bounds the second hello's
 * records, in bytes. Freed with ech_stream_free(). */
void ech_stream_begin(struct ech_stream *s, struct ech_opening *opening, size_t hello_max);
void ech_stream_free(struct ech_stream *s);

/* Append a handshake message in records of TLS. False when memory is out. */
bool ech_stream_put_records(const struct buf *message, struct buf *ret);

/* What the client has sent: what is to go on is appended to `ret`. */
void ech_stream_up(struct ech_stream *s, const uint8_t *data, size_t len, struct buf *ret);

/* What the server has sent, which goes on as it is. */
void ech_stream_down(struct ech_stream *s, const uint8_t *data, size_t len);

#endif
