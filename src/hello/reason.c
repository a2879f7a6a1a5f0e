/* SPDX-License-Identifier: Apache-2.0 */
#include "hello/reason.h"

#include "base/check.h"

static const struct {
    uint8_t alert;
    const char *text;
} reasons[HELLO_REASON_COUNT] = {
#define X(name, alert, text) {alert, text},
#include "tables/hello_reasons.def"
#undef X
};

const char *hello_reason_text(enum hello_reason reason)
{
    CHECK(reason < HELLO_REASON_COUNT);
    return reasons[reason].text;
}

uint8_t hello_reason_alert(enum hello_reason reason)
{
    CHECK(reason < HELLO_REASON_COUNT);
    return reasons[reason].alert;
}
