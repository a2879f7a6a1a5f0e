/* SPDX-License-Identifier: Apache-2.0 */
#include "http1/body.h"

#include "base/check.h"
#include "base/hex.h"

#define LENGTH_MAX (UINT64_C(1) << 60)

bool body_length(struct str value, uint64_t *ret)
{
    uint64_t n = 0;
    for (size_t i = 0; i < value.len; i++) {
        if (value.p[i] < '0' || value.p[i] > '9' || n > LENGTH_MAX / 10)
            return false;
        n = n * 10 + (uint64_t)(value.p[i] - '0');
    }
    *ret = n;
    return value.len > 0;
}

/* A character of the line that begins a chunk. `left` is its size so far. */
static bool take_size(struct body *b, uint8_t c)
{
    int digit = hex_digit((char)c);
    if (digit >= 0) {
        bool fits = b->left <= LENGTH_MAX / 16;
        b->left = b->left * 16 + (uint64_t)digit;
        return fits;
    }
    b->chunk = c == '\r' ? CHUNK_LINE_END : CHUNK_EXTENSION;
    return b->line > 1 && (c == '\r' || c == ';');
}

/* One byte of what frames chunks. */
static enum body_status take(struct body *b, uint8_t c)
{
    bool good = ++b->line <= CHUNK_LINE_MAX;
    switch (b->chunk) {
    case CHUNK_SIZE:
        good = good && take_size(b, c);
        break;
    case CHUNK_EXTENSION:
        good = good && (c == '\r' || c == '\t' || (c >= 0x20 && c != 0x7f));
        if (c == '\r')
            b->chunk = CHUNK_LINE_END;
        break;
    case CHUNK_LINE_END:
        if (c == '\n' && b->left == 0)
            return BODY_END;
        good = c == '\n';
        b->chunk = CHUNK_DATA;
        break;
    case CHUNK_DATA_CR:
        good = c == '\r';
        b->chunk = CHUNK_DATA_LF;
        break;
    default:
        good = c == '\n';
        b->chunk = CHUNK_SIZE;
        b->line = 0;
        break;
    }
    return good ? BODY_MORE : BODY_BAD;
}

/* `into` may be NULL. */
static bool keep(struct body *b, struct buf *into, const uint8_t *data, size_t len)
{
    b->full = into != NULL && !buf_append(into, data, len);
    return !b->full;
}

static enum body_status feed_chunks(struct body *b, const uint8_t *data, size_t len, struct buf *into,
                                    size_t *ret_n)
{
    enum body_status status = BODY_MORE;
    size_t n = 0;
    while (n < len && status == BODY_MORE) {
        if (b->chunk != CHUNK_DATA) {
            status = take(b, data[n]);
            n += status != BODY_BAD;
            continue;
        }
        size_t part = b->left < len - n ? (size_t)b->left : len - n;
        if (!keep(b, into, data + n, part))
            status = BODY_BAD;
        n += part;
        b->left -= part;
        if (b->left == 0)
            b->chunk = CHUNK_DATA_CR;
    }
    *ret_n = n;
    return status;
}

static enum body_status feed(struct body *b, const uint8_t *data, size_t len, struct buf *into, size_t *ret_n)
{
    if (b->kind == BODY_CHUNKED)
        return feed_chunks(b, data, len, into, ret_n);
    bool ends = b->kind != BODY_REST && b->left <= len;
    *ret_n = ends ? (size_t)b->left : len;
    if (b->kind != BODY_REST)
        b->left -= *ret_n;
    if (!keep(b, into, data, *ret_n))
        return BODY_BAD;
    return ends ? BODY_END : BODY_MORE;
}

enum body_status body_feed(struct body *b, const uint8_t *data, size_t len, size_t *ret_n)
{
    return feed(b, data, len, NULL, ret_n);
}

enum body_status body_collect(struct body *b, const uint8_t *data, size_t len, struct buf *into,
                              size_t *ret_n)
{
    return feed(b, data, len, into, ret_n);
}
