/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/recommend.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/hostport.h"
#include "base/str.h"
#include "base/unit.h"
#include "cmd/cmd.h"

#define NOTHING_TO_DO 0
#define STRONGER 1
#define UNDETERMINED 2

#define PAGES 20
#define DEPTH 3
#define DEPTH_MAX 100
#define SIZE (1024 * 1024)
#define SIZE_MAX_BYTES (256 * 1024 * 1024)
#define TIMEOUT_NS (10 * NSEC_PER_SEC)
#define DEADLINE_NS (60 * NSEC_PER_SEC)
#define PORT_MAX 65535

/* The options as they were given. */
struct given {
    const char *config, *route, *name, *port, *pages, *depth, *size, *timeout, *deadline;
    bool recommend, json;
    char name_space[HOST_MAX];
};

bool recommend_is_asked(int argc, char **argv)
{
    for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; i++)
        if (strcmp(argv[i], "--recommend") == 0)
            return true;
    return false;
}

/* ---- options ---- */

/* A number from `least` to `most`. Returns -1, or an exit status. */
static int take_number(const char *option, const char *text, uint64_t least, uint64_t most, size_t *ret)
{
    uint64_t number;
    if (text == NULL)
        return -1;
    if (!str_u64(text, most, &number) || number < least)
        return cmd_misused("check", "--%s %s: expected a number from %zu to %zu", option, text, (size_t)least,
                           (size_t)most);
    *ret = (size_t)number;
    return -1;
}

static int take_time(const char *option, const char *text, int64_t *ret)
{
    if (text == NULL || (unit_parse(text, unit_durations, ret) && *ret > 0))
        return -1;
    return cmd_misused("check", "--%s %s: expected a time such as 500ms, 10s or 1m", option, text);
}

static int take_size(const char *text, size_t *ret)
{
    int64_t size;
    if (text == NULL)
        return -1;
    if (!unit_parse(text, unit_sizes, &size) || size < 1 || size > SIZE_MAX_BYTES)
        return cmd_misused("check", "--size %s: expected a size from 1 to 256MiB, such as 64KiB", text);
    *ret = (size_t)size;
    return -1;
}

static int take_name(struct given *g, const char **ret)
{
    struct err err;
    if (g->name != NULL && str_host_name(g->name, strlen(g->name), g->name_space, &err) != 0)
        return cmd_misused("check", "--name: %s", err.text);
    *ret = g->name != NULL ? g->name_space : NULL;
    return -1;
}

static int take_all(struct given *g, struct recommend_options *o)
{
    size_t port = 0;
    int status = take_number("port", g->port, 1, PORT_MAX, &port);
    if (status < 0)
        status = take_number("pages", g->pages, 1, PAGE_WALK_PAGES_MAX, &o->pages);
    if (status < 0)
        status = take_number("depth", g->depth, 0, DEPTH_MAX, &o->depth);
    if (status < 0)
        status = take_size(g->size, &o->size);
    if (status < 0)
        status = take_time("timeout", g->timeout, &o->timeout);
    if (status < 0)
        status = take_time("deadline", g->deadline, &o->deadline);
    if (status < 0)
        status = take_name(g, &o->name);
    o->port = (uint16_t)port;
    o->quiet = g->json || !isatty(STDERR_FILENO);
    return status;
}

static int read_options(int argc, char **argv, struct given *g, struct recommend_options *o)
{
    const struct cmd_flag flags[] = {
        {"recommend", .on = &g->recommend}, {"config", .text = &g->config}, {"route", .text = &g->route},
        {"name", .text = &g->name},         {"port", .text = &g->port},     {"pages", .text = &g->pages},
        {"depth", .text = &g->depth},       {"size", .text = &g->size},     {"timeout", .text = &g->timeout},
        {"deadline", .text = &g->deadline}, {"json", .on = &g->json},
    };
    int status;
    if (!cmd_flags("check", argc, argv, flags, ARRAY_LEN(flags), &status))
        return status;
    if (optind < argc)
        return cmd_misused("check",
                           "'%s': --recommend looks at the backends of a configuration, and takes no server",
                           argv[optind]);
    if (g->config == NULL)
        return cmd_misused("check", "--config is missing: the file whose backends are to be looked at");
    return take_all(g, o);
}

/* ---- looking ---- */

static bool has_backends(const struct config_route *r)
{
    return r->action == CONFIG_TERMINATE || r->action == CONFIG_FORWARD;
}

static void tell(const struct config *c, const struct route_advice *a, bool json)
{
    struct buf out = {0};
    (json ? recommend_json : recommend_text)(&out, c, a);
    fwrite(out.data, 1, out.len, stdout);
    fflush(stdout);
    buf_free(&out);
}

/* What holds for two routes: that something can be done, else that something is not known. */
static int worse(int a, int b)
{
    return a == STRONGER || b == STRONGER ? STRONGER : MAX(a, b);
}

static int look_at_routes(const struct config *c, const struct given *g, const struct recommend_options *o,
                          struct err *err)
{
    static const int statuses[] = {
        [ADVICE_NOTHING] = NOTHING_TO_DO, [ADVICE_STRONGER] = STRONGER, [ADVICE_UNKNOWN] = UNDETERMINED};
    struct recommend_looker *l = recommend_looker_new(c, o, err);
    int status = NOTHING_TO_DO, rc = l != NULL ? 0 : -1;
    for (size_t i = 0; rc == 0 && i < c->routes.n; i++) {
        const struct config_route *r = &c->routes.v[i];
        struct route_advice a = {0};
        if (!has_backends(r) || (g->route != NULL && strcmp(g->route, r->name.text) != 0))
            continue;
        if ((rc = recommend_look(l, r, &a, err)) == 0) {
            tell(c, &a, g->json);
            status = worse(status, statuses[a.state]);
        }
        recommend_advice_free(&a);
    }
    recommend_looker_free(l);
    return rc == 0 ? status : -1;
}

/* -1, or an exit status: --route names none that can be looked at. */
static int check_route(const struct config *c, const char *name)
{
    const struct config_route *r = name != NULL ? config_route_find(c, name) : NULL;
    if (name == NULL || (r != NULL && has_backends(r)))
        return -1;
    if (r == NULL)
        return cmd_misused("check", "--route %s: the configuration has no such route", name);
    return cmd_misused("check", "--route %s: its action is %s; only terminate and forward speak to backends",
                       name, config_action_name(r->action));
}

int recommend(int argc, char **argv)
{
    struct given g = {0};
    struct recommend_options o = {
        .pages = PAGES, .depth = DEPTH, .size = SIZE, .timeout = TIMEOUT_NS, .deadline = DEADLINE_NS};
    struct buf errors = {0};
    struct err err;
    int status = read_options(argc, argv, &g, &o);
    if (status >= 0)
        return status;
    struct config *c = config_load(g.config, &errors);
    if (c == NULL) {
        fwrite(errors.data, 1, errors.len, stderr);
        status = UNDETERMINED;
    } else if ((status = check_route(c, g.route)) < 0 && (status = look_at_routes(c, &g, &o, &err)) < 0) {
        (void)cmd_failed("%s", err.text);
        status = UNDETERMINED;
    }
    config_free(c);
    buf_free(&errors);
    return status;
}
