/* SPDX-License-Identifier: Apache-2.0 */
/* What writing the log (journal.c) and verifying it (audit.c) share. */
#ifndef CARDEA_CA_JOURNAL_INTERNAL_H
#define CARDEA_CA_JOURNAL_INTERNAL_H

#include <stdint.h>

#include "base/str.h"
#include "ca/authority.h"

struct journal_row {
    int64_t row;
    int64_t at;
    struct str act, who, serial, detail, content;
};

/* `hash` is that of the row before, and becomes that of this one. */
void journal_hash(const struct journal_row *row, uint8_t hash[AUTHORITY_HASH]);

#endif
