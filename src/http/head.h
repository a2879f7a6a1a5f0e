/* SPDX-License-Identifier: Apache-2.0 */
/* The head of an HTTP/1.1 request (RFC 9112), for those who take requests without content. A strict reader:
 * whatever two readers could understand differently is refused. */
#ifndef CARDEA_HTTP_HEAD_H
#define CARDEA_HTTP_HEAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cursor.h"
#include "base/err.h"
#include "base/str.h"

#define HEAD_MAX 8192 /* bytes, with the empty line */
#define HEAD_FIELDS_MAX 100

enum head_status {
    HEAD_READ,
    HEAD_MORE, /* not complete; never said once there are HEAD_MAX bytes */
    HEAD_BAD,  /* `bad` and err are set */
};

/* A head that is being read. */
struct head {
    struct cursor at;   /* what is not read yet */
    const uint8_t *of;  /* where the head begins */
    struct str method;  /* a token, borrowed from the bytes */
    struct str target;  /* as it was sent */
    bool host_needed;   /* it is HTTP/1.1, not 1.0 */
    struct str upgrade; /* the value of Upgrade, where Connection names it (RFC 9110, 7.8); else empty */
    unsigned bad;       /* the status to answer with */
};

/* Begin with `data`: all bytes since the connection began, or since the request did. What is read depends on
 * the bytes, not on how they were split. */
void head_begin(struct head *h, const uint8_t *data, size_t len);

/* Read the request line: method and target are set. HTTP/1.0 is taken too: for a request without content it
 * differs only in that Host may be absent. */
enum head_status head_request_line(struct head *h, struct err *err);

/* Read the fields that follow it, to the empty line. Host must be there, once (RFC 9112, 3.2); any content is
 * refused. */
enum head_status head_fields(struct head *h, struct err *err);

/* Bytes that have been read. */
size_t head_used(const struct head *h);

#endif
