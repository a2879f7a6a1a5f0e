/* SPDX-License-Identifier: Apache-2.0 */
/* quic/datagram_head.h: what was read can be written, and is read as the same again. */
#include "base/check.h"
#include "quic/datagram_head.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct datagram_head head, again;
    uint8_t out[DATAGRAM_HEAD_MAX];
    if (datagram_head_read(data, len, &head) != DATAGRAM_HEAD_OK)
        return 0;
    CHECK(head.len >= 2 && head.len <= len && head.len <= DATAGRAM_HEAD_MAX);
    CHECK(head.stream >= 0 && head.stream % 4 == 0);
    size_t n = datagram_head_write(head.stream, head.context, out);
    CHECK(n <= head.len);
    CHECK(datagram_head_read(out, n, &again) == DATAGRAM_HEAD_OK);
    CHECK(again.stream == head.stream && again.context == head.context && again.len == n);
    return 0;
}
