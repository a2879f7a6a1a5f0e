/* SPDX-License-Identifier: Apache-2.0 */
/* The key exchange groups of TLS that are known here (tables/groups.def), and which of them keep what is
 * recorded today from the quantum computer of a later day. */
#ifndef CARDEA_BASE_TLS_GROUP_H
#define CARDEA_BASE_TLS_GROUP_H

#include <stdbool.h>
#include <stdint.h>

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

#endif
