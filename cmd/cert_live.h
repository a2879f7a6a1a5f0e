/* SPDX-License-Identifier: Apache-2.0 */
/* Handshakes with production and with what some clients see first, as clients of different kinds. */
#ifndef CARDEA_CMD_CERT_LIVE_H
#define CARDEA_CMD_CERT_LIVE_H

#include "base/err.h"

struct json_t;
struct trust;

struct cert_live {
    const char *production, *staging; /* HOST:PORT */
    struct trust *roots;              /* by which both are judged; borrowed */
};

/* Try each name (an array of texts, perhaps with "*.") at both addresses, and append what differs to
 * `findings` (cmd/cert_compare.h). -1 with `err`: it could not be tried. */
int cert_live_try(const struct cert_live *live, const struct json_t *names, struct json_t *findings,
                  struct err *err);

#endif
