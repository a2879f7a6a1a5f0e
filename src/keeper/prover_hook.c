/* SPDX-License-Identifier: Apache-2.0 */
/* The prover that is a program. What it prints is for whoever reads the error: its last line is told. */
#include "keeper/prover.h"

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

#define WORDS_MAX 32
#define OUTPUT_MAX 512

struct hook_prover {
    struct prover base;
    struct loop *loop;
    struct list *programs;
    int64_t patience; /* ns */
    char *words[WORDS_MAX + 1];
    size_t n;
};

struct hook_run {
    struct loop *loop;
    struct hook_prover *prover; /* while `call` is there */
    struct prover_call *call;   /* NULL: it was told of */
    struct program program;
    struct watch output;
    struct timer patience;
    struct task reap;
    char said[OUTPUT_MAX]; /* the end of what it has printed */
};

static void tell(struct hook_run *r, const struct err *why)
{
    struct prover_call *call = r->call;
    wheel_cancel(&r->patience);
    r->call = NULL;
    if (call != NULL) {
        call->state = NULL;
        call->done(call, why);
    }
}

/* Keep the end of what it prints; the rest is only read so that it does not wait. */
static void on_output(struct watch *w, uint32_t events)
{
    struct hook_run *r = CONTAINER_OF(w, struct hook_run, output);
    char some[1024];
    ssize_t n;
    (void)events;
    while ((n = read(w->fd, some, sizeof(some))) > 0) {
        size_t keep = MIN((size_t)n, sizeof(r->said) - 1), had = strlen(r->said);
        size_t old = MIN(had, sizeof(r->said) - 1 - keep);
        memmove(r->said, r->said + had - old, old);
        memcpy(r->said + old, some + (size_t)n - keep, keep);
        r->said[old + keep] = '\0';
    }
    if (n == 0)
        loop_close(r->loop, &r->output);
}

static const char *last_line(struct hook_run *r, char *ret, size_t cap)
{
    size_t len = strlen(r->said);
    while (len > 0 && (r->said[len - 1] == '\n' || r->said[len - 1] == '\r'))
        r->said[--len] = '\0';
    const char *line = strrchr(r->said, '\n');
    str_clean(ret, cap, line != NULL ? line + 1 : r->said);
    return ret;
}

static void on_exit_of_it(struct program *p)
{
    struct hook_run *r = p->owner;
    struct err err;
    char how[128], line[256];
    if (r->output.fd >= 0)
        on_output(&r->output, EPOLLIN);
    if (!program_failed(p, how, sizeof(how)))
        tell(r, NULL);
    else if (*last_line(r, line, sizeof(line)) == '\0')
        tell(r, (err_set(&err, "%s: %s", r->prover->words[0], how), &err));
    else
        tell(r, (err_set(&err, "%s: %s: %s", r->prover->words[0], how, line), &err));
    program_leave(p, true);
}

static void reap(struct task *t)
{
    free(CONTAINER_OF(t, struct hook_run, reap));
}

static void on_gone(struct program *p)
{
    struct hook_run *r = p->owner;
    if (r->output.fd >= 0)
        loop_close(r->loop, &r->output);
    wheel_cancel(&r->patience);
    loop_defer(r->loop, &r->reap);
}

static void on_patience(struct timer *t)
{
    struct hook_run *r = CONTAINER_OF(t, struct hook_run, patience);
    struct err err;
    err_set(&err, "%s did not end within %d s", r->prover->words[0],
            (int)(r->prover->patience / NSEC_PER_SEC));
    tell(r, &err);
    program_leave(&r->program, false);
}

static void run(struct hook_prover *h, struct prover_call *call, const char *what)
{
    char name[ACME_CLIENT_DNS_NAME_MAX], value[ACME_CLIENT_DNS_VALUE_MAX], verb[16], *argv[WORDS_MAX + 4];
    static char path[] = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
    char *env[] = {path, NULL};
    struct hook_run *r = calloc(1, sizeof(*r));
    struct err err;
    CHECK(r != NULL);
    acme_client_dns_name(call->proof, name);
    acme_client_dns_value(call->proof, value);
    snprintf(verb, sizeof(verb), "%s", what);
    memcpy(argv, h->words, h->n * sizeof(argv[0]));
    argv[h->n] = verb;
    argv[h->n + 1] = name;
    argv[h->n + 2] = value;
    argv[h->n + 3] = NULL;
    r->loop = h->loop;
    r->prover = h;
    r->call = call;
    r->output.fd = -1;
    r->program = (struct program){
        .loop = h->loop, .changed = on_exit_of_it, .gone = on_gone, .owner = r, .among = h->programs};
    timer_init(&r->patience, on_patience);
    task_init(&r->reap, reap);
    int fd = program_start(&r->program, argv, env);
    if (fd < 0) {
        err_errno(&err, errno, "%s could not be run", argv[0]);
        free(r);
        call->done(call, &err);
        return;
    }
    call->state = r;
    shutdown(fd, SHUT_WR);
    if (loop_watch(h->loop, &r->output, fd, EPOLLIN | EPOLLET, on_output) != 0)
        close(fd);
    loop_set_timer(h->loop, &r->patience, loop_now(h->loop) + h->patience);
}

static void put(struct prover *p, struct prover_call *call)
{
    run(CONTAINER_OF(p, struct hook_prover, base), call, "present");
}

static void drop(struct prover *p, struct prover_call *call)
{
    run(CONTAINER_OF(p, struct hook_prover, base), call, "cleanup");
}

/* The thread ends: it is killed, for nobody would hear of its end. */
static void cancel(struct prover *p, struct prover_call *call)
{
    struct hook_run *r = call->state;
    (void)p;
    if (r == NULL)
        return;
    r->call = NULL;
    call->state = NULL;
    program_kill(&r->program);
}

static void free_prover(struct prover *p)
{
    struct hook_prover *h = CONTAINER_OF(p, struct hook_prover, base);
    for (size_t i = 0; i < h->n; i++)
        free(h->words[i]);
    free(h);
}

struct prover *prover_hook(struct loop *loop, struct list *programs, char *const argv[], int64_t patience)
{
    static const struct prover_ops ops = {put, drop, cancel, free_prover};
    struct hook_prover *h = calloc(1, sizeof(*h));
    CHECK(h != NULL);
    h->base.ops = &ops;
    h->loop = loop;
    h->programs = programs;
    h->patience = patience;
    for (; h->n < WORDS_MAX && argv[h->n] != NULL; h->n++)
        h->words[h->n] = str_dup(argv[h->n]);
    return &h->base;
}
