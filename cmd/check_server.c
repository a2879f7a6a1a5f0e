/* SPDX-License-Identifier: Apache-2.0 */
/* `cardea check`: what do servers offer to those who ask them for TLS? Several are looked at side by side;
 * what is said of them comes in the order in which they were given. */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/check.h"
#include "base/clock.h"
#include "base/hostname.h"
#include "base/hostport.h"
#include "base/str.h"
#include "base/unit.h"
#include "cert/cert.h"
#include "cert/trust.h"
#include "cmd/check_path.h"
#include "cmd/check_report.h"
#include "cmd/cmd.h"
#include "cmd/protocols.h"
#include "cmd/recommend.h"
#include "loop/loop.h"
#include "net/resolver.h"
#include "starttls/starttls.h"
#include "tls/client.h"
#include "tls/tls_link.h"

#define TIMEOUT_NS (10 * NSEC_PER_SEC)
#define AT_ONCE 16 /* servers; more wait, so that times tell of them and not of us */
#define ALPN_MAX 8
#define SUBMISSION_PORT 587 /* RFC 6409: SMTP, at a port of its own */

struct checking;

struct server {
    struct checking *checking;
    char host[HOST_MAX];
    struct check_subject subject;
    const struct starttls *protocol; /* NULL: TLS at once */
    struct server_probe *probe;
    bool looked_at;
};

struct checking {
    /* as the options say; NULL: they do not */
    const char *starttls, *chat, *name, *ca, *cert, *key;
    const char *alpn[ALPN_MAX];
    size_t alpn_len;
    char name_space[HOST_MAX];
    int64_t timeout;
    bool json;

    struct loop *loop;
    struct resolver *resolver;
    struct tls_scratch scratch;
    struct tls_client *tls;
    struct starttls *own; /* the user's script */
    struct server *servers;
    size_t n, begun, told;
    bool all_good;
};

/* ---- looking ---- */

static void begin_next(struct checking *c);

static void tell(const struct server *s)
{
    struct buf out = {0};
    (s->checking->json ? check_report_json : check_report_text)(&out, &s->subject,
                                                                server_probe_result(s->probe));
    fwrite(out.data, 1, out.len, stdout);
    fflush(stdout);
    buf_free(&out);
}

static void on_done(void *owner)
{
    struct server *s = owner;
    struct checking *c = s->checking;
    s->looked_at = true;
    c->all_good = c->all_good && server_probe_result(s->probe)->outcome == PROBE_GOOD;
    for (; c->told < c->n && c->servers[c->told].looked_at; c->told++)
        tell(&c->servers[c->told]);
    if (c->told == c->n)
        loop_stop(c->loop);
    else
        begin_next(c);
}

static void begin_next(struct checking *c)
{
    if (c->begun == c->n)
        return;
    struct server *s = &c->servers[c->begun++];
    s->probe = server_probe_start(&(struct server_probe_params){.loop = c->loop,
                                                                .resolver = c->resolver,
                                                                .scratch = &c->scratch,
                                                                .tls = c->tls,
                                                                .protocol = s->protocol,
                                                                .host = s->host,
                                                                .port = s->subject.port,
                                                                .name = s->subject.name,
                                                                .timeout = c->timeout,
                                                                .done = on_done,
                                                                .owner = s});
}

/* ---- setting up ---- */

/* "trust bundle FILE: what is wrong" has nothing to do with a bundle here. */
static void blame_option(const char *ca, struct err *err)
{
    char text[ERR_TEXT_MAX];
    size_t before = strlen("trust bundle ") + strlen(ca) + strlen(": ");
    str_copy(text, sizeof(text), err->text, strlen(err->text));
    err_set(err, "--ca: %s", strlen(text) > before ? text + before : text);
}

static int make_tls(struct checking *c, struct err *err)
{
    static const int groups[] = {0x11ec, 0x001d, 0x11eb, 0x11ed,
                                 0x0017, 0x0018, 0x0019}; /* tables/groups.def */
    const char *ca = c->ca != NULL ? c->ca : "system";
    struct trust *trust = trust_load(&(struct trust_files){.name = ca, .ca = &ca, .ca_len = 1}, err);
    if (trust == NULL && c->ca != NULL)
        blame_option(ca, err);
    struct cert *cert = NULL;
    if (trust != NULL && c->cert != NULL)
        cert = cert_load(&(struct cert_files){.certificate = c->cert, .key = c->key}, err);
    struct tls_client_params params = {.min_version = 0x0303,
                                       .max_version = 0x0304,
                                       .groups = groups,
                                       .groups_len = ARRAY_LEN(groups),
                                       .trust = trust,
                                       .cert = cert,
                                       .alpn = c->alpn,
                                       .alpn_len = c->alpn_len,
                                       .only_looks = true};
    if (trust != NULL && (cert != NULL || c->cert == NULL))
        c->tls = tls_client_new(&params, err);
    cert_unref(cert);
    trust_unref(trust);
    return c->tls != NULL ? 0 : -1;
}

static int look(struct checking *c, struct err *err)
{
    if (make_tls(c, err) != 0 || (c->loop = loop_new(err)) == NULL ||
        (c->resolver = resolver_new(c->loop, err)) == NULL)
        return -1;
    tls_scratch_init(&c->scratch, c->loop);
    for (int i = 0; i < AT_ONCE; i++)
        begin_next(c);
    return loop_run(c->loop, err);
}

static int run(struct checking *c)
{
    struct err err = {0};
    c->all_good = true;
    int status = look(c, &err) != 0 ? cmd_failed("%s", err.text) : c->all_good ? CMD_OK : CMD_FAILED;
    for (size_t i = 0; i < c->n; i++)
        server_probe_free(c->servers[i].probe);
    tls_client_free(c->tls);
    resolver_free(c->resolver);
    loop_free(c->loop);
    tls_scratch_free(&c->scratch);
    return status;
}

/* ---- options ---- */

/* The protocol that is usual at a port, where TLS does not begin at once; NULL: none. */
static const char *usual_protocol(uint16_t port)
{
    const char *const *names = starttls_builtin_names();
    if (port == SUBMISSION_PORT)
        return "smtp";
    while (*names != NULL && starttls_port(starttls_builtin(*names)) != port)
        names++;
    return *names;
}

static const struct starttls *read_script(struct checking *c, struct err *err)
{
    if (c->own == NULL)
        c->own = starttls_load(c->chat != NULL ? c->chat : c->starttls, c->chat != NULL, err);
    return c->own;
}

static int unknown_protocol(const char *name, struct err *err)
{
    char hint[STR_HINT_MAX];
    struct buf list = {0};
    if (starttls_is_at_once(name))
        return err_set(err, "found '%s': in %s TLS begins at once, which is --starttls none", name, name);
    protocols_put(&list, STARTTLS_ASK, ", ");
    err_set(err,
            "found '%s', expected none, one of %s, or the file of a script of your own, with a '/' or '.' "
            "in its name%s",
            name, buf_text(&list), str_hint(name, starttls_builtin_words(), hint));
    buf_free(&list);
    return -1;
}

/* Which script the server is asked with, and what it is called; both NULL: none. Returns -1 with `err`. */
static int choose_protocol(struct checking *c, struct server *s, struct err *err)
{
    const char *given = c->chat != NULL ? c->chat : c->starttls;
    const char *name = given != NULL ? given : usual_protocol(s->subject.port);
    if (name == NULL || strcmp(name, "none") == 0)
        return 0;
    bool is_file = c->chat != NULL || starttls_is_file(name);
    s->protocol = is_file ? read_script(c, err) : starttls_builtin(name);
    s->subject.protocol = name;
    if (s->protocol == NULL && is_file)
        return -1;
    if (s->protocol == NULL)
        return unknown_protocol(name, err);
    if (starttls_section(s->protocol, STARTTLS_ASK) >= 0)
        return 0;
    return err_set(err, "%s has no section `ask`, which is what a server is asked with", name);
}

static int add_server(struct checking *c, const char *text)
{
    struct server *s = &c->servers[c->n++];
    char hint[HOST_HINT_MAX];
    struct err err;
    s->checking = c;
    if (str_host_port(text, strlen(text), s->host, &s->subject.port, &err) != 0)
        return cmd_misused("check", "'%s': %s%s", text, err.text, str_host_port_hint(text, hint));
    s->subject.host = s->host;
    s->subject.offered_alpn = c->alpn_len > 0;
    s->subject.name = c->name != NULL ? c->name : s->host;
    if (choose_protocol(c, s, &err) != 0)
        return cmd_misused("check", "--%s: %s", c->chat != NULL ? "chat" : "starttls", err.text);
    return -1;
}

/* A name in the form in which names are compared; or an address, as it stands. */
static int take_name(struct checking *c, const char *text)
{
    uint8_t ip[16];
    struct err err;
    if (hostname_address(text, ip) > 0)
        c->name = text;
    else if (str_host_name(text, strlen(text), c->name_space, &err) == 0)
        c->name = c->name_space;
    else
        return cmd_misused("check", "--name: %s", err.text);
    return -1;
}

/* One option. Returns -1, or an exit status. */
static int take(struct checking *c, int option)
{
    switch (option) {
    case 's':
        c->starttls = optarg;
        return -1;
    case 'C':
        c->chat = optarg;
        return -1;
    case 'n':
        return take_name(c, optarg);
    case 'a':
        c->ca = optarg;
        return -1;
    case 'c':
        c->cert = optarg;
        return -1;
    case 'k':
        c->key = optarg;
        return -1;
    case 'p':
        if (c->alpn_len == ALPN_MAX)
            return cmd_misused("check", "--alpn is there more than %d times", ALPN_MAX);
        c->alpn[c->alpn_len++] = optarg;
        return -1;
    case 't':
        if (unit_parse(optarg, unit_durations, &c->timeout) && c->timeout > 0)
            return -1;
        return cmd_misused("check", "--timeout %s: expected a time such as 500ms, 10s or 1m", optarg);
    case 'j':
        c->json = true;
        return -1;
    default:
        return cmd_usage("check", option == 'h');
    }
}

static int read_options(int argc, char **argv, struct checking *c)
{
    static const struct option options[] = {
        {"starttls", required_argument, NULL, 's'},
        {"chat", required_argument, NULL, 'C'},
        {"name", required_argument, NULL, 'n'},
        {"ca", required_argument, NULL, 'a'},
        {"cert", required_argument, NULL, 'c'},
        {"key", required_argument, NULL, 'k'},
        {"alpn", required_argument, NULL, 'p'},
        {"timeout", required_argument, NULL, 't'},
        {"json", no_argument, NULL, 'j'},
        {"help", no_argument, NULL, 'h'},
        {0},
    };
    int status = -1;
    for (int o; status < 0 && (o = cmd_option(argc, argv, "h", options)) != -1;)
        status = take(c, o);
    if (status >= 0)
        return status;
    if (optind == argc)
        return cmd_misused("check", "which server? HOST:PORT is missing, such as mail.example.com:25");
    if (c->starttls != NULL && c->chat != NULL)
        return cmd_misused("check", "--starttls and --chat both say how TLS is asked for: leave one out");
    if ((c->cert == NULL) != (c->key == NULL))
        return cmd_misused("check", "--cert and --key go together (one file may hold both)");
    c->servers = calloc((size_t)(argc - optind), sizeof(*c->servers));
    CHECK(c->servers != NULL);
    for (; status < 0 && optind < argc; optind++)
        status = add_server(c, argv[optind]);
    return status;
}

int cmd_check(int argc, char **argv)
{
    struct checking c = {.timeout = TIMEOUT_NS};
    if (check_path_is_asked(argc, argv))
        return check_path(argc, argv);
    if (recommend_is_asked(argc, argv))
        return recommend(argc, argv);
    int status = read_options(argc, argv, &c);
    if (status < 0)
        status = run(&c);
    starttls_free(c.own);
    free(c.servers);
    return status;
}
