/* SPDX-License-Identifier: Apache-2.0 */
/* The head of an HTTP/1.1 request (RFC 9112), for those who answer it themselves. A strict reader: whatever
 * two readers could understand differently is refused. */
#ifndef CARDEA_HTTP1_HEAD_H
#define CARDEA_HTTP1_HEAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cursor.h"
#include "base/err.h"
#include "base/str.h"
#include "http1/body.h"

#define HEAD_MAX 8192 /* bytes, with the empty line */
#define HEAD_FIELDS_MAX 100

enum head_status {
    HEAD_READ,
    HEAD_MORE, /* not complete; never said once there are HEAD_MAX bytes */
    HEAD_BAD,  /* `bad` and err are set */
};

/* A head that is being read. Texts are borrowed from the bytes; those of fields that are not there are empty.
 */
struct head {
    struct cursor at;   /* what is not read yet */
    const uint8_t *of;  /* where the head begins */
    struct str method;  /* a token */
    struct str target;  /* as it was sent */
    bool host_needed;   /* it is HTTP/1.1, not 1.0 */
    bool takes_content; /* for the caller to set before head_fields(): else any content is refused */
    struct body body;   /* how the content is framed */
    struct str host, type, since; /* the values of Host, Content-Type and If-Modified-Since */
    struct str upgrade;           /* of Upgrade, where Connection names it (RFC 9110, 7.8) */
    bool closes;                  /* the connection ends behind the answer (RFC 9112, 9.3) */
    bool expects;                 /* the client waits for 100 before it sends content (RFC 9110, 10.1.1) */
    unsigned bad;                 /* the status to answer with */
};

/* Begin with `data`: all bytes since the connection began, or since the request did. What is read depends on
 * the bytes, not on how they were split. */
void head_begin(struct head *h, const uint8_t *data, size_t len);

/* Read the request line: method and target are set. HTTP/1.0 is taken too: for a request without content it
 * differs only in that Host may be absent. */
enum head_status head_request_line(struct head *h, struct err *err);

/* Read the fields that follow it, to the empty line. Host must be there, once (RFC 9112, 3.2), and content
 * framed in one way only (RFC 9112, 6.3). */
enum head_status head_fields(struct head *h, struct err *err);

/* Read a trailer section (RFC 9112, 7.1.2) at the start of `data`, of which nothing is kept; *ret_used: its
 * bytes. HEAD_BAD: *ret_status is what to answer with. */
enum head_status head_trailers(const uint8_t *data, size_t len, size_t *ret_used, unsigned *ret_status,
                               struct err *err);

/* Is it a path, perhaps with a query (RFC 9112, 3.2.1): printable, and no fragment? */
bool head_is_origin_form(struct str target);

/* Bytes that have been read. */
size_t head_used(const struct head *h);

#endif
