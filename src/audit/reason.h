/* SPDX-License-Identifier: Apache-2.0 */
/* Why connections end. The rows are in tables/close_reasons.def. */
#ifndef CARDEA_AUDIT_REASON_H
#define CARDEA_AUDIT_REASON_H

#include <stdint.h>

enum close_reason {
#define X(name, word, end, text) CLOSE_##name,
#include "tables/close_reasons.def"
#undef X
    CLOSE_REASONS
};

/* Of the client's end: it is one. Else an enum alert. */
#define IN_ORDER 0

/* How the client's end is to look that was told nothing else: IN_ORDER, or the alert that says otherwise. */
uint8_t close_reason_alert(enum close_reason reason);

/* With which code a stream of cardea/1 is reset for that reason: tables/cuts.def; 0: none of its own. */
uint64_t close_reason_code(enum close_reason reason);

/* With which code one is reset that came while the door stops, and that nothing was done with. No row of the
 * table: its client asks somewhere else. */
#define CLOSE_CODE_NOT_BEGUN 7

/* What the client of such a stream reads; NULL: the code is none of those. */
const char *close_code_text(uint64_t code);

/* The word for audit lines and metrics ("hello_timeout"). */
const char *close_reason_word(enum close_reason reason);

#endif
