/* SPDX-License-Identifier: Apache-2.0 */
#include "session/front.h"

#include "base/check.h"

const char *front_code(enum front_outcome outcome)
{
    static const char *const codes[FRONT_OUTCOMES] = {
#define OUTCOME(name, code, status, phrase, type, socks, text) code,
#include "tables/outcomes.def"
#undef OUTCOME
    };
    CHECK(outcome < FRONT_OUTCOMES);
    return codes[outcome];
}
