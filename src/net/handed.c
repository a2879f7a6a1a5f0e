/* SPDX-License-Identifier: Apache-2.0 */
#include "net/handed.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/str.h"

#define FIRST 3 /* SD_LISTEN_FDS_START */

size_t handed_count(void)
{
    const char *pid = getenv("LISTEN_PID"), *fds = getenv("LISTEN_FDS");
    uint64_t number, count;
    if (pid == NULL || fds == NULL || !str_u64(pid, INT32_MAX, &number) || number != (uint64_t)getpid() ||
        !str_u64(fds, HANDED_MAX, &count))
        return 0;
    for (int fd = FIRST; fd < FIRST + (int)count; fd++) {
        int flags = fcntl(fd, F_GETFL);
        fcntl(fd, F_SETFD, FD_CLOEXEC);
        if (flags >= 0 && (flags & O_NONBLOCK) == 0)
            fcntl(fd, F_SETFL, flags | O_NONBLOCK);
    }
    return (size_t)count;
}

/* The name of the socket at that place; systemd calls those "unknown" for which the unit gives none. */
static struct str name_at(size_t index)
{
    const char *names = getenv("LISTEN_FDNAMES");
    while (names != NULL && index > 0) {
        names = strchr(names, ':');
        names = names == NULL ? NULL : names + 1;
        index--;
    }
    return names == NULL || *names == '\0' ? (struct str){"unknown", strlen("unknown")}
                                           : (struct str){names, strcspn(names, ":")};
}

static int option_of(int fd, int option)
{
    int value = -1;
    socklen_t len = sizeof(value);
    return getsockopt(fd, SOL_SOCKET, option, &value, &len) == 0 ? value : -1;
}

/* Put the socket where it belongs; else say what is wrong with it. */
static const char *sort(int fd, struct handed *ret)
{
    int type = option_of(fd, SO_TYPE), family = option_of(fd, SO_DOMAIN);
    if (type == SOCK_STREAM && option_of(fd, SO_ACCEPTCONN) == 1) {
        ret->stream[ret->streams++] = fd;
        return NULL;
    }
    if (type == SOCK_DGRAM && (family == AF_INET || family == AF_INET6) && ret->datagram < 0) {
        ret->datagram = fd;
        return NULL;
    }
    if (type == SOCK_STREAM)
        return "a stream socket that does not listen; expected one that does (ListenStream=, and Accept=no)";
    if (type == SOCK_DGRAM && ret->datagram >= 0)
        return "a second datagram socket; expected one at most, for QUIC";
    return type < 0 ? "no socket; expected ListenStream= in the socket unit"
                    : "neither a stream socket nor a datagram socket of IP; expected ListenStream=";
}

/* The error for a name that nothing is handed over under. */
static int nothing_named(const char *name, size_t count, struct err *err)
{
    struct buf names = {0};
    if (count == 0)
        return err_set(err,
                       "systemd has handed no sockets to this process (LISTEN_FDS, LISTEN_PID); expected one "
                       "named %s: start the socket unit, whose service this is",
                       name);
    for (size_t i = 0; i < count; i++) {
        struct str s = name_at(i);
        buf_printf(&names, "%s%.*s", i > 0 ? ", " : "", (int)s.len, s.p);
    }
    err_set(err, "found sockets named %s, expected one named %s: FileDescriptorName= in the socket unit",
            buf_text(&names), name);
    buf_free(&names);
    return -1;
}

int handed_find(const char *name, struct handed *ret, struct err *err)
{
    size_t count = handed_count();
    *ret = (struct handed){.datagram = -1};
    for (size_t i = 0; i < count; i++) {
        struct str found = name_at(i);
        if (found.len != strlen(name) || memcmp(found.p, name, found.len) != 0)
            continue;
        const char *fault = sort(FIRST + (int)i, ret);
        if (fault != NULL)
            return err_set(err, "descriptor %d, which systemd calls %s, is %s", FIRST + (int)i, name, fault);
    }
    if (ret->streams > 0)
        return 0;
    if (ret->datagram >= 0)
        return err_set(err, "systemd calls only a datagram socket %s; expected a stream socket beside it",
                       name);
    return nothing_named(name, count, err);
}
