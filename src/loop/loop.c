/* SPDX-License-Identifier: Apache-2.0 */
/* A round: the kernel's events, then timers that have come due, then the tasks that were put off. The order
 * is a promise. An event carries a pointer to a watch, and a batch of events may name the same object twice;
 * so whoever has a watch frees itself in a task, when the batch is used up. Tasks that tasks put off wait for
 * the next round, so that a task that always puts itself off again cannot starve the sockets. */
#include "loop/loop.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"

#define EVENTS_PER_ROUND 256
#define LOOP_MAGIC 0x100b0001u

struct loop {
    uint32_t magic;
    int epoll;
    int64_t now;
    struct wheel wheel;
    struct list tasks;
    struct watch wakeup;             /* eventfd that other threads write to */
    _Atomic(struct message *) inbox; /* pushed by any thread, newest first */
    atomic_bool stopping;
};

void loop_deliver(struct loop *loop)
{
    struct message *newest = atomic_exchange(&loop->inbox, NULL), *oldest = NULL;
    while (newest != NULL) { /* turn the pile over: messages run in the order they were posted */
        struct message *next = newest->next;
        newest->next = oldest;
        oldest = newest;
        newest = next;
    }
    while (oldest != NULL) {
        struct message *next = oldest->next;
        oldest->run(oldest);
        oldest = next;
    }
}

static void on_wakeup(struct watch *w, uint32_t events)
{
    (void)events;
    uint64_t ignored;
    (void)!read(w->fd, &ignored, sizeof(ignored));
    loop_deliver(CONTAINER_OF(w, struct loop, wakeup));
}

struct loop *loop_new(struct err *err)
{
    struct loop *loop = calloc(1, sizeof(*loop));
    CHECK(loop != NULL);
    loop->magic = LOOP_MAGIC;
    loop->wakeup.fd = -1;
    loop->now = clock_monotonic();
    wheel_init(&loop->wheel, loop->now);
    list_init(&loop->tasks);
    loop->epoll = epoll_create1(EPOLL_CLOEXEC);
    int fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (loop->epoll < 0 || fd < 0 || loop_watch(loop, &loop->wakeup, fd, EPOLLIN, on_wakeup) != 0) {
        err_errno(err, errno, "cannot make an event loop");
        if (fd >= 0)
            close(fd);
        loop->wakeup.fd = -1;
        loop_free(loop);
        return NULL;
    }
    return loop;
}

static void run_tasks(struct loop *loop)
{
    struct list batch;
    list_init(&batch);
    list_splice(&batch, &loop->tasks); /* what these put off again waits for the next round */
    struct list *node;
    while ((node = list_pop(&batch)) != NULL) {
        struct task *t = CONTAINER_OF(node, struct task, node);
        t->run(t);
    }
}

bool loop_settle(struct loop *loop)
{
    bool busy = atomic_load(&loop->inbox) != NULL || !list_empty(&loop->tasks);
    loop_deliver(loop);
    run_tasks(loop);
    return busy;
}

void loop_free(struct loop *loop)
{
    if (loop == NULL)
        return;
    CHECK_MAGIC(loop, LOOP_MAGIC);
    while (!list_empty(&loop->tasks)) /* what was put off is mostly freeing */
        run_tasks(loop);
    if (loop->wakeup.fd >= 0)
        close(loop->wakeup.fd);
    if (loop->epoll >= 0)
        close(loop->epoll);
    loop->magic = 0;
    free(loop);
}

int64_t loop_now(const struct loop *loop)
{
    return loop->now;
}

int loop_watch(struct loop *loop, struct watch *w, int fd, uint32_t events,
               void (*ready)(struct watch *, uint32_t))
{
    CHECK_MAGIC(loop, LOOP_MAGIC);
    struct epoll_event ev = {.events = events, .data.ptr = w};
    w->fd = fd;
    w->ready = ready;
    if (epoll_ctl(loop->epoll, EPOLL_CTL_ADD, fd, &ev) == 0)
        return 0;
    w->fd = -1;
    return -1;
}

void loop_unwatch(struct loop *loop, struct watch *w)
{
    if (w->fd >= 0)
        epoll_ctl(loop->epoll, EPOLL_CTL_DEL, w->fd, NULL);
    w->fd = -1;
}

void loop_close(struct loop *loop, struct watch *w)
{
    int fd = w->fd;
    loop_unwatch(loop, w);
    if (fd >= 0)
        close(fd);
}

int loop_rewatch(struct loop *loop, struct watch *w, uint32_t events)
{
    CHECK(w->fd >= 0);
    struct epoll_event ev = {.events = events, .data.ptr = w};
    return epoll_ctl(loop->epoll, EPOLL_CTL_MOD, w->fd, &ev);
}

void loop_set_timer(struct loop *loop, struct timer *t, int64_t when)
{
    wheel_set(&loop->wheel, t, when);
}

void task_init(struct task *t, void (*run)(struct task *))
{
    list_init(&t->node);
    t->run = run;
}

void loop_defer(struct loop *loop, struct task *t)
{
    if (list_empty(&t->node))
        list_insert(&loop->tasks, &t->node);
}

static void wake(struct loop *loop)
{
    uint64_t one = 1;
    (void)!write(loop->wakeup.fd, &one, sizeof(one));
}

/* Whoever finds the inbox empty wakes the loop, for all that is posted until it looks. */
void loop_post(struct loop *loop, struct message *m)
{
    struct message *before = atomic_load(&loop->inbox);
    do
        m->next = before;
    while (!atomic_compare_exchange_weak(&loop->inbox, &before, m));
    if (before == NULL)
        wake(loop);
}

void loop_stop(struct loop *loop)
{
    atomic_store(&loop->stopping, true);
    wake(loop);
}

/* Milliseconds epoll may sleep: none while work is put off, else until the next deadline. */
static int sleep_ms(struct loop *loop)
{
    if (!list_empty(&loop->tasks))
        return 0;
    int64_t next = wheel_next(&loop->wheel);
    if (next == INT64_MAX)
        return -1;
    int64_t ms = (next - clock_monotonic() + NSEC_PER_MSEC - 1) / NSEC_PER_MSEC;
    return (int)MAX(0, MIN(ms, INT64_C(60000)));
}

int loop_run(struct loop *loop, struct err *err)
{
    CHECK_MAGIC(loop, LOOP_MAGIC);
    struct epoll_event events[EVENTS_PER_ROUND];
    while (!atomic_load_explicit(&loop->stopping, memory_order_relaxed)) {
        int n = epoll_wait(loop->epoll, events, EVENTS_PER_ROUND, sleep_ms(loop));
        if (n < 0 && errno != EINTR)
            return err_errno(err, errno, "epoll_wait");
        loop->now = clock_monotonic();
        for (int i = 0; i < n; i++) {
            struct watch *w = events[i].data.ptr;
            if (w->fd >= 0)
                w->ready(w, events[i].events);
        }
        wheel_advance(&loop->wheel, loop->now);
        struct timer *t;
        while ((t = wheel_pop(&loop->wheel)) != NULL)
            t->fire(t);
        run_tasks(loop);
    }
    atomic_store(&loop->stopping, false);
    run_tasks(loop); /* what was to be freed at the end of the round is freed */
    return 0;
}
