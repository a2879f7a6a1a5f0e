/* SPDX-License-Identifier: Apache-2.0 */
#include "tunnel/backoff.h"

#include "base/check.h"

int64_t backoff_next(struct backoff *b, uint64_t random)
{
    b->bound = b->bound == 0 ? BACKOFF_LEAST : MIN(2 * b->bound, BACKOFF_MOST);
    return (int64_t)(random % (uint64_t)(b->bound + 1));
}

void backoff_reset(struct backoff *b)
{
    b->bound = 0;
}
