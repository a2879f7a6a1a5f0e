/* SPDX-License-Identifier: Apache-2.0 */
/* ca/ocsp_path.h: any text as an OCSP request in a path. What is taken is no longer than the text says, and
 * reads the same when it is written in base64. */
#include <string.h>

#include "base/base64.h"
#include "base/check.h"
#include "ca/ocsp_path.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct buf once = {0}, text = {0}, again = {0};
    if (ocsp_path_read((struct str){(const char *)data, len}, &once)) {
        CHECK(once.len <= len / 4 * 3 + 2);
        CHECK(base64_put(&text, once.data, once.len));
        CHECK(ocsp_path_read((struct str){(const char *)text.data, text.len}, &again));
        CHECK(again.len == once.len && (once.len == 0 || memcmp(again.data, once.data, once.len) == 0));
    } else {
        CHECK(once.len == 0);
    }
    buf_free(&once);
    buf_free(&text);
    buf_free(&again);
    return 0;
}
