/* SPDX-License-Identifier: Apache-2.0 */
/* What `cardea check` says of a server. */
#ifndef CARDEA_CMD_CHECK_REPORT_H
#define CARDEA_CMD_CHECK_REPORT_H

#include "probe/server_probe.h"

struct buf;

struct check_subject {
    const char *host;
    uint16_t port;
    const char *name;     /* what it was to prove to be */
    const char *protocol; /* in which it was asked for TLS; NULL: TLS at once */
    bool offered_alpn;
};

/* Append a few lines for people. */
void check_report_text(struct buf *out, const struct check_subject *s, const struct server_probe_result *r);

/* Append one JSON object and a new line: see cardea-check(1). */
void check_report_json(struct buf *out, const struct check_subject *s, const struct server_probe_result *r);

#endif
