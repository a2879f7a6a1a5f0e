/* SPDX-License-Identifier: Apache-2.0 */
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/check.h"
#include "net/socket.h"

struct socket_file {
    _Atomic unsigned refs;
    dev_t dev;
    ino_t ino; /* 0: it was gone already */
    char path[];
};

struct socket_file *socket_file_new(const char *path)
{
    struct stat st;
    size_t len = strlen(path);
    struct socket_file *f = calloc(1, sizeof(*f) + len + 1);
    CHECK(f != NULL);
    atomic_store(&f->refs, 1);
    memcpy(f->path, path, len);
    if (stat(path, &st) == 0) {
        f->dev = st.st_dev;
        f->ino = st.st_ino;
    }
    return f;
}

struct socket_file *socket_file_ref(struct socket_file *f)
{
    atomic_fetch_add(&f->refs, 1);
    return f;
}

void socket_file_unref(struct socket_file *f)
{
    struct stat st;
    if (f == NULL || atomic_fetch_sub(&f->refs, 1) > 1)
        return;
    if (stat(f->path, &st) == 0 && st.st_dev == f->dev && st.st_ino == f->ino)
        unlink(f->path);
    free(f);
}
