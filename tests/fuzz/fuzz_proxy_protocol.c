/* SPDX-License-Identifier: Apache-2.0 */
/* net/proxy_protocol.h: the answer does not depend on how the bytes were cut, and what was read can be
 * written and read again. */
#include <string.h>

#include "base/check.h"
#include "net/proxy_protocol.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void check_bytewise(const uint8_t *data, size_t len, enum proxy_result expected,
                           const struct proxy_header *whole)
{
    struct proxy_header h;
    enum proxy_result r = PROXY_MORE;
    for (size_t n = 0; n <= len && r == PROXY_MORE; n++) {
        r = proxy_protocol_read(data, n, PROXY_V2_MAX, &h);
        CHECK(r != PROXY_MORE || (h.need > n && h.need <= PROXY_V2_MAX));
    }
    CHECK(r == expected && h.reason == whole->reason && h.len == whole->len);
    CHECK(memcmp(&h.src, &whole->src, sizeof(h.src)) == 0 && memcmp(&h.dst, &whole->dst, sizeof(h.dst)) == 0);
}

static bool is_v4_mapped(const struct sockaddr_storage *a)
{
    struct sockaddr_in6 in6;
    memcpy(&in6, a, sizeof(in6));
    return a->ss_family == AF_INET6 && IN6_IS_ADDR_V4MAPPED(&in6.sin6_addr);
}

static void check_rewrite(const struct proxy_header *h)
{
    static uint8_t out[2 * PROXY_V2_MAX];
    struct proxy_tlv tlvs[PROXY_V2_MAX / 3], tlv;
    struct proxy_header again;
    struct cursor list = h->tlvs;
    size_t count = 0;
    while (proxy_next_tlv(&list, &tlv))
        if (tlv.type != PROXY_TLV_CRC32C)
            tlvs[count++] = tlv;
    CHECK(cursor_left(&list) == 0);
    /* Mapped addresses come back as IPv4. */
    if (is_v4_mapped(&h->src) || is_v4_mapped(&h->dst))
        return;
    size_t len = proxy_protocol_write_v2(out, sizeof(out), &h->src, &h->dst, tlvs, count);
    CHECK(len > 0 && proxy_protocol_read(out, len, sizeof(out), &again) == PROXY_DONE && again.len == len);
    CHECK(memcmp(&h->src, &again.src, sizeof(h->src)) == 0 &&
          memcmp(&h->dst, &again.dst, sizeof(h->dst)) == 0);
    len = proxy_protocol_write_v1(out, PROXY_V1_MAX, &h->src, &h->dst);
    CHECK(len > 0 && proxy_protocol_read(out, len, PROXY_V2_MAX, &again) == PROXY_DONE && again.len == len);
    if (h->src.ss_family == AF_INET || h->src.ss_family == AF_INET6)
        CHECK(memcmp(&h->src, &again.src, sizeof(h->src)) == 0 &&
              memcmp(&h->dst, &again.dst, sizeof(h->dst)) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct proxy_header h;
    enum proxy_result r = proxy_protocol_read(data, len, PROXY_V2_MAX, &h);
    CHECK((r == PROXY_BAD) == (h.reason != PROXY_REASON_NONE));
    check_bytewise(data, len, r, &h);
    if (r == PROXY_DONE) {
        CHECK(h.len <= len && h.src.ss_family == h.dst.ss_family);
        CHECK(h.version == 2 || h.len <= PROXY_V1_MAX);
        check_rewrite(&h);
    }
    return 0;
}
