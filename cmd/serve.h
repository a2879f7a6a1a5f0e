/* SPDX-License-Identifier: Apache-2.0 */
/* Running a door in the foreground: shared by `serve` and `quickstart`. */
#ifndef CARDEA_CMD_SERVE_H
#define CARDEA_CMD_SERVE_H

#include "base/str.h"
#include "loop/loop.h"

/* What the caller wants to do besides, on the control thread. Each may be NULL. */
struct serve_hooks {
    struct str text;                             /* p not NULL: the configuration, instead of a file */
    void (*told)(void *arg, const char *lines);  /* print errors and warnings of it in the caller's words */
    void (*ready)(void *arg, struct loop *loop); /* connections are accepted from now on */
    void (*stopping)(void *arg);                 /* the door has stopped; the loop is about to go */
    void *arg;
};

/* Serve under the configuration at `config_path` (or of that name, where `hooks` has its text) until SIGTERM
 * or SIGINT; SIGHUP reloads. Prints what goes wrong. Returns the exit status: 0 stopped as asked, 1 could not
 * serve. */
int serve_run(const char *config_path, const struct serve_hooks *hooks);

/* Lend what a door is made with to somebody who makes none: returns what `use` returns. */
struct door_bindings;
int serve_lend(int (*use)(const struct door_bindings *bindings, void *arg), void *arg);

#endif
