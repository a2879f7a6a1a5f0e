/* SPDX-License-Identifier: Apache-2.0 */
/* Clients of the last days, as the audit log has them, held against a candidate. */
#ifndef CARDEA_CMD_CERT_LOG_H
#define CARDEA_CMD_CERT_LOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "audit/line.h"
#include "cmd/audit_except.h"

struct json_t;

#define CERT_LOG_ROWS 1000 /* of one candidate; what is more is counted in the last one */

/* Connections of one identity on one route that have the same to say of a candidate. */
struct cert_log_row {
    char *route, *identity; /* identity "": none was proven */
    const char *why;        /* static; NULL: further ones */
    bool surely;            /* else the log cannot tell */
    uint64_t connections;
};

/* What the log says of one candidate. */
struct cert_log {
    const struct json_t *entry; /* as GET /staging has it ... */
    const struct json_t *routes;
    uint64_t seen;    /* handshakes that the candidate would have had a part in */
    uint64_t refused; /* ... of clients that would surely not accept it */
    uint64_t unknown; /* ... of which the log cannot tell */
    struct cert_log_row *rows;
    size_t rows_len;
};

/* All the candidates that a line is held against. */
struct cert_logs {
    struct cert_log *v;
    size_t n;
    const struct audit_except *except; /* whose lines do not count */
};

/* Hold a line of an audit log against each candidate (struct cert_logs): `each` of cmd/audit_log.h. */
void cert_log_take(void *logs, const struct audit_line *line);

void cert_log_done(struct cert_log *log);

#endif
