/* SPDX-License-Identifier: Apache-2.0 */
/* Lines of the audit log held against settings of TLS that are stricter: who would be turned away. */
#ifndef CARDEA_CMD_REPORT_JUDGE_H
#define CARDEA_CMD_REPORT_JUDGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "audit/line.h"
#include "audit/tally.h"
#include "cmd/audit_except.h"
#include "hello/would.h"

#define REPORT_QUESTIONS_MAX 8
#define REPORT_ROUTES_MAX 64

/* What one question found. */
struct report_answer {
    struct would would;
    const char *text;      /* as it was asked, "min_version=1.3" */
    uint64_t breaking;     /* connections */
    uint64_t unknown;      /* ... of which the log does not tell */
    struct tally *clients; /* that break, by the keys of report_client() */
};

struct report {
    struct report_answer answer[REPORT_QUESTIONS_MAX];
    size_t answers;
    const char *routes[REPORT_ROUTES_MAX]; /* only these; none: all */
    size_t routes_len;
    uint64_t route_lines[REPORT_ROUTES_MAX]; /* of each of them, whether judged or not */
    uint8_t prefix4, prefix6;                /* of networks that addresses are put together by */
    struct audit_except except;              /* leave these out */
    bool passed;                             /* judge those too that the door passes through */
    uint64_t connections;                    /* that were judged */
    /* Not judged: */
    uint64_t unshaken;   /* no handshake was completed */
    uint64_t through;    /* TLS was passed through: others decide what is spoken */
    uint64_t challenges; /* CAs were shown the certificate for a challenge, before any route */
    uint64_t excepted;   /* lines of any kind that `except` names */
    uint64_t others;     /* no TLS, or a stream of a connection that has a line of its own */
};

/* Take a line in: of its connections each is judged by each question. */
void report_judge(struct report *r, const struct audit_line *line);

#define REPORT_TEXT_MAX 256

/* Whom a key of `clients` is about. Texts of what is not known are "". */
struct report_client {
    char identity[REPORT_TEXT_MAX], network[REPORT_TEXT_MAX], ja4[REPORT_TEXT_MAX], route[REPORT_TEXT_MAX];
};

/* Read a row's key; what is longer is cut. */
void report_client(const struct tally_row *row, struct report_client *ret);

/* How many clients the rows are about: who has proven an identity counts once, others once for each network
 * and JA4. */
size_t report_clients(struct tally_row *const *rows, size_t n);

#endif
