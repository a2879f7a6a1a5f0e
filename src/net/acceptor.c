/* SPDX-License-Identifier: Apache-2.0 */
/* Listeners are watched level-triggered: what is left in the queue after ACCEPTS_PER_ROUND makes an event in
 * the next round, so a flood of new connections takes turns with those that are being served.
 *
 * A process without descriptors cannot accept, and the kernel would report the listener ready for ever. The
 * reserved descriptor lets one client be taken and closed, which sees an end instead of silence; then the
 * listener pauses for RETRY_NS. A client that has gone again costs nothing but its turn. */
#include "net/acceptor.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"
#include "net/socket.h"

#define ACCEPTS_PER_ROUND 64
#define DRAIN_MAX 8192 /* more than the backlog holds */
#define RETRY_NS (100 * NSEC_PER_MSEC)

/* No descriptor is left: free the reserved one, take the client with it, and let it go. */
static void turn_away(struct acceptor *a, int error)
{
    if (a->reserve < 0)
        a->reserve = open("/dev/null", O_RDONLY | O_CLOEXEC);
    if (a->reserve >= 0) {
        close(a->reserve);
        int fd = accept4(a->watch.fd, NULL, NULL, SOCK_CLOEXEC);
        if (fd >= 0)
            close(fd);
        a->reserve = open("/dev/null", O_RDONLY | O_CLOEXEC);
    }
    a->refused(a, error);
}

/* One connection; false when there is none, or none to be had for now. */
static bool accept_one(struct acceptor *a)
{
    struct sockaddr_storage sa;
    socklen_t len = sizeof(sa);
    sa.ss_family = AF_UNSPEC;
    int fd = accept4(a->watch.fd, (struct sockaddr *)&sa, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd >= 0) {
        struct net_addr peer = sa.ss_family == AF_UNIX ? socket_peer(fd) : net_addr_from(&sa);
        a->accepted(a, fd, &peer);
        return true;
    }
    switch (errno) {
    case EAGAIN:
        return false;
    case EMFILE:
    case ENFILE:
    case ENOBUFS:
    case ENOMEM: {
        int error = errno;
        turn_away(a, error);
        acceptor_pause(a);
        loop_set_timer(a->loop, &a->retry, loop_now(a->loop) + RETRY_NS);
        return false;
    }
    case ECONNABORTED: /* the client has gone again, or one of the network errors that accept(2) passes on */
    case EINTR:
    case EPERM:
    case EPROTO:
    case ENETDOWN:
    case ENETUNREACH:
    case EHOSTDOWN:
    case EHOSTUNREACH:
    case ENONET:
    case ENOPROTOOPT:
    case EOPNOTSUPP:
        return true;
    default:
        acceptor_pause(a);
        loop_set_timer(a->loop, &a->retry, loop_now(a->loop) + RETRY_NS);
        return false;
    }
}

static void on_ready(struct watch *w, uint32_t events)
{
    (void)events;
    struct acceptor *a = CONTAINER_OF(w, struct acceptor, watch);
    for (int i = 0; i < ACCEPTS_PER_ROUND && !a->paused; i++)
        if (!accept_one(a))
            break;
}

static void on_retry(struct timer *t)
{
    acceptor_resume(CONTAINER_OF(t, struct acceptor, retry));
}

/* Be told of `events` from now on. Of several who wait at one socket the kernel wakes one (EPOLLEXCLUSIVE),
 * which can only be asked for when the watch begins. False where it cannot be now. */
static bool watch(struct acceptor *a, uint32_t events)
{
    int fd = a->watch.fd;
    if (!a->shared)
        return loop_rewatch(a->loop, &a->watch, events) == 0;
    loop_unwatch(a->loop, &a->watch);
    bool ok = loop_watch(a->loop, &a->watch, fd, events == 0 ? 0 : events | EPOLLEXCLUSIVE, on_ready) == 0;
    a->watch.fd = fd;
    return ok;
}

int acceptor_prepare(struct acceptor *a, struct loop *loop, int fd, struct err *err)
{
    CHECK(a->accepted != NULL && a->refused != NULL);
    a->loop = loop;
    a->paused = true;
    timer_init(&a->retry, on_retry);
    a->reserve = open("/dev/null", O_RDONLY | O_CLOEXEC);
    if (loop_watch(loop, &a->watch, fd, 0, on_ready) == 0)
        return 0;
    err_errno(err, errno, "cannot watch a listener");
    a->watch.fd = fd;
    acceptor_abandon(a);
    return -1;
}

int acceptor_start(struct acceptor *a, struct loop *loop, int fd, struct err *err)
{
    if (acceptor_prepare(a, loop, fd, err) != 0)
        return -1;
    acceptor_resume(a);
    return 0;
}

void acceptor_pause(struct acceptor *a)
{
    if (!a->paused && a->watch.fd >= 0)
        watch(a, 0);
    a->paused = true;
}

void acceptor_resume(struct acceptor *a)
{
    wheel_cancel(&a->retry);
    bool again = a->paused && a->watch.fd >= 0;
    a->paused = again && !watch(a, EPOLLIN); /* level-triggered: it takes turns with the rest */
    if (a->paused)
        loop_set_timer(a->loop, &a->retry, loop_now(a->loop) + RETRY_NS);
}

void acceptor_stop(struct acceptor *a)
{
    wheel_cancel(&a->retry);
    if (a->watch.fd < 0)
        return;
    a->paused = a->lasting;
    for (int i = 0; i < DRAIN_MAX && !a->paused; i++)
        if (!accept_one(a))
            break;
    wheel_cancel(&a->retry);
    acceptor_abandon(a);
}

void acceptor_abandon(struct acceptor *a)
{
    loop_close(a->loop, &a->watch);
    if (a->reserve >= 0)
        close(a->reserve);
    a->reserve = -1;
}
