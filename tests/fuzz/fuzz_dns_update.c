/* SPDX-License-Identifier: Apache-2.0 */
/* What a name server, or anybody else, answers to DNS UPDATE: nothing without the right signature is done. */
#include "base/check.h"
#include "dns/update.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct dns_key key = {"acme.example.com", {"0123456789abcdef0123456789abcdef", 32}};
    static const struct dns_update u = {.zone = "example.com",
                                        .name = "_acme-challenge.example.com",
                                        .type = 16,
                                        .data = {"\6a text", 7},
                                        .id = 0x1234,
                                        .now = 1800000000};
    struct dns_request request;
    struct err err;
    CHECK(dns_update_make(&u, &key, &request, &err) == 0);
    (void)dns_update_read(&request, &key, (struct str){(const char *)data, size}, 1800000000, &err);
    return 0;
}
