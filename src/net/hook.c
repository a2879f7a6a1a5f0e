/* SPDX-License-Identifier: Apache-2.0 */
#include "net/hook.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <sys/socket.h>

#include "base/check.h"
#include "base/clean.h"
#include "base/clock.h"
#include "base/str.h"
#include "net/program.h"

#define OUTPUT_MAX 512
#define READ_AT_ONCE 4096
#define READS_IN_A_TURN 64 /* more than a socket holds; who prints without end lets others have theirs */

struct hook {
    struct loop *loop;
    char *path;
    int64_t allowed; /* ns */
    bool mute;
    hook_done *done; /* NULL: it was told of */
    void (*gone)(void *arg);
    void *arg;
    struct program program;
    struct watch output;
    struct timer patience;
    struct task reap;
    char said[OUTPUT_MAX]; /* the end of what it has printed */
};

/* ---- words ---- */

static size_t count_of(const char *const words[])
{
    size_t n = 0;
    while (words[n] != NULL)
        n++;
    return n;
}

char **hook_words_copy(char *const words[])
{
    if (words == NULL)
        return NULL;
    char **copy = calloc(count_of((const char *const *)words) + 1, sizeof(*copy));
    CHECK(copy != NULL);
    for (size_t i = 0; words[i] != NULL; i++)
        copy[i] = str_dup(words[i]);
    return copy;
}

void hook_words_free(char **words)
{
    for (size_t i = 0; words != NULL && words[i] != NULL; i++)
        free(words[i]);
    free(words);
}

/* ---- running ---- */

static void tell(struct hook *h, enum hook_end end, const struct err *why)
{
    hook_done *done = h->done;
    wheel_cancel(&h->patience);
    h->done = NULL;
    if (done != NULL)
        done(h->arg, end, why);
}

/* Keep the end of what it prints; the rest is only read so that it does not wait. */
static void on_output(struct watch *w, uint32_t events)
{
    struct hook *h = CONTAINER_OF(w, struct hook, output);
    char some[READ_AT_ONCE];
    ssize_t n = 1;
    (void)events;
    for (int i = 0; i < READS_IN_A_TURN && (n = read(w->fd, some, sizeof(some))) > 0; i++) {
        size_t keep = MIN((size_t)n, sizeof(h->said) - 1), had = strlen(h->said);
        size_t old = MIN(had, sizeof(h->said) - 1 - keep);
        memmove(h->said, h->said + had - old, old);
        memcpy(h->said + old, some + (size_t)n - keep, keep);
        h->said[old + keep] = '\0';
    }
    if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
        loop_close(h->loop, &h->output);
}

static const char *last_line(struct hook *h, char *ret, size_t cap)
{
    size_t len = strlen(h->said);
    while (len > 0 && (h->said[len - 1] == '\n' || h->said[len - 1] == '\r'))
        h->said[--len] = '\0';
    const char *line = strrchr(h->said, '\n');
    str_clean(ret, cap, line != NULL ? line + 1 : h->said);
    return ret;
}

static void on_exit_of_it(struct program *p)
{
    struct hook *h = p->owner;
    struct err err;
    char how[128], line[256];
    int number;
    enum hook_end end = program_status(p, &number) == PROGRAM_KILLED ? HOOK_KILLED : HOOK_REFUSED;
    if (h->output.fd >= 0)
        on_output(&h->output, EPOLLIN);
    if (!program_failed(p, how, sizeof(how)))
        tell(h, HOOK_DONE, NULL);
    else if (h->mute || *last_line(h, line, sizeof(line)) == '\0')
        tell(h, end, (err_set(&err, "%s: %s", h->path, how), &err));
    else
        tell(h, end, (err_set(&err, "%s: %s: %s", h->path, how, line), &err));
    program_leave(p, true);
}

static void reap(struct task *t)
{
    struct hook *h = CONTAINER_OF(t, struct hook, reap);
    free(h->path);
    free(h);
}

static void on_gone(struct program *p)
{
    struct hook *h = p->owner;
    if (h->output.fd >= 0)
        loop_close(h->loop, &h->output);
    wheel_cancel(&h->patience);
    loop_defer(h->loop, &h->reap);
    if (h->gone != NULL)
        h->gone(h->arg);
}

static void on_patience(struct timer *t)
{
    struct hook *h = CONTAINER_OF(t, struct hook, patience);
    struct err err;
    err_set(&err, "%s did not end within %d s", h->path, (int)(h->allowed / NSEC_PER_SEC));
    tell(h, HOOK_LATE, &err);
    program_leave(&h->program, false);
}

static int start(struct hook *h, char *const command[], const char *const more[])
{
    static char path[] = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
    char *env[] = {path, NULL};
    size_t n = count_of((const char *const *)command), more_n = count_of(more);
    char **argv = calloc(n + more_n + 1, sizeof(*argv));
    CHECK(argv != NULL);
    memcpy(argv, command, n * sizeof(*argv));
    for (size_t i = 0; i < more_n; i++)
        argv[n + i] = (char *)(uintptr_t)more[i]; /* execve(2) changes no word */
    int fd = program_start(&h->program, argv, env), saved = errno;
    free(argv);
    errno = saved;
    return fd;
}

struct hook *hook_start(const struct hook_wish *wish, struct err *err)
{
    struct loop *loop = wish->loop;
    struct hook *h = calloc(1, sizeof(*h));
    CHECK(h != NULL);
    *h = (struct hook){.loop = loop,
                       .allowed = wish->patience,
                       .mute = wish->mute,
                       .done = wish->done,
                       .gone = wish->gone,
                       .arg = wish->arg,
                       .output.fd = -1};
    h->program = (struct program){
        .loop = loop, .changed = on_exit_of_it, .gone = on_gone, .owner = h, .among = wish->programs};
    timer_init(&h->patience, on_patience);
    task_init(&h->reap, reap);
    int fd = start(h, wish->command, wish->more);
    if (fd < 0) {
        err_errno(err, errno, "%s could not be run", wish->command[0]);
        free(h);
        return NULL;
    }
    h->path = str_dup(wish->command[0]);
    shutdown(fd, SHUT_WR);
    if (loop_watch(loop, &h->output, fd, EPOLLIN, on_output) != 0) /* as long as there is more */
        close(fd);
    loop_set_timer(loop, &h->patience, loop_now(loop) + wish->patience);
    return h;
}

void hook_cancel(struct hook *h)
{
    h->done = NULL;
    wheel_cancel(&h->patience);
    program_leave(&h->program, false);
}

void hook_kill(struct hook *h)
{
    h->done = NULL;
    program_kill(&h->program);
}
