/* SPDX-License-Identifier: Apache-2.0 */
/* How far the content of a message of HTTP/1.1 goes (RFC 9112, 6 and 7): its bytes are counted, not looked
 * at. Whoever wants them without what frames them has them collected. */
#ifndef CARDEA_HTTP1_BODY_H
#define CARDEA_HTTP1_BODY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/str.h"

#define CHUNK_LINE_MAX 1024 /* bytes of a line that begins a chunk, with its extensions */

enum body_kind {
    BODY_NONE,
    BODY_LENGTH,  /* `left` bytes */
    BODY_CHUNKED, /* then a trailer section follows, which begins behind it */
    BODY_REST,    /* until the stream ends */
};

/* Where in a chunk. */
enum chunk_state { CHUNK_SIZE, CHUNK_EXTENSION, CHUNK_LINE_END, CHUNK_DATA, CHUNK_DATA_CR, CHUNK_DATA_LF };

struct body {
    enum body_kind kind;
    uint64_t left;
    enum chunk_state chunk;
    uint32_t line; /* bytes of the line at hand */
    bool full;     /* body_collect() has found more of it than the buffer may hold */
};

enum body_status {
    BODY_MORE, /* all bytes belong to it, and more do */
    BODY_END,  /* it ends behind *ret_n of them */
    BODY_BAD,  /* it breaks the rules behind *ret_n of them */
};

/* Take what of `data` belongs to the content. Chunks are read strictly: hexadecimal digits, extensions
 * without control characters, CR LF. */
enum body_status body_feed(struct body *b, const uint8_t *data, size_t len, size_t *ret_n);

/* The same, and append the content to `into`: BODY_BAD, with `full` set, when that passes its bound. */
enum body_status body_collect(struct body *b, const uint8_t *data, size_t len, struct buf *into,
                              size_t *ret_n);

/* Read a Content-Length: digits, and no more than fit. */
bool body_length(struct str value, uint64_t *ret);

#endif
