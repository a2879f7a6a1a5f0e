/* SPDX-License-Identifier: Apache-2.0 */
/* A visitor's errand: from his worker to the agent's home and back with a link. It belongs to one thread at a
 * time, but for the word that the visitor has gone. A link that can leave its thread does; to any other a
 * bridge is built. */
#include <stdlib.h>

#include "base/clock.h"
#include "mux/agent.h"
#include "mux/bridge.h"
#include "mux/view.h"
#include "net/addr.h"

#define ERRAND_MAGIC 0xe44a4d00u

struct errand {
    uint32_t magic;
    struct message message;
    struct task task;
    struct list node; /* the agent's owner's */
    struct agents *from;
    struct agents *home;
    struct agent *agent;
    struct link *link;     /* on its way to the visitor */
    struct bridge *bridge; /* ... or this */
    _Atomic bool is_void;
    bool unproven;
    bool gone; /* the agent was, when it failed */
    void (*arrived)(void *owner, struct link *link, bool gone);
    void *owner;
};

/* ---- back at the visitor ---- */

static struct link *unpack(struct errand *e)
{
    if (e->bridge != NULL)
        return bridge_cross(e->bridge, e->from->home.loop);
    if (e->link == NULL || e->home == e->from || link_enter(e->link, &e->from->home))
        return e->link;
    link_close(e->link, true);
    return NULL;
}

static void deliver(struct errand *e)
{
    struct link *link = unpack(e);
    if (atomic_load(&e->is_void))
        link_close(link, true);
    else
        e->arrived(e->owner, link, e->gone);
    agent_unref(e->agent);
    e->magic = 0;
    free(e);
}

static void on_delivery(struct message *m)
{
    deliver(CONTAINER_OF(m, struct errand, message));
}

static void on_delivery_here(struct task *t)
{
    deliver(CONTAINER_OF(t, struct errand, task));
}

/* ---- at home ---- */

static void send_back(struct errand *e)
{
    if (e->from == e->home) {
        task_init(&e->task, on_delivery_here);
        loop_defer(e->home->home.loop, &e->task);
        return;
    }
    e->message.run = on_delivery;
    loop_post(e->from->home.loop, &e->message);
}

/* No event of this round can name the link any more. */
static void take_along(struct task *t)
{
    struct errand *e = CONTAINER_OF(t, struct errand, task);
    link_leave(e->link);
    send_back(e);
}

void errand_give(struct errand *e, struct link *link)
{
    CHECK_MAGIC(e, ERRAND_MAGIC);
    list_remove(&e->node);
    link->wake = NULL;
    if (e->from == e->home) {
        e->link = link;
        send_back(e);
    } else if (link_moves(link)) {
        e->link = link;
        task_init(&e->task, take_along);
        loop_defer(e->home->home.loop, &e->task);
    } else {
        e->bridge = bridge_new(&e->home->site, link);
        send_back(e);
    }
}

void errand_fail(struct errand *e)
{
    CHECK_MAGIC(e, ERRAND_MAGIC);
    list_remove(&e->node);
    e->gone = e->agent->withdrawn;
    send_back(e);
}

bool errand_is_void(const struct errand *e)
{
    return atomic_load(&e->is_void);
}

bool errand_is_unproven(const struct errand *e)
{
    return e->unproven;
}

struct list *errand_node(struct errand *e)
{
    return &e->node;
}

struct errand *errand_of_node(struct list *node)
{
    struct errand *e = CONTAINER_OF(node, struct errand, node);
    CHECK_MAGIC(e, ERRAND_MAGIC);
    return e;
}

static void at_home(struct errand *e)
{
    if (e->agent->withdrawn || atomic_load(&e->is_void))
        errand_fail(e);
    else
        e->agent->terms.ops->wanted(e->agent->terms.owner, e);
}

static void on_arrival(struct message *m)
{
    at_home(CONTAINER_OF(m, struct errand, message));
}

static void on_arrival_here(struct task *t)
{
    at_home(CONTAINER_OF(t, struct errand, task));
}

/* ---- the visitor sets out ---- */

struct errand *agents_visit(struct agents *v, struct agent *a, bool unproven,
                            void (*arrived)(void *owner, struct link *link, bool gone), void *owner)
{
    struct errand *e = calloc(1, sizeof(*e));
    CHECK(e != NULL);
    *e = (struct errand){.magic = ERRAND_MAGIC,
                         .from = v,
                         .home = v->hub->view[a->home],
                         .agent = agent_ref(a),
                         .unproven = unproven,
                         .arrived = arrived,
                         .owner = owner};
    list_init(&e->node);
    struct known *k = registry_find_id(&v->known, a->id);
    if (k != NULL)
        k->visited = ++v->visits;
    if (e->from == e->home) {
        task_init(&e->task, on_arrival_here);
        loop_defer(v->home.loop, &e->task);
    } else {
        e->message.run = on_arrival;
        loop_post(e->home->home.loop, &e->message);
    }
    return e;
}

void errand_cancel(struct errand *e)
{
    if (e != NULL)
        atomic_store(&e->is_void, true);
}

/* ---- connections that are brought home ---- */

struct bringing {
    struct message message;
    struct task task;
    struct agents *home;
    struct agent *agent;
    struct link *link;
};

static void on_brought(struct message *m)
{
    struct bringing *b = CONTAINER_OF(m, struct bringing, message);
    struct agent *a = b->agent;
    if (!link_enter(b->link, &b->home->home) || a->withdrawn) {
        link_close(b->link, true);
        b->link = NULL;
    }
    if (!a->withdrawn)
        a->terms.ops->brought(a->terms.owner, b->link);
    agent_unref(a);
    free(b);
}

static void set_out(struct task *t)
{
    struct bringing *b = CONTAINER_OF(t, struct bringing, task);
    link_leave(b->link);
    b->message.run = on_brought;
    loop_post(b->home->home.loop, &b->message);
}

void agents_bring(struct agents *v, struct agent *a, struct link *link)
{
    struct bringing *b = calloc(1, sizeof(*b));
    CHECK(b != NULL && link_moves(link));
    *b = (struct bringing){.home = v->hub->view[a->home], .agent = agent_ref(a), .link = link};
    link->wake = NULL;
    task_init(&b->task, set_out);
    loop_defer(v->home.loop, &b->task);
}
