/* SPDX-License-Identifier: Apache-2.0 */
/* Words for a shell, in commands that we print. */
#ifndef CARDEA_CMD_SHELL_H
#define CARDEA_CMD_SHELL_H

#include "base/buf.h"

/* Append a word so that a shell reads it as it is: bare where it can be, else in single quotes. */
void shell_put_word(struct buf *b, const char *word);

#endif
