/* SPDX-License-Identifier: Apache-2.0 */
#include "session/standing.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "cert/pem.h"
#include "cert/trust.h"
#include "session/front.h"
#include "session/routing.h"
#include "session/worker.h"
#include "tls/server.h"

/* So often time alone is asked: CRLs that expire, and the certificates above the client's own. */
#define PROOF_NS (60 * NSEC_PER_SEC)

void standing_free(struct standing *st)
{
    free(st->why);
    st->why = NULL;
}

bool standing_listener(const struct snapshot *before, uint32_t listener, const struct snapshot *now,
                       uint32_t *ret)
{
    const char *key = before->config->listeners.v[listener].address.text.text;
    for (size_t i = 0; i < now->config->listeners.n; i++)
        if (strcmp(now->config->listeners.v[i].address.text.text, key) == 0) {
            *ret = (uint32_t)i;
            return true;
        }
    return false;
}

static bool believes(const struct route_runtime *route, const struct link_peer *peer, int64_t wall,
                     struct err *err)
{
    const char *name = route->config->name.text;
    const struct trust *trust = tls_server_trust(route->tls);
    if (peer->identity == NULL) {
        if (route->config->clients.mode == CONFIG_CLIENTS_REQUIRED)
            err_set(err, "route %s wants a client certificate now, and this connection has shown none", name);
        return route->config->clients.mode != CONFIG_CLIENTS_REQUIRED;
    }
    if (trust == NULL) {
        err_set(err, "route %s does not ask for client certificates any more", name);
        return false;
    }
    if (peer->chain == NULL) {
        err_set(err, "the client's certificates are not there to be verified anew");
        return false;
    }
    return trust_verify(trust, peer->chain, TRUST_CLIENT, NULL, wall, NULL, err) == 0;
}

bool standing_believes(const struct route_runtime *route, const struct link_peer *peer, struct err *err)
{
    return believes(route, peer, time(NULL), err);
}

/* The verdict: false with why not. */
static bool refuse(struct standing *st, enum close_reason reason, const struct err *why)
{
    if (st->why == NULL)
        st->why = malloc(sizeof(*st->why));
    CHECK(st->why != NULL);
    *st->why = *why;
    st->refused = reason;
    return false;
}

static bool welcome(struct standing *st)
{
    standing_free(st);
    st->refused = CLOSE_DONE;
    return true;
}

/* Where a new connection of this client's would be led to by `now`: a tunnel that its protocol reaches, or
 * NULL with `err`. */
static const struct route_runtime *lead(const struct standing *st, const struct snapshot *now,
                                        const struct hello_note *hello, bool udp, uint32_t *ret_listener,
                                        struct err *err)
{
    const struct snapshot *before = st->epoch->snap;
    const char *address = before->config->listeners.v[st->listener].address.text.text;
    if (!standing_listener(before, st->listener, now, ret_listener) ||
        (udp && !snapshot_listens_udp(now, *ret_listener))) {
        err_set(err, "the door does not listen at %s%s any more", address, udp ? " for QUIC" : "");
        return NULL;
    }
    struct route_match match = routing_again(now, *ret_listener, hello);
    const struct route_runtime *route = match.route == ROUTE_NONE ? NULL : &now->routes[match.route];
    if (route == NULL || route->config->action != CONFIG_TUNNEL) {
        err_set(err, "the door has no tunnel for this client any more (it came in by route %s)",
                st->route->config->name.text);
        return NULL;
    }
    return route;
}

/* By a configuration that is not the one that judged it last. */
static bool judge(struct standing *st, const struct standing_now *now, const struct hello_note *hello,
                  const struct link_peer *peer, bool udp)
{
    struct err err;
    uint32_t listener;
    st->judged = now->epoch->number;
    const struct route_runtime *route = lead(st, now->epoch->snap, hello, udp, &listener, &err);
    if (route == NULL)
        return refuse(st, CLOSE_NO_ROUTE, &err);
    if (!believes(route, peer, now->wall, &err))
        return refuse(st, CLOSE_BAD_CERTIFICATE, &err);
    st->proven = now->monotonic;
    st->epoch = now->epoch;
    st->route = route;
    st->listener = listener;
    return welcome(st);
}

/* By the clock, in the configuration that it is good in. */
static bool judge_time(struct standing *st, const struct standing_now *now, const struct link_peer *peer)
{
    struct err err;
    if (peer->chain == NULL)
        return true;
    if (st->expires == 0)
        st->expires = trust_expires(peer->chain);
    if (st->proven == 0)
        st->proven = now->monotonic;
    if (now->wall < st->expires && now->monotonic - st->proven < PROOF_NS)
        return true;
    if (!believes(st->route, peer, now->wall, &err))
        return refuse(st, CLOSE_BAD_CERTIFICATE, &err);
    st->proven = now->monotonic;
    return true;
}

const struct route_runtime *standing_lead(const struct standing *st, const struct snapshot *now,
                                          const struct hello_note *hello, bool udp, struct err *err)
{
    uint32_t listener;
    return lead(st, now, hello, udp, &listener, err);
}

void standing_proven(struct standing *st)
{
    welcome(st);
    st->judged = 0;
    st->proven = st->expires = 0;
}

void standing_expire(struct standing *st, const struct link_peer *peer)
{
    struct err err;
    char when[PEM_TIME_MAX];
    err_set(
        &err,
        "the client's certificate has run out on %s, and no newer one was proven (clients.expired: close)",
        pem_time_text(trust_expires(peer->chain), when));
    refuse(st, CLOSE_EXPIRED, &err);
}

int64_t standing_look(const struct link_peer *peer)
{
    int64_t now = clock_wall() / NSEC_PER_SEC,
            expires = peer->chain == NULL ? INT64_MAX : trust_expires(peer->chain);
    if (expires <= now)
        return NSEC_PER_SEC;
    return expires < now + PROOF_NS / NSEC_PER_SEC ? (expires - now) * NSEC_PER_SEC : PROOF_NS;
}

bool standing_judge(struct standing *st, const struct standing_now *now, const struct hello_note *hello,
                    const struct link_peer *peer, bool udp)
{
    if (st->judged == 0)
        st->judged = st->epoch->number;
    if (st->judged != now->epoch->number)
        return judge(st, now, hello, peer, udp);
    return st->refused == CLOSE_DONE && judge_time(st, now, peer);
}

bool standing_renew(struct standing *st, struct worker *w, const struct hello_note *hello,
                    const struct link_peer *peer, bool udp)
{
    const struct standing_now now = {w->epoch, loop_now(w->loop), time(NULL)};
    struct epoch *before = st->epoch;
    bool welcome = standing_judge(st, &now, hello, peer, udp);
    if (st->epoch != before) {
        worker_hold(w, st->epoch);
        worker_release(w, before);
    }
    return welcome;
}
