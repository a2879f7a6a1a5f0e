/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/expose_options.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/str.h"
#include "base/unit.h"
#include "cmd/cmd.h"
#include "net/socket.h"

#define TIMEOUT_DEFAULT (30 * NSEC_PER_SEC)
#define GRACE_DEFAULT (30 * NSEC_PER_SEC)
#define TIME_MAX (24 * 3600 * NSEC_PER_SEC)
#define DIAL_TIMEOUT_DEFAULT (10 * NSEC_PER_SEC)
#define CONNECTIONS_DEFAULT 256
#define CONNECTIONS_MAX 1000
#define BANDWIDTH_LEAST 1024

enum {
    OPTION_TO = 256,
#define KIND(NAME, word) OPTION_##NAME,
#include "tables/offer_kinds.def"
#undef KIND
    OPTION_PORT,
    OPTION_UDP,
    OPTION_PROXY,
    OPTION_HEALTH,
    OPTION_DIAL_TIMEOUT,
    OPTION_CONNECTIONS,
    OPTION_BANDWIDTH,
    OPTION_SERVICE_CERT,
    OPTION_SERVICE_KEY,
    OPTION_ALSO_CERT,
    OPTION_ALSO_KEY,
    OPTION_CLIENTS,
    OPTION_ALLOW,
    OPTION_ANYONE,
    OPTION_STATE,
    OPTION_TIMEOUT,
    OPTION_GRACE,
    OPTION_RETRY,
    OPTION_JSON,
    OPTION_CHECK,
};

static const struct option options[] = {
    {"config", required_argument, NULL, 'c'},
    {"to", required_argument, NULL, OPTION_TO},
#define KIND(NAME, word) {word, no_argument, NULL, OPTION_##NAME},
#include "tables/offer_kinds.def"
#undef KIND
    {"port", required_argument, NULL, OPTION_PORT},
    {"udp", no_argument, NULL, OPTION_UDP},
    {"proxy", required_argument, NULL, OPTION_PROXY},
    {"health", required_argument, NULL, OPTION_HEALTH},
    {"dial-timeout", required_argument, NULL, OPTION_DIAL_TIMEOUT},
    {"connections", required_argument, NULL, OPTION_CONNECTIONS},
    {"bandwidth", required_argument, NULL, OPTION_BANDWIDTH},
    {"service-cert", required_argument, NULL, OPTION_SERVICE_CERT},
    {"service-key", required_argument, NULL, OPTION_SERVICE_KEY},
    {"also-cert", required_argument, NULL, OPTION_ALSO_CERT},
    {"also-key", required_argument, NULL, OPTION_ALSO_KEY},
    {"clients", required_argument, NULL, OPTION_CLIENTS},
    {"allow", required_argument, NULL, OPTION_ALLOW},
    {"anyone", no_argument, NULL, OPTION_ANYONE},
    {"state", required_argument, NULL, OPTION_STATE},
    {"timeout", required_argument, NULL, OPTION_TIMEOUT},
    {"grace", required_argument, NULL, OPTION_GRACE},
    {"retry", no_argument, NULL, OPTION_RETRY},
    {"verbose", no_argument, NULL, 'v'},
    {"json", no_argument, NULL, OPTION_JSON},
    {"check", no_argument, NULL, OPTION_CHECK},
    DOOR_SETTING_FLAGS,
    {"help", no_argument, NULL, 'h'},
    {0},
};

/* ---- values ---- */

static int wrong(const char *option, const char *expected)
{
    return cmd_misused("expose", "--%s %s: expected %s", option, optarg, expected);
}

static int take_time(const char *option, int64_t least, int64_t *ret)
{
    if (unit_parse(optarg, unit_durations, ret) && *ret >= least && *ret <= TIME_MAX)
        return -1;
    return wrong(option, "a time such as 500ms, 10s or 1m");
}

static int take_count(const char *option, uint64_t most, uint64_t *ret)
{
    char expected[64];
    if (str_u64(optarg, most, ret) && *ret > 0)
        return -1;
    snprintf(expected, sizeof(expected), "a number from 1 to %llu", (unsigned long long)most);
    return wrong(option, expected);
}

/* One of the names, NULL at their end. */
static int take_word(const char *option, const char *const *names, const char *expected, int *ret)
{
    for (int i = 0; names[i] != NULL; i++)
        if (strcmp(optarg, names[i]) == 0) {
            *ret = i;
            return -1;
        }
    return wrong(option, expected);
}

/* HOST:PORT or unix:PATH. */
static int take_to(struct expose_options *o)
{
    struct agent_service *s = &o->exposures[0].service;
    struct err err;
    char hint[HOST_HINT_MAX];
    if (strncmp(optarg, "unix:", 5) == 0 && optarg[5] != '\0') {
        s->path = optarg + 5;
        if (!socket_unix_path_fits(s->path))
            return cmd_misused(
                "expose",
                "--to %s: its path has %zu bytes, and that of a unix socket has at most %d: let "
                "a shorter one lead to it (a symbolic link)",
                optarg, strlen(s->path), SOCKET_UNIX_PATH_MAX);
        return -1;
    }
    if (str_host_port(optarg, strlen(optarg), o->host, &s->port, &err) != 0)
        return cmd_misused("expose", "--to %s: %s (expected HOST:PORT or unix:PATH)%s", optarg, err.text,
                           str_host_port_hint(optarg, hint));
    s->host = o->host;
    return -1;
}

/* ---- options ---- */

static int take_kind(struct expose_options *o, enum offer_kind kind)
{
    struct offer *offer = &o->exposures[0].service.offer;
    if (o->kind_given && offer->kind != kind)
        return cmd_misused("expose", "--%s and --%s: an offer is of one kind, choose one",
                           offer_kind_word(offer->kind), offer_kind_word(kind));
    o->kind_given = true;
    offer->kind = kind;
    return -1;
}

/* Of the one service that the command line tells of. Returns -1, or an exit status. */
static int take_service(struct expose_options *o, int option)
{
    static const char *const versions[] = {"v1", "v2", NULL};
    struct exposure *e = &o->exposures[0];
    struct agent_service *s = &e->service;
    uint64_t count = 0;
    int word = 0, status;
    switch (option) {
    case OPTION_TO:
        return take_to(o);
#define KIND(NAME, word) \
    case OPTION_##NAME:  \
        return take_kind(o, OFFER_##NAME);
#include "tables/offer_kinds.def"
#undef KIND
    case OPTION_PORT:
        status = take_count("port", UINT16_MAX, &count);
        s->offer.port = (uint16_t)count;
        return status;
    case OPTION_UDP:
        s->offer.udp = true;
        return -1;
    case OPTION_PROXY:
        status = take_word("proxy", versions, "v1 or v2", &word);
        s->proxy = word == 0 ? AGENT_PROXY_V1 : AGENT_PROXY_V2;
        return status;
    case OPTION_HEALTH:
        return take_time("health", 100 * NSEC_PER_MSEC, &s->health);
    case OPTION_DIAL_TIMEOUT:
        return take_time("dial-timeout", 10 * NSEC_PER_MSEC, &s->dial_timeout);
    case OPTION_CONNECTIONS:
        status = take_count("connections", CONNECTIONS_MAX, &count);
        s->connections = (size_t)count;
        return status;
    case OPTION_BANDWIDTH:
        return unit_parse(optarg, unit_sizes, &s->bandwidth) && s->bandwidth >= BANDWIDTH_LEAST
                   ? -1
                   : wrong("bandwidth", "bytes per second such as 64KiB or 4MiB, at least 1KiB");
    case OPTION_SERVICE_CERT:
        e->tls.cert = optarg;
        return -1;
    case OPTION_SERVICE_KEY:
        e->tls.key = optarg;
        return -1;
    case OPTION_ALSO_CERT:
        s->also_cert = optarg;
        return -1;
    case OPTION_ALSO_KEY:
        s->also_key = optarg;
        return -1;
    case OPTION_CLIENTS:
        e->tls.clients = optarg;
        return -1;
    case OPTION_ALLOW:
        o->allow[e->tls.allow_len++] = optarg;
        return -1;
    default:
        CHECK(option == OPTION_ANYONE);
        e->anyone = true;
        return -1;
    }
}

static int take(struct expose_options *o, int option)
{
    switch (option) {
    case 'c':
        o->path = optarg;
        return -1;
    case 'v':
        o->verbose = true;
        return -1;
    case OPTION_JSON:
        o->json = true;
        return -1;
    case OPTION_CHECK:
        o->check = true;
        return -1;
    case OPTION_RETRY:
        o->retry = true;
        return -1;
    case OPTION_STATE:
        o->state = optarg;
        return -1;
    case OPTION_TIMEOUT:
        return take_time("timeout", 1, &o->timeout);
    case OPTION_GRACE:
        return take_time("grace", 0, &o->grace);
    case 'h':
    case '?':
        return cmd_usage("expose", option == 'h');
    default:
        return option < CONNECT_OPTION_SETTING ? take_service(o, option)
                                               : connect_settings_take(&o->settings, option, "expose");
    }
}

/* ---- the service that a file or the command line tells of ---- */

/* What does not go together; NULL: nothing. It speaks in flags, or in the keys of the file. */
static const char *mismatch(const struct exposure *e)
{
    const struct agent_service *s = &e->service;
    bool keys = e->at.line != 0;
    bool sealed = s->offer.kind == OFFER_END_TO_END;
    if (s->host == NULL && s->path == NULL)
        return "where is the service? --to HOST:PORT is missing";
    if (s->offer.port != 0 && s->offer.kind != OFFER_PUBLIC)
        return "a port of the door goes with a public offer only";
    if (s->offer.udp && s->offer.port == 0)
        return "an offer over UDP needs a port of the door";
    if (s->offer.udp && (s->proxy != AGENT_PROXY_NONE || s->health > 0 || s->path != NULL))
        return "an offer over UDP has no PROXY header, no health probe and no unix socket";
    if ((s->also_cert == NULL) != (s->also_key == NULL))
        return keys ? "who else offers it is proven by a certificate and its key ('also_cert', 'also_key')"
                    : "who else offers it is proven by a certificate and its key (--also-cert, --also-key)";
    if (!sealed && (e->tls.cert != NULL || e->tls.key != NULL || e->tls.clients != NULL ||
                    e->tls.allow_len > 0 || e->anyone))
        return "a certificate for visitors, and who they may be, go with an offer end-to-end only: of others "
               "the door ends the TLS";
    if (!sealed)
        return NULL;
    if ((e->tls.cert == NULL) != (e->tls.key == NULL))
        return keys ? "a certificate and its key go together ('certificate', 'key'); without both the door's "
                      "CA is asked for one"
                    : "a certificate and its key go together (--service-cert, --service-key); without both "
                      "the door's CA is asked for one";
    if ((e->tls.clients != NULL) == e->anyone)
        return keys ? "who may visit an offer end-to-end? Either whom CA certificates vouch for ('clients: "
                      "FILE'), or anyone ('anyone: true')"
                    : "who may visit an offer end-to-end? Either whom CA certificates vouch for (--clients), "
                      "or anyone (--anyone)";
    if (e->anyone && e->tls.allow_len > 0)
        return keys ? "whom to allow can only be told of visitors who show a certificate ('clients')"
                    : "whom to allow can only be told of visitors who show a certificate (--clients)";
    return NULL;
}

static int put_name(const char *text, char ret[HOST_MAX], struct err *err)
{
    struct err what;
    if (str_host_name(text, strlen(text), ret, &what) != 0)
        return err_set(err,
                       "'%s' is no name to offer a service under: expected a DNS name such as "
                       "app.example.com: %s",
                       text, what.text);
    return 0;
}

static int read_operands(struct expose_options *o, int argc, char **argv)
{
    struct exposure *e = &o->exposures[0];
    struct err err;
    if (argc == 0)
        return cmd_misused("expose", "under which name? NAME is missing (or -c FILE)");
    if (argc > 1)
        return cmd_misused("expose", "'%s' is one argument too many", argv[argc - 1]);
    if (put_name(argv[0], e->service.offer.name, &err) != 0)
        return cmd_misused("expose", "%s", err.text);
    e->tls.allow = o->allow;
    const char *what = mismatch(e);
    return what == NULL ? -1 : cmd_misused("expose", "%s", what);
}

/* ---- the file ---- */

static const char **texts_of(const struct config_texts *t)
{
    const char **v = calloc(t->n + 1, sizeof(*v));
    CHECK(v != NULL);
    for (size_t i = 0; i < t->n; i++)
        v[i] = t->v[i].text;
    return v;
}

static int read_service(const struct config_service *c, struct exposure *e, struct err *err)
{
    static const enum agent_proxy proxies[] = {[CONFIG_SEND_PROXY_NONE] = AGENT_PROXY_NONE,
                                               [CONFIG_SEND_PROXY_V1] = AGENT_PROXY_V1,
                                               [CONFIG_SEND_PROXY_V2] = AGENT_PROXY_V2};
    *e = (struct exposure){
        .twin = e->twin,
        .service = {.offer = {.kind = (enum offer_kind)c->kind,
                              .udp = c->proto == CONFIG_OFFER_UDP,
                              .port = (uint16_t)c->port},
                    .host = c->to.host,
                    .port = c->to.port,
                    .path = c->to.path,
                    .proxy = proxies[c->proxy],
                    .also_cert = c->also_cert.text,
                    .also_key = c->also_key.text,
                    .dial_timeout = c->dial_timeout,
                    .health = c->health,
                    .connections = c->connections,
                    .bandwidth = (int64_t)c->bandwidth},
        .tls = {.cert = c->certificate.text, .key = c->key.text, .clients = c->clients.text},
        .anyone = c->anyone,
        .at = c->head.at,
    };
    e->tls.allow = texts_of(&c->allow);
    e->tls.allow_len = c->allow.n;
    if (c->name.text != NULL && put_name(c->name.text, e->service.offer.name, err) != 0)
        return -1;
    if (c->head.wrong || c->name.text == NULL) /* what is missing has been told of */
        return 0;
    const char *what = mismatch(e);
    return what == NULL ? 0 : err_set(err, "%s", what);
}

/* More than an agent is meant for; what compares old services with new ones is quadratic. */
#define SERVICES_MAX 10000

static void told_wrong(struct expose_options *o, size_t i, const struct err *why)
{
    const struct config_pos *at = &o->exposures[i].at;
    fprintf(stderr, "%s:%u:%u: services[%zu]: %s\n", o->file->file, at->line, at->column, i, why->text);
    o->exposures[i].wrong = true;
}

/* Of the same name in the order of the file, for they stand in one array. */
static int compare_names(const void *a, const void *b)
{
    const struct config_service *x = *(const struct config_service *const *)a;
    const struct config_service *y = *(const struct config_service *const *)b;
    int order = strcmp(x->name.text, y->name.text);
    return order != 0 ? order : (x > y) - (x < y);
}

/* Note of each service that it has the name of one before it. */
static void find_twins(struct expose_options *o)
{
    const struct expose_config *f = o->file;
    const struct config_service **sorted = calloc(f->services.n, sizeof(struct config_service *));
    size_t n = 0;
    CHECK(sorted != NULL || f->services.n == 0);
    for (size_t i = 0; i < f->services.n; i++)
        if (f->services.v[i].name.text != NULL)
            sorted[n++] = &f->services.v[i];
    qsort(sorted, n, sizeof(struct config_service *), compare_names);
    for (size_t first = 0, i = 1; i < n; i++) {
        if (strcmp(sorted[first]->name.text, sorted[i]->name.text) != 0)
            first = i;
        else
            o->exposures[sorted[i] - f->services.v].twin = sorted[first];
    }
    free(sorted);
}

/* At the door they would be two agents, and only one of them would be found here. */
static int check_name(const struct expose_options *o, size_t i, struct err *err)
{
    const struct config_service *twin = o->exposures[i].twin;
    if (twin == NULL)
        return 0;
    size_t first = (size_t)(twin - o->file->services.v);
    return err_set(err, "%s is offered already, by services[%zu] in line %u: a name stands once",
                   twin->name.text, first, o->exposures[first].at.line);
}

/* True: all of them are good. */
static bool read_services(struct expose_options *o)
{
    const struct expose_config *f = o->file;
    bool good = true;
    struct err err;
    if (f->services.n > SERVICES_MAX) {
        fprintf(stderr,
                "%s: %zu services, expected at most %d: split the file, and run an agent for each part\n",
                f->file, f->services.n, SERVICES_MAX);
        return false;
    }
    o->exposures = calloc(f->services.n, sizeof(*o->exposures));
    CHECK(o->exposures != NULL || f->services.n == 0);
    find_twins(o);
    for (o->exposures_len = 0; o->exposures_len < f->services.n;) {
        size_t i = o->exposures_len++;
        const struct config_service *c = &f->services.v[i];
        if (read_service(c, &o->exposures[i], &err) != 0)
            told_wrong(o, i, &err);
        if (check_name(o, i, &err) != 0)
            told_wrong(o, i, &err);
        o->exposures[i].wrong = o->exposures[i].wrong || c->head.wrong || c->name.text == NULL;
        good = good && !o->exposures[i].wrong;
    }
    return good;
}

static int read_file(struct expose_options *o)
{
    struct buf errors = {0};
    free(o->exposures);
    o->exposures = NULL;
    o->exposures_len = 0;
    o->file = expose_config_load(o->path, &errors);
    if (o->file == NULL) {
        fputs(buf_text(&errors), stderr);
        buf_free(&errors);
        o->wrong = true;
        o->file = o->check ? expose_config_survey(o->path) : NULL;
    }
    if (o->file == NULL)
        return CMD_FAILED;
    const struct expose_config *f = o->file;
    connect_settings_fill(&o->settings, SETTING_DOOR, f->door.text.text);
    connect_settings_fill(&o->settings, SETTING_CERT, f->cert.text);
    connect_settings_fill(&o->settings, SETTING_KEY, f->key.text);
    connect_settings_fill(&o->settings, SETTING_CA, f->ca.text);
    connect_settings_fill(&o->settings, SETTING_NAME, f->name.text);
    connect_settings_fill(&o->settings, SETTING_TRANSPORT, transport_word(f->transport));
    connect_settings_fill(&o->settings, SETTING_PQ, tls_pq_word(f->pq));
    connect_settings_fill(&o->settings, SETTING_ECH, f->ech.text);
    connect_settings_fill(&o->settings, SETTING_DOH, f->doh.text);
    connect_settings_fill(&o->settings, SETTING_DOH_CA, f->doh_ca.text);
    connect_settings_fill(&o->settings, SETTING_DOH_PROXY, f->doh_proxy.text);
    connect_settings_fill(&o->settings, SETTING_DOH_CONFIGS, f->doh_configs.text);
    o->state = o->state != NULL ? o->state : f->state.text;
    o->wrong = !read_services(o) || o->wrong;
    return o->wrong && !o->check ? CMD_FAILED : -1;
}

bool expose_options_reread(const struct expose_options *o, struct expose_options *ret)
{
    *ret = (struct expose_options){.path = o->path};
    return read_file(ret) < 0;
}

/* ---- all ---- */

int expose_options_read(struct expose_options *o, int argc, char **argv)
{
    bool alone = false; /* something that only the command line's own service has */
    *o = (struct expose_options){.timeout = TIMEOUT_DEFAULT, .grace = GRACE_DEFAULT, .exposures_len = 1};
    o->exposures = calloc(1, sizeof(*o->exposures));
    o->allow = calloc((size_t)argc, sizeof(*o->allow)); /* more than there can be */
    CHECK(o->exposures != NULL && o->allow != NULL);
    o->exposures[0].service.dial_timeout = DIAL_TIMEOUT_DEFAULT;
    o->exposures[0].service.connections = CONNECTIONS_DEFAULT;
    int status = -1;
    for (int c; status < 0 && (c = cmd_option(argc, argv, "c:vh", options)) != -1;) {
        alone = alone || (c >= OPTION_TO && c <= OPTION_ANYONE);
        status = take(o, c);
    }
    if (status < 0 && o->path != NULL && (alone || optind < argc))
        status = cmd_misused("expose",
                             "with -c the file names the services: neither NAME nor options of a service "
                             "go with it");
    if (status < 0 && o->check && o->json)
        status = cmd_misused("expose", "--check says in words what it finds: --json does not go with it");
    if (status >= 0)
        return status;
    return o->path != NULL ? read_file(o) : read_operands(o, argc - optind, argv + optind);
}

void expose_options_free(struct expose_options *o)
{
    for (size_t i = 0; o->file != NULL && i < o->exposures_len; i++)
        free((void *)(uintptr_t)o->exposures[i].tls.allow);
    free(o->exposures);
    free(o->allow);
    expose_config_free(o->file);
    connect_settings_free(&o->settings);
}
