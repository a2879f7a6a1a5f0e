/* SPDX-License-Identifier: Apache-2.0 */
/* hello/offers.h: what is read of an audit line is written as it was, in order. */
#include <stddef.h>
#include <stdint.h>

#include "base/check.h"
#include "hello/offers.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct str text = {(const char *)data, len};
    const struct hello_offers o = {
        .known = true, .groups = hello_offers_read_groups(text), .ciphers = hello_offers_read_ciphers(text)};
    char groups[HELLO_OFFERS_TEXT_MAX], ciphers[HELLO_OFFERS_TEXT_MAX];
    uint8_t list[HELLO_OFFERS_LIST_MAX];
    hello_offers_groups(&o, groups);
    hello_offers_ciphers(&o, ciphers);
    CHECK(hello_offers_read_groups((struct str){groups, strlen(groups)}) == o.groups);
    CHECK(hello_offers_read_ciphers((struct str){ciphers, strlen(ciphers)}) == o.ciphers);
    CHECK(hello_offers_cipher_list(o.ciphers, list) == 2 * (size_t)__builtin_popcount(o.ciphers));
    return 0;
}
