/* SPDX-License-Identifier: Apache-2.0 */
#include "audit/reason.h"

#include "base/check.h"

static const char *const words[CLOSE_REASONS] = {
#define X(name, word, text) word,
#include "tables/close_reasons.def"
#undef X
};

const char *close_reason_word(enum close_reason reason)
{
    CHECK(reason < CLOSE_REASONS);
    return words[reason];
}
