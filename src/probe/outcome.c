/* SPDX-License-Identifier: Apache-2.0 */
#include "probe/outcome.h"

#include "base/check.h"

const char *probe_outcome_word(enum probe_outcome outcome)
{
    static const char *const words[] = {
#define X(NAME, word, meaning) word,
#include "tables/probe_outcomes.def"
#undef X
    };
    CHECK((size_t)outcome < ARRAY_LEN(words));
    return words[outcome];
}
