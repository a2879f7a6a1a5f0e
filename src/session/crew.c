/* SPDX-License-Identifier: Apache-2.0 */
/* Messages at shutdown: a worker may end its loop with messages in its inbox. Once its thread has been joined
 * the control thread delivers them in its place, so that every broadcast is answered exactly once, however
 * late. */
#include "session/crew.h"

#include <signal.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/err.h"
#include "loop/loop.h"
#include "mux/agents.h"
#include "session/worker.h"

/* A worker's word that its loop has ended. */
struct parting {
    struct message message;
    struct crew *crew;
    struct worker *worker;
    bool gone; /* its thread has been joined: what is posted to it must be delivered for it */
};

/* One thing told to all, and the way it takes: control -> worker -> control. */
struct errand {
    struct message message;
    struct broadcast *all;
    struct worker *worker;
};

struct broadcast {
    struct loop *control;
    void (*run)(struct worker *, void *arg);
    void (*done)(void *arg);
    void *arg;
    size_t pending;
    struct errand errand[];
};

static void returned(struct message *m)
{
    struct errand *e = CONTAINER_OF(m, struct errand, message);
    struct broadcast *b = e->all;
    CHECK(b->pending > 0);
    if (--b->pending > 0)
        return;
    if (b->done != NULL)
        b->done(b->arg);
    free(b);
}

static void arrived(struct message *m)
{
    struct errand *e = CONTAINER_OF(m, struct errand, message);
    struct loop *control = e->all->control;
    e->all->run(e->worker, e->all->arg);
    m->run = returned;
    loop_post(control, m);
}

void crew_broadcast(struct crew *crew, struct loop *control, void (*run)(struct worker *, void *arg),
                    void (*done)(void *arg), void *arg)
{
    CHECK(crew->count > 0); /* the last to return frees it */
    struct broadcast *b = calloc(1, sizeof(*b) + crew->count * sizeof(struct errand));
    CHECK(b != NULL);
    *b = (struct broadcast){.control = control, .run = run, .done = done, .arg = arg, .pending = crew->count};
    for (size_t i = 0; i < crew->count; i++) {
        b->errand[i] = (struct errand){.message.run = arrived, .all = b, .worker = &crew->worker[i]};
        loop_post(crew->worker[i].loop, &b->errand[i].message);
        if (crew->parting[i].gone)
            loop_deliver(crew->worker[i].loop);
    }
}

int crew_init(struct crew *crew, size_t count, struct admission *admission,
              const struct snapshot_shared *shared, struct sink_file *audit, struct err *err)
{
    *crew = (struct crew){
        .worker = calloc(count, sizeof(struct worker)),
        .parting = calloc(count, sizeof(struct parting)),
        .fellows = calloc(1, sizeof(struct fellows)),
    };
    CHECK(crew->worker != NULL && crew->parting != NULL && crew->fellows != NULL);
    crew->count = count;
    *crew->fellows = (struct fellows){.worker = crew->worker, .count = count, .busy = count};
    crew->agents = agents_hub_new(count);
    for (size_t i = 0; i < count; i++)
        if (worker_init(&crew->worker[i], (unsigned)i, crew->fellows, crew->agents, admission, shared, audit,
                        err) != 0)
            return -1;
    return 0;
}

static void on_parting(struct message *m)
{
    struct parting *p = CONTAINER_OF(m, struct parting, message);
    struct crew *crew = p->crew;
    if (!p->gone)
        pthread_join(p->worker->thread, NULL);
    p->gone = true;
    loop_deliver(p->worker->loop);
    CHECK(crew->running > 0);
    if (--crew->running == 0 && crew->stopped != NULL)
        crew->stopped(crew->stopped_arg);
}

static void *thread_main(void *arg)
{
    struct parting *p = arg;
    struct err err;
    CHECK(loop_run(p->worker->loop, &err) == 0);
    loop_post(p->crew->control, &p->message);
    return NULL;
}

int crew_start(struct crew *crew, struct loop *control, struct err *err)
{
    sigset_t all, before;
    int code = 0;
    crew->control = control;
    sigfillset(&all); /* signals are the control thread's */
    pthread_sigmask(SIG_SETMASK, &all, &before);
    for (size_t i = 0; i < crew->count && code == 0; i++) {
        crew->parting[i] =
            (struct parting){.message.run = on_parting, .crew = crew, .worker = &crew->worker[i]};
        code = pthread_create(&crew->worker[i].thread, NULL, thread_main, &crew->parting[i]);
        crew->running += code == 0;
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (code == 0)
        return 0;
    for (size_t i = 0; i < crew->running; i++) { /* all or none */
        loop_stop(crew->worker[i].loop);
        pthread_join(crew->worker[i].thread, NULL);
        crew->parting[i].gone = true;
    }
    loop_deliver(control); /* their partings: nobody may find those later */
    CHECK(crew->running == 0);
    return err_errno(err, code, "cannot start a worker thread");
}

void crew_when_stopped(struct crew *crew, void (*stopped)(void *arg), void *arg)
{
    crew->stopped = stopped;
    crew->stopped_arg = arg;
}

/* Messages cross: what one worker is told may have it tell another something. None may go while any has
 * something to say. */
static void settle(struct crew *crew)
{
    bool busy = true;
    while (busy) {
        busy = false;
        for (size_t i = 0; i < crew->count; i++)
            busy = worker_settle(&crew->worker[i]) || busy;
    }
}

void crew_free(struct crew *crew)
{
    CHECK(crew->running == 0);
    for (size_t i = 0; i < crew->count; i++)
        worker_close(&crew->worker[i]);
    settle(crew);
    for (size_t i = 0; i < crew->count; i++)
        worker_free(&crew->worker[i]);
    free(crew->fellows);
    free(crew->worker);
    free(crew->parting);
    agents_hub_free(crew->agents);
    *crew = (struct crew){0};
}
