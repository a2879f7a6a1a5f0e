/* SPDX-License-Identifier: Apache-2.0 */
/* The STARTTLS protocols that are built in, for messages and completion. */
#ifndef CARDEA_CMD_PROTOCOLS_H
#define CARDEA_CMD_PROTOCOLS_H

#include "base/buf.h"
#include "starttls/starttls.h"

/* Append the names of those in which a server can be asked for TLS (STARTTLS_ASK) or a client answered
 * (STARTTLS_ANSWER), parted by `between`. */
void protocols_put(struct buf *to, enum starttls_section can, const char *between);

#endif
