/* SPDX-License-Identifier: Apache-2.0 */
#include "http/patience.h"

#include "base/check.h"
#include "base/clock.h"

#define AT_ONCE 1000u
#define A_SECOND 33u

void patience_init(struct patience *p, int64_t now)
{
    *p = (struct patience){.left = AT_ONCE, .filled = now};
}

bool patience_bear(struct patience *p, int64_t now)
{
    uint64_t more = (uint64_t)(now - p->filled) * A_SECOND / NSEC_PER_SEC;
    if (more > 0) {
        p->left = (unsigned)MIN(p->left + more, (uint64_t)AT_ONCE);
        p->filled = now;
    }
    if (p->left == 0)
        return false;
    p->left--;
    return true;
}
