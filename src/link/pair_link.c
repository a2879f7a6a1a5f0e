/* SPDX-License-Identifier: Apache-2.0 */
/* Standard input and output as one link. A regular file can't be watched (epoll says EPERM); it is always
 * ready.
 *
 * O_NONBLOCK belongs to the open file, which other programs on the same terminal share: it is put back when
 * the link is closed. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "link/fd_link.h"

#define PAIR_MAGIC 0x9a171400u

struct end {
    struct watch watch;
    int fd;
    int old_flags; /* as they were before O_NONBLOCK */
    bool always_ready;
    bool ready;
};

struct pair_link {
    struct link link;
    uint32_t magic;
    struct loop *loop;
    struct end in, out;
    bool out_closed;
    struct task free_later;
};

static struct pair_link *pair_of(struct link *l)
{
    struct pair_link *p = CONTAINER_OF(l, struct pair_link, link);
    CHECK_MAGIC(p, PAIR_MAGIC);
    return p;
}

static void in_ready(struct watch *w, uint32_t events)
{
    (void)events;
    struct pair_link *p = CONTAINER_OF(w, struct pair_link, in.watch);
    p->in.ready = true;
    link_wake(&p->link);
}

static void out_ready(struct watch *w, uint32_t events)
{
    (void)events;
    struct pair_link *p = CONTAINER_OF(w, struct pair_link, out.watch);
    p->out.ready = true;
    link_wake(&p->link);
}

static enum link_status pair_open(struct link *l)
{
    (void)l;
    return LINK_OK;
}

static enum link_status pair_read(struct link *l, void *buf, size_t cap, size_t *ret_n)
{
    struct pair_link *p = pair_of(l);
    if (!p->in.ready)
        return LINK_AGAIN;
    ssize_t n;
    do
        n = read(p->in.fd, buf, cap);
    while (n < 0 && errno == EINTR);
    if (n > 0) {
        *ret_n = (size_t)n;
        return LINK_OK;
    }
    if (n == 0)
        return LINK_EOF;
    if (errno != EAGAIN)
        return link_fail(l, "cannot read standard input");
    p->in.ready = p->in.always_ready;
    return LINK_AGAIN;
}

static enum link_status pair_write(struct link *l, const void *buf, size_t len, size_t *ret_n)
{
    struct pair_link *p = pair_of(l);
    if (p->out_closed)
        return link_fail(l, "standard output is closed");
    if (!p->out.ready)
        return LINK_AGAIN;
    ssize_t n;
    do
        n = write(p->out.fd, buf, len);
    while (n < 0 && errno == EINTR);
    if (n >= 0) {
        *ret_n = (size_t)n;
        return LINK_OK;
    }
    if (errno != EAGAIN)
        return link_fail(l, "cannot write standard output");
    p->out.ready = p->out.always_ready;
    return LINK_AGAIN;
}

static void end_restore(struct loop *loop, struct end *e)
{
    loop_unwatch(loop, &e->watch);
    if (e->old_flags >= 0)
        fcntl(e->fd, F_SETFL, e->old_flags);
    e->old_flags = -1;
}

static enum link_status pair_shutdown(struct link *l, bool closing)
{
    (void)closing; /* close leaves the descriptors to the process */
    struct pair_link *p = pair_of(l);
    if (!p->out_closed)
        shutdown(p->out.fd, SHUT_WR); /* both may be one socket, as OpenSSH gives its ProxyCommand */
    if (!p->out_closed && p->out.fd != p->in.fd) {
        end_restore(p->loop, &p->out);
        close(p->out.fd);
    }
    p->out_closed = true;
    return LINK_OK;
}

static void pair_free(struct task *t)
{
    free(CONTAINER_OF(t, struct pair_link, free_later));
}

static void pair_close(struct link *l, bool abort)
{
    (void)abort;
    struct pair_link *p = pair_of(l);
    if (!p->out_closed)
        end_restore(p->loop, &p->out);
    end_restore(p->loop, &p->in);
    p->magic = 0;
    loop_defer(p->loop, &p->free_later);
}

static const struct link_ops pair_ops = {
    .name = "standard input and output",
    .open = pair_open,
    .read = pair_read,
    .write = pair_write,
    .shutdown = pair_shutdown,
    .close = pair_close,
};

static int end_init(struct end *e, struct loop *loop, int fd, uint32_t events,
                    void (*ready)(struct watch *, uint32_t), struct err *err)
{
    e->fd = fd;
    e->ready = true;
    e->watch.fd = -1;
    e->old_flags = fcntl(fd, F_GETFL);
    if (e->old_flags < 0)
        return err_errno(err, errno, "descriptor %d", fd);
    if (loop_watch(loop, &e->watch, fd, events | EPOLLET, ready) != 0) {
        if (errno != EPERM && errno != EEXIST)
            return err_errno(err, errno, "cannot watch descriptor %d", fd);
        e->always_ready = true;
    }
    if (!e->always_ready)
        fcntl(fd, F_SETFL, e->old_flags | O_NONBLOCK);
    return 0;
}

struct link *fd_link_pair(struct loop *loop, int in, int out, struct err *err)
{
    struct pair_link *p = calloc(1, sizeof(*p));
    CHECK(p != NULL);
    p->link.ops = &pair_ops;
    p->magic = PAIR_MAGIC;
    p->loop = loop;
    task_init(&p->free_later, pair_free);
    if (end_init(&p->in, loop, in, EPOLLIN | EPOLLRDHUP, in_ready, err) != 0) {
        free(p);
        return NULL;
    }
    if (end_init(&p->out, loop, out, EPOLLOUT, out_ready, err) != 0) {
        end_restore(loop, &p->in);
        free(p);
        return NULL;
    }
    return &p->link;
}
