/* SPDX-License-Identifier: Apache-2.0 */
/* Each service becomes a listener and a route; a secondary one (sni = SERVICE:PATTERN) a route on the
 * listener of its primary. What cannot be made as safe as it was is left out, and said. */
#include <string.h>

#include "base/check.h"
#include "base/str.h"
#include "import/door.h"
#include "import/sni.h"
#include "import/stunnel.h"

struct setting *stunnel_option(const struct stunnel *st, const struct stunnel_service *svc, const char *name)
{
    struct setting *own = setting_find(&svc->scope, name);
    return own != NULL ? own : setting_find(&st->global, name);
}

struct setting *stunnel_each(const struct stunnel *st, const struct stunnel_service *svc,
                             const struct setting *after, const char *name)
{
    struct setting *s = after == NULL ? setting_find(&st->global, name) : setting_next(after, name);
    if (s != NULL)
        return s;
    /* The end of the first list, or of the second? */
    struct setting *own = setting_find(&svc->scope, name);
    for (const struct setting *o = own; o != NULL; o = setting_next(o, name))
        if (o == after)
            return NULL;
    return own;
}

int stunnel_bool(struct stunnel *st, const struct stunnel_service *svc, const char *name, bool fallback,
                 bool *ret)
{
    return setting_bool(&st->im, stunnel_option(st, svc, name), "yes", "no", fallback, ret);
}

/* ---- Leaving out ---- */

/* The service is not taken over, for what `s` asks for. */
static void leave_out(struct stunnel *st, struct stunnel_service *svc, struct setting *s, const char *why)
{
    struct node *head = outline_item(st->im.routes);
    outline_remark(head, pool_printf(&st->im.pool, "Service [%s] is left out:", svc->name));
    outline_move_remarks(head, svc->route);
    setting_remark(&st->im, head, s, FATE_MISSING, "%s", why);
    for (struct setting *own = svc->scope.first; own != NULL; own = own->next)
        if (own->said == NULL)
            own->fate = FATE_MISSING;
    svc->route = NULL;
}

/* Protocols that are negotiated before TLS, by stunnel's name and by cardea's. */
static const struct protocol {
    const char *name, *speaks; /* speaks: NULL where there is none */
    const char *instead;
} protocols[] = {
    {"imap", "imap", NULL},
    {"ldap", "ldap", NULL},
    {"nntp", "nntp", NULL},
    {"pgsql", "postgresql", NULL},
    {"pop3", "pop3", NULL},
    {"smtp", "smtp", NULL},
    {"proxy", NULL, NULL}, /* none before TLS: what the backend is told */
    {"cifs", NULL, "Samba itself has dropped TLS for CIFS; SMB 3 encrypts by itself"},
    {"capwin", NULL, "nobody speaks it any more; 'protocols' takes a script of your own"},
    {"capwinctrl", NULL, "nobody speaks it any more; 'protocols' takes a script of your own"},
    {"connect", NULL,
     "cardea connects to the server itself, not through an HTTP proxy; a door with 'tunnel' "
     "does what the proxy is for, see 'cardea connect'"},
    {"socks", NULL,
     "a route with 'tunnel' leads to targets that its policy allows, and 'cardea connect --socks' "
     "gives programs SOCKS on their own machine"},
};

static int find_protocol(struct stunnel *st, const struct stunnel_service *svc, const struct protocol **ret)
{
    const struct setting *s = stunnel_option(st, svc, "protocol");
    *ret = NULL;
    if (s == NULL)
        return 0;
    for (size_t i = 0; i < ARRAY_LEN(protocols); i++)
        if (strcasecmp(protocols[i].name, s->value) == 0)
            *ret = &protocols[i];
    return *ret != NULL
               ? 0
               : import_fail(&st->im, s->at, "found protocol '%s', expected one of stunnel(8)", s->value);
}

/* True when the service needs what cardea does not have, so that it is not made. */
static bool is_left_out(struct stunnel *st, struct stunnel_service *svc, const struct protocol *p,
                        bool client)
{
    struct setting *psk = stunnel_option(st, svc, "PSKsecrets");
    struct setting *transparent = stunnel_option(st, svc, "transparent");
    struct setting *retry = stunnel_option(st, svc, "retry");
    struct setting *protocol = stunnel_option(st, svc, "protocol");
    struct setting *exec = stunnel_option(st, svc, "exec");
    if (psk != NULL)
        leave_out(st, svc, psk,
                  "no pre-shared keys, and without them it would be open to everybody: issue "
                  "certificates to its clients, and ask for them with 'clients'");
    else if (p != NULL && p->instead != NULL)
        leave_out(st, svc, protocol, p->instead);
    else if (p != NULL && p->speaks == NULL && client)
        leave_out(st, svc, protocol, "only a server tells its backend who the client is");
    else if (transparent != NULL &&
             (strcmp(transparent->value, "destination") == 0 || strcmp(transparent->value, "both") == 0))
        leave_out(st, svc, transparent,
                  "connections that the firewall diverts are not taken: name the backend");
    else if (exec != NULL && stunnel_each(st, svc, NULL, "connect") != NULL)
        leave_out(st, svc, exec,
                  "a program is not joined to a connection that cardea opens by itself: run it "
                  "with 'cardea wrap client', or from a unit of its own");
    else if (retry != NULL && exec == NULL)
        setting_remark(&st->im, svc->route, retry, FATE_NEEDLESS, "it is about 'exec' with 'connect'");
    return svc->route == NULL;
}

/* ---- Addresses ---- */

/* Split an address of stunnel, which may be a port alone. */
static const char *split(struct stunnel *st, const char *value, const char *nowhere, const char **ret_port)
{
    const char *host;
    if (door_split(&st->im, value, &host, ret_port))
        return *host != '\0' ? host : nowhere;
    *ret_port = value;
    return nowhere;
}

static int build_listener(struct stunnel *st, struct stunnel_service *svc, const char *speaks)
{
    struct setting *accept = stunnel_option(st, svc, "accept");
    const char *address = "-", *port;
    if (accept == NULL && st->first->at.line != 0)
        return import_fail(&st->im, svc->at, "found service [%s] without 'accept', expected where it listens",
                           svc->name);
    if (accept != NULL && *accept->value == '/') {
        address = pool_printf(&st->im.pool, "unix:%s", accept->value);
    } else if (accept != NULL) {
        const char *host = split(st, accept->value, "0.0.0.0", &port);
        address = door_listen(&st->im, svc->route, accept, host, port);
        if (address == NULL) {
            leave_out(st, svc, accept, "");
            return 0;
        }
    }
    svc->listener = door_listener(&st->im, svc->name, address);
    if (speaks != NULL)
        outline_set(svc->listener, "speaks", speaks);
    return 0;
}

/* PROGRAM and its arguments; stunnel has no quotes either. */
static const char *program(struct stunnel *st, struct stunnel_service *svc, struct setting *exec)
{
    struct setting *args = stunnel_option(st, svc, "execArgs");
    const char *rest = "";
    if (setting_find(&st->global, "chroot") != NULL)
        setting_remark(
            &st->im, svc->route, exec, FATE_DIFFERS,
            "it was looked for and ran within 'chroot'; here it does not: write its path as seen from "
            "outside, and confine it by its own means");
    if (args != NULL) {
        const char *slash = strrchr(exec->value, '/'), *base = slash != NULL ? slash + 1 : exec->value;
        size_t len = strcspn(args->value, " \t");
        rest = args->value + len;
        if (strncmp(base, args->value, len) != 0 || base[len] != '\0')
            setting_remark(&st->im, svc->route, args, FATE_DIFFERS,
                           "the program is called by its path, not as the first word says");
    }
    return pool_printf(&st->im.pool, "exec:%s%s", exec->value, rest);
}

static void build_failover(struct stunnel *st, struct stunnel_service *svc, struct node *action)
{
    static const char how[] =
        "of several backends the one with the fewest connections is tried first, and one that "
        "failed last";
    struct setting *s = stunnel_option(st, svc, "failover");
    const struct node *to = outline_find(action, "to");
    if (to->first == to->last && s != NULL)
        setting_remark(&st->im, svc->route, s, FATE_NEEDLESS, "there is one backend");
    else if (to->first != to->last && s != NULL)
        setting_remark(&st->im, svc->route, s, FATE_DIFFERS, how);
    else if (to->first != to->last)
        outline_remark(action,
                       pool_printf(&st->im.pool, "Differs from stunnel's 'failover = prio': %s.", how));
}

static int build_backends(struct stunnel *st, struct stunnel_service *svc, struct node *action)
{
    struct node *to = outline_list(action, "to");
    struct setting *exec = stunnel_option(st, svc, "exec"), *pty = stunnel_option(st, svc, "pty");
    struct setting *s = NULL;
    bool terminal;
    while ((s = stunnel_each(st, svc, s, "connect")) != NULL) {
        const char *port, *host = split(st, s->value, "127.0.0.1", &port);
        if (*s->value == '/')
            outline_add(to, pool_printf(&st->im.pool, "unix:%s", s->value));
        else if ((port = door_port(&st->im, svc->route, s, port)) != NULL)
            outline_add(to, door_address(&st->im, host, port));
    }
    if (exec != NULL)
        outline_add(to, program(st, svc, exec));
    if (stunnel_bool(st, svc, "pty", false, &terminal) < 0)
        return -1;
    if (pty != NULL)
        setting_remark(&st->im, svc->route, pty, terminal ? FATE_MISSING : FATE_NEEDLESS,
                       terminal ? "programs get a socket, no terminal: script(1) or socat(1) give them one"
                                : "programs get a socket");
    if (to->first == NULL)
        return import_fail(&st->im, svc->at,
                           "found service [%s] without a place to lead to, expected 'connect' "
                           "or 'exec'",
                           svc->name);
    build_failover(st, svc, action);
    return 0;
}

/* ---- The rest of a service ---- */

static void build_timeout(struct stunnel *st, struct stunnel_service *svc, const char *option,
                          const char *key)
{
    const struct setting *s = stunnel_option(st, svc, option);
    if (s != NULL)
        outline_set(outline_map(svc->route, "limits"), key, pool_printf(&st->im.pool, "%ss", s->value));
}

static int build_limits(struct stunnel *st, struct stunnel_service *svc)
{
    static const char *const names[] = {"TIMEOUTidle", "TIMEOUTconnect", "TIMEOUTbusy"};
    struct setting *busy = stunnel_option(st, svc, "TIMEOUTbusy");
    unsigned long ignored;
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        const struct setting *s = stunnel_option(st, svc, names[i]);
        if (s != NULL && setting_number(&st->im, s, 31536000, &ignored) < 0)
            return -1;
    }
    build_timeout(st, svc, "TIMEOUTidle", "idle_timeout");
    build_timeout(st, svc, "TIMEOUTconnect", "dial_timeout");
    if (busy != NULL)
        setting_remark(
            &st->im, svc->route, busy, FATE_DIFFERS,
            "'hello_timeout' and 'handshake_timeout' of 'limits' bound what comes before, for all routes");
    return 0;
}

static void judge_sockets(struct stunnel *st, struct stunnel_service *svc)
{
    static const char *const set_anyway[] = {"*TCP_NODELAY*", "*SO_KEEPALIVE*", "*SO_REUSEADDR=yes*"};
    struct setting *s = NULL;
    while ((s = stunnel_each(st, svc, s, "socket")) != NULL) {
        bool anyway = false;
        for (size_t i = 0; i < ARRAY_LEN(set_anyway); i++)
            anyway |= str_glob(set_anyway[i], s->value);
        setting_remark(&st->im, svc->route, s, anyway ? FATE_NEEDLESS : FATE_MISSING,
                       anyway ? "cardea sets what its sockets need" : "options of sockets cannot be set");
    }
}

static void judge_others(struct stunnel *st, struct stunnel_service *svc)
{
    struct setting *transparent = stunnel_option(st, svc, "transparent");
    struct setting *redirect = stunnel_option(st, svc, "redirect");
    struct setting *host = stunnel_option(st, svc, "protocolHost");
    if (transparent != NULL && strcmp(transparent->value, "none") != 0 &&
        strcmp(transparent->value, "no") != 0)
        setting_remark(
            &st->im, svc->route, transparent, FATE_MISSING,
            "the backend sees the door's address; one that reads a PROXY header learns the client's: "
            "'hand_on: {proxy: v2}' of the route");
    if (redirect != NULL)
        setting_remark(&st->im, svc->route, redirect, FATE_MISSING,
                       "who is not believed is refused, and led nowhere");
    if (host != NULL)
        setting_remark(&st->im, svc->route, host, FATE_MISSING,
                       "the door names itself when it greets a server");
    judge_sockets(st, svc);
    setting_judge(&st->im, svc->route, &svc->scope);
}

/* sni = PRIMARY:PATTERN, any number of them. */
static int build_secondary(struct stunnel *st, struct stunnel_service *svc)
{
    struct setting *s = NULL;
    while ((s = stunnel_each(st, svc, s, "sni")) != NULL) {
        const char *colon = strchr(s->value, ':');
        const struct stunnel_service *primary = NULL;
        for (const struct stunnel_service *p = st->first; colon != NULL && p != svc; p = p->next)
            if (strlen(p->name) == (size_t)(colon - s->value) &&
                strncasecmp(p->name, s->value, strlen(p->name)) == 0)
                primary = p;
        if (primary == NULL)
            return import_fail(&st->im, s->at,
                               "found 'sni' without a service above that it names, expected "
                               "SERVICE:PATTERN");
        const char *sni = sni_pattern(&st->im.pool, colon + 1);
        if (sni == NULL)
            setting_remark(&st->im, svc->route, s, FATE_MISSING,
                           "server names are exact, or begin with '*.' or '**.'; everything else goes to the "
                           "primary service");
        if (sni == NULL || primary->listener == NULL)
            continue;
        outline_add(outline_list(svc->route, "listeners"), outline_get(primary->listener, "name"));
        outline_add(outline_list(svc->route, "sni"), sni);
    }
    return 0;
}

/* The route, with the remarks that have been made about the service so far. */
static void begin_route(struct stunnel *st, struct stunnel_service *svc, const char *listener)
{
    struct node *before = svc->route;
    svc->route = door_route(&st->im, svc->name, listener);
    outline_move_remarks(svc->route, before);
}

static int build_action(struct stunnel *st, struct stunnel_service *svc, const struct protocol *p,
                        bool client)
{
    struct node *action = outline_map(svc->route, client ? "forward" : "terminate");
    if (build_backends(st, svc, action) < 0 || build_limits(st, svc) < 0)
        return -1;
    if (client && p != NULL)
        outline_set(outline_map(action, "tls"), "starttls", p->speaks);
    if (!client && p != NULL && p->speaks == NULL)
        door_proxy(svc->route, "v1");
    return client ? stunnel_client_tls(st, svc, action) : stunnel_server_tls(st, svc);
}

static int build_service(struct stunnel *st, struct stunnel_service *svc)
{
    const struct protocol *p;
    bool client;
    if (stunnel_bool(st, svc, "client", false, &client) < 0 || find_protocol(st, svc, &p) < 0)
        return -1;
    if (is_left_out(st, svc, p, client))
        return 0;
    bool secondary = !client && stunnel_each(st, svc, NULL, "sni") != NULL;
    const char *speaks = client ? "plain" : p != NULL ? p->speaks : NULL;
    if (!secondary || stunnel_option(st, svc, "accept") != NULL) {
        if (build_listener(st, svc, speaks) < 0)
            return -1;
        if (svc->route == NULL)
            return 0;
        begin_route(st, svc, outline_get(svc->listener, "name"));
        if (build_action(st, svc, p, client) < 0)
            return -1;
        judge_others(st, svc);
    }
    if (secondary) {
        begin_route(st, svc, NULL);
        if (build_secondary(st, svc) < 0 || build_action(st, svc, p, client) < 0)
            return -1;
        judge_others(st, svc);
    }
    return 0;
}

/* Without a service the file is for inetd: one connection on standard input and output. */
static void add_inetd_service(struct stunnel *st)
{
    struct stunnel_service *svc = pool_alloc(&st->im.pool, sizeof(*svc));
    *svc = (struct stunnel_service){
        .name = setting_value(&st->global, "service", "stunnel"),
        .at = {.file = st->im.all != NULL ? st->im.all->at.file : "stunnel", .column = 1},
        .route = outline_new(&st->im.pool),
    };
    st->first = st->last = svc;
}

int stunnel_build(struct stunnel *st)
{
    if (st->first == NULL)
        add_inetd_service(st);
    for (struct stunnel_service *svc = st->first; svc != NULL; svc = svc->next)
        if (build_service(st, svc) < 0)
            return -1;
    setting_judge(&st->im, st->im.root, &st->global);
    if (st->im.routes->first != NULL) {
        outline_set(st->im.limits, "idle_timeout", "12h");
        outline_remark(outline_find(st->im.limits, "idle_timeout"),
                       "stunnel's own TIMEOUTidle; cardea's is 1h.");
    }
    return 0;
}
