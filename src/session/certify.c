/* SPDX-License-Identifier: Apache-2.0 */
#include "session/certify.h"

#include <string.h>

#include "cert/cache.h"
#include "cert/store.h"
#include "session/session_internal.h"
#include "session/staging.h"
#include "session/worker.h"

static enum cert_desk_result look_up(const struct certify_wish *wish, struct cert_waiter *waiter,
                                     struct cert **ret, const char **ret_why)
{
    const struct cert_cache_key key = {wish->query->sni, wish->route->asks_as};
    const struct cert_answer *answer;
    enum cert_desk_result result = cert_desk_find(wish->desk, &key, wish->peer, waiter, &answer);
    if (result == CERT_DESK_FOUND)
        *ret = cert_pick(answer->certs, answer->count, wish->query);
    else if (result != CERT_DESK_WAIT)
        *ret_why = answer->why;
    return result;
}

/* What an operator has put there for the name; NULL: nothing. */
static struct cert *find_put(const struct cert_store *put, const struct cert_query *query)
{
    char name[HOSTNAME_MAX + 1];
    if (put == NULL || query->sni.len == 0 || query->sni.len > HOSTNAME_MAX)
        return NULL;
    memcpy(name, query->sni.p, query->sni.len);
    name[query->sni.len] = '\0';
    str_lower(name, query->sni.len);
    const struct cert *cert = cert_select(put, query);
    return cert_is_for(cert, name) ? (struct cert *)(uintptr_t)cert : NULL;
}

bool certify_shows_candidates(const struct route_runtime *route, const struct tls_server *server)
{
    return server != NULL && (server == route->candidates.tls || server == route->candidates.tls_open);
}

const struct tls_server *certify_server(const struct config *config, uint32_t listener,
                                        const struct net_addr *peer, const struct route_runtime *route,
                                        const struct tls_server *server)
{
    const struct tls_server *other = server == route->tls        ? route->candidates.tls
                                     : server == route->tls_open ? route->candidates.tls_open
                                                                 : NULL;
    return other != NULL && staging_sees(config, listener, peer) ? other : server;
}

enum cert_desk_result certify_choose(const struct certify_wish *wish, struct cert_waiter *waiter,
                                     struct cert **ret, const char **ret_why)
{
    const struct route_runtime *route = wish->route;
    const struct cert_store *store = wish->candidates ? route->candidates.store : route->store;
    enum cert_desk_result result = CERT_DESK_NONE;
    *ret = NULL;
    *ret_why = "it was not there in time";
    if (!route->looks_up || (store != NULL && cert_select_exact(store, wish->query) != NULL))
        return CERT_DESK_FOUND;
    *ret = find_put(wish->candidates ? route->candidates.put : route->put, wish->query);
    if (*ret != NULL)
        return CERT_DESK_FOUND;
    if (wish->desk != NULL && !wish->late)
        result = look_up(wish, waiter, ret, ret_why);
    if (result == CERT_DESK_FOUND || result == CERT_DESK_WAIT || store == NULL)
        return result;
    return CERT_DESK_FOUND;
}

uint8_t certify_alert(enum cert_desk_result result, bool late)
{
    return result == CERT_DESK_NONE && !late ? ALERT_UNRECOGNIZED_NAME : ALERT_INTERNAL_ERROR;
}

/* ---- CERTIFY ---- */

/* Not from within another session's step: an answer comes by message. */
static void on_answer(struct cert_waiter *w)
{
    session_run(CONTAINER_OF(w, struct certify, waiter)->session);
}

void certify_init(struct session *s)
{
    struct certify *c = &s->setup->certify;
    c->session = s;
    c->waiter.wake = on_answer;
    list_init(&c->waiter.node);
}

void certify_cancel(struct session *s)
{
    list_remove(&s->setup->certify.waiter.node);
}

static enum session_state refuse(struct session *s, enum cert_desk_result result, const char *why)
{
    session_detail(s, why);
    return session_refuse_hello(s, certify_alert(result, s->setup->expired), CLOSE_UNCERTIFIED);
}

enum session_state certify_client(struct session *s, const struct tls_server *server,
                                  struct tls_client_hello *hello)
{
    struct setup *p = s->setup;
    const struct certify_wish wish = {.desk = s->epoch->desk,
                                      .route = s->route,
                                      .query = &hello->query,
                                      .peer = &s->peer,
                                      .late = p->expired,
                                      .candidates = certify_shows_candidates(s->route, server)};
    const char *why;
    enum cert_desk_result result = certify_choose(&wish, &p->certify.waiter, &hello->cert, &why);
    switch (result) {
    case CERT_DESK_WAIT:
        p->certify.server = server;
        return SESSION_CERTIFY;
    case CERT_DESK_FOUND:
        certify_cancel(s);
        p->expired = false;
        return SESSION_HANDSHAKE;
    default:
        return refuse(s, result, why);
    }
}

static enum session_state certify_with(struct session *s, const struct hello *h)
{
    return session_begin_tls(s, s->setup->certify.server, h);
}

enum session_state step_certify(struct session *s)
{
    return session_with_hello(s, certify_with);
}
