/* SPDX-License-Identifier: Apache-2.0 */
/* Why a ClientHello was refused. The rows are in tables/hello_reasons.def. */
#ifndef CARDEA_HELLO_REASON_H
#define CARDEA_HELLO_REASON_H

#include <stdint.h>

enum hello_reason {
#define X(name, alert, text) HELLO_REASON_##name,
#include "tables/hello_reasons.def"
#undef X
    HELLO_REASON_COUNT
};

/* What is wrong, as a phrase for the audit line and the log ("malformed key_share"). */
const char *hello_reason_text(enum hello_reason reason);

/* The alert (RFC 8446, 6.2) to send before closing; 0 for HELLO_REASON_NONE. */
uint8_t hello_reason_alert(enum hello_reason reason);

#endif
