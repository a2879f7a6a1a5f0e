/* SPDX-License-Identifier: Apache-2.0 */
/* A worker has threads beside it and much memory, so nothing is forked: posix_spawn(3) lets the child use our
 * memory until it has become the program, which costs the same however large we are, and tells errno of what
 * failed on the way.
 *
 * Until its connection is over an exited program stays a zombie: as long as it does, its process id, and with
 * it the group's, is nobody else's, so that a signal to the group reaches what the program has left behind
 * and no stranger. */
#include "net/program.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/check.h"

#define LAST_WAIT_MS 2000 /* for one that is killed: longer only where the kernel is stuck in it */

/* ---- starting ---- */

static int prepare(posix_spawn_file_actions_t *actions, posix_spawnattr_t *attr, int fd)
{
    sigset_t none, all;
    sigemptyset(&none);
    sigfillset(&all);
    int code = posix_spawnattr_setsigmask(attr, &none);
    code = code != 0 ? code : posix_spawnattr_setsigdefault(attr, &all);
    code = code != 0 ? code
                     : posix_spawnattr_setflags(attr, POSIX_SPAWN_SETSID | POSIX_SPAWN_SETSIGMASK |
                                                          POSIX_SPAWN_SETSIGDEF);
    code = code != 0 ? code : posix_spawn_file_actions_adddup2(actions, fd, STDIN_FILENO);
    code = code != 0 ? code : posix_spawn_file_actions_adddup2(actions, fd, STDOUT_FILENO);
    return code != 0 ? code : posix_spawn_file_actions_addclosefrom_np(actions, STDERR_FILENO + 1);
}

/* The pid, or -1 with errno. */
static int spawn(char *const argv[], char *const envp[], int fd)
{
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attr;
    pid_t pid = -1;
    posix_spawn_file_actions_init(&actions);
    posix_spawnattr_init(&attr);
    int code = prepare(&actions, &attr, fd);
    if (code == 0)
        code = posix_spawn(&pid, argv[0], &actions, &attr, argv, envp);
    posix_spawn_file_actions_destroy(&actions);
    posix_spawnattr_destroy(&attr);
    errno = code;
    return code == 0 ? pid : -1;
}

static void on_exit_seen(struct watch *w, uint32_t events);
static void on_patience(struct timer *t);

/* Its pidfd in the loop, or -1 with errno. */
static int watch(struct program *p)
{
    int fd = (int)syscall(SYS_pidfd_open, p->pid, 0);
    if (fd < 0)
        return -1;
    fcntl(fd, F_SETFD, FD_CLOEXEC);
    if (loop_watch(p->loop, &p->watch, fd, EPOLLIN | EPOLLET, on_exit_seen) == 0)
        return 0;
    int saved = errno;
    close(fd);
    errno = saved;
    return -1;
}

int program_start(struct program *p, char *const argv[], char *const envp[])
{
    int pair[2];
    CHECK(p->loop != NULL && p->changed != NULL && p->gone != NULL && p->among != NULL);
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0)
        return -1;
    fcntl(pair[0], F_SETFL, O_RDWR | O_NONBLOCK); /* ours only: programs expect theirs to block */
    p->pid = spawn(argv, envp, pair[1]);
    int saved = errno;
    close(pair[1]);
    p->phase = PROGRAM_SERVES;
    p->exited = p->left = false;
    p->watch.fd = -1;
    timer_init(&p->patience, on_patience);
    if (p->pid > 0 && watch(p) != 0) {
        saved = errno;
        kill(-p->pid, SIGKILL);
        waitpid(p->pid, NULL, 0);
        p->pid = -1;
    }
    if (p->pid > 0) {
        list_insert(p->among, &p->node);
        return pair[0];
    }
    close(pair[0]);
    errno = saved;
    return -1;
}

/* ---- its end ---- */

/* Nothing is left of it. */
static void forget(struct program *p)
{
    wheel_cancel(&p->patience);
    loop_close(p->loop, &p->watch);
    list_remove(&p->node);
    p->pid = -1;
    p->gone(p);
}

static void reap(struct program *p)
{
    kill(-p->pid, SIGKILL); /* what it has left in its group */
    waitpid(p->pid, NULL, 0);
    forget(p);
}

/* Remember how it has exited, but leave the zombie. */
static void look(struct program *p)
{
    siginfo_t info = {0};
    if (p->exited || waitid(P_PID, (id_t)p->pid, &info, WEXITED | WNOHANG | WNOWAIT) != 0 || info.si_pid == 0)
        return;
    p->exited = true;
    p->code = info.si_code;
    p->status = info.si_status;
}

static void on_exit_seen(struct watch *w, uint32_t events)
{
    struct program *p = CONTAINER_OF(w, struct program, watch);
    (void)events;
    look(p);
    if (!p->exited)
        return;
    if (p->left)
        reap(p);
    else
        p->changed(p);
}

static void tell_to_end(struct program *p)
{
    p->phase = PROGRAM_IS_ENDED;
    kill(-p->pid, SIGTERM);
    kill(-p->pid, SIGCONT); /* one that is stopped would not hear it */
    loop_set_timer(p->loop, &p->patience, loop_now(p->loop) + PROGRAM_GRACE_NS);
}

static void on_patience(struct timer *t)
{
    struct program *p = CONTAINER_OF(t, struct program, patience);
    if (p->phase == PROGRAM_FINISHES)
        tell_to_end(p);
    else
        kill(-p->pid, SIGKILL); /* its pidfd tells when it is dead */
}

enum program_status program_status(struct program *p, int *ret_number)
{
    look(p);
    *ret_number = p->exited ? p->status : 0;
    return !p->exited ? PROGRAM_RUNS : p->code == CLD_EXITED ? PROGRAM_EXITED : PROGRAM_KILLED;
}

bool program_failed(struct program *p, char *text, size_t cap)
{
    int number;
    enum program_status status = program_status(p, &number);
    if (status == PROGRAM_KILLED)
        snprintf(text, cap, "the program was killed by signal %d%s", number,
                 p->code == CLD_DUMPED ? " and left a core" : "");
    else if (number != 0)
        snprintf(text, cap, "the program exited with status %d", number);
    return status == PROGRAM_KILLED || number != 0;
}

void program_leave(struct program *p, bool in_order)
{
    CHECK(p->pid > 0 && !p->left);
    p->left = true;
    look(p);
    if (p->exited) {
        reap(p);
    } else if (in_order) {
        p->phase = PROGRAM_FINISHES;
        loop_set_timer(p->loop, &p->patience, loop_now(p->loop) + PROGRAM_GRACE_NS);
    } else {
        tell_to_end(p);
    }
}

void programs_end(struct list *among)
{
    for (struct list *n = among->next; n != among; n = n->next) {
        struct program *p = CONTAINER_OF(n, struct program, node);
        if (p->left && p->phase == PROGRAM_FINISHES)
            tell_to_end(p);
    }
}

void program_kill(struct program *p)
{
    CHECK(p->pid > 0);
    kill(-p->pid, SIGKILL);
    struct pollfd dead = {.fd = p->watch.fd, .events = POLLIN};
    if (poll(&dead, 1, LAST_WAIT_MS) == 1)
        waitpid(p->pid, NULL, 0);
    forget(p);
}

/* All are killed before the first one is waited for. */
void programs_kill(struct list *among)
{
    for (struct list *n = among->next; n != among; n = n->next)
        kill(-CONTAINER_OF(n, struct program, node)->pid, SIGKILL);
    while (!list_empty(among))
        program_kill(CONTAINER_OF(among->next, struct program, node));
}
