/* SPDX-License-Identifier: Apache-2.0 */
/* Whole small files: read with a bound, written so that a reader or a crash never sees half of one. */
#ifndef CARDEA_BASE_FILE_H
#define CARDEA_BASE_FILE_H

#include <stddef.h>
#include <sys/types.h>

#include "base/buf.h"
#include "base/err.h"

/* Read the whole of a regular file into `ret`, which must be empty. The buffer is allocated once, so a caller
 * that reads a secret needs to wipe only ret->data. Refused: more than `max` bytes, and what is not a regular
 * file (symbolic links are followed). `ret_mode`, when not NULL, gets the permission bits of the very file
 * that was read. -1 with `err` naming the path; `ret` is empty then. */
int file_read(const char *path, size_t max, struct buf *ret, mode_t *ret_mode, struct err *err);

/* Write `path` with permission bits `mode` (whatever the umask), replacing what is there: a temporary file in
 * the same directory, fsync, rename, fsync of the directory. -1 with `err` naming the path; the old file is
 * then untouched. */
int file_write_atomic(const char *path, mode_t mode, const void *data, size_t len, struct err *err);

/* The same, but when something exists at `path` it stays as it is and this fails: for private keys. */
int file_create_atomic(const char *path, mode_t mode, const void *data, size_t len, struct err *err);

/* Append `path` as it holds wherever one is; links are not followed, so that what they name can change. -1
 * with errno where it is not known where we are; nothing is appended then. */
int file_put_absolute(struct buf *out, const char *path);

#endif
