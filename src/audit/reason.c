/* SPDX-License-Identifier: Apache-2.0 */
#include "audit/reason.h"

#include "base/check.h"

static const struct {
    const char *word, *text;
} reasons[CLOSE_REASONS] = {
#define X(name, word, text) {word, text},
#include "tables/close_reasons.def"
#undef X
};

const char *close_reason_word(enum close_reason reason)
{
    CHECK(reason < CLOSE_REASONS);
    return reasons[reason].word;
}

const char *close_reason_text(enum close_reason reason)
{
    CHECK(reason < CLOSE_REASONS);
    return reasons[reason].text;
}
