/* SPDX-License-Identifier: Apache-2.0 */
/* Who comes to the port is a visitor of the name, whatever he says. */
#include <stdlib.h>
#include <unistd.h>

#include "link/fd_link.h"
#include "net/acceptor.h"
#include "net/socket.h"
#include "net/udp.h"
#include "session/worker.h"
#include "tunnel/door_offer_internal.h"
#include "tunnel/udp_port.h"

#define REOPEN_NS (2 * NSEC_PER_SEC)    /* between tries to have a port that another one has */
#define STAND_BY_NS (10 * NSEC_PER_SEC) /* ... of those who are not the first of the name */
#define FLOW_WAITS_MAX (16 * 1024)      /* bytes of a flow that wait for the agent; strangers begin flows */

/* One in so many of the agents' places is left: for flows whose end they have not heard of yet. */
#define PLACES_SPARED 8

/* Over TCP. */
struct door_port {
    struct acceptor acceptor;
    struct door_offer *offer;
    struct task free_later;
};

/* Somebody who has come to the port; `peer` is NULL where it is not known who. */
static struct session_origin visitor_from(const struct door_offer *o, const struct net_addr *peer)
{
    struct session_origin origin = o->origin;
    origin.peer = peer;
    origin.visits = agent_offer(o->agent);
    return origin;
}

static void port_accepted(struct acceptor *a, int fd, const struct net_addr *peer)
{
    struct door_offer *o = CONTAINER_OF(a, struct door_port, acceptor)->offer;
    struct session_origin origin = visitor_from(o, peer);
    struct link *link = fd_link_socket(o->worker->loop, fd, false);
    if (link == NULL) {
        close(fd);
        session_refused(o->worker, &origin, CLOSE_NO_DESCRIPTOR);
        return;
    }
    session_start_visit(o->worker, link, &origin);
}

static void port_refused(struct acceptor *a, int error)
{
    const struct door_offer *o = CONTAINER_OF(a, struct door_port, acceptor)->offer;
    (void)error;
    struct session_origin origin = visitor_from(o, NULL);
    session_refused(o->worker, &origin, CLOSE_NO_DESCRIPTOR);
}

static void port_free(struct task *t)
{
    free(CONTAINER_OF(t, struct door_port, free_later));
}

static void flow_begun(void *owner, const struct net_addr *source, struct link *link)
{
    struct door_offer *o = owner;
    struct session_origin origin = visitor_from(o, source);
    origin.unproven = true;
    session_start_visit(o->worker, link, &origin);
}

void door_port_close(struct door_offer *o)
{
    wheel_cancel(&o->reopen);
    if (door_port_is_open(o))
        door_offer_give_place(o);
    udp_port_close(o->udp_port);
    o->udp_port = NULL;
    if (o->port == NULL)
        return;
    acceptor_stop(&o->port->acceptor);
    task_init(&o->port->free_later, port_free);
    loop_defer(o->worker->loop, &o->port->free_later);
    o->port = NULL;
}

/* Who is turned away by the agents for want of a place is served by none that a stranger gives up: so it is
 * the door that has too few first. */
static size_t flows_at_port(const struct door_offer *o, const char *name)
{
    const struct config *c = o->origin.epoch->snap->config;
    size_t places = agents_places(o->worker->agents, name);
    if (c->agents.connections > 0)
        places = MIN(places, (size_t)c->agents.connections);
    return MIN((size_t)c->agents.flows, places - places / PLACES_SPARED);
}

static struct udp_port_visitors visitors_at_port(const struct door_offer *o, const char *name)
{
    const struct config *c = o->origin.epoch->snap->config;
    return (struct udp_port_visitors){.idle = c->limits.udp_idle_timeout,
                                      .flows = flows_at_port(o, name),
                                      .waits = FLOW_WAITS_MAX,
                                      .factor = c->agents.answer_factor};
}

void door_port_fit(struct door_offer *o)
{
    if (o->udp_port == NULL)
        return;
    const struct udp_port_visitors visitors = visitors_at_port(o, agent_offer(o->agent)->name);
    udp_port_refit(o->udp_port, &visitors);
}

static int open_udp_port(struct door_offer *o, const char *host, const struct offer *offer, struct err *err)
{
    const struct udp_port_visitors visitors = visitors_at_port(o, offer->name);
    int fd = udp_listen(host, offer->port, false, err);
    if (fd < 0)
        return err_prefix(err, "port %u of the door", offer->port);
    o->udp_port = udp_port_for_visitors(o->worker->loop, fd, &visitors, flow_begun, o, err);
    return o->udp_port == NULL ? -1 : 0;
}

static int open_tcp_port(struct door_offer *o, const char *host, uint16_t port, struct err *err)
{
    int fd = socket_listen_tcp(host, port, false, err);
    if (fd < 0)
        return err_prefix(err, "port %u of the door", port);
    struct door_port *p = calloc(1, sizeof(*p));
    CHECK(p != NULL);
    p->offer = o;
    p->acceptor.accepted = port_accepted;
    p->acceptor.refused = port_refused;
    if (acceptor_start(&p->acceptor, o->worker->loop, fd, err) != 0) {
        free(p);
        return -1;
    }
    o->port = p;
    return 0;
}

int door_port_open(struct door_offer *o, const struct offer *offer, struct err *err)
{
    const struct config_listener *l = &o->origin.epoch->snap->config->listeners.v[o->origin.listener];
    if (l->address.place != CONFIG_AT_IP)
        return err_set(
            err, "port %u of the door: %s, where the agent has come in, has no IP address to open it at",
            offer->port, l->address.text.text);
    if (!door_offer_take_place(o))
        return err_set(err, "port %u of the door: the door holds as many connections as it may", offer->port);
    int result = offer->udp ? open_udp_port(o, l->address.host, offer, err)
                            : open_tcp_port(o, l->address.host, offer->port, err);
    if (result != 0)
        door_offer_give_place(o);
    return result;
}

/* While it cannot be had it is tried again and again. That is worth a word where no other agent has it. */
static void try_port(struct door_offer *o)
{
    struct err err;
    const struct offer *offer = agent_offer(o->agent);
    bool first = agents_is_first(o->worker->agents, o->agent);
    wheel_cancel(&o->reopen);
    bool failed = door_port_open(o, offer, &err) != 0;
    if (failed && !o->portless && agents_count(o->worker->agents, offer->name) == 1)
        worker_notice(o->worker, "the offer of %s by %s has no port now: %s; it is tried again every %d s",
                      offer->name, agent_identity(o->agent), err.text, (int)(REOPEN_NS / NSEC_PER_SEC));
    o->portless = failed;
    if (failed)
        loop_set_timer(o->worker->loop, &o->reopen, door_offer_now(o) + (first ? REOPEN_NS : STAND_BY_NS));
}

static bool wants_port(const struct door_offer *o)
{
    return agent_offer(o->agent)->port != 0 && !door_port_is_open(o) && !o->draining;
}

/* When an agent comes or goes, which may have had the port, one tries at once; the others, who may be many,
 * when their time comes. */
void door_port_want(struct door_offer *o)
{
    if (!wants_port(o))
        wheel_cancel(&o->reopen);
    else if (agents_is_first(o->worker->agents, o->agent))
        try_port(o);
    else
        door_port_stand_by(o);
}

void door_port_stand_by(struct door_offer *o)
{
    if (!timer_is_set(&o->reopen))
        loop_set_timer(o->worker->loop, &o->reopen, door_offer_now(o) + STAND_BY_NS);
}

static void on_reopen(struct timer *t)
{
    struct door_offer *o = CONTAINER_OF(t, struct door_offer, reopen);
    if (wants_port(o))
        try_port(o);
}

void door_port_init(struct door_offer *o)
{
    timer_init(&o->reopen, on_reopen);
}
