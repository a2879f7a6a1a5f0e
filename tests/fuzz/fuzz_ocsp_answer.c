/* SPDX-License-Identifier: Apache-2.0 */
/* cert/ocsp.h: any bytes as an OCSP response about a certificate. The first two pieces of the input, each
 * with its length in two bytes before it, are the certificate and its issuer. */
#include "base/check.h"
#include "cert/ocsp.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static struct str take(const uint8_t **data, size_t *len)
{
    size_t n = *len < 2 ? 0 : (size_t)(*data)[0] << 8 | (*data)[1], head = MIN(*len, 2);
    n = MIN(n, *len - head);
    const struct str piece = {(const char *)*data + head, n};
    *data += head + n;
    *len -= head + n;
    return piece;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct cert_status status;
    struct err err;
    const struct str leaf = take(&data, &len), issuer = take(&data, &len);
    const struct str response = {(const char *)data, len};
    if (ocsp_answer(response, leaf, issuer, 1800000000, &status, &err) < 0)
        return 0;
    CHECK(len <= OCSP_ANSWER_MAX && status.next_update > 1800000000);
    CHECK(status.this_update <= 1800000000 + OCSP_SKEW);
    return 0;
}
