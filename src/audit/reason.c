/* SPDX-License-Identifier: Apache-2.0 */
#include "audit/reason.h"

#include "base/alert.h"
#include "base/check.h"

static const char *const words[CLOSE_REASONS] = {
#define X(name, word, end, text) word,
#include "tables/close_reasons.def"
#undef X
};

const char *close_reason_word(enum close_reason reason)
{
    CHECK(reason < CLOSE_REASONS);
    return words[reason];
}

uint8_t close_reason_alert(enum close_reason reason)
{
    static const uint8_t alerts[CLOSE_REASONS] = {
#define X(name, word, end, text) end,
#include "tables/close_reasons.def"
#undef X
    };
    CHECK(reason < CLOSE_REASONS);
    return alerts[reason];
}

static const struct {
    enum close_reason reason;
    uint64_t code;
    const char *text;
} cuts[] = {
#define CUT(name, code, text) {CLOSE_##name, code, text},
#include "tables/cuts.def"
#undef CUT
};

uint64_t close_reason_code(enum close_reason reason)
{
    for (size_t i = 0; i < ARRAY_LEN(cuts); i++)
        if (cuts[i].reason == reason)
            return cuts[i].code;
    return 0;
}

const char *close_code_text(uint64_t code)
{
    for (size_t i = 0; i < ARRAY_LEN(cuts); i++)
        if (cuts[i].code == code)
            return cuts[i].text;
    return NULL;
}
