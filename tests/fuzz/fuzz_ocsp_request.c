/* SPDX-License-Identifier: Apache-2.0 */
/* ca/ocsp_request.h: any bytes as an OCSP request. What is taken points into the request and keeps the
 * bounds. */
#include "base/check.h"
#include "ca/ocsp_request.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void check_within(const CBS *part, const uint8_t *data, size_t len)
{
    CHECK(CBS_len(part) == 0 || (CBS_data(part) >= data && CBS_data(part) + CBS_len(part) <= data + len));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct ocsp_request r;
    if (!ocsp_request_read((struct str){(const char *)data, len}, &r))
        return 0;
    CHECK(r.count > 0 && r.count <= AUTHORITY_OCSP_MAX);
    check_within(&r.nonce, data, len);
    for (size_t i = 0; i < r.count; i++) {
        check_within(&r.asked[i].id, data, len);
        check_within(&r.asked[i].serial, data, len);
        check_within(&r.asked[i].name_hash, data, len);
        check_within(&r.asked[i].key_hash, data, len);
        CHECK(CBS_len(&r.asked[i].serial) > 0);
    }
    return 0;
}
