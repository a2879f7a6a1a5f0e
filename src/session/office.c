/* SPDX-License-Identifier: Apache-2.0 */
#include "session/office.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "base/check.h"
#include "cert/identity.h"
#include "session/deed.h"

#define OFFICE_MAGIC 0x0ff1ce00u

struct office {
    uint32_t magic;
    const struct web_service *services;
    size_t n;
    struct loop *loop;
    pthread_t thread;
    _Atomic size_t under_way; /* also those on their way there or back */
    struct list asked;        /* inquiries that services have */
    bool closed;              /* the thread has been joined */
};

/* ---- inquiries ---- */

struct inquiry *inquiry_new(void)
{
    struct inquiry *q = calloc(1, sizeof(*q));
    CHECK(q != NULL);
    list_init(&q->node);
    return q;
}

void inquiry_free(struct inquiry *q)
{
    if (q == NULL)
        return;
    list_remove(&q->node);
    web_reader_free(&q->reader);
    buf_free(&q->content);
    web_answer_free(&q->answer);
    identity_free(q->identity);
    audit_place_free(q->place);
    free(q);
}

static struct inquiry *inquiry_of(struct web_exchange *x)
{
    return CONTAINER_OF(x, struct inquiry, exchange);
}

static void take_answer(struct inquiry *q, struct web_answer *answer)
{
    CHECK(!q->answered);
    q->answered = true;
    q->answer = *answer;
    *answer = (struct web_answer){0};
}

static void answered_at_once(struct web_exchange *x, struct web_answer *answer)
{
    take_answer(inquiry_of(x), answer);
}

void inquiry_answer_at_once(struct inquiry *q)
{
    q->exchange.answer = answered_at_once;
    q->service->serve(q->service->arg, &q->request, &q->exchange);
    CHECK(q->answered);
}

/* ---- there and back ---- */

/* On the asker's thread, or, once his loop has ended, on whichever delivers for it. */
static void come_back(struct message *m)
{
    struct inquiry *q = CONTAINER_OF(m, struct inquiry, message);
    atomic_fetch_sub(&q->office->under_way, 1);
    q->back(q);
}

static void answered(struct web_exchange *x, struct web_answer *answer)
{
    struct inquiry *q = inquiry_of(x);
    take_answer(q, answer);
    list_remove(&q->node);
    q->message.run = come_back;
    loop_post(q->home, &q->message);
}

static void arrive(struct message *m)
{
    struct inquiry *q = CONTAINER_OF(m, struct inquiry, message);
    list_insert(&q->office->asked, &q->node);
    if (!q->office->closed)
        q->service->serve(q->service->arg, &q->request, &q->exchange);
}

bool office_ask(struct office *o, struct inquiry *q, struct loop *home, size_t most)
{
    CHECK_MAGIC(o, OFFICE_MAGIC);
    if (atomic_fetch_add(&o->under_way, 1) >= most) {
        atomic_fetch_sub(&o->under_way, 1);
        return false;
    }
    q->exchange.answer = answered;
    q->office = o;
    q->home = home;
    q->message.run = arrive;
    loop_post(o->loop, &q->message);
    return true;
}

void office_post(struct office *o, struct message *m)
{
    CHECK_MAGIC(o, OFFICE_MAGIC);
    loop_post(o->loop, m);
}

/* ---- life ---- */

static void *thread_main(void *arg)
{
    struct office *o = arg;
    struct err err;
    for (size_t i = 0; i < o->n; i++)
        if (o->services[i].begin != NULL)
            o->services[i].begin(o->services[i].arg, o->loop);
    CHECK(loop_run(o->loop, &err) == 0);
    for (size_t i = 0; i < o->n; i++)
        if (o->services[i].end != NULL)
            o->services[i].end(o->services[i].arg);
    return NULL;
}

/* Signals are the control thread's. */
static int start(struct office *o)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int code = pthread_create(&o->thread, NULL, thread_main, o);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return code;
}

struct office *office_open(const struct web_service *services, size_t n, struct err *err)
{
    struct office *o = calloc(1, sizeof(*o));
    CHECK(o != NULL);
    *o = (struct office){.magic = OFFICE_MAGIC, .services = services, .n = n, .loop = loop_new(err)};
    list_init(&o->asked);
    int code = o->loop == NULL ? 0 : start(o);
    if (o->loop != NULL && code == 0)
        return o;
    if (o->loop != NULL)
        err_errno(err, code, "cannot start a thread for the door's own pages");
    loop_free(o->loop);
    free(o);
    return NULL;
}

void office_close(struct office *o)
{
    if (o == NULL)
        return;
    CHECK_MAGIC(o, OFFICE_MAGIC);
    loop_stop(o->loop);
    pthread_join(o->thread, NULL);
    o->closed = true;
}

void office_free(struct office *o)
{
    struct list *n;
    if (o == NULL)
        return;
    CHECK_MAGIC(o, OFFICE_MAGIC);
    loop_deliver(o->loop); /* what was asked in its last moment */
    while ((n = list_pop(&o->asked)) != NULL)
        inquiry_free(CONTAINER_OF(n, struct inquiry, node));
    loop_free(o->loop);
    o->magic = 0;
    free(o);
}
