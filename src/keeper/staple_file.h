/* SPDX-License-Identifier: Apache-2.0 */
/* Staples in a folder, one file each, for the next start. Not being able to keep one costs no more than a
 * question to the responder then, so nothing here fails. A NULL folder keeps nothing. */
#ifndef CARDEA_KEEPER_STAPLE_FILE_H
#define CARDEA_KEEPER_STAPLE_FILE_H

#include "base/buf.h"
#include "base/str.h"

/* In place of what is there, whole or not at all; the folder is made where it is missing. */
void staple_file_keep(const char *folder, const char *name, struct str response);

void staple_file_forget(const char *folder, const char *name);

/* Append what is there. */
void staple_file_recall(const char *folder, const char *name, struct buf *ret);

#endif
