/* SPDX-License-Identifier: Apache-2.0 */
#include "keeper/staple_file.h"

#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "cert/ocsp.h"

static bool put_path(const char *folder, const char *name, struct buf *ret)
{
    return folder != NULL && buf_printf(ret, "%s/%s", folder, name);
}

void staple_file_keep(const char *folder, const char *name, struct str response)
{
    struct buf path = {0};
    if (put_path(folder, name, &path) && (mkdir(folder, 0700) == 0 || errno == EEXIST))
        file_write_atomic(buf_text(&path), 0600, response.p, response.len, NULL);
    buf_free(&path);
}

void staple_file_forget(const char *folder, const char *name)
{
    struct buf path = {0};
    if (put_path(folder, name, &path))
        unlink(buf_text(&path));
    buf_free(&path);
}

void staple_file_recall(const char *folder, const char *name, struct buf *ret)
{
    struct buf path = {0};
    if (put_path(folder, name, &path))
        file_read(buf_text(&path), OCSP_ANSWER_MAX, ret, NULL, NULL);
    buf_free(&path);
}
