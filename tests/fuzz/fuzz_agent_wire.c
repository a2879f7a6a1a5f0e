/* SPDX-License-Identifier: Apache-2.0 */
/* tunnel/agent_wire.h: what is taken is within bounds, does not depend on the split, fit for a terminal, and
 * reads back as itself when it is written again. */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/check.h"
#include "tunnel/agent_wire.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void control(const uint8_t *data, size_t len)
{
    struct wire_control got, again;
    size_t used;
    struct err err = {""};
    enum wire_result r = wire_parse_control(data, len, &got, &used, &err);
    CHECK(r != WIRE_MORE || len < WIRE_CONTROL_MAX);
    CHECK(r != WIRE_BAD || err.text[0] != '\0');
    if (r != WIRE_OK)
        return;
    struct buf out = {0};
    CHECK(used <= len && got.spares <= OFFER_IDS_MAX);
    CHECK(wire_parse_control(data, used - 1, &again, &used, NULL) == WIRE_MORE);
    CHECK(wire_encode_control(&got, &out) && out.len <= WIRE_CONTROL_MAX);
    CHECK(wire_parse_control(out.data, out.len, &again, &used, NULL) == WIRE_OK && used == out.len);
    CHECK(again.says_ready == got.says_ready && again.ready == got.ready && again.drain == got.drain);
    CHECK(again.down == got.down && (got.down == FRONT_OK || (got.says_ready && !got.ready)));
    CHECK(strpbrk(got.withdrawn, "\r\n\x1b") == NULL && strcmp(again.withdrawn, got.withdrawn) == 0);
    CHECK(again.csr.len == got.csr.len && again.chain.len == got.chain.len);
    CHECK(got.csr.len <= WIRE_CSR_MAX && (got.csr.len == 0 || got.chain.len == 0));
    CHECK(again.uncertified == got.uncertified && again.again == got.again &&
          strcmp(again.why, got.why) == 0);
    CHECK(strpbrk(got.why, "\r\n\x1b") == NULL && (got.why[0] == '\0') == (got.uncertified == FRONT_OK));
    CHECK(again.spares == got.spares && memcmp(again.spare, got.spare, sizeof(got.spare)) == 0);
    buf_free(&out);
}

static void visit(const uint8_t *data, size_t len)
{
    struct wire_visit got, again;
    size_t used;
    struct err err = {""};
    enum wire_result r = wire_parse_visit(data, len, &got, &used, &err);
    CHECK(r != WIRE_MORE || len < WIRE_MESSAGE_MAX);
    CHECK(r != WIRE_BAD || err.text[0] != '\0');
    if (r != WIRE_OK)
        return;
    struct buf out = {0};
    CHECK(used <= len && got.name[0] != '\0');
    CHECK(wire_parse_visit(data, used - 1, &again, &used, NULL) == WIRE_MORE);
    CHECK(strpbrk(got.identity, "\r\n\x1b") == NULL && strpbrk(got.alpn, "\r\n\x1b") == NULL);
    CHECK(wire_encode_visit(&got, &out) && out.len <= WIRE_MESSAGE_MAX);
    CHECK(wire_parse_visit(out.data, out.len, &again, &used, NULL) == WIRE_OK && used == out.len);
    CHECK(strcmp(again.name, got.name) == 0 && strcmp(again.identity, got.identity) == 0);
    CHECK(strcmp(again.sni, got.sni) == 0 && strcmp(again.alpn, got.alpn) == 0 && again.udp == got.udp);
    CHECK(again.datagrams == got.datagrams);
    CHECK(memcmp(&again.peer, &got.peer, sizeof(got.peer)) == 0);
    CHECK(memcmp(&again.local, &got.local, sizeof(got.local)) == 0);
    buf_free(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    control(data, len);
    visit(data, len);

    /* The JSON alone, framed here, so that the fuzzer need not get the length right. */
    uint8_t message[WIRE_MESSAGE_MAX];
    size_t n = MIN(len, (size_t)WIRE_JSON_MAX);
    if (n == 0)
        return 0;
    message[0] = (uint8_t)(n >> 8);
    message[1] = (uint8_t)n;
    memcpy(message + 2, data, n);
    control(message, n + 2);
    visit(message, n + 2);
    return 0;
}
