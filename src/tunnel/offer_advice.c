/* SPDX-License-Identifier: Apache-2.0 */
#include "tunnel/offer_advice.h"

#include "mux/agents.h"
#include "session/routing.h"
#include "session/snapshot.h"

/* ---- routes ---- */

bool offer_warning(const struct snapshot *snap, const struct offer *offer, struct err *ret)
{
    if (offer->port != 0)
        return false;
    uint32_t id = routing_of_name(snap, offer->name);
    if (id == ROUTE_NONE) {
        err_set(ret,
                "no route of the door leads to %s: visitors by server name will not reach it; add a route "
                "with action expose, sni %s",
                offer->name, offer->name);
        return true;
    }
    const struct config_route *rc = snap->routes[id].config;
    if (rc->action != CONFIG_EXPOSE) {
        err_set(ret,
                "route %s of the door takes the server name %s, and leads elsewhere (%s): visitors by server "
                "name will not reach it; add a route with action expose, sni %s",
                rc->name.text, offer->name, config_action_name(rc->action), offer->name);
        return true;
    }
    if (offer->kind != OFFER_PRIVATE || snap->routes[id].tls != NULL)
        return false;
    err_set(ret,
            "route %s of the door, which leads to %s, has no 'clients': nobody may visit by server name what "
            "is offered in private; add 'clients' to it",
            rc->name.text, offer->name);
    return true;
}

/* ---- ports ---- */

static const char *proto_word(bool udp)
{
    return udp ? "UDP" : "TCP";
}

static bool is_of_another_offer(struct agents *view, const struct offer *offer, struct err *ret)
{
    struct agent *a = agents_at_port(view, offer->port, offer->udp, offer->name);
    if (a == NULL)
        return false;
    err_set(ret, "%s port %u of the door belongs to the offer of %s by %s already", proto_word(offer->udp),
            offer->port, agent_offer(a)->name, agent_identity(a));
    agent_unref(a);
    return true;
}

bool offer_port_is_ours(const struct snapshot *snap, struct agents *view, const struct offer *offer,
                        struct err *ret)
{
    const struct config *c = snap->config;
    if (is_of_another_offer(view, offer, ret))
        return true;
    for (size_t i = 0; i < c->listeners.n; i++) {
        const struct config_listener *l = &c->listeners.v[i];
        if (l->address.port != offer->port || (offer->udp && !snapshot_listens_udp(snap, i)))
            continue;
        err_set(ret, "%s port %u of the door is that of its own listener %s (%s)", proto_word(offer->udp),
                offer->port, l->name.text, l->address.text.text);
        return true;
    }
    const struct config_address *metrics = &c->admin.metrics;
    if (metrics->text.text == NULL || metrics->port != offer->port || offer->udp)
        return false;
    err_set(ret, "TCP port %u of the door is that of its metrics (admin.metrics, %s)", offer->port,
            metrics->text.text);
    return true;
}

/* ---- other offers of the name ---- */

void offer_is_taken(const struct agent *by, struct err *ret)
{
    const struct offer *has = agent_offer(by);
    if (has->port != 0)
        err_set(ret, "another agent offers %s already: %s, %s at %s port %u", has->name, agent_identity(by),
                offer_kind_word(has->kind), proto_word(has->udp), has->port);
    else
        err_set(ret, "another agent offers %s already: %s, %s by name", has->name, agent_identity(by),
                offer_kind_word(has->kind));
}

void offer_rival(struct agents *view, const struct offer *offer, struct err *ret)
{
    struct agent *a = agents_first(view, offer->name);
    if (a == NULL) {
        err_set(
            ret,
            "another agent offered %s end-to-end until just now, and may be back: in another kind it can be "
            "offered once agents.grace of the door is over",
            offer->name);
        return;
    }
    offer_is_taken(a, ret);
    agent_unref(a);
}
