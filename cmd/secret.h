/* SPDX-License-Identifier: Apache-2.0 */
/* Where commands have a password, a passphrase or a code from: the terminal, without showing it, or a file.
 * Never the command line, which others can read. */
#ifndef CARDEA_CMD_SECRET_H
#define CARDEA_CMD_SECRET_H

#include <stddef.h>

#include "base/err.h"
#include "base/str.h"

#define SECRET_MAX 1024

struct secret {
    char text[SECRET_MAX + 1]; /* with a NUL, and none before it */
    size_t len;
};

/* What is asked for. */
struct secret_kind {
    const char *noun; /* "password", for error texts */
    const char
        *otherwise; /* how it can be given where there is no terminal: "--password-file names a file" */
};

/* Ask at the terminal, even where standard input is something else. `prompt` is the question, to which ": "
 * is added. -1 with `err`. */
int secret_ask(struct secret *s, const struct secret_kind *kind, const char *prompt, struct err *err);

/* The same for one that is new: twice, since nobody sees what is typed. */
int secret_ask_new(struct secret *s, const struct secret_kind *kind, const char *prompt, struct err *err);

/* The first line of a file that nobody else can read. "-": of standard input. */
int secret_read(struct secret *s, const struct secret_kind *kind, const char *path, struct err *err);

struct str secret_text(const struct secret *s);

void secret_wipe(struct secret *s);

#endif
