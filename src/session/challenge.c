/* SPDX-License-Identifier: Apache-2.0 */
/* A CA that comes for a challenge of tls-alpn-01 (RFC 8737) which the door itself holds: it is shown the
 * certificate, before any route, and that is all. */
#include <stdlib.h>

#include "cert/cert.h"
#include "session/session_internal.h"
#include "session/worker.h"
#include "tls/server.h"
#include "web/challenges.h"

struct challenge_tls {
    struct tls_server *server;
};

void challenge_free(struct challenge_tls *c)
{
    if (c == NULL)
        return;
    tls_server_free(c->server);
    free(c);
}

/* A CA offers that and nothing else (RFC 8737, 3). */
static bool is_offered_alone(const struct hello *h)
{
    struct cursor list = h->alpn;
    struct str protocol;
    size_t n = 0;
    for (; hello_next_protocol(&list, &protocol); n++)
        if (!str_is(protocol, CHALLENGES_ALPN))
            return false;
    return n == 1;
}

static struct tls_server *make_server(const struct config_tls *tls, struct err *err)
{
    static const char *const alpn[] = {CHALLENGES_ALPN};
    const struct tls_server_params params = {
        .min_version = (uint16_t)tls->min_version,
        .max_version = (uint16_t)tls->max_version,
        .groups = tls->groups.v,
        .groups_len = tls->groups.n,
        .alpn = alpn,
        .alpn_len = ARRAY_LEN(alpn),
        .clients = TLS_CLIENTS_NONE,
        .scope = CHALLENGES_ALPN,
    };
    return tls_server_new(&params, err);
}

static enum session_state begin(struct session *s, const struct hello *h, struct cert *cert)
{
    const struct config_tls *tls = &s->epoch->snap->config->tls;
    const struct route_match none = {.route = ROUTE_NONE};
    struct challenge_tls *c = calloc(1, sizeof(*c));
    struct routing_client client;
    struct err err;
    CHECK(c != NULL);
    s->setup->challenge = c;
    routing_note(h, &none, JA4_TCP, &s->setup->hello);
    c->server = make_server(tls, &err);
    if (c->server == NULL) {
        session_detail(s, err.text);
        return session_refuse_hello(s, ALERT_INTERNAL_ERROR, CLOSE_HANDSHAKE_FAILED);
    }
    routing_client(h, &s->setup->hello, tls, &client);
    client.hello.cert = cert;
    session_accept_tls(s, c->server, &client.hello);
    return SESSION_CHALLENGE;
}

bool session_is_challenge(struct session *s, const struct hello *h, enum session_state *ret_next)
{
    struct challenges *all = s->worker->shared->bindings->challenges;
    if (all == NULL || s->setup->talk.spoken != NULL || !is_offered_alone(h))
        return false;
    struct cert *cert = challenges_cert(all, (struct str){h->name, h->name_len});
    if (cert == NULL)
        return false;
    *ret_next = begin(s, h, cert);
    cert_unref(cert);
    return true;
}

enum session_state step_challenge(struct session *s)
{
    switch (link_open(s->down)) {
    case LINK_AGAIN:
        return SESSION_CHALLENGE;
    case LINK_OK:
        s->when.opened = loop_now(s->worker->loop);
        return session_farewell(s, NULL, 0, CLOSE_CHALLENGE);
    default:
        session_detail(s, link_error(s->down));
        return session_farewell(s, NULL, 0, CLOSE_HANDSHAKE_FAILED);
    }
}
