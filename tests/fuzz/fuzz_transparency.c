/* SPDX-License-Identifier: Apache-2.0 */
/* cert/transparency.h: a list by itself, in a certificate, and in an OCSP response. */
#include <stdint.h>

#include "base/check.h"
#include "cert/transparency.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct str bytes = {(const char *)data, len};
    CHECK(transparency_count(bytes) <= len / 3);
    CHECK(transparency_in_cert(bytes) <= len / 3);
    CHECK(transparency_in_ocsp(bytes) <= len / 3);
    return 0;
}
