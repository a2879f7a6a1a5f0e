/* SPDX-License-Identifier: Apache-2.0 */
/* A file with a secret that is shared with somebody: the key of an external account binding, of TSIG. */
#ifndef CARDEA_CERT_SECRET_FILE_H
#define CARDEA_CERT_SECRET_FILE_H

#include "base/buf.h"
#include "base/err.h"

/* Read a small secret in base64 or base64url, whichever it is, from a file that others cannot read; to be
 * given to buf_wipe(). -1 with `err`, which has nothing of it. */
int secret_file_read(const char *path, struct buf *ret, struct err *err);

#endif
