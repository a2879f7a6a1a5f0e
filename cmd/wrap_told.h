/* SPDX-License-Identifier: Apache-2.0 */
/* What a person who runs `cardea wrap` is told of: a line for each connection that did not end in order,
 * where nobody has asked for an audit. The audit lines come through a pipe of the process's own. */
#ifndef CARDEA_CMD_WRAP_TOLD_H
#define CARDEA_CMD_WRAP_TOLD_H

#include <stddef.h>

#include "base/buf.h"
#include "base/err.h"
#include "loop/loop.h"

struct wrap_told {
    struct loop *loop;
    struct watch watch; /* of the end that is read */
    int in, out;
    char path[32];   /* what stands for the audit file */
    struct buf text; /* that has come, and is no whole line yet */
};

/* Make the pipe. -1 with `err`. */
int wrap_told_open(struct wrap_told *t, struct err *err);

/* Print on standard error what comes; on the loop's thread, until wrap_told_end(), before the loop goes. */
void wrap_told_begin(struct wrap_told *t, struct loop *loop);
void wrap_told_end(struct wrap_told *t);

/* Print what has still come since, and close the pipe. */
void wrap_told_close(struct wrap_told *t);

/* Append text about a door in terms of the command line: keys of its configuration become options. */
void wrap_told_put(struct buf *out, const char *text, size_t len);

#endif
