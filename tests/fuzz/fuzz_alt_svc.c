/* SPDX-License-Identifier: Apache-2.0 */
/* probe/alt_svc.h: what is no whole answer tells of nothing. */
#include <stdint.h>

#include "base/check.h"
#include "probe/alt_svc.h"
#include "probe/head.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    bool told = alt_svc_tells_h3(data, len, 443);
    struct head head = head_read(data, len);
    CHECK(!told || head.status != 0);
    CHECK(head.fields.len <= len);
    return 0;
}
