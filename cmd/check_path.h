/* SPDX-License-Identifier: Apache-2.0 */
/* `cardea check --verify`: would this chain be accepted, by which path, and why not by the others? */
#ifndef CARDEA_CMD_CHECK_PATH_H
#define CARDEA_CMD_CHECK_PATH_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "cert/path_report.h"

/* Does this command line ask for it? */
bool check_path_is_asked(int argc, char **argv);

/* The verb, then. Returns the exit status. */
int check_path(int argc, char **argv);

/* What is verified; texts are borrowed. */
struct check_path_case {
    const char *chain, *roots; /* files */
    const char *name;          /* NULL: none is asked for */
    enum trust_purpose purpose;
    int64_t at; /* seconds since 1970 */
    /* of a case in a folder; NULL: there is none */
    const char *label, *category, *expected;
};

/* Verify. `ret` goes to path_report_free() also where that fails: -1 with `err` when a file cannot be read.
 */
int check_path_verify(const struct check_path_case *c, struct path_report *ret, struct err *err);

/* ---- check_path_cases.c ---- */

/* Verify each case of a folder, tell how they came out, and return the exit status. What a case does not say
 * is as in `defaults`. */
int check_path_cases(const char *dir, const struct check_path_case *defaults, bool json);

/* Fill in the purpose from its word; false: it is none. */
bool check_path_purpose(const char *word, enum trust_purpose *ret);

/* Read a time: seconds since 1970, "2026-11-28" or "2026-11-28T12:00:00Z". */
bool check_path_time(const char *text, int64_t *ret);

/* ---- check_path_report.c ---- */

/* Append what was found, for people. */
void check_path_text(struct buf *out, const struct check_path_case *c, const struct path_report *report);

/* Append one JSON object and a new line: see cardea-check(1). Steps are left out of cases. */
void check_path_json(struct buf *out, const struct check_path_case *c, const struct path_report *report);

#endif
