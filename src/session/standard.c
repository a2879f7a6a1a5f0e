/* SPDX-License-Identifier: Apache-2.0 */
#include "session/standard.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "config/config.h"
#include "link/fd_link.h"
#include "net/socket.h"
#include "session/session.h"
#include "session/worker.h"

bool standard_is_served(const struct config *c)
{
    return c->listeners.n == 1 && c->listeners.v[0].address.place == CONFIG_AT_STANDARD;
}

static bool same_socket(int a, int b)
{
    struct stat first, second;
    return fstat(a, &first) == 0 && fstat(b, &second) == 0 && S_ISSOCK(first.st_mode) &&
           first.st_dev == second.st_dev && first.st_ino == second.st_ino;
}

static int option_of(int fd, int option)
{
    int value = -1;
    socklen_t len = sizeof(value);
    return getsockopt(fd, SOL_SOCKET, option, &value, &len) == 0 ? value : -1;
}

/* What a socket at standard input must not be. */
static int check_socket(int fd, struct err *err)
{
    if (option_of(fd, SO_ACCEPTCONN) == 1)
        return err_set(err, "standard input is a socket that listens, expected a connection: 'nowait' of "
                            "inetd, Accept=yes of systemd");
    if (option_of(fd, SO_TYPE) != SOCK_STREAM)
        return err_set(err, "standard input is a socket of datagrams, expected one of a stream");
    return 0;
}

/* Nobody else in this process, and no program that it starts, may read or write them by mistake. */
static int cover(bool socket, struct err *err)
{
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (null < 0)
        return err_errno(err, errno, "cannot open /dev/null");
    if (socket && same_socket(STDIN_FILENO, STDERR_FILENO))
        dup2(null, STDERR_FILENO);
    dup2(null, STDIN_FILENO);
    dup2(STDERR_FILENO, STDOUT_FILENO);
    close(null);
    return 0;
}

int standard_take(struct standard *ret, struct err *err)
{
    *ret = STANDARD_NONE;
    bool socket = same_socket(STDIN_FILENO, STDOUT_FILENO);
    if (socket && check_socket(STDIN_FILENO, err) != 0)
        return -1;
    ret->in = fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
    ret->out = socket ? -1 : fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
    if (ret->in < 0 || (!socket && ret->out < 0)) {
        err_errno(err, errno, "cannot take standard input and output");
        standard_drop(ret);
        return -1;
    }
    if (cover(socket, err) == 0)
        return 0;
    standard_drop(ret);
    return -1;
}

static struct link *link_of(struct worker *w, const struct standard *st, struct err *err)
{
    if (st->out >= 0)
        return fd_link_pair(w->loop, st->in, st->out, err);
    socket_tune(st->in);
    fcntl(st->in, F_SETFL, fcntl(st->in, F_GETFL) | O_NONBLOCK);
    struct link *link = fd_link_socket(w->loop, st->in, false);
    if (link == NULL)
        err_errno(err, errno, "cannot watch standard input");
    return link;
}

bool standard_begin(struct worker *w, struct standard *st, struct err *err)
{
    const struct net_addr nobody = {0}, peer = st->out < 0 ? socket_peer(st->in) : nobody;
    struct link *link;
    if (worker_admit(w, w->epoch->snap, &peer, SESSION_FDS) != ADMIT_OK) {
        err_set(err, "the limits of the configuration allow no connection at all");
        return false;
    }
    link = link_of(w, st, err);
    if (link == NULL) {
        admission_leave(w->admission, &peer);
        admission_release(w->admission, SESSION_FDS);
        return false;
    }
    if (st->out < 0)
        st->in = -1; /* a link on a socket owns it, one on a pair does not */
    session_start(w, link, 0, &peer);
    return true;
}

void standard_drop(struct standard *st)
{
    if (st->in >= 0)
        close(st->in);
    if (st->out >= 0)
        close(st->out);
    *st = STANDARD_NONE;
}
