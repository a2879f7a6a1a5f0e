/* SPDX-License-Identifier: Apache-2.0 */
#include "ech/journal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <unistd.h>

#include "base/file.h"

#define PATH_ROOM 4096

static const char *path_of(const char *folder, const char *public_name, const char *kind, char ret[PATH_ROOM])
{
    snprintf(ret, PATH_ROOM, "%s/%s.%s", folder, public_name, kind);
    return ret;
}

struct stat ech_journal_version(const char *folder, const char *public_name)
{
    char path[PATH_ROOM];
    struct stat st;
    if (stat(path_of(folder, public_name, "published", path), &st) != 0)
        return (struct stat){0};
    return st;
}

int ech_journal_read(const char *folder, const char *public_name, struct ech_records *ret, struct err *err)
{
    char path[PATH_ROOM];
    struct buf text = {0};
    struct err why;
    path_of(folder, public_name, "published", path);
    if (access(path, F_OK) != 0 && errno == ENOENT)
        return 0;
    if (file_read(path, ECH_RECORDS_TEXT_MAX, &text, NULL, err) != 0)
        return -1;
    int rc = ech_records_read((struct str){(const char *)text.data, text.len}, ret, &why);
    buf_free(&text);
    if (rc == 0)
        return 0;
    return err_set(
        err, "%s: %s; no key is removed. It says which keys DNS records have: where none has any, remove it",
        path, why.text);
}

int ech_journal_write(const char *folder, const char *public_name, const struct ech_records *p,
                      struct err *err)
{
    char path[PATH_ROOM];
    struct buf text = {0};
    ech_records_write(p, &text);
    int rc =
        file_write_atomic(path_of(folder, public_name, "published", path), 0600, text.data, text.len, err);
    buf_free(&text);
    return rc;
}

int ech_journal_lock(const char *folder, const char *public_name, struct err *err)
{
    char path[PATH_ROOM];
    path_of(folder, public_name, "lock", path);
    err->text[0] = '\0';
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0)
        return err_errno(err, errno, "%s cannot be opened", path);
    if (flock(fd, LOCK_EX | LOCK_NB) == 0)
        return fd;
    if (errno != EWOULDBLOCK)
        err_errno(err, errno, "%s cannot be locked", path);
    close(fd);
    return -1;
}
