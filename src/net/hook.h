/* SPDX-License-Identifier: Apache-2.0 */
/* A program of the user's that does one thing: it is run with some words, and is to exit with 0 once that is
 * done. What it prints is for whoever reads the error: its last line is told. On one loop, in its thread. */
#ifndef CARDEA_NET_HOOK_H
#define CARDEA_NET_HOOK_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/list.h"
#include "loop/loop.h"

struct hook;

/* A copy of the words of a command (to a NULL), however many; NULL of NULL. To be freed with
 * hook_words_free(). */
char **hook_words_copy(char *const words[]);

/* NULL is allowed. */
void hook_words_free(char **words);

enum hook_end {
    HOOK_DONE,
    HOOK_REFUSED, /* it exited with another status */
    HOOK_KILLED,  /* by a signal */
    HOOK_LATE,    /* it had no more time */
};

/* It is over: `why` is NULL where it went well; borrowed for the call. */
typedef void hook_done(void *arg, enum hook_end end, const struct err *why);

struct hook_wish {
    struct loop *loop;
    struct list *programs; /* while it runs it is among them (net/program.h), also when it has no more time */
    char *const *command;  /* words to a NULL, the first one a path */
    const char *const *more; /* ... and those behind, to a NULL */
    int64_t patience;        /* ns */
    bool mute;               /* what it prints is not told */
    hook_done *done;
    void (*gone)(void *arg); /* nothing is left of it, after hook_cancel() as well; or NULL */
    void *arg;
};

/* Run it, with PATH alone in its environment. Of the wish nothing is kept but `loop` and `programs`. `done`
 * is called once, later. NULL with `err`: it could not be run. */
struct hook *hook_start(const struct hook_wish *wish, struct err *err);

/* `done` is not called any more. The program is told to end (SIGTERM) and may finish what it does, as
 * program_leave() has it; it stays among the programs until it is gone. */
void hook_cancel(struct hook *hook);

/* `done` is not called any more, and the program is killed: it is gone when this returns. */
void hook_kill(struct hook *hook);

#endif
