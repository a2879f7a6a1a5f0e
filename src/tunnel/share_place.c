/* SPDX-License-Identifier: Apache-2.0 */
#include "tunnel/share_place.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/check.h"
#include "base/hash.h"
#include "net/socket.h"

/* It was there, or we have just made it: look at what is there now, and follow no link. */
static int check_directory(const char *path, struct err *err)
{
    struct stat st;
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &st) != 0) {
        err_errno(err, errno, "%s", path);
        if (fd >= 0)
            close(fd);
        return -1;
    }
    close(fd);
    if (st.st_uid != geteuid() || (st.st_mode & 077) != 0)
        return err_set(
            err, "%s is not a directory of this user's alone (found owner %u, mode %03o; expected %u, 700)",
            path, (unsigned)st.st_uid, (unsigned)st.st_mode & 0777, (unsigned)geteuid());
    return 0;
}

int share_place_directory(bool make, char ret[SHARE_PATH_MAX], struct err *err)
{
    const char *dir = getenv("XDG_RUNTIME_DIR");
    /* An absolute path, says the XDG Base Directory Specification; anything else is ignored. */
    int n = dir != NULL && *dir == '/' ? snprintf(ret, SHARE_PATH_MAX, "%s/cardea", dir)
                                       : snprintf(ret, SHARE_PATH_MAX, "/tmp/cardea-%u", (unsigned)geteuid());
    if (n < 0 || n >= SHARE_PATH_MAX)
        return err_set(err, "XDG_RUNTIME_DIR is too long for sockets");
    if (make && mkdir(ret, 0700) != 0 && errno != EEXIST)
        return err_errno(err, errno, "%s", ret);
    return check_directory(ret, err);
}

static bool put(struct buf *b, const char *text)
{
    return buf_append(b, text == NULL ? "" : text, text == NULL ? 1 : strlen(text) + 1);
}

#define NAME_MAX_HEX 17

/* 64 bits are enough, and short: nobody but the user himself chooses what goes in. */
static bool hash(const struct client_settings *s, char ret[NAME_MAX_HEX])
{
    static const struct hash_key key = {1, 2};
    struct buf b = {0};
    const uint8_t kinds[] = {(uint8_t)s->transport, (uint8_t)s->pq};
    bool ok = put(&b, CARDEA_VERSION) && put(&b, s->door) && put(&b, s->name) && put(&b, s->cert) &&
              put(&b, s->key) && put(&b, s->ca) && put(&b, s->ech) && put(&b, s->doh.url) &&
              put(&b, s->doh.ca) && put(&b, s->doh.proxy) && put(&b, s->doh.configs) &&
              buf_append(&b, kinds, sizeof(kinds));
    if (ok)
        snprintf(ret, NAME_MAX_HEX, "%016llx", (unsigned long long)hash_bytes(&key, b.data, b.len));
    buf_free(&b);
    return ok;
}

int share_place(const struct client_settings *settings, char ret[SHARE_PATH_MAX], struct err *err)
{
    char dir[SHARE_PATH_MAX], name[NAME_MAX_HEX];
    if (share_place_directory(true, dir, err) != 0)
        return -1;
    CHECK(hash(settings, name));
    int n = snprintf(ret, SHARE_PATH_MAX, "%s/%s.sock", dir, name);
    return n > 0 && n < SHARE_PATH_MAX ? 0 : err_set(err, "%s is too long for sockets", dir);
}

bool share_place_is_ours(int fd)
{
    struct ucred peer;
    socklen_t len = sizeof(peer);
    return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) == 0 && peer.uid == geteuid();
}

int share_place_connect(const char *path)
{
    int fd = socket_connect_unix(path);
    if (fd < 0 || share_place_is_ours(fd))
        return fd;
    close(fd);
    errno = EACCES;
    return -1;
}

int share_place_lock(const char *path)
{
    char lock[SHARE_PATH_MAX + 8];
    snprintf(lock, sizeof(lock), "%s.lock", path);
    int fd = open(lock, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0)
        return -1;
    while (flock(fd, LOCK_EX) != 0)
        if (errno != EINTR) {
            close(fd);
            return -1;
        }
    return fd;
}
