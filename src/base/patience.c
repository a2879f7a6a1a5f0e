/* SPDX-License-Identifier: Apache-2.0 */
#include "base/patience.h"

#include "base/check.h"
#include "base/clock.h"

#define AT_ONCE 1000u
#define A_SECOND 33u

void patience_init(struct patience *p, int64_t now)
{
    patience_init_as(p, AT_ONCE, A_SECOND, now);
}

void patience_init_as(struct patience *p, unsigned at_once, unsigned a_second, int64_t now)
{
    *p = (struct patience){.at_once = at_once, .a_second = a_second, .left = at_once, .filled = now};
}

bool patience_bear(struct patience *p, int64_t now)
{
    uint64_t more = (uint64_t)(now - p->filled) * p->a_second / NSEC_PER_SEC;
    if (more > 0) {
        p->left = (unsigned)MIN(p->left + more, (uint64_t)p->at_once);
        p->filled = now;
    }
    if (p->left == 0)
        return false;
    p->left--;
    return true;
}
