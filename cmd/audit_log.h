/* SPDX-License-Identifier: Apache-2.0 */
/* Reads audit logs line by line: of files, rotated and compressed ones too, and of standard input. */
#ifndef CARDEA_CMD_AUDIT_LOG_H
#define CARDEA_CMD_AUDIT_LOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "audit/line.h"
#include "base/err.h"

#define AUDIT_LOG_LINE_MAX ((size_t)64 * 1024) /* bytes; the door writes AUDIT_LINE_MAX at most */
#define AUDIT_FILES_MAX 1024

struct audit_log {
    const char *since; /* as `time` is written: lines before are passed over; "": none are */
    void (*each)(void *arg, const struct audit_line *line);
    void *arg;
    /* What came of it. */
    uint64_t lines; /* that were good, and not before `since` */
    uint64_t bad;   /* that were none: the first of them are told on standard error */
    uint64_t bytes; /* of all lines, uncompressed */
    char first[AUDIT_TIME_LEN + 1], last[AUDIT_TIME_LEN + 1]; /* times of those lines; "": there is none */
};

/* Read a file, what gzip, xz, zstd or bzip2 has made of one (by its first bytes; that program is run), or
 * standard input ("-"). How far it is is shown on a terminal. -1 with `err`, also where there are lines and
 * none of them is one; that there are none is told on standard error. */
int audit_log_read(struct audit_log *log, const char *path, struct err *err);

/* After the last one: tell how many lines were none, where that is not told yet. */
void audit_log_end(const struct audit_log *log);

/* A list of paths; free each and the list with audit_files_free(). */
struct audit_files {
    char **v;
    size_t n;
};

/* The audit file at `path` and what it was rotated to: beside it, the same name with '.' or '-', digits, and
 * perhaps the ending of a compressed file. Those last written before `since` (seconds since 1970) are left
 * out; the oldest comes first. -1 with `err` when there is none. */
int audit_files_find(const char *path, int64_t since, struct audit_files *ret, struct err *err);

/* Leaves it empty. */
void audit_files_free(struct audit_files *f);

#endif
