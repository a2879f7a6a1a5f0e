/* SPDX-License-Identifier: Apache-2.0 */
/* Where audit lines go: a file that is appended to, or standard output. Each worker gathers whole lines and
 * writes them with one call. */
#ifndef CARDEA_AUDIT_SINK_H
#define CARDEA_AUDIT_SINK_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "loop/loop.h"

#define SINK_GATHER_BYTES (32 * 1024)         /* written at once when this much has gathered, */
#define SINK_GATHER_NS (INT64_C(5) * 1000000) /* or after this long */

/* The file that all workers share. The lock keeps their writes whole where the kernel does not (pipes); it is
 * taken once for a batch of lines. */
struct sink_file {
    pthread_mutex_t lock;
    int fd;
    bool regular;  /* takes every write at once */
    bool torn;     /* ends in the middle of a line, for which there was no room */
    uint64_t lost; /* lines that could not be written */
};

/* One per worker. */
struct sink {
    struct loop *loop;
    struct sink_file *file;
    struct buf lines;
    struct timer flush;
};

/* Could the file be opened? Nothing is created or opened. -1 with `err`, which names it. */
int sink_file_check(const char *path, struct err *err);

/* Open the file ("-": standard output). -1 with `err`. */
int sink_file_open(struct sink_file *f, const char *path, struct err *err);

/* Open the path anew (it was rotated away) or another path; on failure the old file stays and -1 is returned.
 */
int sink_file_reopen(struct sink_file *f, const char *path, struct err *err);

/* Lines lost so far, because the reader was slow or gone or the disk full. From any thread. */
uint64_t sink_file_lost(struct sink_file *f);

/* After the last sink_free(). */
void sink_file_close(struct sink_file *f);

/* Both must outlive the sink. */
void sink_init(struct sink *s, struct loop *loop, struct sink_file *file);

/* Where to append a line of at most AUDIT_LINE_MAX bytes; call sink_commit() afterwards. */
struct buf *sink_lines(struct sink *s);

/* A whole line was appended: write now or soon. */
void sink_commit(struct sink *s);

/* Write what has gathered. */
void sink_flush(struct sink *s);

/* Writes what has gathered first. */
void sink_free(struct sink *s);

#endif
