/* SPDX-License-Identifier: Apache-2.0 */
/* Where it is kept which keys DNS records hold (ech/records.h): FOLDER/PUBLIC_NAME.published, beside the
 * keys, for all doors that share them. Anyone of them may read; who changes it locks it first. */
#ifndef CARDEA_ECH_JOURNAL_H
#define CARDEA_ECH_JOURNAL_H

#include <sys/stat.h>

#include "ech/records.h"

/* Read it; no file is an empty one. `ret` is empty. -1 with `err`, and `ret` is empty still. */
int ech_journal_read(const char *folder, const char *public_name, struct ech_records *ret, struct err *err);

/* Which version of the file is there: equal ones need not be read again. Zeroed where there is none. */
struct stat ech_journal_version(const char *folder, const char *public_name);

/* Replace it. -1 with `err`. */
int ech_journal_write(const char *folder, const char *public_name, const struct ech_records *p,
                      struct err *err);

/* Lock it against other doors. A descriptor; closing it, or the end of the process, unlocks. -1 with `err`,
 * or with err->text "" where another door has it. */
int ech_journal_lock(const char *folder, const char *public_name, struct err *err);

#endif
