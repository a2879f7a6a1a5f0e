/* SPDX-License-Identifier: Apache-2.0 */
/* Edge-triggered: the link is told once of readiness and remembers it, so that no call is made to hear EAGAIN
 * and no interest is ever changed. Two epoll_ctl in a connection's life.
 *
 * `readable` goes off with EAGAIN, and with a short read while the peer has not ended: the kernel then has
 * nothing left, and the next byte makes a new edge. Once `ended` is set no edge comes any more (FIN and RST
 * make their one), so reading goes on until it has shown the end or the error. `writable` goes off with
 * EAGAIN and with a short write; the kernel makes an edge when there is room again. Both are on at first,
 * since what came before the watch began makes no edge to rely on. */
#include <errno.h>
#include <fcntl.h>
#include <linux/sock_diag.h>
#include <linux/sockios.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "link/fd_link.h"

#define SOCKET_MAGIC 0x50c4e700u

struct socket_link {
    struct link link;
    uint32_t magic;
    int error;
    struct watch watch;
    struct loop *loop;
    struct task task; /* wakes soon, frees at the end */
    bool connecting;
    bool readable;
    bool writable;
    bool unwritable; /* a write failed; what the peer said before that may still be here to read */
    bool ended;      /* the peer's FIN (or an error) is in: read on until it shows */
    bool hung_up;    /* both directions are over */
    bool shut;
};

static struct socket_link *socket_of(struct link *l)
{
    struct socket_link *s = CONTAINER_OF(l, struct socket_link, link);
    CHECK_MAGIC(s, SOCKET_MAGIC);
    return s;
}

static enum link_status broken(struct socket_link *s, int code)
{
    s->error = code;
    switch (code) {
    case ECONNREFUSED:
        return link_fail(&s->link, "connection refused");
    case ECONNRESET:
    case EPIPE:
        return link_fail(&s->link, "connection reset");
    case ETIMEDOUT:
        return link_fail(&s->link, "timed out");
    case EHOSTUNREACH:
    case ENETUNREACH:
        return link_fail(&s->link, "unreachable");
    default:
        return link_fail(&s->link, "socket error");
    }
}

/* An error has come, which who has read the peer's end would not look for: it is kept, and what came before
 * it may still be read. */
static bool has_failed(struct socket_link *s)
{
    int code = 0;
    socklen_t len = sizeof(code);
    if (s->connecting || s->link.error != NULL)
        return false;
    getsockopt(s->watch.fd, SOL_SOCKET, SO_ERROR, &code, &len);
    if (code == 0)
        return false;
    s->unwritable = true;
    broken(s, code);
    return true;
}

static void on_ready(struct watch *w, uint32_t events)
{
    struct socket_link *s = CONTAINER_OF(w, struct socket_link, watch);
    CHECK_MAGIC(s, SOCKET_MAGIC);
    bool failed = (events & EPOLLERR) && has_failed(s);
    bool before_readable = s->readable, before_writable = s->writable, before_ended = s->ended;
    if (events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR))
        s->ended = true;
    if (events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR))
        s->readable = true;
    if (events & (EPOLLOUT | EPOLLHUP | EPOLLERR))
        s->writable = true;
    /* Every new socket is reported as writable once; whoever knows that already has nothing to do. */
    bool hangs_up = (events & EPOLLHUP) && !s->hung_up;
    s->hung_up = s->hung_up || hangs_up;
    if (failed || hangs_up || s->readable != before_readable || s->writable != before_writable ||
        s->ended != before_ended)
        link_wake(&s->link);
}

static enum link_status socket_open(struct link *l)
{
    struct socket_link *s = socket_of(l);
    if (l->error != NULL)
        return LINK_ERROR;
    if (!s->connecting)
        return LINK_OK;
    if (!s->writable)
        return LINK_AGAIN;
    s->connecting = false;
    if (!s->ended)
        return LINK_OK;
    int code = 0;
    socklen_t len = sizeof(code);
    getsockopt(s->watch.fd, SOL_SOCKET, SO_ERROR, &code, &len);
    return code == 0 ? LINK_OK : broken(s, code);
}

/* May it be read from now? LINK_OK, or what to answer instead. */
static enum link_status may_read(const struct socket_link *s)
{
    if (s->link.error != NULL && !s->unwritable)
        return LINK_ERROR;
    return s->readable && !s->connecting ? LINK_OK : LINK_AGAIN;
}

/* A read gave no bytes: n is 0, or -1 with errno. */
static enum link_status read_nothing(struct socket_link *s, ssize_t n)
{
    if (n == 0) /* the kernel tells an error once, then EOF */
        return s->link.error != NULL ? LINK_ERROR : LINK_EOF;
    if (errno != EAGAIN) {
        s->unwritable = false;
        return broken(s, errno);
    }
    s->readable = false;
    return LINK_AGAIN;
}

static enum link_status socket_read(struct link *l, void *buf, size_t cap, size_t *ret_n)
{
    struct socket_link *s = socket_of(l);
    enum link_status may = may_read(s);
    if (may != LINK_OK)
        return may;
    ssize_t n;
    do
        n = recv(s->watch.fd, buf, cap, 0);
    while (n < 0 && errno == EINTR);
    if (n <= 0)
        return read_nothing(s, n);
    if ((size_t)n < cap && !s->ended)
        s->readable = false; /* drained: the next byte makes a new edge */
    *ret_n = (size_t)n;
    return LINK_OK;
}

/* It stays readable, whatever comes of it. A short read shows nothing, since the pipe has room for so many
 * pieces, not bytes; and EAGAIN is also what splice(2) says before a byte of urgent data, which recv(2)
 * passes over. */
static enum link_status socket_splice_read(struct link *l, int kernel_pipe, size_t cap, size_t *ret_n)
{
    struct socket_link *s = socket_of(l);
    enum link_status may = may_read(s);
    if (may != LINK_OK)
        return may;
    ssize_t n;
    do
        n = splice(s->watch.fd, NULL, kernel_pipe, NULL, cap, SPLICE_F_NONBLOCK);
    while (n < 0 && errno == EINTR);
    if (n < 0 && errno == EAGAIN)
        return LINK_AGAIN;
    if (n <= 0)
        return read_nothing(s, n);
    *ret_n = (size_t)n;
    return LINK_OK;
}

static enum link_status may_write(const struct socket_link *s)
{
    CHECK(!s->shut);
    if (s->link.error != NULL)
        return LINK_ERROR;
    return s->writable && !s->connecting ? LINK_OK : LINK_AGAIN;
}

/* A write took nothing: errno says why. */
static enum link_status write_nothing(struct socket_link *s)
{
    if (errno != EAGAIN) {
        s->unwritable = s->readable = true; /* its event may be behind this one */
        return broken(s, errno);
    }
    s->writable = false;
    return LINK_AGAIN;
}

static enum link_status socket_write(struct link *l, const void *buf, size_t len, size_t *ret_n)
{
    struct socket_link *s = socket_of(l);
    enum link_status may = may_write(s);
    if (may != LINK_OK)
        return may;
    ssize_t n;
    do
        n = send(s->watch.fd, buf, len, MSG_NOSIGNAL | (l->more ? MSG_MORE : 0));
    while (n < 0 && errno == EINTR);
    if (n < 0)
        return write_nothing(s);
    if ((size_t)n < len)
        s->writable = false;
    *ret_n = (size_t)n;
    return LINK_OK;
}

static enum link_status socket_splice_write(struct link *l, int kernel_pipe, size_t len, size_t *ret_n)
{
    struct socket_link *s = socket_of(l);
    enum link_status may = may_write(s);
    if (may != LINK_OK)
        return may;
    unsigned flags = SPLICE_F_NONBLOCK | (l->more ? SPLICE_F_MORE : 0);
    ssize_t n;
    do
        n = splice(kernel_pipe, NULL, s->watch.fd, NULL, len, flags);
    while (n < 0 && errno == EINTR);
    if (n < 0)
        return write_nothing(s);
    *ret_n = (size_t)n;
    return LINK_OK;
}

/* TCP counts what it has queued, unix sockets what they have handed over; each with what it takes to keep it,
 * which for small segments is as much again. */
static size_t socket_splice_room(const struct link *l)
{
    uint32_t memory[SK_MEMINFO_VARS] = {0};
    socklen_t len = sizeof(memory);
    if (getsockopt(l->ops->socket(l), SOL_SOCKET, SO_MEMINFO, memory, &len) != 0)
        return 0;
    uint32_t used = MAX(memory[SK_MEMINFO_WMEM_QUEUED], memory[SK_MEMINFO_WMEM_ALLOC]);
    uint32_t all = memory[SK_MEMINFO_SNDBUF];
    return all > used ? (all - used) / 2 : 0;
}

static enum link_status socket_shutdown(struct link *l, bool closing)
{
    struct socket_link *s = socket_of(l);
    if (s->connecting)
        return LINK_AGAIN;
    if (!s->shut && !closing) {
        s->shut = true;
        if (shutdown(s->watch.fd, SHUT_WR) != 0 && errno != ENOTCONN)
            return broken(s, errno);
    }
    return LINK_OK;
}

static void socket_free(struct task *t)
{
    struct socket_link *s = CONTAINER_OF(t, struct socket_link, task);
    s->magic = 0;
    free(s);
}

static void socket_close(struct link *l, bool abort)
{
    struct socket_link *s = socket_of(l);
    int unsent = 0;
    if (abort && l->keep_written)
        ioctl(s->watch.fd, SIOCOUTQ, &unsent);
    if (abort && unsent == 0) {
        struct linger reset = {.l_onoff = 1, .l_linger = 0};
        setsockopt(s->watch.fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
    }
    loop_close(s->loop, &s->watch);
    l->wake = NULL;
    s->task.run = socket_free; /* an event of this round may still name the watch */
    loop_defer(s->loop, &s->task);
}

static void socket_leave(struct link *l)
{
    struct socket_link *s = socket_of(l);
    int fd = s->watch.fd;
    loop_unwatch(s->loop, &s->watch);
    s->watch.fd = fd;
}

static bool socket_enter(struct link *l, const struct link_home *home)
{
    struct socket_link *s = socket_of(l);
    int fd = s->watch.fd;
    s->loop = home->loop;
    s->readable = s->writable = true; /* what was missed makes no edge */
    if (loop_watch(s->loop, &s->watch, fd, EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, on_ready) == 0)
        return true;
    s->watch.fd = fd;
    return false;
}

static int socket_socket(const struct link *l)
{
    const struct socket_link *s = (const struct socket_link *)(const void *)l;
    return s->watch.fd;
}

static const struct link_ops socket_ops = {
    .name = "socket",
    .open = socket_open,
    .read = socket_read,
    .write = socket_write,
    .shutdown = socket_shutdown,
    .close = socket_close,
    .splice_read = socket_splice_read,
    .splice_write = socket_splice_write,
    .splice_room = socket_splice_room,
    .socket = socket_socket,
    .leave = socket_leave,
    .enter = socket_enter,
};

struct link *fd_link_socket(struct loop *loop, int fd, bool connecting)
{
    struct socket_link *s = calloc(1, sizeof(*s));
    if (s == NULL)
        return NULL;
    s->link.ops = &socket_ops;
    s->magic = SOCKET_MAGIC;
    s->loop = loop;
    s->connecting = connecting;
    s->readable = s->writable = !connecting;
    task_init(&s->task, socket_free);
    if (loop_watch(loop, &s->watch, fd, EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, on_ready) != 0) {
        free(s);
        return NULL;
    }
    return &s->link;
}

int fd_link_errno(const struct link *l)
{
    if (l->ops != &socket_ops)
        return 0;
    const struct socket_link *s = (const struct socket_link *)(const void *)l;
    return s->error;
}
