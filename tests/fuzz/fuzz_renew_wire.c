/* SPDX-License-Identifier: Apache-2.0 */
/* tunnel/renew_wire.h, both directions: what is taken is within bounds, there is a reason for what is not,
 * and the result does not depend on what follows what was read. */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/check.h"
#include "tls/authenticator.h"
#include "tunnel/renew_wire.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void proof(const uint8_t *data, size_t len)
{
    struct str got, again;
    struct err err = {""};
    enum wire_result r = renew_parse_proof(data, len, &got, &err);
    CHECK(r != WIRE_BAD || err.text[0] != '\0');
    CHECK(r != WIRE_MORE || len < WIRE_MESSAGE_MAX + AUTHENTICATOR_MAX);
    if (r != WIRE_OK)
        return;
    CHECK(got.len > 0 && got.len <= AUTHENTICATOR_MAX && got.p + got.len == (const char *)data + len);
    CHECK(renew_parse_proof(data, len - 1, &again, NULL) == WIRE_MORE);
}

static void answer(const uint8_t *data, size_t len)
{
    struct wire_answer got;
    struct buf request = {.max = AUTHENTICATOR_REQUEST_MAX}, again = {.max = AUTHENTICATOR_REQUEST_MAX};
    struct err err = {""};
    int64_t expires;
    size_t used, ignored;
    enum wire_result r = renew_parse_answer(data, len, &got, &request, &expires, &used, &err);
    CHECK(r != WIRE_BAD || err.text[0] != '\0');
    if (r == WIRE_OK) {
        CHECK(used <= len && (got.outcome == FRONT_OK || (request.len == 0 && expires == 0)));
        CHECK(renew_parse_answer(data, used, &got, &again, &expires, &ignored, &err) == WIRE_OK);
        CHECK(again.len == request.len && ignored == used);
        CHECK(again.len == 0 || memcmp(again.data, request.data, again.len) == 0);
    }
    buf_free(&request);
    buf_free(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    proof(data, len);
    answer(data, len);
    return 0;
}
