/* SPDX-License-Identifier: Apache-2.0 */
#include "quic/datagram_head.h"

#include "base/check.h"
#include "base/cursor.h"

#define QUARTER_MAX ((UINT64_C(1) << 60) - 1)
#define VARINT_MAX ((UINT64_C(1) << 62) - 1)

/* The two highest bits of the first byte say how many bytes there are: 1, 2, 4 or 8. */
static bool read_varint(struct cursor *c, uint64_t *ret)
{
    static const struct {
        size_t len;
        uint64_t most;
    } forms[] = {{1, 0x3f}, {2, 0x3fff}, {4, 0x3fffffff}, {8, VARINT_MAX}};
    struct cursor at = *c;
    uint8_t first;
    if (!cursor_u8(&at, &first) || !cursor_uint(c, forms[first >> 6].len, ret))
        return false;
    *ret &= forms[first >> 6].most;
    return true;
}

static void write_varint(struct writer *w, uint64_t value)
{
    unsigned power = value < 1u << 6 ? 0 : value < 1u << 14 ? 1 : value < 1u << 30 ? 2 : 3;
    size_t len = (size_t)1 << power;
    CHECK(value <= VARINT_MAX);
    writer_uint(w, len, value | (uint64_t)power << (8 * len - 2));
}

enum datagram_head_result datagram_head_read(const uint8_t *data, size_t len, struct datagram_head *ret)
{
    struct cursor c = cursor_of(data, len);
    uint64_t quarter;
    if (!read_varint(&c, &quarter) || quarter > QUARTER_MAX)
        return DATAGRAM_HEAD_NO_STREAM;
    ret->stream = (int64_t)(quarter * 4);
    if (!read_varint(&c, &ret->context))
        return DATAGRAM_HEAD_NO_CONTEXT;
    ret->len = len - cursor_left(&c);
    return DATAGRAM_HEAD_OK;
}

size_t datagram_head_write(int64_t stream, uint64_t context, uint8_t out[DATAGRAM_HEAD_MAX])
{
    struct writer w = writer_of(out, DATAGRAM_HEAD_MAX);
    CHECK(stream >= 0 && stream % 4 == 0);
    write_varint(&w, (uint64_t)stream / 4);
    write_varint(&w, context);
    CHECK(!w.full);
    return (size_t)(w.p - out);
}
