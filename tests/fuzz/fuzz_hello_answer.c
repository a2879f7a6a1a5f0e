/* SPDX-License-Identifier: Apache-2.0 */
/* hello/answer.h: the answer stands once it was given, whatever comes behind it, and does not depend on how
 * the bytes were cut. */
#include <stdint.h>

#include "base/check.h"
#include "hello/answer.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct hello_answer whole, part;
    if (len > 1024)
        return 0;
    hello_answer_read(data, len, &whole);
    CHECK(whole.kind != ANSWER_ALERT || (whole.suite == 0 && whole.version == 0));
    for (size_t n = 0; n < len; n++) {
        hello_answer_read(data, n, &part);
        CHECK(part.kind == ANSWER_MORE || part.kind == whole.kind);
        CHECK(part.suite == 0 || part.suite == whole.suite);
    }
    return 0;
}
