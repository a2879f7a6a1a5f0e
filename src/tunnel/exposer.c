/* SPDX-License-Identifier: Apache-2.0 */
#include "tunnel/exposer.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/hash.h"
#include "base/str.h"
#include "tunnel/client_internal.h"
#include "tunnel/exposer_internal.h"

#define STOP_LOOK_NS (100 * NSEC_PER_MSEC)

/* ---- the list of services ---- */

static bool same_service(const struct agent_service *a, const struct agent_service *b)
{
    return strcmp(a->offer.name, b->offer.name) == 0 && a->offer.kind == b->offer.kind &&
           a->offer.udp == b->offer.udp && a->offer.port == b->offer.port && str_same(a->host, b->host) &&
           a->port == b->port && str_same(a->path, b->path) && a->proxy == b->proxy &&
           str_same(a->also_cert, b->also_cert) && str_same(a->also_key, b->also_key) &&
           a->dial_timeout == b->dial_timeout && a->health == b->health && a->connections == b->connections &&
           a->bandwidth == b->bandwidth;
}

void exposer_update(struct exposer *a, const struct agent_service *services, size_t count)
{
    bool *known = calloc(count + 1, sizeof(*known));
    CHECK(known != NULL);
    if (a->stopping)
        count = 0;
    for (struct list *n = a->offers.next; n != &a->offers && !a->stopping; n = n->next) {
        struct exposer_offer *o = CONTAINER_OF(n, struct exposer_offer, node);
        size_t i = 0;
        while (!o->gone && i < count && (known[i] || !same_service(&o->service, &services[i])))
            i++;
        if (o->gone)
            continue;
        if (i == count) {
            exposer_offer_withdraw(o);
            continue;
        }
        known[i] = true;
        exposer_offer_go_on(o, services[i].tls);
    }
    for (size_t i = 0; i < count; i++)
        if (!known[i])
            exposer_offer_add(a, &services[i]);
    free(known);
}

bool exposer_offers(const struct exposer *a)
{
    for (struct list *n = a->offers.next; n != &a->offers; n = n->next)
        if (CONTAINER_OF(n, struct exposer_offer, node)->state != OFFER_REFUSED)
            return true;
    return false;
}

/* ---- life ---- */

static void on_visitor(void *owner, struct link *far)
{
    exposer_visit_take(owner, far);
}

static void on_unheard(void *owner, unsigned turn)
{
    struct exposer *a = owner;
    for (struct list *n = a->offers.next; n != &a->offers; n = n->next)
        exposer_offer_unheard(CONTAINER_OF(n, struct exposer_offer, node), turn);
}

static const struct client_visitors visitors = {.visitor = on_visitor, .unheard = on_unheard};

static void on_stop_timer(struct timer *t)
{
    struct exposer *a = CONTAINER_OF(t, struct exposer, stop);
    int64_t now = loop_now(a->loop);
    if (a->visitors == 0 || now >= a->stop_by)
        a->events->stopped(a->owner);
    else
        loop_set_timer(a->loop, t, MIN(now + STOP_LOOK_NS, a->stop_by));
}

struct exposer *exposer_new(struct loop *loop, struct client_door *door, const struct agent_service *services,
                            size_t count, bool retry, const struct agent_events *events, void *owner)
{
    CHECK_MAGIC(door, CLIENT_DOOR_MAGIC);
    struct exposer *a = calloc(1, sizeof(*a));
    CHECK(a != NULL);
    *a = (struct exposer){.loop = loop,
                          .door = door,
                          .events = events,
                          .owner = owner,
                          .retry = retry,
                          .instance = hash_random_key().k0 % (OFFER_INSTANCES - 1) + 1};
    list_init(&a->offers);
    list_init(&a->visits);
    tls_scratch_init(&a->inner, loop);
    timer_init(&a->stop, on_stop_timer);
    client_door_visitors(door, &visitors, a);
    for (size_t i = 0; i < count; i++)
        exposer_offer_add(a, &services[i]);
    return a;
}

void exposer_stop(struct exposer *a, int64_t grace)
{
    int64_t now = loop_now(a->loop);
    if (a->stopping) {
        a->stop_by = MIN(a->stop_by, now + grace);
        return;
    }
    a->stopping = true;
    a->stop_by = now + grace;
    for (struct list *n = a->offers.next; n != &a->offers; n = n->next)
        exposer_offer_stop(CONTAINER_OF(n, struct exposer_offer, node));
    /* Not at once: who was sent before the door heard of it is on the way. */
    loop_set_timer(a->loop, &a->stop, MIN(now + STOP_LOOK_NS, a->stop_by));
}

size_t exposer_visitors(const struct exposer *a)
{
    return a->visitors - a->lingering;
}

void exposer_free(struct exposer *a)
{
    if (a == NULL)
        return;
    client_door_visitors(a->door, NULL, NULL);
    exposer_visit_drop(a, NULL);
    wheel_cancel(&a->stop);
    for (struct list *n = a->offers.next, *next; n != &a->offers; n = next) {
        next = n->next;
        exposer_offer_free(CONTAINER_OF(n, struct exposer_offer, node));
    }
    tls_scratch_free(&a->inner);
    free(a);
}
