/* SPDX-License-Identifier: Apache-2.0 */
/* The head of a request of HTTP/1.1 (RFC 9112) on its way to a backend: read strictly, so that the backend
 * cannot take it for something else than we do, and written again with what is told of the client in place of
 * what the client may have said in its stead. Pure: bytes in, bytes out. */
#ifndef CARDEA_HTTP1_REWRITE_H
#define CARDEA_HTTP1_REWRITE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "http1/body.h"

#define REWRITE_HEAD_MAX 32768 /* bytes, with the empty line; of trailers too */
#define REWRITE_FIELDS_MAX 200

enum rewrite_result {
    REWRITE_DONE,
    REWRITE_MORE, /* not complete; never said once there are REWRITE_HEAD_MAX bytes */
    REWRITE_BAD,  /* `status` and `why` are set */
};

/* What a head says. */
struct rewritten {
    size_t used; /* bytes that were read */
    struct body body;
    bool head;       /* HEAD: its response has no content */
    bool upgrade;    /* it asks for another protocol (RFC 9110, 7.8) */
    unsigned status; /* to refuse it with */
    const char *why; /* the same in words; static */
};

/* Append what is told of the client as header fields, each with its CR LF. */
typedef void rewrite_tell_fn(void *arg, struct buf *out);

/* Is it a field that only the door may set? In any case, and with any other character that names may have in
 * place of a hyphen, since backends make one of them: Client-Cert*, Forwarded, X-Forwarded-*, X-Real-IP,
 * SSL-Client-*, X-SSL-*. */
bool rewrite_is_ours(struct str name);

/* Bytes of empty lines at the start of `data`, which may stand before a head (RFC 9112, 2.2) and are
 * forgotten. */
size_t rewrite_skip_empty(const uint8_t *data, size_t len);

/* Read the head at the start of `data` and append it to `out`, without the fields that only the door may set,
 * nor what asks for HTTP/2 in the clear (RFC 9113, 3.1: what came after it would be read by nobody here), and
 * with what `tell` appends. `first`: nothing was asked on this connection before; only then an upgrade to
 * another protocol is passed on. *scanned: how far a search for its end has come; 0 at first. The result
 * depends on the bytes, not on how they were split; nothing is appended unless REWRITE_DONE. */
enum rewrite_result rewrite_head(const uint8_t *data, size_t len, bool first, size_t *scanned,
                                 rewrite_tell_fn *tell, void *arg, struct buf *out, struct rewritten *ret);

/* The same for a trailer section (RFC 9112, 7.1.2), which begins behind the last chunk: nothing is told in
 * it, and what belongs into a head is left out (RFC 9110, 6.5.1). */
enum rewrite_result rewrite_trailers(const uint8_t *data, size_t len, size_t *scanned, struct buf *out,
                                     struct rewritten *ret);

#endif
