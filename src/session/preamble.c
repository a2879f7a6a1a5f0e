/* SPDX-License-Identifier: Apache-2.0 */
/* What a client says in the clear before TLS, on listeners that speak a STARTTLS protocol and where its first
 * bytes told of one: the script of the protocol answers in the backend's stead, which is not known yet. */
#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>

#include "session/hand_on.h"
#include "session/plan.h"
#include "session/session_internal.h"
#include "session/worker.h"
#include "starttls/starttls.h"

#define TLS_HANDSHAKE 0x16
#define NOT_KNOWN "[UNAVAILABLE]"

static void set(struct starttls_run *run, const char *name, const char *value)
{
    starttls_run_set(run, name, (struct str){value, strlen(value)});
}

/* The address as RFC 5321, 4.1.3, writes it, and the port; XCLIENT's word where the peer has none. */
static void set_place(struct starttls_run *run, const struct net_addr *peer, const char *address)
{
    bool ip = peer->family == AF_INET || peer->family == AF_INET6;
    char literal[NET_ADDR_TEXT_MAX + 8], port[8];
    snprintf(literal, sizeof(literal), "%s%s", peer->family == AF_INET6 ? "IPv6:" : "", address);
    snprintf(port, sizeof(port), "%u", peer->port);
    set(run, "literal", ip ? literal : NOT_KNOWN);
    set(run, "port", ip ? port : NOT_KNOWN);
}

static void set_user(const struct session *s, struct starttls_run *run)
{
    char user[HAND_ON_USER_MAX];
    if (hand_on_user(session_identity(s), &s->route->config->hand_on, user))
        set(run, "user", user);
}

void preamble_describe(const struct session *s, struct starttls_run *run)
{
    struct utsname us;
    char address[NET_ADDR_TEXT_MAX];
    const struct config_listener *l = &s->epoch->snap->config->listeners.v[s->listener];
    const struct config_backend *backend = s->route == NULL ? NULL : config_route_backend(s->route->config);
    set(run, "me", uname(&us) == 0 && us.nodename[0] != '\0' ? us.nodename : "localhost");
    set(run, "required", l->plaintext ? "" : "yes");
    set(run, "addr", net_addr_host(&s->peer, address));
    set_place(run, &s->peer, address);
    if (s->route != NULL)
        set_user(s, run);
    if (backend != NULL && backend->tls != NULL && backend->tls->name.text != NULL)
        set(run, "name", backend->tls->name.text);
    else if (s->backend != NULL && s->backend->host != NULL)
        set(run, "name", s->backend->host);
}

static void begin(struct session *s)
{
    struct talk *t = &s->setup->talk;
    struct buf words = {0};
    t->near = starttls_run_new(t->spoken);
    preamble_describe(s, t->near);
    starttls_run_begin(t->near, starttls_section(t->spoken, STARTTLS_ANSWER), &words);
    session_say_all(s, s->down, &words);
}

static bool begins_with_tls(const struct session *s)
{
    struct str said = s->setup->view;
    return said.len > 0 && (uint8_t)said.p[0] == TLS_HANDSHAKE;
}

enum session_state preamble_refuse(struct session *s, const char *why)
{
    session_detail(s, why);
    return session_farewell(s, NULL, 0, CLOSE_STARTTLS);
}

static enum session_state over(struct session *s, enum starttls_status status)
{
    switch (status) {
    case STARTTLS_SWITCH:
        s->setup->scan = hello_scan_start(session_limits(s)->hello_size);
        return SESSION_PEEK;
    case STARTTLS_PLAIN:
        s->setup->talk.in_clear = true;
        return SESSION_ROUTE;
    case STARTTLS_BYE:
        session_detail(s, "the client took its leave before TLS");
        return session_farewell(s, NULL, 0, CLOSE_CLIENT_LEFT);
    default:
        return preamble_refuse(s, starttls_run_text(s->setup->talk.near));
    }
}

enum starttls_status preamble_hear(struct session *s)
{
    const struct setup *p = s->setup;
    struct buf words = {0};
    size_t used;
    enum starttls_status status =
        starttls_run_step(p->talk.near, (const uint8_t *)p->view.p, p->view.len, &used, &words);
    session_consume(s, used);
    session_say_all(s, s->down, &words);
    return status;
}

enum session_state step_preamble(struct session *s)
{
    if (s->up != NULL)
        return relay_preamble(s);
    struct setup *p = s->setup;
    bool server_first =
        starttls_speaks_first(p->talk.spoken, starttls_section(p->talk.spoken, STARTTLS_ANSWER));
    for (bool again = true; again;) {
        /* where clients speak first they may as well begin with TLS at once; but only there */
        if (p->talk.near == NULL && !server_first && begins_with_tls(s))
            return SESSION_PEEK;
        if (p->talk.near == NULL && (server_first || p->view.len > 0))
            begin(s);
        if (p->talk.near != NULL) {
            enum starttls_status status = preamble_hear(s);
            if (status != STARTTLS_MORE)
                return over(s, status);
        }
        enum session_state next = session_need_more(s, SESSION_PREAMBLE, &again);
        if (next != SESSION_PREAMBLE)
            return next;
    }
    return SESSION_PREAMBLE;
}

/* Nobody proves anything in the clear. */
enum session_state preamble_serve_plain(struct session *s)
{
    const struct config_route *rc = s->route->config;
    if (rc->action == CONFIG_REJECT)
        return session_end(s, CLOSE_REJECTED);
    if (rc->action != CONFIG_PASS && rc->action != CONFIG_TERMINATE)
        return preamble_refuse(s, "the route is for clients that speak TLS");
    if (rc->clients.mode == CONFIG_CLIENTS_REQUIRED)
        return preamble_refuse(s,
                               "the route demands a client certificate, and the client goes on without TLS");
    return rc->clients.mode == CONFIG_CLIENTS_NONE ? SESSION_DIAL
                                                   : SESSION_AUTHORISE; /* policy: he is nobody */
}
