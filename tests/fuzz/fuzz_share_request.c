/* SPDX-License-Identifier: Apache-2.0 */
/* tunnel/share_request.h and the heads of tunnel/share_link.h: what is taken is within bounds, does not
 * depend on the split, and reads back as itself when it is written again. */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/check.h"
#include "tunnel/share_link.h"
#include "tunnel/share_request.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void request(const uint8_t *data, size_t len)
{
    struct share_request got, again;
    struct err err = {""};
    struct buf out = {0};
    size_t used, used_again;
    enum front_result r = share_parse(data, len, &got, &used, &err);
    if (r == FRONT_MORE)
        CHECK(len < WIRE_MESSAGE_MAX);
    if (r == FRONT_BAD)
        CHECK(err.text[0] != '\0');
    if (r != FRONT_TARGET)
        return;
    CHECK(used <= len && used <= WIRE_MESSAGE_MAX);
    CHECK(share_parse(data, used - 1, &again, &used_again, NULL) == FRONT_MORE);
    CHECK(got.status ? share_encode_status(&out) : share_encode_hello(&got.target, got.timeout, &out));
    CHECK(share_parse(out.data, out.len, &again, &used_again, NULL) == FRONT_TARGET && used_again == out.len);
    CHECK(again.status == got.status && again.timeout == got.timeout);
    CHECK(strcmp(again.target.host, got.target.host) == 0 && again.target.port == got.target.port);
    CHECK(again.target.udp == got.target.udp && again.target.offered == got.target.offered);
    buf_free(&out);
}

static void head(const uint8_t *data, size_t len)
{
    uint8_t again[SHARE_HEAD];
    size_t n;
    if (len < SHARE_HEAD)
        return;
    enum share_kind kind = share_head_read(data, &n);
    if (kind == SHARE_BAD)
        return;
    CHECK(n <= SHARE_DATA_MAX);
    share_head_write(again, kind, n);
    CHECK(memcmp(again, data, SHARE_HEAD) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    request(data, len);
    head(data, len);
    return 0;
}
