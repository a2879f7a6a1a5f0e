/* SPDX-License-Identifier: Apache-2.0 */
/* A program of the user's that does one thing: it is run with some words, and is to exit with 0 once that is
 * done. What it prints is for whoever reads the error: its last line is told. On one loop, in its thread. */
#ifndef CARDEA_NET_HOOK_H
#define CARDEA_NET_HOOK_H

#include "base/err.h"
#include "base/list.h"
#include "loop/loop.h"

struct hook;

/* A copy of the words of a command (to a NULL), however many; NULL of NULL. To be freed with
 * hook_words_free(). */
char **hook_words_copy(char *const words[]);

/* NULL is allowed. */
void hook_words_free(char **words);

/* It is over: `why` is NULL where it went well; borrowed for the call. */
typedef void hook_done(void *arg, const struct err *why);

/* Run `command` (words to a NULL, the first one a path) with the words of `more` behind (to a NULL). It
 * has PATH alone in its environment, and `patience` ns. While it runs it is among `programs` (net/program.h),
 * also when it has no more time. `done` is called once, later or before this returns NULL, which it does
 * where there is nothing to cancel. */
struct hook *hook_start(struct loop *loop, struct list *programs, char *const command[],
                        const char *const more[], int64_t patience, hook_done *done, void *arg);

/* `done` is not called any more; it is killed, for nobody would hear of its end. */
void hook_cancel(struct hook *hook);

#endif
