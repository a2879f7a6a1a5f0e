/* SPDX-License-Identifier: Apache-2.0 */
/* What could have been meant, for who has named what there is not: "a, b, c, d, e and more". */
#ifndef CARDEA_KEEPER_CHOICE_H
#define CARDEA_KEEPER_CHOICE_H

#include <stddef.h>

#include "base/buf.h"
#include "base/check.h"

#define CHOICE_SHOWN 5

/* Append the next word, with `mark` on both sides; *n counts them. Of those beyond CHOICE_SHOWN it is only
 * said that there are more. */
static inline void choice_add(struct buf *ret, size_t *n, const char *mark, const char *word)
{
    if (*n < CHOICE_SHOWN)
        CHECK(buf_printf(ret, "%s%s%s%s", *n > 0 ? ", " : "", mark, word, mark));
    else if (*n == CHOICE_SHOWN)
        CHECK(buf_printf(ret, " and more"));
    ++*n;
}

#endif
