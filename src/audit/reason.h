/* SPDX-License-Identifier: Apache-2.0 */
/* Why connections end. The rows are in tables/close_reasons.def. */
#ifndef CARDEA_AUDIT_REASON_H
#define CARDEA_AUDIT_REASON_H

enum close_reason {
#define X(name, word, text) CLOSE_##name,
#include "tables/close_reasons.def"
#undef X
    CLOSE_REASONS
};

/* The word for audit lines and metrics ("hello_timeout"). */
const char *close_reason_word(enum close_reason reason);

#endif
