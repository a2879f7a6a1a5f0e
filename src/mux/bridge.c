/* SPDX-License-Identifier: Apache-2.0 */
/* Two ends, each a link on one of a pair of unix sockets. Such a socket has no reset, so whoever breaks off
 * says so in a flag that both ends share, before closing. The near end is joined to the link by a pump, a
 * pipe that runs in the link's thread; the far end goes to the visitor. */
#include "mux/bridge.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "link/fd_link.h"
#include "pipe/pipe.h"

#define BRIDGE_MAGIC 0xb41d9e00u
#define END_MAGIC 0xb41d9ef0u

/* What the ends share. */
struct bridge {
    uint32_t magic;
    _Atomic uint32_t refs;
    _Atomic bool cut[2]; /* that end broke off */
    int far_fd;          /* until the far end is made */
};

static void unref(struct bridge *b)
{
    CHECK_MAGIC(b, BRIDGE_MAGIC);
    if (atomic_fetch_sub(&b->refs, 1) > 1)
        return;
    b->magic = 0;
    free(b);
}

/* ---- an end as a link ---- */

enum side { NEAR, FAR };

struct end {
    struct link link;
    uint32_t magic;
    enum side side;
    struct bridge *bridge;
    struct link *socket;
    struct loop *loop;
    struct task free_later;
};

static struct end *end_of(const struct link *l)
{
    struct end *e = CONTAINER_OF((struct link *)(uintptr_t)l, struct end, link);
    CHECK_MAGIC(e, END_MAGIC);
    return e;
}

/* Has the other end broken off? */
static bool is_cut(struct end *e)
{
    return atomic_load(&e->bridge->cut[e->side == NEAR ? FAR : NEAR]);
}

/* The other end has ended or broken: in order only where it did not say otherwise. */
static enum link_status told(struct end *e, enum link_status status)
{
    bool cut = is_cut(e);
    if (status == LINK_ERROR || (status == LINK_EOF && cut))
        return link_fail(&e->link, cut ? "connection reset" : link_error(e->socket));
    return status;
}

static enum link_status end_open(struct link *l)
{
    return l->error == NULL ? LINK_OK : LINK_ERROR;
}

static enum link_status end_read(struct link *l, void *buf, size_t cap, size_t *ret_n)
{
    struct end *e = end_of(l);
    return told(e, link_read(e->socket, buf, cap, ret_n));
}

static enum link_status end_write(struct link *l, const void *buf, size_t len, size_t *ret_n)
{
    struct end *e = end_of(l);
    return told(e, link_write(e->socket, buf, len, ret_n));
}

static enum link_status end_shutdown(struct link *l, bool closing)
{
    struct end *e = end_of(l);
    return told(e, closing ? link_finish(e->socket) : link_shutdown(e->socket));
}

static void end_free(struct task *t)
{
    struct end *e = CONTAINER_OF(t, struct end, free_later);
    e->magic = 0;
    free(e);
}

static void end_close(struct link *l, bool abort)
{
    struct end *e = end_of(l);
    if (abort)
        atomic_store(&e->bridge->cut[e->side], true);
    link_close(e->socket, false);
    unref(e->bridge);
    l->wake = NULL;
    loop_defer(e->loop, &e->free_later); /* its socket may still wake it in this round */
}

static void end_wake(struct link *socket)
{
    struct end *e = socket->owner;
    CHECK_MAGIC(e, END_MAGIC);
    if (is_cut(e)) /* also for who has read the end, and looks no more */
        link_fail(&e->link, "connection reset");
    link_wake(&e->link);
}

static const struct link_ops end_ops = {
    .name = "bridge",
    .open = end_open,
    .read = end_read,
    .write = end_write,
    .shutdown = end_shutdown,
    .close = end_close,
};

/* NULL, with nothing taken, when the socket cannot be watched. */
static struct link *end_new(struct bridge *b, enum side side, int fd, struct loop *loop)
{
    struct link *socket = fd_link_socket(loop, fd, false);
    if (socket == NULL)
        return NULL;
    struct end *e = calloc(1, sizeof(*e));
    CHECK(e != NULL);
    *e = (struct end){
        .link.ops = &end_ops, .magic = END_MAGIC, .side = side, .bridge = b, .socket = socket, .loop = loop};
    task_init(&e->free_later, end_free);
    socket->wake = end_wake;
    socket->owner = e;
    return &e->link;
}

/* ---- the pump ---- */

struct pump {
    struct bridge_site *site;
    struct list node; /* of the site */
    struct link *link;
    struct link *end;
    struct pipe pipe;
    struct task task; /* runs soon, frees at the end */
};

static void pump_free(struct task *t)
{
    free(CONTAINER_OF(t, struct pump, task));
}

static void pump_end(struct pump *p, bool cut)
{
    pipe_free(&p->pipe);
    list_remove(&p->task.node);
    list_remove(&p->node);
    link_close(p->link, cut);
    link_close(p->end, cut);
    if (p->site->release != NULL)
        p->site->release(p->site->bank);
    p->link = p->end = NULL;
    task_init(&p->task, pump_free);
    loop_defer(p->site->loop, &p->task);
}

static void pump_over(struct pump *p, bool cut)
{
    struct bridge_site *site = p->site;
    pump_end(p, cut);
    if (list_empty(&site->pumps) && site->quiet != NULL)
        site->quiet(site->arg);
}

static void pump_run(struct pump *p)
{
    if (p->link == NULL)
        return;
    switch (pipe_run(&p->pipe, p->site->scratch)) {
    case PIPE_WAIT:
        if (is_cut(end_of(p->end))) /* the visitor has gone; neither read nor write need say so */
            pump_over(p, true);
        return;
    case PIPE_YIELD:
        loop_defer(p->site->loop, &p->task);
        return;
    case PIPE_DONE:
        pump_over(p, false);
        return;
    case PIPE_FAILED:
        pump_over(p, true);
        return;
    }
}

static void on_wake(struct link *l)
{
    pump_run(l->owner);
}

static void on_task(struct task *t)
{
    pump_run(CONTAINER_OF(t, struct pump, task));
}

static void pump_start(struct bridge_site *site, struct link *link, struct link *end)
{
    struct pump *p = calloc(1, sizeof(*p));
    CHECK(p != NULL);
    *p = (struct pump){.site = site, .link = link, .end = end};
    list_insert(&site->pumps, &p->node);
    link->wake = end->wake = on_wake;
    link->owner = end->owner = p;
    pipe_init(&p->pipe, link, end);
    task_init(&p->task, on_task);
    loop_defer(site->loop, &p->task); /* what the link has brought already makes no wake */
}

/* ---- bridges ---- */

void bridge_site_init(struct bridge_site *site, struct loop *loop, struct pipe_scratch *scratch)
{
    *site = (struct bridge_site){.loop = loop, .scratch = scratch};
    list_init(&site->pumps);
}

void bridge_site_clear(struct bridge_site *site)
{
    while (!list_empty(&site->pumps))
        pump_end(CONTAINER_OF(site->pumps.next, struct pump, node), true);
}

static struct bridge *build(struct bridge_site *site, struct link *link)
{
    int fd[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fd) != 0) {
        link_close(link, true);
        return NULL;
    }
    struct bridge *b = calloc(1, sizeof(*b));
    CHECK(b != NULL);
    b->magic = BRIDGE_MAGIC;
    b->far_fd = fd[1];
    atomic_store(&b->refs, 2);
    struct link *end = end_new(b, NEAR, fd[0], site->loop);
    if (end == NULL) {
        link_close(link, true);
        close(fd[0]);
        close(fd[1]);
        free(b);
        return NULL;
    }
    pump_start(site, link, end);
    return b;
}

struct bridge *bridge_new(struct bridge_site *site, struct link *link)
{
    if (site->reserve != NULL && !site->reserve(site->bank)) {
        link_close(link, true);
        return NULL;
    }
    struct bridge *b = build(site, link);
    if (b == NULL && site->release != NULL)
        site->release(site->bank);
    return b;
}

struct link *bridge_cross(struct bridge *b, struct loop *loop)
{
    struct link *end = end_new(b, FAR, b->far_fd, loop);
    if (end == NULL)
        bridge_give_up(b);
    return end;
}

void bridge_give_up(struct bridge *b)
{
    atomic_store(&b->cut[FAR], true);
    close(b->far_fd);
    unref(b);
}
