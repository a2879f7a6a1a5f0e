/* SPDX-License-Identifier: Apache-2.0 */
#include "keeper/ask_hook.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/check.h"
#include "base/hostname.h"
#include "base/str.h"
#include "config/config.h"
#include "fetch/fetch.h"
#include "net/hook.h"
#include "net/program.h"

#define ANSWER_MAX 4096 /* bytes of content, which nobody reads */

struct ask_call {
    const struct ask_hook *hook; /* until it was told */
    struct ask_crowd *crowd;
    struct loop *loop;
    ask_done *done; /* NULL: it was told */
    void *arg;
    struct fetch *fetch;
    struct program program;
    struct watch output;
    struct timer patience;
    struct task reap;
};

void ask_hook_init(struct ask_hook *h, const struct config_ask *from, int64_t timeout)
{
    *h = (struct ask_hook){.timeout = timeout};
    if (from->text.text != NULL && from->program == NULL)
        h->url = str_dup(from->text.text);
    h->program = hook_words_copy(from->program);
}

void ask_hook_done(struct ask_hook *h)
{
    hook_words_free(h->program);
    free(h->url);
    *h = (struct ask_hook){0};
}

static void tell(struct ask_call *c, enum ask_answer answer, const struct err *err)
{
    ask_done *done = c->done;
    c->done = NULL;
    if (done != NULL)
        done(c->arg, answer, err);
}

static void reap(struct task *t)
{
    free(CONTAINER_OF(t, struct ask_call, reap));
}

/* Nothing is left of what was asked. */
static void end(struct ask_call *c)
{
    c->crowd->under_way--;
    loop_defer(c->loop, c->crowd->room);
    loop_defer(c->loop, &c->reap);
}

/* ---- a URL ---- */

static void on_fetched(void *arg, const struct fetch_answer *answer, const struct err *why)
{
    struct ask_call *c = arg;
    struct err err;
    if (answer == NULL) {
        tell(c, ASK_FAILED, why);
    } else if (answer->status == 200) {
        tell(c, ASK_YES, NULL);
    } else {
        err_set(&err, "%s says %u, expected 200", c->hook->url, answer->status);
        tell(c, answer->status >= 500 ? ASK_FAILED : ASK_NO, &err);
    }
    end(c);
}

static int start_fetch(struct ask_call *c, const char *name, struct err *err)
{
    struct buf url = {0};
    const struct ask_hook *h = c->hook;
    CHECK(buf_printf(&url, "%s%cdomain=%s", h->url, strchr(h->url, '?') != NULL ? '&' : '?', name));
    const struct fetch_request request = {
        .method = "GET", .url = buf_text(&url), .timeout = h->timeout, .max = ANSWER_MAX};
    c->fetch = h->fetcher != NULL ? fetch_start(h->fetcher, &request, on_fetched, c, err) : NULL;
    if (h->fetcher == NULL)
        err_set(err, "libcurl is missing");
    buf_free(&url);
    return c->fetch != NULL ? 0 : -1;
}

/* ---- a program ---- */

/* What it prints is read so that it does not wait, and forgotten. */
static void on_output(struct watch *w, uint32_t events)
{
    char some[1024];
    ssize_t n;
    (void)events;
    while ((n = recv(w->fd, some, sizeof(some), 0)) > 0)
        ;
    /* The hook itself may have gone: a program that does not end in time outlives its call. */
    if (n == 0)
        loop_close(CONTAINER_OF(w, struct ask_call, output)->program.loop, w);
}

static void on_exit_of_it(struct program *p)
{
    struct ask_call *c = p->owner;
    struct err err;
    char how[128];
    wheel_cancel(&c->patience);
    if (!program_failed(p, how, sizeof(how)))
        tell(c, ASK_YES, NULL);
    else if (c->done != NULL)
        tell(c, strstr(how, "status") != NULL ? ASK_NO : ASK_FAILED,
             (err_set(&err, "%s: %s", c->hook->program[0], how), &err));
    program_leave(p, true);
}

static void on_gone(struct program *p)
{
    struct ask_call *c = p->owner;
    if (c->output.fd >= 0)
        loop_close(p->loop, &c->output);
    wheel_cancel(&c->patience);
    end(c);
}

static void on_patience(struct timer *t)
{
    struct ask_call *c = CONTAINER_OF(t, struct ask_call, patience);
    struct err err;
    err_set(&err, "%s did not end within %lld ms", c->hook->program[0],
            (long long)(c->hook->timeout / 1000000));
    tell(c, ASK_FAILED, &err);
    program_leave(&c->program, false);
}

/* Our end of what it reads and writes, or -1 with errno. */
static int run(struct ask_call *c, const char *name)
{
    static char path[] = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
    char *env[] = {path, NULL}, last[HOSTNAME_MAX + 1];
    const struct ask_hook *h = c->hook;
    size_t n = 0;
    while (h->program[n] != NULL)
        n++;
    char **argv = calloc(n + 2, sizeof(*argv));
    CHECK(argv != NULL);
    memcpy(argv, h->program, n * sizeof(*argv));
    str_copy(last, sizeof(last), name, strlen(name));
    argv[n] = last;
    c->program = (struct program){
        .loop = h->loop, .changed = on_exit_of_it, .gone = on_gone, .owner = c, .among = h->programs};
    int fd = program_start(&c->program, argv, env), saved = errno;
    free(argv);
    errno = saved;
    return fd;
}

static int start_program(struct ask_call *c, const char *name, struct err *err)
{
    const struct ask_hook *h = c->hook;
    int fd = run(c, name);
    if (fd < 0)
        return err_errno(err, errno, "%s could not be run", h->program[0]);
    shutdown(fd, SHUT_WR);
    if (loop_watch(h->loop, &c->output, fd, EPOLLIN | EPOLLET, on_output) != 0)
        close(fd);
    loop_set_timer(h->loop, &c->patience, loop_now(h->loop) + h->timeout);
    return 0;
}

struct ask_call *ask_hook_start(const struct ask_hook *h, const char *name, ask_done *done, void *arg,
                                struct err *err)
{
    struct ask_call *c = calloc(1, sizeof(*c));
    CHECK(c != NULL && (h->url != NULL || h->program != NULL));
    *c = (struct ask_call){
        .hook = h, .crowd = h->crowd, .loop = h->loop, .done = done, .arg = arg, .output.fd = -1};
    timer_init(&c->patience, on_patience);
    task_init(&c->reap, reap);
    if ((h->url != NULL ? start_fetch(c, name, err) : start_program(c, name, err)) == 0) {
        h->crowd->under_way++;
        return c;
    }
    free(c);
    return NULL;
}

void ask_hook_cancel(struct ask_call *c)
{
    c->done = NULL;
    if (c->fetch == NULL) {
        program_kill(&c->program);
        return;
    }
    fetch_cancel(c->fetch);
    end(c);
}
