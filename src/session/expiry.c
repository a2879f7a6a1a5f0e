/* SPDX-License-Identifier: Apache-2.0 */
#include "session/expiry.h"

#include "base/clock.h"
#include "cert/trust.h"
#include "session/ending.h"
#include "session/session_internal.h"
#include "session/worker.h"

#define LAST_WORDS_NS NSEC_PER_SEC /* for what the client is told to reach it */

int64_t expiry_of(const struct config_route *route, const struct link_peer *peer)
{
    if (route->clients.expired != CONFIG_EXPIRED_CLOSE || peer->chain == NULL)
        return 0;
    int64_t expires = trust_expires(peer->chain), ns;
    if (expires <= 0) /* dates that cannot be read were not proven, either */
        return 1;
    return __builtin_mul_overflow(expires, NSEC_PER_SEC, &ns) ||
                   __builtin_add_overflow(ns, route->clients.grace, &ns)
               ? 0
               : ns;
}

int64_t expiry_due(int64_t expires, int64_t now)
{
    if (expires == 0)
        return INT64_MAX;
    int64_t left = expires - clock_wall();
    return now + (left > 0 ? left : 0);
}

bool expiry_is_past(int64_t expires)
{
    return expires != 0 && clock_wall() >= expires;
}

void session_note_expiry(struct session *s)
{
    struct link_peer peer;
    link_peer(s->down, &peer);
    s->expires = expiry_of(s->route->config, &peer);
}

int64_t session_expiry(const struct session *s)
{
    return expiry_due(s->expires, loop_now(s->worker->loop));
}

void session_arm_expiry(struct session *s)
{
    session_note_expiry(s);
    if (s->expires != 0)
        loop_set_timer(s->worker->loop, &s->timer, session_expiry(s));
}

void session_extend(struct session *s)
{
    if (session_is_denied_now(s) || s->reason == CLOSE_EXPIRED)
        return;
    session_note_expiry(s);
    if (s->state == SESSION_PIPE)
        session_arm_pipe(s);
    else if (s->state == SESSION_RESIDE)
        session_arm_expiry(s);
}

void session_reside_expired(struct session *s)
{
    if (s->reason == CLOSE_EXPIRED) { /* its last words have had their time */
        session_kill(s, CLOSE_EXPIRED);
        return;
    }
    session_note_expiry(s); /* the clock may have been set */
    if (!expiry_is_past(s->expires)) {
        session_arm_expiry(s);
        return;
    }
    session_end(s, CLOSE_EXPIRED);
    ending_streams(s->worker, s->id, CLOSE_EXPIRED);
    s->resident->ops->drain(s->resident);
    session_deadline(s, LAST_WORDS_NS);
}
