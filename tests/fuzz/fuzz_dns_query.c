/* SPDX-License-Identifier: Apache-2.0 */
/* What a resolver, or anybody else, answers to a question for HTTPS records: what is found lies within the
 * answer, and an alias can be asked for. */
#include "base/check.h"
#include "dns/query.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str answer = {(const char *)data, size};
    struct dns_https found;
    struct buf query = {0};
    struct err err = {""};
    switch (dns_answer_https("a.test", "a.test", 443, answer, &found, &err)) {
    case DNS_HTTPS:
        CHECK(found.ech.len > 0 && found.ech.p >= answer.p &&
              found.ech.p + found.ech.len <= answer.p + answer.len);
        break;
    case DNS_ALIAS:
        CHECK(found.alias[0] != '\0' && dns_query_https(found.alias, &query, &err) == 0);
        break;
    case DNS_NO_ANSWER:
        CHECK(err.text[0] != '\0');
        break;
    default:
        CHECK(found.ech.len == 0);
    }
    struct str protocol;
    while (dns_next_protocol(&found.alpn, &protocol))
        CHECK(protocol.len > 0 && protocol.p >= answer.p &&
              protocol.p + protocol.len <= answer.p + answer.len);
    buf_free(&query);
    return 0;
}
