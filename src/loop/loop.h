/* SPDX-License-Identifier: Apache-2.0 */
/* The event loop: one per thread. Edge-triggered readiness of descriptors, deadlines, work put off to the end
 * of the round, and messages from other threads. Everything but loop_post() and loop_stop() belongs to the
 * loop's thread, and loop_watch() where it says otherwise. */
#ifndef CARDEA_LOOP_LOOP_H
#define CARDEA_LOOP_LOOP_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/epoll.h>

#include "base/err.h"
#include "loop/wheel.h"

struct loop;

/* Interest in a descriptor. Embed it; `fd` is -1 while it is not watched. */
struct watch {
    int fd;
    void (*ready)(struct watch *, uint32_t events); /* EPOLLIN, EPOLLOUT, EPOLLRDHUP, EPOLLHUP, EPOLLERR */
};

/* Work to run once at the end of the round, when no event of this round can name the object any more: the
 * place to free what had a watch, and to go on with work that was cut off for fairness. */
struct task {
    struct list node;
    void (*run)(struct task *);
};

/* A call made in another thread's loop. The sender owns the memory until `run` has it. */
struct message {
    struct message *next;
    void (*run)(struct message *);
};

/* NULL with `err` when the kernel gives no descriptor. */
struct loop *loop_new(struct err *err);

/* Runs the tasks that were put off, since most of them free something; no event and no timer comes any more.
 * Whoever has a watch closes its descriptor before. NULL is allowed. */
void loop_free(struct loop *loop);

/* Run until loop_stop(). Returns 0, or -1 with `err` set when the kernel refuses to wait. */
int loop_run(struct loop *loop, struct err *err);

/* Make loop_run() return after its round; from any thread or a signal handler. */
void loop_stop(struct loop *loop);

/* Monotonic time at the start of this round, in nanoseconds. */
int64_t loop_now(const struct loop *loop);

/* Watch a descriptor, edge-triggered unless `events` lacks EPOLLET. Returns 0, or -1 with errno set. It ends
 * with loop_close() or loop_unwatch(), which set fd to -1, so that an event already fetched is dropped. With
 * no events (loop_rewatch() names them later) it may be called in another thread, which then posts the watch
 * over. */
int loop_watch(struct loop *loop, struct watch *w, int fd, uint32_t events,
               void (*ready)(struct watch *, uint32_t));

/* Stop watching without closing. */
void loop_unwatch(struct loop *loop, struct watch *w);

/* Stop watching, and close the descriptor. To close it alone would not do: the kernel watches what is open,
 * and that goes on as long as anybody has it, be it a duplicate, or for a moment a program that is just being
 * started. In any thread. Harmless when `fd` is -1. */
void loop_close(struct loop *loop, struct watch *w);

/* Change the events of interest. Returns 0, or -1 with errno set. */
int loop_rewatch(struct loop *loop, struct watch *w, uint32_t events);

/* Set or move a timer to the monotonic time `when`, in nanoseconds: see wheel_set(). wheel_cancel() takes it
 * out. */
void loop_set_timer(struct loop *loop, struct timer *t, int64_t when);

/* Before the first loop_defer(). To take a task back, remove its `node` from the list. */
void task_init(struct task *t, void (*run)(struct task *));

/* Run the task at the end of the round; putting it off twice runs it once. */
void loop_defer(struct loop *loop, struct task *t);

/* Run `m->run` in the loop's thread soon. From any thread. */
void loop_post(struct loop *loop, struct message *m);

/* Run what was posted and has not run yet: for after loop_run() has returned, when nobody else uses the loop.
 */
void loop_deliver(struct loop *loop);

/* The same, and what has been put off by loop_defer(), each once. False when there was nothing. */
bool loop_settle(struct loop *loop);

#endif
