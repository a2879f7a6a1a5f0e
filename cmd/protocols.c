/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/protocols.h"

#include "base/check.h"
#include "session/plan.h"

void protocols_put(struct buf *to, enum starttls_section can, const char *between)
{
    size_t n = 0;
    for (const char *const *word = starttls_builtin_words(); *word != NULL; word++)
        if (plan_protocol_can(starttls_builtin(*word), can))
            CHECK(buf_printf(to, "%s%s", n++ > 0 ? between : "", *word));
}
