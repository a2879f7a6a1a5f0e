/* SPDX-License-Identifier: Apache-2.0 */
#include "quic/datagram_head.h"

#include "base/check.h"
#include "base/cursor.h"

#define QUARTER_MAX ((UINT64_C(1) << 60) - 1)

enum datagram_head_result datagram_head_read(const uint8_t *data, size_t len, struct datagram_head *ret)
{
    struct cursor c = cursor_of(data, len);
    uint64_t quarter;
    if (!cursor_varint(&c, &quarter) || quarter > QUARTER_MAX)
        return DATAGRAM_HEAD_NO_STREAM;
    ret->stream = (int64_t)(quarter * 4);
    if (!cursor_varint(&c, &ret->context))
        return DATAGRAM_HEAD_NO_CONTEXT;
    ret->len = len - cursor_left(&c);
    return DATAGRAM_HEAD_OK;
}

size_t datagram_head_write(int64_t stream, uint64_t context, uint8_t out[DATAGRAM_HEAD_MAX])
{
    struct writer w = writer_of(out, DATAGRAM_HEAD_MAX);
    CHECK(stream >= 0 && stream % 4 == 0);
    writer_varint(&w, (uint64_t)stream / 4);
    writer_varint(&w, context);
    CHECK(!w.full);
    return (size_t)(w.p - out);
}
