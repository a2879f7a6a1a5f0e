/* SPDX-License-Identifier: Apache-2.0 */
/* Requests of HTTP/1.1 (RFC 9112) with their content, one after the other: bytes in, a request out. Pure. As
 * strict as the head's reader (http1/head.h): whatever two readers could understand differently is refused.
 */
#ifndef CARDEA_WEB_READER_H
#define CARDEA_WEB_READER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "http1/head.h"
#include "web/web.h"

enum web_read {
    WEB_READ_MORE,
    WEB_READ_WHOLE, /* see web_reader_request() */
    WEB_READ_BAD,   /* `bad` and err are set; what follows cannot be read */
};

/* A request that is being read; zero-initialise. The next one needs a new reader. */
struct web_reader {
    enum web_reader_part { WEB_AT_HEAD, WEB_AT_CONTENT, WEB_AT_TRAILERS, WEB_AT_END } at;
    struct buf head; /* its bytes; `fields` points into them */
    struct head fields;
    struct buf body;
    struct buf trailers;
    unsigned bad; /* the status to answer with */
};

/* Take bytes. *ret_used: those that belong to this request, all of them unless WEB_READ_WHOLE. Not to be
 * called again after another answer than WEB_READ_MORE. The result depends on the bytes, not on how they were
 * split. */
enum web_read web_reader_feed(struct web_reader *r, const uint8_t *data, size_t len, size_t *ret_used,
                              struct err *err);

/* Has nothing of a request come yet? */
bool web_reader_is_fresh(const struct web_reader *r);

/* Does the client wait to hear that its content is wanted (RFC 9110, 10.1.1)? */
bool web_reader_awaits_continue(const struct web_reader *r);

/* Does the connection end behind the answer? */
bool web_reader_closes(const struct web_reader *r);

/* After WEB_READ_WHOLE: the request, without what the bytes do not say (tls, source, identity). It borrows
 * from the reader. */
struct web_request web_reader_request(const struct web_reader *r);

void web_reader_free(struct web_reader *r);

#endif
