/* SPDX-License-Identifier: Apache-2.0 */
/* The key exchange groups of TLS that are known here (tables/groups.def), and which of them keep what is
 * recorded today from the quantum computer of a later day. */
#ifndef CARDEA_BASE_TLS_GROUP_H
#define CARDEA_BASE_TLS_GROUP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/str.h"

enum tls_pq {
    TLS_PQ_UNSAID, /* others may say: the environment, the default; else as TLS_PQ_PREFER */
#define PQ(NAME, word) TLS_PQ_##NAME,
#include "tables/tls_pq.def"
#undef PQ
    TLS_PQS
};

/* As people write it, static text; NULL: it is unsaid. */
static inline const char *tls_pq_word(enum tls_pq pq)
{
    static const char *const words[TLS_PQS] = {
#define PQ(NAME, word) [TLS_PQ_##NAME] = (word),
#include "tables/tls_pq.def"
#undef PQ
    };
    return words[pq];
}

/* The other way round; TLS_PQ_UNSAID: there is no such word. */
static inline enum tls_pq tls_pq_read(const char *text, size_t len)
{
    for (enum tls_pq pq = TLS_PQ_UNSAID + 1; pq < TLS_PQS; pq++)
        if (str_is((struct str){text, len}, tls_pq_word(pq)))
            return pq;
    return TLS_PQ_UNSAID;
}

/* Is the group of that IANA codepoint post-quantum: ML-KEM beside a curve (draft-ietf-tls-ecdhe-mlkem)? None
 * of these is to be had in TLS 1.2. */
static inline bool tls_group_is_hybrid(uint16_t code)
{
    switch (code) {
#define X(name, value, hybrid, remark) \
    case value:                        \
        return hybrid;
#include "tables/groups.def"
#undef X
    default:
        return false;
    }
}

/* May the group be used then? */
static inline bool tls_pq_allows(enum tls_pq pq, uint16_t code)
{
    return tls_group_is_hybrid(code) ? pq != TLS_PQ_OFF : pq != TLS_PQ_REQUIRE;
}

#endif
