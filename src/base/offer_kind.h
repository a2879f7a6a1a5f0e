/* SPDX-License-Identifier: Apache-2.0 */
/* The kinds of offers; the rows are in tables/offer_kinds.def. */
#ifndef CARDEA_BASE_OFFER_KIND_H
#define CARDEA_BASE_OFFER_KIND_H

enum offer_kind {
#define KIND(NAME, word) OFFER_##NAME,
#include "tables/offer_kinds.def"
#undef KIND
    OFFER_KINDS
};

/* As people and the protocol write it; `kind` is one of the table. */
static inline const char *offer_kind_word(enum offer_kind kind)
{
    static const char *const words[OFFER_KINDS] = {
#define KIND(NAME, word) [OFFER_##NAME] = (word),
#include "tables/offer_kinds.def"
#undef KIND
    };
    return words[kind];
}

#endif
