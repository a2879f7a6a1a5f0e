/* SPDX-License-Identifier: Apache-2.0 */
/* probe/hsts.h */
#include <stdint.h>

#include "base/check.h"
#include "probe/hsts.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct hsts h;
    hsts_read(data, len, &h);
    CHECK(h.status < 1000 && h.max_age >= 0);
    CHECK(h.status != 0 || (!h.sent && !h.subdomains));
    return 0;
}
