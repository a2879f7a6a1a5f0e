/* SPDX-License-Identifier: Apache-2.0 */
/* Each address becomes a listener, each protocol a route. sslh takes the first protocol that matches; cardea
 * the most specific, so what sslh would never have come to must go. */
#include <string.h>
#include <strings.h>

#include "base/check.h"
#include "import/door.h"
#include "import/libconfig.h"
#include "import/option_rows.h"
#include "import/sni.h"
#include "import/sslh.h"

#define GLOBAL 1u
#define LISTEN 2u
#define PROTOCOL 4u
static const struct option_row rows[] = {
#include "tables/import_sslh.def"
};

struct sslh {
    struct import im;
    struct scope global;
    struct node *claims; /* "SNI ALPN" that a route has taken, or its first bytes */
};

/* An entry of 'protocols'. */
struct entry {
    struct scope scope;
    struct place at;
    struct node *route; /* where its remarks go */
};

/* ---- Reading ---- */

static int add_scalar(struct sslh *h, struct scope *scope, unsigned flags, const char *where,
                      const struct libconfig_value *setting, const struct libconfig_value *v)
{
    if (v->kind != LIBCONFIG_SCALAR)
        return import_fail(&h->im, v->at, "found %s for '%s', expected a single value",
                           libconfig_kind(v->kind), setting->name);
    return setting_add(&h->im, scope, flags, where, v == setting ? setting->at : v->at, setting->name,
                       v->text);
}

/* The settings of a group; what is an array or a list becomes a setting for each item. */
static int flatten(struct sslh *h, struct scope *scope, unsigned flags, const char *where,
                   const struct libconfig_value *group)
{
    if (group->kind != LIBCONFIG_GROUP)
        return import_fail(&h->im, group->at, "found %s, expected a group: { name: value; ... }",
                           libconfig_kind(group->kind));
    for (const struct libconfig_value *v = group->first; v != NULL; v = v->next) {
        bool several = v->kind == LIBCONFIG_ARRAY || v->kind == LIBCONFIG_LIST;
        if (flags == GLOBAL && (strcmp(v->name, "listen") == 0 || strcmp(v->name, "protocols") == 0))
            continue;
        for (const struct libconfig_value *item = several ? v->first : v; item != NULL;
             item = several ? item->next : NULL)
            if (add_scalar(h, scope, flags, where, v, item) < 0)
                return -1;
    }
    return 0;
}

/* The list of groups with that name, or NULL where there is none; -1 with im.err. */
static int find_list(struct sslh *h, const struct libconfig_value *top, const char *name,
                     const struct libconfig_value **ret)
{
    *ret = NULL;
    for (const struct libconfig_value *v = top->first; v != NULL; v = v->next)
        if (strcmp(v->name, name) == 0)
            *ret = v;
    if (*ret != NULL && (*ret)->kind != LIBCONFIG_LIST)
        return import_fail(&h->im, (*ret)->at,
                           "found %s for '%s', expected a list of groups: ( { ... }, ... )",
                           libconfig_kind((*ret)->kind), name);
    return 0;
}

static int is_true(struct sslh *h, const struct scope *scope, const char *name, bool *ret)
{
    const struct setting *s = setting_find(scope, name);
    *ret = s != NULL && (strcmp(s->value, "1") == 0 || strcmp(s->value, "2") == 0);
    return *ret || (s != NULL && strcmp(s->value, "0") == 0)
               ? 0
               : setting_bool(&h->im, s, "true", "false", false, ret);
}

/* ---- Listeners ---- */

static int build_listener(struct sslh *h, const struct libconfig_value *v)
{
    struct scope scope = {0};
    struct node *remarks = outline_new(&h->im.pool);
    bool udp;
    if (flatten(h, &scope, LISTEN, "in 'listen'", v) < 0 || is_true(h, &scope, "is_udp", &udp) < 0)
        return -1;
    struct setting *host = setting_find(&scope, "host"), *port = setting_find(&scope, "port");
    if (host == NULL || port == NULL)
        return import_fail(&h->im, v->at,
                           "found an entry of 'listen' without '%s', expected 'host' and 'port'",
                           host == NULL ? "host" : "port");
    const char *number = door_port(&h->im, remarks, port, port->value);
    if (number == NULL)
        return import_fail(&h->im, port->at,
                           "found port '%s', expected a number from 1 to 65535 or a name of "
                           "services(5)",
                           port->value);
    const char *address = door_listen(&h->im, remarks, host, host->value, number);
    struct node *n = udp ? outline_item(h->im.listeners)
                         : door_listener(&h->im, pool_printf(&h->im.pool, "port-%s", number), address);
    outline_move_remarks(n, v->comments);
    outline_move_remarks(n, remarks);
    if (udp)
        setting_remark(&h->im, n, setting_find(&scope, "is_udp"), FATE_MISSING,
                       "left out: UDP is not told apart by its first bytes");
    setting_judge(&h->im, n, &scope);
    return 0;
}

static int build_listeners(struct sslh *h, const struct libconfig_value *top)
{
    const struct libconfig_value *list;
    bool inetd;
    if (find_list(h, top, "listen", &list) < 0 || is_true(h, &h->global, "inetd", &inetd) < 0)
        return -1;
    if (inetd)
        door_listener(&h->im, "inetd", "-");
    else if (list == NULL || list->first == NULL)
        return import_fail(&h->im, top->at,
                           "found no 'listen', expected a list of { host: \"...\"; port: \"...\"; }");
    for (const struct libconfig_value *v = list != NULL && !inetd ? list->first : NULL; v != NULL;
         v = v->next)
        if (build_listener(h, v) < 0)
            return -1;
    return 0;
}

/* ---- Routes ---- */

/* What sslh knows connections by; NULL in `first_bytes`: TLS. */
static const struct probe {
    const char *name, *first_bytes;
    const char *instead; /* NULL: cardea knows them too */
} probes[] = {
    {"tls", NULL, NULL},
    {"ssl", NULL, NULL},
    {"ssh", "ssh", NULL},
    {"http", "http", NULL},
    {"openvpn", "", "OpenVPN over TCP is not known by its first bytes: give it a port of its own"},
    {"wireguard", "", "WireGuard is UDP: give it a port of its own"},
    {"tinc", "", "tinc is not known by its first bytes: give it a port of its own"},
    {"xmpp", "",
     "XMPP is not passed on in the clear: a listener that 'speaks: xmpp' answers STARTTLS and ends TLS"},
    {"adb", "", "adb is not known by its first bytes: give it a port of its own"},
    {"socks5", "", "SOCKS is not known by its first bytes: 'cardea connect --socks' gives it to programs"},
    {"syslog", "", "syslog is not known by its first bytes: send it in TLS"},
    {"teamspeak", "", "TeamSpeak is UDP: give it a port of its own"},
    {"msrdp", "", "RDP is not known by its first bytes: give it a port of its own"},
    {"regex", "", "protocols are told apart by TLS, 'ssh' and 'http' only, never by regular expressions"},
    {"anyprot", "", "what nobody knows is closed: give such a protocol a port of its own"},
    {"timeout", "",
     "who says nothing is closed after 'limits: {hello_timeout}', 10s; SSH clients speak first"},
};

static const struct probe *find_probe(const char *name)
{
    for (size_t i = 0; i < ARRAY_LEN(probes); i++)
        if (strcasecmp(probes[i].name, name) == 0)
            return &probes[i];
    return NULL;
}

static const struct node *claimed(const struct sslh *h, const char *claim)
{
    for (const struct node *n = h->claims->first; n != NULL; n = n->next)
        if (strcmp(n->text, claim) == 0)
            return n;
    return NULL;
}

static const char *claim_of(struct sslh *h, const char *sni, const char *alpn)
{
    return pool_printf(&h->im.pool, "%s %s", sni, alpn);
}

/* Is there something of `b` with `a` that no route above has taken? */
static bool is_free(struct sslh *h, const char *sni, const struct node *alpn)
{
    for (const struct node *n = alpn->first; n != NULL; n = n->next)
        if (claimed(h, claim_of(h, sni, n->text)) == NULL)
            return true;
    return alpn->first == NULL && claimed(h, claim_of(h, sni, "any")) == NULL;
}

/* The names of an entry that earlier ones have left over. True when anything is left. */
static bool build_names(struct sslh *h, struct entry *e, struct node *route)
{
    struct node *alpn = outline_list(route, "alpn"), *sni = outline_list(route, "sni");
    struct setting *s;
    for (s = setting_find(&e->scope, "alpn_protocols"); s != NULL; s = setting_next(s, "alpn_protocols"))
        outline_add(alpn, s->value);
    for (s = setting_find(&e->scope, "sni_hostnames"); s != NULL; s = setting_next(s, "sni_hostnames")) {
        const char *pattern = sni_pattern(&h->im.pool, s->value);
        if (pattern == NULL)
            setting_remark(&h->im, e->route, s, FATE_MISSING,
                           "'%s' is left out: a server name is exact, or begins with '*.' or '**.'",
                           s->value);
        else if (is_free(h, pattern, alpn))
            outline_add(sni, pattern);
        else
            setting_remark(&h->im, e->route, s, FATE_NEEDLESS, "'%s' goes where an entry above it says",
                           s->value);
    }
    return sni->first != NULL ||
           (setting_find(&e->scope, "sni_hostnames") == NULL && is_free(h, "any", alpn));
}

static void claim(struct sslh *h, const struct node *route)
{
    const struct node *sni = outline_find(route, "sni"), *alpn = outline_find(route, "alpn");
    const struct node *name = sni->first;
    do {
        const struct node *protocol = alpn->first;
        do {
            outline_add(h->claims, claim_of(h, name != NULL ? name->text : "any",
                                            protocol != NULL ? protocol->text : "any"));
        } while (protocol != NULL && (protocol = protocol->next) != NULL);
    } while (name != NULL && (name = name->next) != NULL);
}

/* Where the entry leads, or NULL with a remark. */
static const char *find_backend(struct sslh *h, struct entry *e)
{
    struct setting *host = setting_find(&e->scope, "host"), *port = setting_find(&e->scope, "port");
    bool is_unix;
    if (host == NULL || is_true(h, &e->scope, "is_unix", &is_unix) < 0)
        return NULL;
    if (is_unix)
        return pool_printf(&h->im.pool, "unix:%s", host->value);
    const char *number = port == NULL ? NULL : door_port(&h->im, e->route, port, port->value);
    return number == NULL ? NULL : door_address(&h->im, host->value, number);
}

static void leave_out(struct sslh *h, struct entry *e, const char *why)
{
    struct setting *name = setting_find(&e->scope, "name");
    struct node *head = outline_item(h->im.routes);
    outline_remark(head, pool_printf(&h->im.pool, "Protocol '%s' is left out:", name->value));
    outline_move_remarks(head, e->route);
    if (why != NULL)
        setting_remark(&h->im, head, name, FATE_MISSING, "%s", why);
    for (struct setting *s = e->scope.first; s != NULL; s = s->next)
        if (s->said == NULL)
            s->fate = FATE_MISSING;
}

static void build_proxy(struct sslh *h, struct entry *e)
{
    struct setting *proxy = setting_find(&e->scope, "proxyprotocol");
    struct setting *transparent = setting_find(&e->scope, "transparent");
    if (proxy != NULL)
        door_proxy(e->route, strcmp(proxy->value, "1") == 0 ? "v1" : "v2");
    if (transparent == NULL)
        transparent = setting_find(&h->global, "transparent");
    if (transparent != NULL && strcmp(transparent->value, "false") != 0 &&
        strcmp(transparent->value, "0") != 0)
        setting_remark(&h->im, e->route, transparent, FATE_MISSING,
                       "backends see the door's address; one that reads a PROXY header learns the client's: "
                       "'hand_on: {proxy: v2}' of the route");
}

static void build_route(struct sslh *h, struct entry *e, const struct probe *p, const char *backend)
{
    const struct setting *sni = setting_find(&e->scope, "sni_hostnames");
    struct node *route = outline_item(h->im.routes);
    const char *stem = sni != NULL && strchr(sni->value, '*') == NULL ? sni->value : p->name;
    outline_set(route, "name", door_name(&h->im, h->im.routes, stem));
    if (p->first_bytes != NULL)
        outline_add(outline_list(route, "first_bytes"), p->first_bytes);
    bool left = p->first_bytes == NULL ? build_names(h, e, route) : claimed(h, p->first_bytes) == NULL;
    if (!left) {
        *route = (struct node){.kind = NODE_MAP, .pool = route->pool, .next = route->next};
        leave_out(h, e, "entries above it take all of its connections, or it has no name left");
        return;
    }
    if (p->first_bytes == NULL)
        claim(h, route);
    else
        outline_add(h->claims, p->first_bytes);
    outline_add(outline_list(outline_map(route, "pass"), "to"), backend);
    outline_move_remarks(route, e->route);
    e->route = route;
    build_proxy(h, e);
    setting_judge(&h->im, route, &e->scope);
}

static int build_protocol(struct sslh *h, const struct libconfig_value *v)
{
    struct entry e = {.at = v->at, .route = outline_new(&h->im.pool)};
    bool is_unix, udp;
    if (flatten(h, &e.scope, PROTOCOL, "in 'protocols'", v) < 0 ||
        is_true(h, &e.scope, "is_unix", &is_unix) < 0 || is_true(h, &e.scope, "is_udp", &udp) < 0)
        return -1;
    outline_move_remarks(e.route, v->comments);
    const struct setting *name = setting_find(&e.scope, "name");
    if (name == NULL || setting_find(&e.scope, "host") == NULL)
        return import_fail(&h->im, v->at, "found a protocol without '%s', expected 'name', 'host' and 'port'",
                           name == NULL ? "name" : "host");
    const struct probe *p = find_probe(name->value);
    if (p == NULL)
        return import_fail(&h->im, name->at,
                           "found protocol '%s', expected tls, ssh, http or another of sslh(8)", name->value);
    if (p->instead != NULL || udp) {
        leave_out(h, &e, udp ? "UDP is not told apart by its first bytes" : p->instead);
        return 0;
    }
    const char *backend = find_backend(h, &e);
    if (backend == NULL)
        leave_out(h, &e, setting_find(&e.scope, "port") == NULL ? "it has no port to lead to" : NULL);
    else
        build_route(h, &e, p, backend);
    return 0;
}

/* ---- The whole ---- */

static void judge_timeouts(struct sslh *h)
{
    static const char *const names[] = {"on-timeout", "on_timeout", "timeout"};
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        struct setting *s = setting_find(&h->global, names[i]);
        if (s != NULL)
            setting_remark(
                &h->im, h->im.limits, s, FATE_MISSING,
                "who says nothing within 'hello_timeout' (10s) is closed, and led nowhere: SSH clients "
                "speak first, and others that wait for the server need a port of their own");
    }
}

static int build(struct sslh *h, const struct libconfig_value *top)
{
    const struct libconfig_value *list;
    h->claims = outline_list(outline_new(&h->im.pool), "claims");
    if (flatten(h, &h->global, GLOBAL, "at the top", top) < 0 || find_list(h, top, "protocols", &list) < 0 ||
        build_listeners(h, top) < 0)
        return -1;
    if (list == NULL)
        return import_fail(&h->im, top->at,
                           "found no 'protocols', expected a list of { name: \"...\"; host: \"...\"; "
                           "port: \"...\"; }");
    for (const struct libconfig_value *v = list->first; v != NULL; v = v->next)
        if (build_protocol(h, v) < 0)
            return -1;
    judge_timeouts(h);
    setting_judge(&h->im, h->im.root, &h->global);
    outline_set(h->im.limits, "idle_timeout", "0");
    outline_remark(outline_find(h->im.limits, "idle_timeout"), "As in sslh, which ends no idle connection.");
    outline_remark(h->im.routes,
                   "sslh takes the first entry that matches, cardea the most specific: an exact server "
                   "name before a pattern, a name before a protocol (ALPN).");
    return 0;
}

int import_sslh(const char *path, const struct import_files *files, struct import_result *ret,
                struct err *err)
{
    struct sslh h = {0};
    struct buf text = {0};
    struct err why;
    import_begin(&h.im, files, rows, ARRAY_LEN(rows), err);
    int rc = files->read(files->arg, path, &text, &why);
    if (rc < 0)
        err_set(err, "%s", why.text);
    const struct libconfig_value *top =
        rc < 0 ? NULL : libconfig_parse(&h.im, path, (const char *)text.data, text.len);
    rc = top == NULL ? -1 : build(&h, top);
    buf_free(&text);
    return import_end(&h.im, rc, "sslh", path, ret);
}

int import_sslh_args(int argc, const char *const *argv, const struct import_files *files,
                     struct import_result *ret, struct err *err)
{
    struct sslh h = {0};
    import_begin(&h.im, files, rows, ARRAY_LEN(rows), err);
    const struct libconfig_value *top = sslh_from_args(&h.im, argc, argv);
    return import_end(&h.im, top == NULL ? -1 : build(&h, top), "sslh", "its command line", ret);
}
