/* SPDX-License-Identifier: Apache-2.0 */
/* Where `cardea login` has a password from: the terminal, without showing it, or a file. */
#ifndef CARDEA_CMD_LOGIN_PASSWORD_H
#define CARDEA_CMD_LOGIN_PASSWORD_H

#include "base/err.h"
#include "opaque/opaque.h"

#define PASSWORD_SHORTEST 8 /* of those that are set here */

struct password {
    char text[OPAQUE_PASSWORD_MAX + 1]; /* with a NUL */
    size_t len;
};

/* Ask at the terminal, even where standard input is something else. `what` begins the question. -1 with
 * `err`. */
int password_ask(struct password *p, const char *what, struct err *err);

/* The first line of a file that nobody else can read. "-": of standard input. */
int password_read(struct password *p, const char *path, struct err *err);

void password_wipe(struct password *p);

#endif
