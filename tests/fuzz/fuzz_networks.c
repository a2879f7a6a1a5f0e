/* SPDX-License-Identifier: Apache-2.0 */
/* tunnel/network_memory.h: what is taken is within bounds, and reads back as itself when it is written again.
 */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/check.h"
#include "tunnel/network_memory.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct network_list got, again;
    struct buf out = {0};
    int64_t left;
    if (!networks_read(data, len, &got)) {
        CHECK(got.count == 0);
        return 0;
    }
    CHECK(got.count <= NETWORKS_MAX && networks_write(&got, &out));
    CHECK(networks_read(out.data, out.len, &again) && again.count == got.count);
    for (size_t i = 0; i < got.count; i++) {
        const struct network *a = &got.row[i], *b = &again.row[i];
        CHECK(a->key == b->key && a->when == b->when && a->fails == b->fails);
        networks_ask(&got, a->key, a->when, &left);
    }
    networks_note(&got, 1, false, 1);
    CHECK(got.count <= NETWORKS_MAX && got.row[0].key == 1);
    buf_free(&out);
    return 0;
}
