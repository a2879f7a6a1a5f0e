/* SPDX-License-Identifier: Apache-2.0 */
/* ghostunnel's command line: a server becomes a route that terminates, with a row of policy for each kind of
 * --allow flag; a client a route that forwards. */
#include <string.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/str.h"
#include "import/door.h"
#include "import/option_rows.h"

#define SERVER 1u
#define CLIENT 2u
#define BOTH (SERVER | CLIENT)
#define FLAG 0x200u
static const struct option_row rows[] = {
#include "tables/import_ghostunnel.def"
};

struct ghostunnel {
    struct import im;
    struct scope scope;
    unsigned command; /* SERVER or CLIENT */
    struct node *listener, *route, *action;
};

/* ---- Reading ---- */

/* --NAME, --NAME=VALUE or --NAME VALUE; -1 with im.err. `*i` ends at the last word that was used. */
static int take_flag(struct ghostunnel *g, int argc, const char *const *argv, int *i, struct place at)
{
    const char *word = argv[*i] + 2, *equals = strchr(word, '=');
    const char *name = pool_copy(&g->im.pool, word, equals != NULL ? (size_t)(equals - word) : strlen(word));
    const struct option_row *row = setting_row(&g->im, name);
    if (row == NULL && strncmp(name, "no-", 3) == 0 && (row = setting_row(&g->im, name + 3)) != NULL &&
        (row->flags & FLAG) != 0)
        return 0; /* said to be off, as it is by itself */
    bool flag = row != NULL && (row->flags & FLAG) != 0;
    const char *value = equals != NULL ? equals + 1 : flag ? "true" : NULL;
    if (row != NULL && value == NULL) {
        if (*i + 1 == argc)
            return import_fail(&g->im, at, "found '--%s' at the end, expected its value", name);
        value = argv[++*i];
    }
    const char *where = g->command == SERVER ? "with server" : "with client";
    return setting_add(&g->im, &g->scope, g->command, where, at, name, value != NULL ? value : "");
}

/* The command stands anywhere among the flags. */
static int find_command(struct ghostunnel *g, int argc, const char *const *argv)
{
    for (int i = 0; i < argc; i++) {
        if (strcmp(argv[i], "server") == 0 || strcmp(argv[i], "client") == 0) {
            g->command = *argv[i] == 's' ? SERVER : CLIENT;
            return i;
        }
        const struct option_row *row =
            strncmp(argv[i], "--", 2) == 0 ? setting_row(&g->im, argv[i] + 2) : NULL;
        if (row != NULL && (row->flags & FLAG) == 0)
            i++; /* its value */
    }
    return import_fail(&g->im, (struct place){"ghostunnel", 1, 1},
                       "found neither 'server' nor 'client', expected one of them among the arguments");
}

static int take_args(struct ghostunnel *g, int argc, const char *const *argv)
{
    int command = find_command(g, argc, argv);
    if (command < 0)
        return -1;
    for (int i = 0; i < argc; i++) {
        struct place at = {"ghostunnel", 1, (unsigned)i + 1};
        if (i == command)
            continue;
        if (strncmp(argv[i], "--", 2) != 0)
            return import_fail(&g->im, at,
                               "found an argument that is no flag, expected --FLAG or --FLAG=VALUE");
        if (take_flag(g, argc, argv, &i, at) < 0)
            return -1;
    }
    return 0;
}

static struct setting *option(const struct ghostunnel *g, const char *name)
{
    return setting_find(&g->scope, name);
}

static bool is_on(const struct ghostunnel *g, const char *name)
{
    const struct setting *s = option(g, name);
    return s != NULL && strcmp(s->value, "false") != 0;
}

/* ---- Addresses ---- */

/* HOST:PORT or [V6]:PORT in its parts; -1 with im.err. */
static int split(struct ghostunnel *g, const struct setting *s, const char *value, const char **ret_host,
                 const char **ret_port)
{
    return door_split(&g->im, value, ret_host, ret_port)
               ? 0
               : import_fail(&g->im, s->at,
                             "found '%s' for '--%s', expected HOST:PORT, unix:PATH or systemd:NAME", value,
                             s->row->name);
}

static int unknown_port(struct ghostunnel *g, const struct setting *s)
{
    return import_fail(&g->im, s->at, "found '%s' for '--%s', expected a port from 1 to 65535", s->value,
                       s->row->name);
}

static int need(struct ghostunnel *g, const char *name, struct setting **ret)
{
    *ret = option(g, name);
    return *ret != NULL ? 0
                        : import_fail(&g->im, (struct place){"ghostunnel", 1, 1},
                                      "found no '--%s', expected it", name);
}

/* An address to listen on, in cardea's words. NULL with im.err. */
static const char *find_listen(struct ghostunnel *g, struct node *n, struct setting *s, const char *value)
{
    const char *host = "", *port = "";
    if (strncmp(value, "unix:", 5) == 0 || strncmp(value, "systemd:", 8) == 0)
        return value;
    if (split(g, s, value, &host, &port) < 0)
        return NULL;
    const char *address = door_listen(&g->im, n, s, host, port);
    if (address == NULL)
        unknown_port(g, s);
    return address;
}

static int build_ends(struct ghostunnel *g)
{
    struct setting *listen, *target;
    const char *host = "", *port = "", *number, *stem = g->command == SERVER ? "server" : "client";
    if (need(g, "listen", &listen) < 0 || need(g, "target", &target) < 0)
        return -1;
    g->listener = door_listener(&g->im, stem, NULL);
    const char *address = find_listen(g, g->listener, listen, listen->value);
    if (address == NULL)
        return -1;
    outline_set(g->listener, "address", address);
    if (g->command == CLIENT)
        outline_set(g->listener, "speaks", "plain");
    g->route = door_route(&g->im, stem, outline_get(g->listener, "name"));
    g->action = outline_map(g->route, g->command == SERVER ? "terminate" : "forward");
    struct node *to = outline_list(g->action, "to");
    if (strncmp(target->value, "unix:", 5) == 0) {
        outline_add(to, target->value);
        return 0;
    }
    if (split(g, target, target->value, &host, &port) < 0)
        return -1;
    if ((number = door_port(&g->im, g->route, target, port)) == NULL)
        return unknown_port(g, target);
    outline_add(to, door_address(&g->im, *host != '\0' ? host : "localhost", number));
    return 0;
}

/* ---- Certificates ---- */

/* The files of the own certificate; false where there is none. */
static bool find_identity(struct ghostunnel *g, const char **ret_certificate, const char **ret_key)
{
    struct setting *store = option(g, "keystore"), *cert = option(g, "cert"), *key = option(g, "key");
    struct setting *spiffe = option(g, "use-workload-api");
    if (spiffe == NULL)
        spiffe = option(g, "use-workload-api-addr");
    if (store != NULL) {
        *ret_certificate = *ret_key = door_pem(&g->im, g->route, store);
    } else if (cert != NULL) {
        *ret_certificate = cert->value;
        *ret_key = key != NULL ? key->value : cert->value;
    } else if (spiffe != NULL) {
        *ret_certificate = "svid.pem";
        *ret_key = "svid_key.pem";
        setting_remark(
            &g->im, g->route, spiffe, FATE_MISSING,
            "cardea reads files: let spiffe-helper write svid.pem, svid_key.pem and svid_bundle.pem, and "
            "run 'cardea reload' when it has");
        return true;
    }
    return store != NULL || cert != NULL;
}

/* The bundle, or NULL for the system's own. */
static const char *find_bundle(const struct ghostunnel *g)
{
    const struct setting *ca = option(g, "cacert");
    bool spiffe = option(g, "use-workload-api") != NULL || option(g, "use-workload-api-addr") != NULL;
    return ca != NULL ? ca->value : spiffe ? "svid_bundle.pem" : NULL;
}

static const char *trust_in(struct ghostunnel *g, const char *bundle)
{
    struct node *lists = outline_new(&g->im.pool);
    outline_add(outline_list(lists, "ca"), bundle);
    return door_trust(&g->im, "peers", outline_list(lists, "ca"), outline_list(lists, "crl"));
}

/* ---- Server ---- */

/* A pattern of URIs as policy has it, or NULL. ghostunnel's '*' stays within a '/', cardea's does not; '**'
 * at the end is as wide in both. */
static const char *uri_pattern(struct ghostunnel *g, const char *uri)
{
    const char *star = strchr(uri, '*');
    if (star == NULL)
        return uri;
    if (strcmp(star, "**") != 0)
        return NULL;
    return pool_copy(&g->im.pool, uri, (size_t)(star + 1 - uri));
}

/* The values of one flag that policy can express. True where the flag is there at all. */
static bool find_allowed(struct ghostunnel *g, const char *flag, const char *key, struct node *values)
{
    struct setting *first = option(g, flag);
    for (struct setting *s = first; s != NULL; s = setting_next(s, flag)) {
        const char *pattern = strcmp(key, "uri") == 0         ? uri_pattern(g, s->value)
                              : strchr(s->value, '*') == NULL ? s->value
                                                              : NULL;
        if (pattern != NULL)
            outline_add(values, pattern);
        else
            setting_remark(
                &g->im, g->route, s, FATE_MISSING,
                "a '*' in policy is any text, also '/', and would let in more: nobody is allowed by this; "
                "write a row that names them");
    }
    return first != NULL;
}

static int build_policy(struct ghostunnel *g)
{
    static const struct {
        const char *flag, *also, *key;
    } kinds[] = {
        {"allow-cn", NULL, "name"},
        {"allow-ou", NULL, "group"},
        {"allow-dns", "allow-dns-san", "dns"},
        {"allow-uri", "allow-uri-san", "uri"},
    };
    bool some = option(g, "allow-ip") != NULL || option(g, "allow-ip-san") != NULL ||
                option(g, "allow-policy") != NULL;
    if (is_on(g, "allow-all")) {
        door_allow(&g->im, g->route, NULL, NULL);
        return 0;
    }
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
        struct node *values = outline_list(outline_new(&g->im.pool), "values");
        some |= find_allowed(g, kinds[i].flag, kinds[i].key, values);
        if (kinds[i].also != NULL)
            some |= find_allowed(g, kinds[i].also, kinds[i].key, values);
        if (values->first != NULL)
            door_allow(&g->im, g->route, kinds[i].key, values);
        if (values->first != NULL && strcmp(kinds[i].key, "group") == 0)
            setting_remark(&g->im, g->im.policy->last, option(g, "allow-ou"), FATE_DIFFERS,
                           "a group is an OU, and also each beginning of the path of a SPIFFE ID");
    }
    if (!some)
        return import_fail(&g->im, (struct place){"ghostunnel", 1, 1},
                           "found no '--allow-' flag, expected one, or --disable-authentication");
    return 0;
}

static int build_server(struct ghostunnel *g)
{
    const char *certificate, *key, *bundle = find_bundle(g);
    const struct setting *proxy = option(g, "proxy-protocol-mode");
    if (!find_identity(g, &certificate, &key)) {
        certificate = key = "server.pem";
        outline_remark(g->route, "Its certificate came from elsewhere: write its files in 'certificates'.");
    }
    const char *label = door_certificate(&g->im, "server", certificate, key);
    outline_add(outline_list(g->route, "certificates"), label);
    if (is_on(g, "proxy-protocol") || proxy != NULL)
        door_proxy(g->route, "v2");
    if (is_on(g, "disable-authentication"))
        return 0;
    door_clients(g->route, "required", trust_in(g, bundle != NULL ? bundle : DOOR_SYSTEM_CA));
    return build_policy(g);
}

/* ---- Client ---- */

/* The URI that the server's certificate must have. */
static void build_uri(struct ghostunnel *g, struct node *tls, struct setting *s)
{
    const char *uri = uri_pattern(g, s->value);
    if (uri == NULL || (uri != s->value && strstr(s->value, "/**") == NULL) ||
        outline_get(tls, "uri") != NULL) {
        setting_remark(&g->im, g->route, s, FATE_MISSING, "'uri' is one URI, or ends with '/*'");
        return;
    }
    outline_set(tls, "uri", uri);
    setting_remark(&g->im, g->route, s, FATE_DIFFERS,
                   "with 'uri' the server is known by that alone, not by the name of its host too");
}

static int build_client(struct ghostunnel *g)
{
    static const char *const lost[] = {"verify-cn", "verify-ou", "verify-ip", "verify-ip-san",
                                       "verify-policy"};
    static const char *const uris[] = {"verify-uri", "verify-uri-san"};
    static const char *const names[] = {"verify-dns", "verify-dns-san"};
    const char *certificate, *key, *bundle = find_bundle(g);
    struct node *tls = outline_map(g->action, "tls");
    const char *name = setting_value(&g->scope, "override-server-name", NULL);
    if (name != NULL)
        outline_set(tls, "name", name);
    outline_set(tls, "trust", bundle != NULL ? trust_in(g, bundle) : "system");
    if (!is_on(g, "disable-authentication") && find_identity(g, &certificate, &key)) {
        outline_set(tls, "certificate", certificate);
        outline_set(tls, "key", key);
    }
    for (size_t i = 0; i < ARRAY_LEN(uris); i++)
        for (struct setting *u = option(g, uris[i]); u != NULL; u = setting_next(u, uris[i]))
            build_uri(g, tls, u);
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        for (struct setting *s = option(g, names[i]); s != NULL; s = setting_next(s, names[i]))
            setting_remark(
                &g->im, g->route, s, FATE_MISSING,
                "the certificate has to be for the host of 'to', or for 'name' of 'tls': put this there if "
                "it is another");
    for (size_t i = 0; i < ARRAY_LEN(lost); i++)
        for (struct setting *s = option(g, lost[i]); s != NULL; s = setting_next(s, lost[i]))
            setting_remark(&g->im, g->route, s, FATE_MISSING,
                           "a server is known by its name, its 'uri', its key ('pin') or its issuer");
    return 0;
}

/* ---- Limits and the rest ---- */

/* A duration of Go ("1h30m", "300s", "1.5s" is not taken) as a number and one unit. -1 with im.err. */
static int duration(struct ghostunnel *g, const struct setting *s, const char **ret)
{
    static const struct {
        const char *unit;
        uint64_t ms;
    } units[] = {{"ms", 1}, {"s", 1000}, {"m", 60000}, {"h", 3600000}};
    uint64_t total = 0;
    const char *p = s->value;
    while (*p != '\0') {
        uint64_t n = 0, factor = 0;
        size_t digits = strspn(p, "0123456789"), letters = strcspn(p + digits, "0123456789.");
        if (digits == 0 || digits > 9)
            break;
        for (size_t i = 0; i < digits; i++)
            n = n * 10 + (uint64_t)(p[i] - '0');
        for (size_t i = 0; i < ARRAY_LEN(units); i++)
            if (strlen(units[i].unit) == letters && strncmp(units[i].unit, p + digits, letters) == 0)
                factor = units[i].ms;
        if (factor == 0 && !(n == 0 && letters == 0))
            break;
        total += n * factor;
        p += digits + letters;
    }
    if (*p != '\0' || p == s->value)
        return import_fail(&g->im, s->at, "found '%s' for '--%s', expected a duration such as 300s or 1h30m",
                           s->value, s->row->name);
    *ret = total % 1000 != 0 ? pool_printf(&g->im.pool, "%llums", (unsigned long long)total)
                             : pool_printf(&g->im.pool, "%llus", (unsigned long long)total / 1000);
    return 0;
}

static int build_limits(struct ghostunnel *g)
{
    const struct {
        const char *flag, *key;
        struct node *map;
    } times[] = {
        {"connect-timeout", "handshake_timeout", g->im.limits},
        {"connect-timeout", "dial_timeout", g->im.limits},
        {"shutdown-timeout", "drain_timeout", g->im.limits},
        {"max-conn-lifetime", "total_timeout", outline_map(g->route, "limits")},
    };
    const struct setting *most = option(g, "max-concurrent-conns");
    unsigned long n = 0;
    for (size_t i = 0; i < ARRAY_LEN(times); i++) {
        const struct setting *s = option(g, times[i].flag);
        const char *text = NULL;
        if (s != NULL && duration(g, s, &text) < 0)
            return -1;
        if (s != NULL)
            outline_set(times[i].map, times[i].key, text);
    }
    if (most != NULL && setting_number(&g->im, most, 10000000, &n) < 0)
        return -1;
    if (n > 0)
        outline_set(outline_map(g->route, "limits"), "connections", most->value);
    outline_set(g->im.limits, "idle_timeout", "0");
    outline_remark(outline_find(g->im.limits, "idle_timeout"),
                   "As in ghostunnel, which ends no idle connection.");
    return 0;
}

static int build_status(struct ghostunnel *g)
{
    struct setting *s = option(g, "status");
    if (s == NULL)
        return 0;
    const char *value = s->value;
    for (const char *scheme = "http://\0https://\0"; *scheme != '\0'; scheme += strlen(scheme) + 1)
        if (strncmp(value, scheme, strlen(scheme)) == 0)
            value += strlen(scheme);
    struct node *admin = outline_map(g->im.root, "admin");
    if (strncmp(value, "unix:", 5) == 0) {
        setting_remark(&g->im, admin, s, FATE_DIFFERS, "'cardea status' asks over it");
        outline_set(admin, "socket", value + 5);
        return 0;
    }
    const char *address = find_listen(g, admin, s, value);
    if (address == NULL)
        return -1;
    outline_set(admin, "metrics", address);
    setting_remark(&g->im, admin, s, FATE_DIFFERS,
                   "/metrics, over plain HTTP; 'cardea status' tells what /_status did");
    return 0;
}

static int build_version(struct ghostunnel *g)
{
    struct setting *s = option(g, "max-tls-version");
    struct node *tls = g->command == SERVER ? outline_map(g->route, "tls") : outline_map(g->action, "tls");
    if (s == NULL || *s->value == '\0')
        return 0;
    if (strcmp(s->value, "TLS1.2") != 0 && strcmp(s->value, "TLS1.3") != 0)
        return import_fail(&g->im, s->at, "found '%s' for '--max-tls-version', expected TLS1.2 or TLS1.3",
                           s->value);
    outline_set(tls, "max_version", s->value + 3);
    return 0;
}

int import_ghostunnel(int argc, const char *const *argv, const struct import_files *files,
                      struct import_result *ret, struct err *err)
{
    struct ghostunnel g = {0};
    import_begin(&g.im, files, rows, ARRAY_LEN(rows), err);
    int rc = take_args(&g, argc, argv) < 0 || build_ends(&g) < 0 ||
                     (g.command == SERVER ? build_server(&g) : build_client(&g)) < 0 ||
                     build_version(&g) < 0 || build_limits(&g) < 0 || build_status(&g) < 0
                 ? -1
                 : 0;
    if (rc == 0)
        setting_judge(&g.im, g.route, &g.scope);
    return import_end(&g.im, rc, "ghostunnel", g.command == SERVER ? "server" : "client", ret);
}
