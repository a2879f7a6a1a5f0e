/* SPDX-License-Identifier: Apache-2.0 */
/* quic/versions.h: a datagram of anybody's. The first 16 bytes of the input are the question's ids. */
#include <string.h>

#include "base/check.h"
#include "quic/versions.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    static struct quic_versions_question q;
    struct quic_versions got;
    if (len < sizeof(q.to) + sizeof(q.from))
        return 0;
    memcpy(q.to, data, sizeof(q.to));
    memcpy(q.from, data + sizeof(q.to), sizeof(q.from));
    bool good = quic_versions_read(&q, data + 16, len - 16, &got);
    CHECK(got.len <= QUIC_VERSIONS_MAX && (good || got.len == 0));
    return 0;
}
