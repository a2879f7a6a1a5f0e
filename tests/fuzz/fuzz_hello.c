/* SPDX-License-Identifier: Apache-2.0 */
/* hello/scan.h, hello/hello.h and hello/ja4.h: the answer does not depend on how the bytes were cut, in time
 * or into records, and what is taken is as its header promises. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "hello/hello.h"
#include "hello/ja4.h"
#include "hello/scan.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

#define MAX_WIRE 8192u

/* What JA4 does with a digest is the same for any function. */
static void not_sha256(const void *data, size_t len, uint8_t ret_digest[32])
{
    const uint8_t *p = data;
    memset(ret_digest, 0, 32);
    for (size_t i = 0; i < len; i++)
        ret_digest[i % 32] ^= p[i];
}

static void check_name(const struct hello *h)
{
    CHECK(strlen(h->name) == h->name_len && h->name_len <= HELLO_NAME_MAX);
    CHECK((h->name_len > 0) == (h->name_kind == HELLO_NAME_DNS));
    for (size_t i = 0; i < h->name_len; i++)
        CHECK(strchr("abcdefghijklmnopqrstuvwxyz0123456789-_.", h->name[i]) != NULL);
    CHECK(h->name_len == 0 || (h->name[0] != '.' && h->name[h->name_len - 1] != '.'));
}

static void check_hello(const struct hello *h, const uint8_t *message, size_t len)
{
    const struct cursor lists[] = {h->session_id, h->cipher_suites, h->extensions,
                                   h->alpn,       h->versions,      h->groups,
                                   h->key_shares, h->signatures,    h->signatures_cert};
    for (size_t i = 0; i < ARRAY_LEN(lists); i++)
        CHECK(lists[i].p == lists[i].end || (lists[i].p >= message && lists[i].end <= message + len));
    check_name(h);
    CHECK(h->pq_group == hello_has_u16(h->groups, HELLO_GROUP_X25519MLKEM768));
    struct cursor list = h->alpn;
    struct str protocol;
    while (hello_next_protocol(&list, &protocol))
        CHECK(protocol.len > 0);
    CHECK(cursor_left(&list) == 0);

    char ja4[JA4_TEXT_MAX];
    if (ja4_compute(h, JA4_TCP, not_sha256, ja4))
        CHECK(strlen(ja4) == JA4_TEXT_MAX - 1 && ja4[10] == '_' && ja4[23] == '_');
    else
        CHECK(ja4[0] == '\0');
}

/* Scan again with one byte more each time; nothing but the last answer may differ from MORE. */
static void check_bytewise(const uint8_t *data, size_t len, enum hello_result expected,
                           const struct hello_scan *whole)
{
    struct hello_scan scan = hello_scan_start(MAX_WIRE);
    enum hello_result r = HELLO_MORE;
    for (size_t n = 0; n <= len && r == HELLO_MORE; n++) {
        r = hello_scan(&scan, data, n);
        CHECK(r != HELLO_MORE || scan.need > n);
    }
    CHECK(r == expected && scan.reason == whole->reason);
    CHECK(scan.message_len == whole->message_len && scan.wire_len == whole->wire_len);
}

/* The same message in records of one byte. */
static void check_recut(const uint8_t *message, uint32_t len)
{
    static uint8_t wire[6 * MAX_WIRE], scratch[MAX_WIRE];
    for (size_t i = 0; i < len; i++)
        memcpy(wire + 6 * i, (uint8_t[]){22, 3, 3, 0, 1, message[i]}, 6);
    struct hello_scan scan = hello_scan_start(sizeof(wire));
    CHECK(hello_scan(&scan, wire, 6 * (size_t)len) == HELLO_DONE && scan.message_len == len);
    CHECK(memcmp(hello_scan_message(&scan, wire, scratch), message, len) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    static uint8_t scratch[MAX_WIRE];
    struct hello h;
    struct hello_scan scan = hello_scan_start(MAX_WIRE);
    enum hello_result r = hello_scan(&scan, data, len);
    CHECK((r == HELLO_BAD) == (scan.reason != HELLO_REASON_NONE));
    check_bytewise(data, len, r, &scan);
    if (r == HELLO_DONE) {
        const uint8_t *message = hello_scan_message(&scan, data, scratch);
        check_recut(message, scan.message_len);
        if (hello_parse(message, scan.message_len, &h) == HELLO_REASON_NONE)
            check_hello(&h, message, scan.message_len);
    }
    /* As a bare message too, so that the fuzzer need not get the records right. */
    if (hello_parse(data, len, &h) == HELLO_REASON_NONE)
        check_hello(&h, data, len);
    return 0;
}
