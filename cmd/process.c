/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/process.h"

#include <errno.h>
#include <malloc.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "base/check.h"

#define KEPT_MEMORY (2 * 1024 * 1024) /* in each thread's heap */

static void on_readable(struct watch *w, uint32_t events)
{
    struct signals *s = CONTAINER_OF(w, struct signals, watch);
    struct signalfd_siginfo info;
    (void)events;
    while (read(w->fd, &info, sizeof(info)) == (ssize_t)sizeof(info)) {
        bool terminal = s->reload && info.ssi_signo == SIGHUP && info.ssi_code == SI_KERNEL;
        if (!terminal || !s->no_hangup)
            s->told(s, terminal ? SIGTERM : (int)info.ssi_signo);
    }
}

static bool is_ignored(int number)
{
    struct sigaction now;
    return sigaction(number, NULL, &now) != 0 || now.sa_handler == SIG_IGN;
}

static void add(sigset_t *set, int number, int which)
{
    if (!(which & SIGNALS_INHERIT) || !is_ignored(number))
        sigaddset(set, number);
}

int signals_watch(struct signals *s, struct loop *loop, int which,
                  void (*told)(struct signals *s, int number), struct err *err)
{
    sigset_t set;
    sigemptyset(&set);
    add(&set, SIGINT, which);
    add(&set, SIGTERM, which);
    if (which & SIGNALS_HANGUP)
        add(&set, SIGHUP, which);
    if (which & SIGNALS_RELOAD)
        sigaddset(&set, SIGHUP);
    s->told = told;
    s->reload = (which & SIGNALS_RELOAD) != 0;
    s->no_hangup = (which & SIGNALS_INHERIT) && is_ignored(SIGHUP);
    sigprocmask(SIG_BLOCK, &set, NULL);
    int fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
    if (fd < 0)
        return err_errno(err, errno, "cannot watch signals");
    if (loop_watch(loop, &s->watch, fd, EPOLLIN, on_readable) == 0)
        return 0;
    err_errno(err, errno, "cannot watch signals");
    close(fd);
    return -1;
}

void signals_unwatch(struct signals *s)
{
    if (s->watch.fd >= 0)
        close(s->watch.fd);
    s->watch.fd = -1;
}

void process_keep_memory(void)
{
    mallopt(M_TRIM_THRESHOLD, KEPT_MEMORY);
    mallopt(M_TOP_PAD, KEPT_MEMORY / 8);
}

void process_keep_children(void)
{
    signal(SIGCHLD, SIG_DFL);
}

void process_raise_descriptors(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        return;
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
}
