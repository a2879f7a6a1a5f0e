/* SPDX-License-Identifier: Apache-2.0 */
/* The question whether a name is permitted, to somebody else: GET URL?domain=NAME, where 200 is a yes, or a
 * program, where exit status 0 is. On one loop, without blocking. */
#ifndef CARDEA_KEEPER_ASK_HOOK_H
#define CARDEA_KEEPER_ASK_HOOK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

struct ask_call;
struct config_ask;
struct fetcher;
struct list;
struct loop;
struct task;

/* How many are being asked about, of all hooks that share it: a program until nothing is left of it, also
 * where its answer has come too late. */
struct ask_crowd {
    size_t under_way;
    struct task *room; /* deferred when there is one less */
};

struct ask_hook {
    struct loop *loop;
    struct fetcher *fetcher; /* borrowed; not needed for a program */
    char *url;               /* or NULL: */
    char **program;          /* its words, to a NULL */
    int64_t timeout;         /* ns */
    struct list *programs;   /* borrowed: those that run (net/program.h) */
    struct ask_crowd *crowd; /* borrowed; outlives them */
};

enum ask_answer {
    ASK_YES,
    ASK_NO,
    ASK_FAILED, /* there was no answer in time, or the program could not be run or was killed */
};

/* `err` says why not; for ASK_YES it is NULL. */
typedef void ask_done(void *arg, enum ask_answer answer, const struct err *err);

/* A copy of what the configuration says; `loop`, `fetcher`, `programs` and `crowd` are the caller's to add.
 */
void ask_hook_init(struct ask_hook *h, const struct config_ask *from, int64_t timeout);
void ask_hook_done(struct ask_hook *h);

/* Ask about a host name in lower case. `done` is called once, later, from the loop; not after
 * ask_hook_cancel(). NULL with `err`: it could not even be asked. */
struct ask_call *ask_hook_start(const struct ask_hook *h, const char *name, ask_done *done, void *arg,
                                struct err *err);

/* Nobody wants to know any more: a program is killed. */
void ask_hook_cancel(struct ask_call *c);

#endif
