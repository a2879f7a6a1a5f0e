/* SPDX-License-Identifier: Apache-2.0 */
/* Over QUIC a visitor gets a fresh stream of the agent's connection. Over TCP he gets a connection that the
 * agent has brought under a one-use id; a few are kept ready, more are asked for while visitors wait. */
#include <stdlib.h>

#include "base/clock.h"
#include "net/socket.h"
#include "quic/flow_link.h"
#include "quic/quic.h"
#include "session/worker.h"
#include "tunnel/door_offer_internal.h"
#include "tunnel/wire.h"

#define ID_LIFE_NS (60 * NSEC_PER_SEC)
#define SOON_NS NSEC_PER_SEC /* in which an agent brings a connection, where nothing is wrong */
#define WAITING_MAX 1024     /* visitors who wait for a connection of the agent */
#define KEPT 2               /* connections that wait for visitors */
#define MADE_UP_AT_ONCE 128  /* visitors who are not proven that have connections brought: at once, */
#define MADE_UP_A_SECOND 32  /* ... and a second in the long run */

/* A connection that waits for a visitor. */
struct spare {
    struct list node;
    struct door_offer *offer;
    struct link *link;
};

void door_spares_init(struct door_spares *s, int64_t now)
{
    patience_init_as(&s->patience, MADE_UP_AT_ONCE, MADE_UP_A_SECOND, now);
    list_init(&s->ready);
    list_init(&s->waiting);
}

/* ---- asking the agent for connections ---- */

/* The visitor who waits longest; those who have gone are let go. NULL: nobody waits. */
static struct errand *first_waiting(struct door_offer *o)
{
    for (struct list *n = o->spares.waiting.next, *next; n != &o->spares.waiting; n = next) {
        struct errand *e = errand_of_node(n);
        next = n->next;
        if (!errand_is_void(e))
            return e;
        o->spares.waiting_count--;
        errand_fail(e);
    }
    return NULL;
}

/* How many ids are out that were granted so lately. */
static size_t coming(const struct door_offer *o, int64_t lately)
{
    return agent_grants_out(o->agent, door_offer_now(o) + ID_LIFE_NS - lately);
}

static size_t lacks(size_t wanted, size_t have)
{
    return wanted > have ? wanted - have : 0;
}

static struct link *spare_take(struct spare *s)
{
    struct link *link = s->link;
    door_offer_give_place(s->offer);
    list_remove(&s->node);
    s->offer->spares.ready_count--;
    free(s);
    return link;
}

/* `broken`: nothing else will come of them. */
static void close_ready(struct door_offer *o, bool broken)
{
    for (struct list *s = o->spares.ready.next, *next; s != &o->spares.ready; s = next) {
        next = s->next;
        link_close(spare_take(CONTAINER_OF(s, struct spare, node)), broken);
    }
}

void door_spares_ask(struct door_offer *o)
{
    struct wire_control control = {0};
    size_t kept = worker_crowd(o->worker) == WORKER_ROOMY ? KEPT : 0,
           waiting = MIN(o->spares.waiting_count, (size_t)OFFER_IDS_MAX);
    if (o->over_streams || o->draining || o->agent == NULL)
        return;
    size_t more = MAX(lacks(kept + waiting, o->spares.ready_count + coming(o, ID_LIFE_NS)),
                      lacks(waiting, o->spares.ready_count + coming(o, SOON_NS)));
    for (; more > 0 && control.spares < OFFER_IDS_MAX; more--, control.spares++)
        if (!agent_grant(o->agent, door_offer_now(o), door_offer_now(o) + ID_LIFE_NS,
                         control.spare[control.spares]))
            break;
    if (control.spares > 0)
        door_offer_say(o, &control);
}

int64_t door_spares_look(const struct door_offer *o)
{
    return o->spares.waiting_count > 0 ? SOON_NS : INT64_MAX;
}

/* ---- connections that wait ---- */

void door_spares_packed(void *owner)
{
    struct door_offer *o = owner;
    CHECK_MAGIC(o, DOOR_OFFER_MAGIC);
    close_ready(o, false);
}

/* An agent says nothing before it is told of a visitor: a connection that wakes has ended. */
static void on_spare_wake(struct link *l)
{
    struct spare *s = l->owner;
    struct door_offer *o = s->offer;
    uint8_t byte;
    size_t n;
    if (link_read(l, &byte, 1, &n) == LINK_AGAIN)
        return;
    link_close(spare_take(s), true);
    door_spares_ask(o);
}

/* Takes its place, if so. */
static bool may_keep(const struct door_offer *o)
{
    return o->spares.ready_count < KEPT && worker_crowd(o->worker) == WORKER_ROOMY &&
           door_offer_take_place(o);
}

void door_spares_brought(void *owner, struct link *link)
{
    struct door_offer *o = owner;
    CHECK_MAGIC(o, DOOR_OFFER_MAGIC);
    struct errand *waiting = link == NULL ? NULL : first_waiting(o);
    if (waiting != NULL) {
        o->spares.waiting_count--;
        errand_give(waiting, link);
    } else if (link != NULL && !may_keep(o)) {
        link_close(link, false); /* another came first, or many were asked for at once */
    } else if (link != NULL) {
        struct spare *s = calloc(1, sizeof(*s));
        CHECK(s != NULL);
        *s = (struct spare){.offer = o, .link = link};
        socket_watch_peer(link_socket(link_bottom(link)));
        link->wake = on_spare_wake;
        link->owner = s;
        list_insert(&o->spares.ready, &s->node);
        o->spares.ready_count++;
        on_spare_wake(link); /* what came while it was moved made no wake */
    }
    door_spares_ask(o);
}

/* ---- visitors ---- */

static bool takes_datagrams(struct str answer)
{
    struct wire_answer a;
    size_t used;
    return wire_parse_answer((const uint8_t *)answer.p, answer.len, &a, &used, NULL) == WIRE_OK &&
           a.datagrams;
}

/* A fresh stream of the agent's connection; NULL when there is none to be had. It becomes a flow here and not
 * at the visitor, who may be on another worker, where it leads to him in frames. */
static struct link *open_stream(const struct door_offer *o)
{
    struct link *link = link_branch(o->link);
    if (link != NULL && agent_offer(o->agent)->udp && quic_stream_datagram_max(link) > 0)
        return flow_link_greeting(link, takes_datagrams);
    return link;
}

/* Room for one more? Those at the front who have gone make some. */
static bool may_wait(struct door_offer *o)
{
    first_waiting(o);
    return o->spares.waiting_count < WAITING_MAX;
}

static void add_waiting(struct door_offer *o, struct errand *e)
{
    list_insert(&o->spares.waiting, errand_node(e));
    if (o->spares.waiting_count++ == 0)
        loop_set_timer(o->worker->loop, &o->timer, door_offer_now(o) + SOON_NS);
}

/* One datagram under a made-up address would else be a TLS handshake for the door and the agent. */
static bool may_cost(struct door_offer *o, const struct errand *e)
{
    return o->over_streams || !errand_is_unproven(e) || patience_bear(&o->spares.patience, door_offer_now(o));
}

void door_spares_wanted(void *owner, struct errand *e)
{
    struct door_offer *o = owner;
    CHECK_MAGIC(o, DOOR_OFFER_MAGIC);
    if (!may_cost(o, e)) {
        errand_fail(e);
        return;
    }
    struct link *link = NULL;
    if (!list_empty(&o->spares.ready))
        link = spare_take(CONTAINER_OF(o->spares.ready.next, struct spare, node));
    else if (o->over_streams)
        link = open_stream(o);
    o->resident.streams++;
    if (o->over_streams)
        door_offer_expect_answer(o);
    if (link != NULL)
        errand_give(e, link);
    else if (o->over_streams || o->draining || !may_wait(o))
        errand_fail(e);
    else
        add_waiting(o, e);
    door_spares_ask(o);
}

void door_spares_fail_waiting(struct door_offer *o)
{
    struct list *n;
    while ((n = list_pop(&o->spares.waiting)) != NULL)
        errand_fail(errand_of_node(n));
    o->spares.waiting_count = 0;
}

void door_spares_close(struct door_offer *o)
{
    door_spares_fail_waiting(o);
    close_ready(o, true);
}
