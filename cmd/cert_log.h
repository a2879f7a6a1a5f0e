/* SPDX-License-Identifier: Apache-2.0 */
/* Clients of the last days, as the audit log has them, held against a candidate. */
#ifndef CARDEA_CMD_CERT_LOG_H
#define CARDEA_CMD_CERT_LOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

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
    const char *since; /* lines before are passed over: RFC 3339, UTC */
    uint64_t seen;     /* handshakes that the candidate would have had a part in */
    uint64_t refused;  /* ... of clients that would surely not accept it */
    uint64_t unknown;  /* ... of which the log cannot tell */
    struct cert_log_row *rows;
    size_t rows_len;
};

/* Hold each line of a file against each of the logs. *ret_lines: how many were read. -1 with `err`. */
int cert_log_read(const char *path, struct cert_log *logs, size_t logs_len, uint64_t *ret_lines,
                  struct err *err);

void cert_log_done(struct cert_log *log);

#endif
