/* SPDX-License-Identifier: Apache-2.0 */
/* The passphrase of an authority out of a file. */
#include <string.h>

#include "base/check.h"
#include "base/file.h"
#include "ca/authority_internal.h"
#include "cert/pem.h"

#define PASSPHRASE_MAX 4096

/* Its first line. */
static int read_passphrase(const char *path, struct buf *ret, struct err *err)
{
    mode_t mode;
    if (file_read(path, PASSPHRASE_MAX, ret, &mode, err) < 0)
        return -1;
    if (!pem_key_is_kept(mode))
        return err_set(err, "%s holds a passphrase, and others may read it (mode %04o): make it 0600", path,
                       (unsigned)mode);
    const uint8_t *end = memchr(ret->data, '\n', ret->len);
    if (end != NULL)
        ret->len = (size_t)(end - ret->data);
    return 0;
}

int authority_unlock_by_file(struct authority *a, const char *passphrase_file, struct err *err)
{
    struct buf passphrase = {0};
    CHECK_MAGIC(a, AUTHORITY_MAGIC);
    if (authority_is_locked(a) && passphrase_file == NULL)
        return err_set(
            err, "the keys in %s are encrypted: ca.passphrase_file has to name the file with the passphrase",
            a->dir);
    int rc = passphrase_file != NULL ? read_passphrase(passphrase_file, &passphrase, err) : 0;
    if (rc == 0)
        rc = authority_unlock(
            a, &(struct key_secrets){.passphrase = {(const char *)passphrase.data, passphrase.len}}, err);
    buf_wipe(&passphrase);
    return rc;
}
