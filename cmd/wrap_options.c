/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/wrap_options.h"

#include <getopt.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "base/ech_setting.h"
#include "base/file.h"
#include "base/str.h"
#include "cmd/cmd.h"
#include "starttls/starttls.h"

#define BOTH 3
#define SERVER 1
#define CLIENT 2

/* How an option is kept. */
enum keeping { ONE, MANY, FLAG };

static const struct {
    const char *name;
    enum keeping keeping;
    int roles;
    size_t offset;
} rows[] = {
    {"listen", MANY, BOTH, offsetof(struct wrap_options, listen)},
    {"to", MANY, BOTH, offsetof(struct wrap_options, to)},
    {"cert", MANY, BOTH, offsetof(struct wrap_options, cert)},
    {"key", MANY, BOTH, offsetof(struct wrap_options, key)},
    {"alpn", MANY, BOTH, offsetof(struct wrap_options, alpn)},
    {"starttls", ONE, BOTH, offsetof(struct wrap_options, starttls)},
    {"audit", ONE, BOTH, offsetof(struct wrap_options, audit)},
    {"socket", ONE, BOTH, offsetof(struct wrap_options, socket)},
    {"print", FLAG, BOTH, offsetof(struct wrap_options, print)},
    {"clients", ONE, SERVER, offsetof(struct wrap_options, clients)},
    {"optional", FLAG, SERVER, offsetof(struct wrap_options, optional)},
    {"allow", MANY, SERVER, offsetof(struct wrap_options, allow)},
    {"min-version", ONE, BOTH, offsetof(struct wrap_options, min_version)},
    {"pq", ONE, BOTH, offsetof(struct wrap_options, pq)},
    {"proxy", ONE, BOTH, offsetof(struct wrap_options, proxy)},
    {"headers", FLAG, SERVER, offsetof(struct wrap_options, headers)},
    {"tell", ONE, SERVER, offsetof(struct wrap_options, tell)},
    {"plaintext", FLAG, SERVER, offsetof(struct wrap_options, plaintext)},
    {"chat", ONE, CLIENT, offsetof(struct wrap_options, chat)},
    {"ca", ONE, CLIENT, offsetof(struct wrap_options, ca)},
    {"expect", MANY, CLIENT, offsetof(struct wrap_options, expect)},
    {"ech", ONE, CLIENT, offsetof(struct wrap_options, ech)},
    {"doh", ONE, CLIENT, offsetof(struct wrap_options, doh)},
    {"doh-ca", ONE, CLIENT, offsetof(struct wrap_options, doh_ca)},
    {"doh-proxy", ONE, CLIENT, offsetof(struct wrap_options, doh_proxy)},
    {"doh-configs", ONE, CLIENT, offsetof(struct wrap_options, doh_configs)},
};

static int keep(size_t row, char *value, struct wrap_options *o)
{
    void *place = (char *)o + rows[row].offset;
    if (rows[row].keeping == FLAG) {
        memcpy(place, &(bool){true}, sizeof(bool));
        return CMD_OK;
    }
    if (rows[row].keeping == ONE) {
        memcpy(place, &value, sizeof(value));
        return CMD_OK;
    }
    struct wrap_many *many = place;
    if (many->n == WRAP_MANY_MAX)
        return cmd_misused("wrap", "--%s is there more than %d times", rows[row].name, WRAP_MANY_MAX);
    many->v[many->n++] = value;
    return CMD_OK;
}

/* A name, or what else there is to tell a server by: see config_backend_tls. */
static const char *const expectations[] = {"uri", "pin", "issuer"};

enum wrap_expected wrap_expected_of(const char *what, const char **ret_value)
{
    *ret_value = what;
    for (size_t k = 0; k < ARRAY_LEN(expectations); k++) {
        size_t len = strlen(expectations[k]);
        if (strncmp(what, expectations[k], len) == 0 && what[len] == '=') {
            *ret_value = what + len + 1;
            return (enum wrap_expected)k;
        }
    }
    return strcmp(what, "any") == 0 ? WRAP_EXPECT_ANY : WRAP_EXPECT_NAME;
}

bool wrap_expects_anyone(const struct wrap_options *o)
{
    const char *value;
    return o->expect.n > 0 && wrap_expected_of(o->expect.v[0], &value) == WRAP_EXPECT_ANY;
}

int wrap_options_read(int argc, char **argv, struct wrap_options *ret, bool *ret_asked)
{
    struct option options[ARRAY_LEN(rows) + 2] = {0};
    static char names[2][32] = {"cardea wrap server", "cardea wrap client"};
    *ret = (struct wrap_options){0};
    *ret_asked = false;
    bool known = argc > 1 && (strcmp(argv[1], "client") == 0 || strcmp(argv[1], "server") == 0);
    if (known) { /* for the messages of getopt_long() */
        ret->client = argv[1][0] == 'c';
        *++argv = names[ret->client];
        argc--;
    }
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        options[i] = (struct option){rows[i].name, rows[i].keeping == FLAG ? no_argument : required_argument,
                                     NULL, 256 + (int)i};
    options[ARRAY_LEN(rows)] = (struct option){"help", no_argument, NULL, 'h'};
    for (int c; (c = cmd_option(argc, argv, known ? "h" : "+h", options)) != -1;) {
        size_t row = (size_t)c - 256;
        *ret_asked = c == 'h';
        if (c == 'h' || c == '?')
            return cmd_usage("wrap", c == 'h');
        if ((rows[row].roles & (ret->client ? CLIENT : SERVER)) == 0)
            return cmd_misused("wrap", "--%s goes with 'cardea wrap %s' only", rows[row].name,
                               ret->client ? "server" : "client");
        int status = keep(row, optarg, ret);
        if (status != CMD_OK)
            return status;
    }
    if (!known)
        return cmd_misused(
            "wrap", "found '%s', expected 'server' (TLS for clients that come) or 'client' (TLS to a server)",
            argc > 1 ? argv[1] : "nothing");
    if (optind != argc)
        return cmd_misused("wrap", "unexpected argument: %s", argv[optind]);
    return wrap_check(ret);
}

/* ---- the configuration ---- */

struct writing {
    struct buf *to;
    bool absolute; /* the configuration goes elsewhere: its paths do not depend on where we are */
    const char **flags;
    size_t line;
};

/* A line, from an option or NULL. The rest is printf's. */
__attribute__((format(printf, 3, 4))) static void put(struct writing *w, const char *flag, const char *fmt,
                                                      ...)
{
    va_list ap;
    va_start(ap, fmt);
    CHECK(buf_vprintf(w->to, fmt, ap) && buf_append(w->to, "\n", 1));
    va_end(ap);
    w->line++;
    if (w->line < WRAP_LINES_MAX)
        w->flags[w->line] = flag;
}

/* Text as a double-quoted scalar. JSON's strings are YAML's. */
static const char *quoted(const char *text, struct buf *space)
{
    buf_free(space);
    CHECK(str_json(space, text, strlen(text)));
    return buf_text(space);
}

static void put_value(struct writing *w, const char *flag, const char *before, const char *value)
{
    struct buf space = {0};
    put(w, flag, "%s%s", before, quoted(value, &space));
    buf_free(&space);
}

/* The value is the path of a file. */
static void put_path(struct writing *w, const char *flag, const char *before, const char *path)
{
    struct buf absolute = {0};
    bool put = w->absolute && strcmp(path, "-") != 0 && file_put_absolute(&absolute, path) == 0;
    put_value(w, flag, before, put ? buf_text(&absolute) : path);
    buf_free(&absolute);
}

/* Of "exec:PROGRAM ARGS", the folder where we are, as a part of its first word. */
static void put_folder(struct buf *to, const struct buf *folder)
{
    for (size_t i = 0; i < folder->len; i++) {
        if (strchr(" \t\"'\\", folder->data[i]) != NULL)
            CHECK(buf_append(to, "\\", 1));
        CHECK(buf_append(to, &folder->data[i], 1));
    }
}

/* The value is an address: of a unix socket or a program there is a path in it. */
static void put_address(struct writing *w, const char *flag, const char *before, const char *address)
{
    struct buf text = {0}, folder = {0};
    bool local = strncmp(address, "unix:", 5) == 0, program = strncmp(address, "exec:", 5) == 0;
    const char *path = address + (local || program ? 5 : 0);
    path += program ? strspn(path, " \t") : 0;
    if (!w->absolute || (!local && !program) || path[program ? strspn(path, "\"'") : 0] == '/' ||
        file_put_absolute(&folder, "") != 0) {
        put_value(w, flag, before, address);
        return;
    }
    CHECK(buf_append(&text, address, 5));
    if (program)
        put_folder(&text, &folder);
    else
        CHECK(buf_append(&text, folder.data, folder.len));
    CHECK(buf_append(&text, path, strlen(path)));
    put_value(w, flag, before, buf_text(&text));
    buf_free(&folder);
    buf_free(&text);
}

/* How a value is written. */
typedef void put_one(struct writing *w, const char *flag, const char *before, const char *value);

static void put_list(struct writing *w, const char *flag, const char *indent, const struct wrap_many *many,
                     put_one *put_each)
{
    struct buf before = {0};
    CHECK(buf_printf(&before, "%s  - ", indent));
    if (many->n > 0)
        put(w, NULL, "%s%s:", indent, flag);
    for (size_t i = 0; i < many->n; i++)
        put_each(w, flag, buf_text(&before), many->v[i]);
    buf_free(&before);
}

static const char *protocol_of(const struct wrap_options *o)
{
    if (o->chat != NULL)
        return "own";
    return o->starttls == NULL ? NULL : starttls_is_file(o->starttls) ? "own" : o->starttls;
}

static void put_listeners(struct writing *w, const struct wrap_options *o)
{
    const char *speaks = o->client ? "plain" : protocol_of(o);
    put(w, NULL, "listeners:");
    for (size_t i = 0; i < o->listen.n; i++) {
        put(w, NULL, "  - name: in-%zu", i + 1);
        put_address(w, "listen", "    address: ", o->listen.v[i]);
        if (speaks != NULL)
            put_value(w, "starttls", "    speaks: ", speaks);
        if (o->plaintext)
            put(w, "plaintext", "    plaintext: true");
    }
}

static void put_server_route(struct writing *w, const struct wrap_options *o)
{
    put(w, NULL, "    terminate:");
    put_list(w, "to", "      ", &o->to, put_address);
    put_list(w, "alpn", "      ", &o->alpn, put_value);
    if (o->clients != NULL)
        put(w, "clients", "    clients: {mode: %s, trust: clients}", o->optional ? "optional" : "required");
    if (o->min_version != NULL || o->pq != NULL)
        put(w, NULL, "    tls:");
    if (o->min_version != NULL)
        put_value(w, "min-version", "      min_version: ", o->min_version);
    if (o->pq != NULL)
        put_value(w, "pq", "      pq: ", o->pq);
}

static void put_hand_on(struct writing *w, const struct wrap_options *o)
{
    if (o->proxy == NULL && !o->headers && o->tell == NULL)
        return;
    put(w, NULL, "    hand_on:");
    if (o->proxy != NULL)
        put_value(w, "proxy", "      proxy: ", o->proxy);
    if (o->headers)
        put(w, "headers", "      headers: true");
    if (o->tell != NULL)
        put_value(w, "tell", "      protocol: ", o->tell);
}

/* All of that kind. How many there are. */
static size_t put_expected(struct writing *w, const struct wrap_options *o, enum wrap_expected kind)
{
    bool list = kind == WRAP_EXPECT_PIN;
    const char *key = kind == WRAP_EXPECT_NAME ? "name" : expectations[kind];
    char before[48];
    size_t n = 0;
    snprintf(before, sizeof(before), "        %s%s", list ? "  - " : key, list ? "" : ": ");
    for (size_t i = 0; i < o->expect.n; i++) {
        const char *value;
        if (wrap_expected_of(o->expect.v[i], &value) != kind)
            continue;
        if (list && n == 0)
            put(w, NULL, "        %s:", key);
        put_value(w, "expect", before, value);
        n++;
    }
    return n;
}

/* A pin that stands alone needs nobody to vouch for the key; what else is expected does. */
static void put_expectations(struct writing *w, const struct wrap_options *o)
{
    size_t n[WRAP_EXPECT_ANY] = {0};
    for (enum wrap_expected kind = 0; kind < WRAP_EXPECT_ANY; kind++)
        n[kind] = put_expected(w, o, kind);
    bool pinned = n[WRAP_EXPECT_PIN] > 0 && n[WRAP_EXPECT_PIN] == o->expect.n;
    if (wrap_expects_anyone(o))
        put(w, "expect", "        verify: any");
    else if (o->ca != NULL)
        put(w, "ca", "        trust: servers");
    else if (!pinned)
        put(w, "ca", "        trust: system");
}

/* The path in it is made absolute where others are. */
static void put_ech(struct writing *w, const char *value)
{
    struct ech_setting setting;
    struct buf text = {0};
    bool absolute =
        w->absolute && ech_setting_read(value, &setting) && ech_setting_put_absolute(&text, &setting) == 0;
    put_value(w, "ech", "        ech: ", absolute ? buf_text(&text) : value);
    buf_free(&text);
}

static void put_client_route(struct writing *w, const struct wrap_options *o)
{
    put(w, NULL, "    forward:");
    put_list(w, "to", "      ", &o->to, put_address);
    put(w, wrap_expects_anyone(o) ? "expect" : NULL, "      tls:");
    put_expectations(w, o);
    if (o->min_version != NULL)
        put_value(w, "min-version", "        min_version: ", o->min_version);
    if (o->pq != NULL)
        put_value(w, "pq", "        pq: ", o->pq);
    if (o->cert.n > 0) {
        put_path(w, "cert", "        certificate: ", o->cert.v[0]);
        put_path(w, "key", "        key: ", o->key.v[0]);
    }
    put_list(w, "alpn", "        ", &o->alpn, put_value);
    if (o->ech != NULL)
        put_ech(w, o->ech);
    if (protocol_of(o) != NULL)
        put_value(w, o->chat != NULL ? "chat" : "starttls", "        starttls: ", protocol_of(o));
}

static void put_route(struct writing *w, const struct wrap_options *o)
{
    put(w, NULL, "routes:");
    put(w, NULL, "  - name: wrap");
    put(w, NULL, "    listeners:");
    for (size_t i = 0; i < o->listen.n; i++)
        put(w, NULL, "      - in-%zu", i + 1);
    if (o->client)
        put_client_route(w, o);
    else
        put_server_route(w, o);
    put_hand_on(w, o);
}

/* KIND=PATTERN, or a name. */
static void put_allow(struct writing *w, const struct wrap_options *o, size_t i)
{
    const char *value = strchr(o->allow.v[i], '=');
    struct buf who = {0};
    CHECK(buf_printf(&who, "    who: {%.*s: ", value == NULL ? 4 : (int)(value - o->allow.v[i]),
                     value == NULL ? "name" : o->allow.v[i]));
    CHECK(str_json(&who, value == NULL ? o->allow.v[i] : value + 1,
                   strlen(value == NULL ? o->allow.v[i] : value + 1)));
    put(w, NULL, "  - name: allow-%zu", i + 1);
    put(w, NULL, "    routes: wrap");
    put(w, "allow", "%s}", buf_text(&who));
    buf_free(&who);
}

static void put_policy(struct writing *w, const struct wrap_options *o)
{
    if (o->clients == NULL)
        return;
    put(w, NULL, "policy:");
    for (size_t i = 0; i < o->allow.n; i++)
        put_allow(w, o, i);
    if (o->allow.n > 0 && o->optional) /* who has proven to be somebody else */
        put(w, NULL, "  - {name: others, routes: wrap, who: {proven: true}, effect: deny}");
    if (o->allow.n == 0 || o->optional)
        put(w, NULL, "  - {name: anyone, routes: wrap, who: {any: true}}");
}

static void put_trust(struct writing *w, const struct wrap_options *o)
{
    const char *file = o->client ? o->ca : o->clients;
    if (file == NULL)
        return;
    put(w, NULL, "trust:");
    put(w, NULL, "  - name: %s", o->client ? "servers" : "clients");
    put_path(w, o->client ? "ca" : "clients", "    ca: ", file);
}

static void put_certificates(struct writing *w, const struct wrap_options *o)
{
    if (o->client)
        return;
    put(w, NULL, "certificates:");
    for (size_t i = 0; i < o->cert.n; i++) {
        put_path(w, "cert", "  - certificate: ", o->cert.v[i]);
        put_path(w, "key", "    key: ", o->key.v[i]);
    }
}

static void put_protocol(struct writing *w, const struct wrap_options *o)
{
    if (protocol_of(o) == NULL || strcmp(protocol_of(o), "own") != 0)
        return;
    put(w, NULL, "protocols:");
    put(w, NULL, "  - name: own");
    if (o->chat != NULL)
        put_path(w, "chat", "    chat: ", o->chat);
    else
        put_path(w, "starttls", "    file: ", o->starttls);
}

static void put_resolver(struct writing *w, const struct wrap_options *o)
{
    if (o->doh == NULL && o->doh_ca == NULL && o->doh_proxy == NULL && o->doh_configs == NULL)
        return;
    put(w, "doh", "doh:");
    if (o->doh != NULL)
        put_value(w, "doh", "  url: ", o->doh);
    if (o->doh_ca != NULL)
        put_path(w, "doh-ca", "  ca: ", o->doh_ca);
    if (o->doh_proxy != NULL)
        put_value(w, "doh-proxy", "  proxy: ", o->doh_proxy);
    if (o->doh_configs != NULL)
        put_path(w, "doh-configs", "  configs: ", o->doh_configs);
}

/* A door that is printed has what any door has. */
static void put_surroundings(struct writing *w, const struct wrap_options *o)
{
    put_resolver(w, o);
    if (o->audit != NULL) {
        put(w, NULL, "audit:");
        put_path(w, "audit", "  file: ", o->audit);
    }
    if (o->socket != NULL || !o->print)
        put(w, NULL, "admin:");
    if (o->socket != NULL)
        put_path(w, "socket", "  socket: ", o->socket);
    else if (!o->print)
        put(w, NULL, "  enabled: false");
}

void wrap_options_config(const struct wrap_options *o, struct buf *to, const char *flags[WRAP_LINES_MAX])
{
    struct writing w = {.to = to, .absolute = o->print, .flags = flags};
    put_listeners(&w, o);
    put_certificates(&w, o);
    put_trust(&w, o);
    put_protocol(&w, o);
    put_route(&w, o);
    put_policy(&w, o);
    put_surroundings(&w, o);
}
