/* SPDX-License-Identifier: Apache-2.0 */
/* Standard input and output as the one connection of a door (inetd's nowait; Accept=yes of
 * systemd.socket(5)): one socket, or a pair of pipes, files or a terminal. */
#ifndef CARDEA_SESSION_STANDARD_H
#define CARDEA_SESSION_STANDARD_H

#include <stdbool.h>

#include "base/err.h"

struct config;
struct worker;

/* The connection's descriptors; -1: not taken, or given away. */
struct standard {
    int in;
    int out; /* -1 with `in`: both are one socket */
};

#define STANDARD_NONE ((struct standard){-1, -1})

/* Does the door serve standard input and output? */
bool standard_is_served(const struct config *c);

/* Take both away from all others in this process: what is written to standard output from now on goes to
 * standard error. Where that is the client's socket too, as inetd has it, nobody gets it. -1 with `err`. */
int standard_take(struct standard *ret, struct err *err);

/* Begin the session of a worker that has no other; what `st` has is the session's then. False where the
 * limits do not allow it, or it cannot be watched (`err`). In the worker's thread. */
bool standard_begin(struct worker *w, struct standard *st, struct err *err);

/* Close what has not been given away. */
void standard_drop(struct standard *st);

#endif
