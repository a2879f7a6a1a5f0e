/* SPDX-License-Identifier: Apache-2.0 */
/* ech/config.h and ech/inner.h: what is taken is as their headers promise. The first two bytes say where the
 * outer hello ends and what was decrypted begins; the whole is an ECHConfigList as well. */
#include <stdint.h>

#include "base/check.h"
#include "ech/config.h"
#include "ech/inner.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void read_configs(const uint8_t *data, size_t len)
{
    struct cursor list;
    struct ech_config config;
    if (!ech_config_list(data, len, &list))
        return;
    size_t whole = 0;
    while (ech_config_next(&list, &config)) {
        whole += cursor_left(&config.whole);
        CHECK(config.version != ECH_VERSION ||
              (config.public_name.len > 0 && cursor_left(&config.public_key) > 0));
    }
    CHECK(whole == len - 2);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct hello outer, inner;
    struct buf message = {0};
    read_configs(data, len);
    if (len < 2)
        return 0;
    size_t outer_len = MIN((size_t)(data[0] << 8 | data[1]), len - 2);
    if (hello_parse(data + 2, outer_len, &outer) != HELLO_REASON_NONE)
        return 0;
    struct cursor encoded = cursor_of(data + 2 + outer_len, len - 2 - outer_len);
    if (ech_inner_decode(encoded, &outer, &message) == NULL) {
        CHECK(hello_parse(message.data, message.len, &inner) == HELLO_REASON_NONE);
        CHECK(inner.ech == HELLO_ECH_INNER && inner.version >= 0x0304);
        CHECK(message.len <= len + 4);
        CHECK(cursor_left(&inner.session_id) == cursor_left(&outer.session_id));
    }
    buf_free(&message);
    return 0;
}
