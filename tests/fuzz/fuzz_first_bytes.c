/* SPDX-License-Identifier: Apache-2.0 */
/* hello/first_bytes.h: once an answer is final, more bytes do not change it. */
#include "base/check.h"
#include "hello/first_bytes.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    enum first_bytes whole = first_bytes_read(data, len), r = FIRST_BYTES_MORE;
    for (size_t n = 0; n <= len && r == FIRST_BYTES_MORE; n++)
        r = first_bytes_read(data, n);
    CHECK(r == whole);
    CHECK(whole != FIRST_BYTES_MORE || len < FIRST_BYTES_MAX);
    return 0;
}
