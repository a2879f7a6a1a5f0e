/* SPDX-License-Identifier: Apache-2.0 */
#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/check.h"

/* Read until the end of the file; one byte more than `max` is room enough to see that it is longer. */
static int read_all(int fd, const char *path, size_t max, struct buf *ret, struct err *err)
{
    for (;;) {
        if (ret->len > max)
            return err_set(err, "%s: larger than %zu bytes", path, max);
        if (ret->len == ret->cap && !buf_reserve(ret, 1))
            return err_set(err, "%s: out of memory", path);
        ssize_t n = read(fd, ret->data + ret->len, ret->cap - ret->len);
        if (n == 0)
            return 0;
        if (n < 0 && errno != EINTR)
            return err_errno(err, errno, "%s", path);
        if (n > 0)
            ret->len += (size_t)n;
    }
}

static int read_open(int fd, const char *path, size_t max, struct buf *ret, mode_t *ret_mode, struct err *err)
{
    struct stat st;
    if (fstat(fd, &st) < 0)
        return err_errno(err, errno, "%s", path);
    if (!S_ISREG(st.st_mode))
        return err_set(err, "%s: not a regular file", path);
    if ((uintmax_t)st.st_size > max)
        return err_set(err, "%s: larger than %zu bytes", path, max);
    /* One byte more than its size, so that the end is seen without growing (and so copying) the buffer. */
    if (!buf_reserve(ret, (size_t)st.st_size + 1))
        return err_set(err, "%s: out of memory", path);
    if (ret_mode != NULL)
        *ret_mode = st.st_mode & 07777;
    return read_all(fd, path, max, ret, err);
}

int file_read(const char *path, size_t max, struct buf *ret, mode_t *ret_mode, struct err *err)
{
    CHECK(ret->data == NULL && ret->len == 0);
    CHECK(max < SSIZE_MAX);
    /* O_NONBLOCK: a FIFO in the file's place must not stop us before we can refuse it. */
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (fd < 0)
        return err_errno(err, errno, "%s", path);
    int rc = read_open(fd, path, max, ret, ret_mode, err);
    close(fd);
    if (rc < 0)
        buf_wipe(ret);
    return rc;
}

static int write_all(int fd, const void *data, size_t len)
{
    const uint8_t *p = data;
    while (len > 0) {
        ssize_t n = write(fd, p, len);
        if (n < 0 && errno != EINTR)
            return -1;
        if (n > 0) {
            p += n;
            len -= (size_t)n;
        }
    }
    return 0;
}

/* Give the finished temporary file its name. Without `replace`, a name that is taken stays as it is. */
static int put_in_place(const char *temporary, const char *path, bool replace)
{
    if (replace)
        return rename(temporary, path);
    if (renameat2(AT_FDCWD, temporary, AT_FDCWD, path, RENAME_NOREPLACE) == 0)
        return 0;
    if (errno != EINVAL && errno != ENOSYS)
        return -1;
    /* A file system that does not know RENAME_NOREPLACE; link() never replaces either. */
    if (link(temporary, path) < 0)
        return -1;
    unlink(temporary);
    return 0;
}

/* The new name is only safe from a crash once its directory is on the disk. */
static void sync_directory_of(const char *path)
{
    char dir[PATH_MAX];
    const char *slash = strrchr(path, '/');
    int n = slash == NULL ? snprintf(dir, sizeof(dir), ".")
                          : snprintf(dir, sizeof(dir), "%.*s", (int)(slash - path) + 1, path);
    if (n < 0 || (size_t)n >= sizeof(dir))
        return;
    int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return;
    /* Some file systems cannot; the file itself is written, so there is nothing to tell. */
    (void)fsync(fd);
    close(fd);
}

static int write_file(const char *path, mode_t mode, const void *data, size_t len, bool replace,
                      struct err *err)
{
    char temporary[PATH_MAX];
    int n = snprintf(temporary, sizeof(temporary), "%s.XXXXXX", path);
    if (n < 0 || (size_t)n >= sizeof(temporary))
        return err_set(err, "%s: path too long", path);
    int fd = mkostemp(temporary, O_CLOEXEC); /* mode 0600 until all is written */
    if (fd < 0)
        return err_errno(err, errno, "%s: cannot create a temporary file beside it", path);
    int failed = write_all(fd, data, len) < 0 || fchmod(fd, mode) < 0 || fsync(fd) < 0 ? errno : 0;
    if (close(fd) < 0 && failed == 0)
        failed = errno;
    if (failed == 0 && put_in_place(temporary, path, replace) < 0)
        failed = errno;
    if (failed != 0) {
        unlink(temporary);
        if (failed == EEXIST)
            return err_set(err, "%s: exists already and is not overwritten", path);
        return err_errno(err, failed, "%s", path);
    }
    sync_directory_of(path);
    return 0;
}

int file_write_atomic(const char *path, mode_t mode, const void *data, size_t len, struct err *err)
{
    return write_file(path, mode, data, len, true, err);
}

int file_create_atomic(const char *path, mode_t mode, const void *data, size_t len, struct err *err)
{
    return write_file(path, mode, data, len, false, err);
}

int file_put_absolute(struct buf *out, const char *path)
{
    char here[PATH_MAX];
    bool relative = *path != '/';
    if (relative && getcwd(here, sizeof(here)) == NULL)
        return -1;
    CHECK(buf_printf(out, "%s%s%s", relative ? here : "", relative ? "/" : "", path));
    return 0;
}
