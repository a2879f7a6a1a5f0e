/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/serve.h"
#include "cert/cert.h"

#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "admin/server.h"
#include "admin/tell.h"
#include "base/check.h"
#include "base/clock.h"
#include "cmd/cmd.h"
#include "cmd/process.h"
#include "cmd/serve_ca.h"
#include "cmd/serve_check.h"
#include "cmd/serve_swaps.h"
#include "http/connect.h"
#include "http/h2.h"
#include "http/h3.h"
#include "keeper/candidates.h"
#include "keeper/keeper.h"
#include "loop/ear.h"
#include "net/supervisor.h"
#include "session/door.h"
#include "session/snapshot.h"
#include "session/staging.h"
#include "session/survey.h"
#include "tunnel/wire.h"
#include "web/challenges.h"
#include "web/redirect.h"

#define LISTENERS_SHOWN 8 /* in the status of the service */

#define PROMOTED_LOOK_NS NSEC_PER_SEC

/* Of the door's own pages: those here, and those of a CA. */
#define OWN_SERVICES 2
#define SERVICES (OWN_SERVICES + SERVE_CA_SERVICES)

static const struct front_binding fronts[] = {
    {WIRE_ALPN, &front_cardea}, {"http/1.1", &front_connect}, {H2_ALPN, &front_h2}, {H3_ALPN, &front_h3}};

/* A door that runs, and what the control thread needs around it. */
struct serving {
    struct loop *loop;
    struct door *door;
    struct keeper *keeper;
    struct candidates *candidates; /* NULL: their folder cannot be used */
    struct timer promoted;         /* looks whether what was promoted has expired ... */
    int64_t promoted_seen;         /* ... since it looked last, in seconds since 1970 */
    struct serve_swaps *swaps;     /* NULL: the configuration comes from nowhere that would have backups */
    struct admin *admin;
    struct signals signals;
    const struct serve_hooks *hooks;
    struct supervised supervised;
    struct supervisor *supervisor; /* NULL: nobody supervises */
    bool refused;                  /* the last reload was */
    bool stopping;
    bool failed; /* the one connection that there was to serve */
    struct challenges *challenges;
    struct serve_ca *ca;
    struct web_service services[SERVICES];
    struct web_service certifier;
    struct door_bindings bindings;
};

static void print_lines(const char *text)
{
    if (text == NULL || *text == '\0')
        return;
    fprintf(stderr, "%s%s", text, text[strlen(text) - 1] == '\n' ? "" : "\n");
}

/* What is wrong with the configuration, or will hardly be meant, in the words of whoever has written it. */
static void tell_lines_of(const struct serving *s, const char *lines)
{
    if (lines != NULL && *lines != '\0' && s->hooks != NULL && s->hooks->told != NULL)
        s->hooks->told(s->hooks->arg, lines);
    else
        print_lines(lines);
}

static void warn(const struct serving *s)
{
    struct buf warnings = {0};
    tell_warnings(&warnings, door_snapshot(s->door), false);
    tell_lines_of(s, buf_text(&warnings));
    buf_free(&warnings);
}

static void on_notice(void *arg, const char *text)
{
    (void)arg;
    fprintf(stderr, "cardea: ");
    print_lines(text);
}

/* What a door is made with. */
static void gather(struct serving *s)
{
    const struct ear operator= {s->loop, on_notice, s};
    s->challenges = challenges_new();
    s->services[0] = challenges_service(s->challenges);
    s->services[1] = web_redirect;
    s->ca = serve_ca_new(&operator);
    serve_ca_services(s->ca, &s->services[OWN_SERVICES]);
    s->certifier = serve_ca_certifier(s->ca);
    s->bindings = (struct door_bindings){.fronts = fronts,
                                         .fronts_len = ARRAY_LEN(fronts),
                                         .services = s->services,
                                         .services_len = SERVICES,
                                         .certifier = &s->certifier,
                                         .challenges = s->challenges};
}

static void release(struct serving *s)
{
    challenges_free(s->challenges);
    serve_ca_free(s->ca);
}

/* That it stays what it was is told with what else needs a start. */
static void take_ca(const struct serving *s)
{
    struct err err;
    switch (serve_ca_reload(s->ca, s->door, door_snapshot(s->door)->config, &err)) {
    case SERVE_CA_TAKEN:
        if (s->admin != NULL)
            admin_took_ca(s->admin);
        break;
    case SERVE_CA_STAYS:
        break;
    case SERVE_CA_FAILED:
        fprintf(stderr, "cardea: ca: %s; the CA goes on as it was\n", err.text);
    }
}

static void on_reloaded(void *arg, const struct review *review, const char *errors)
{
    struct serving *s = arg;
    s->refused = review == NULL;
    if (review != NULL) {
        struct buf text = {0};
        warn(s);
        take_ca(s);
        fprintf(stderr, "cardea: configuration reloaded\n");
        if (tell_review(&text, review))
            print_lines(buf_text(&text));
        buf_free(&text);
        char outdated[ADMIN_OUTDATED_MAX];
        if (s->admin != NULL && admin_outdated(s->admin, outdated) != NULL)
            fprintf(stderr, "cardea: %s\n", outdated);
        return;
    }
    tell_lines_of(s, errors);
    fprintf(stderr, "cardea: the configuration was not reloaded; the one before stays in force\n");
}

/* The first time; tell what the wait is for, if there is one. */
static void tell_stopping(struct serving *s)
{
    size_t n = door_connections(s->door);
    int64_t most = door_snapshot(s->door)->config->limits.drain_timeout;
    if (!s->stopping && n > 0)
        fprintf(stderr, "cardea: stopping: %zu connection%s open, up to %.10gs; once more to end now\n", n,
                n == 1 ? "" : "s", (double)most / NSEC_PER_SEC);
    if (s->stopping)
        return;
    s->stopping = true;
    supervisor_stopping(s->supervisor, most);
}

static void on_drained(void *arg)
{
    struct serving *s = arg;
    loop_stop(s->loop);
}

static void on_served(void *arg, bool in_order)
{
    struct serving *s = arg;
    s->failed = !in_order;
    door_drain(s->door, on_drained, s);
}

static void on_signal(struct signals *signals, int number)
{
    struct serving *s = CONTAINER_OF(signals, struct serving, signals);
    if (number == SIGHUP) {
        door_reload(s->door, on_reloaded, s);
    } else {
        tell_stopping(s);
        door_drain(s->door, on_drained, s);
    }
}

/* ---- the service manager ---- */

/* The line of `systemctl status`. */
static void describe(void *arg, struct buf *text)
{
    const struct serving *s = arg;
    const struct config *c = door_snapshot(s->door)->config;
    size_t n = door_connections(s->door);
    buf_printf(text, s->stopping ? "stopping" : "serving %zu route%s on", c->routes.n,
               c->routes.n == 1 ? "" : "s");
    for (size_t i = 0; !s->stopping && i < c->listeners.n && i < LISTENERS_SHOWN; i++)
        buf_printf(text, "%s %s", i == 0 ? "" : ",", c->listeners.v[i].address.text.text);
    if (!s->stopping && c->listeners.n > LISTENERS_SHOWN)
        buf_printf(text, " and %zu more", c->listeners.n - LISTENERS_SHOWN);
    buf_printf(text, "; %zu connection%s open", n, n == 1 ? "" : "s");
    if (s->refused)
        buf_printf(text, "; the last reload was refused, the configuration before it stays in force");
}

static void ask_workers(void *arg, void (*answered)(void *answered_arg), void *answered_arg)
{
    const struct serving *s = arg;
    door_ask_workers(s->door, answered, answered_arg);
}

static void on_reload(void *arg, bool under_way)
{
    struct serving *s = arg;
    if (under_way)
        supervisor_reloading(s->supervisor);
    else if (!s->stopping)
        supervisor_ready(s->supervisor);
}

static const char *variable(const char *name)
{
    const char *value = getenv(name);
    return value != NULL && *value != '\0' ? value : NULL;
}

/* A manager that cannot be told is no reason not to serve. What it handed us is for nobody whom we start. */
static void supervise(struct serving *s)
{
    static const char *const ours[] = {"NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"};
    struct supervision with = {variable(ours[0]), variable(ours[1]), variable(ours[2])};
    struct err err;
    s->supervised = (struct supervised){describe, ask_workers, s};
    s->supervisor = supervisor_new(s->loop, &with, &s->supervised, &err);
    if (err.text[0] != '\0')
        fprintf(stderr, "cardea: %s\n", err.text);
    for (size_t i = 0; i < ARRAY_LEN(ours); i++)
        unsetenv(ours[i]);
}

/* ---- beginning and end ---- */

static void on_changed(void *arg, const char *name)
{
    const struct serving *s = arg;
    if (s->door != NULL)
        door_forget_certificates(s->door, name);
}

static void on_quiet(void *arg)
{
    cert_staple_free(arg);
}

static void on_retired(void *arg, struct cert_staple *staple)
{
    const struct serving *s = arg;
    if (s->door != NULL)
        door_ask_workers(s->door, on_quiet, staple);
    else
        cert_staple_free(staple);
}

static void forget(void *arg, const char *name, bool revoke, demands_forgotten *done, void *done_arg)
{
    keeper_forget(arg, name, revoke, done, done_arg);
}

static int make_keeper(struct serving *s, struct err *err)
{
    const struct keeper_ear ear = {s->loop, on_notice, on_changed, on_retired, s};
    s->keeper = keeper_new(&ear, s->challenges, err);
    if (s->keeper == NULL)
        return -1;
    s->bindings.provider = keeper_provider(s->keeper);
    return 0;
}

static int open_ca(struct serving *s, const struct config *c, struct buf *errors)
{
    struct err err;
    if (serve_ca_open(s->ca, c, &err) == 0) {
        s->bindings.revocations = serve_ca_revocations(s->ca);
        return 0;
    }
    CHECK(buf_printf(errors, "%s\n", err.text));
    return -1;
}

/* What stands beside the configuration. A list that is damaged is told of and left alone: the door serves
 * what its configuration says. */
static void open_candidates(struct serving *s, const struct config *config)
{
    struct buf troubles = {0};
    struct err err;
    s->candidates = candidates_open(config_state_folder(config), &troubles, &err);
    if (s->candidates == NULL)
        fprintf(stderr, "cardea: nothing is staged or promoted: %s\n", err.text);
    else
        s->bindings.staging = candidates_now(s->candidates, time(NULL));
    print_lines(buf_text(&troubles));
    buf_free(&troubles);
}

static void open_swaps(struct serving *s, const struct config *config)
{
    const struct serve_swaps_owner owner = {s->loop, on_notice, s};
    s->swaps = serve_swaps_new(&owner, config_state_folder(config));
    s->bindings.aside = serve_swaps_aside(s->swaps);
}

static void on_expired(void *arg, const struct review *review, const char *errors)
{
    (void)arg;
    if (review == NULL)
        print_lines(errors);
}

/* What was promoted and has expired must not hide what is good. */
static void look_at_promoted(struct timer *t)
{
    struct serving *s = CONTAINER_OF(t, struct serving, promoted);
    int64_t now = time(NULL);
    if (candidates_next_end(s->candidates, s->promoted_seen) <= now) {
        struct staging *left = candidates_now(s->candidates, now);
        on_notice(s, "a certificate that was promoted has expired: what it stood in for is served again");
        door_put_staging(s->door, left, on_expired, s);
        staging_unref(left);
    }
    s->promoted_seen = now;
    loop_set_timer(s->loop, t, loop_now(s->loop) + PROMOTED_LOOK_NS);
}

static void watch_promoted(struct serving *s)
{
    timer_init(&s->promoted, look_at_promoted);
    if (s->candidates == NULL)
        return;
    s->promoted_seen = time(NULL);
    loop_set_timer(s->loop, &s->promoted, loop_now(s->loop) + PROMOTED_LOOK_NS);
}

static int open_door(struct serving *s, const char *path, struct buf *errors)
{
    const struct str *text = s->hooks != NULL && s->hooks->text.p != NULL ? &s->hooks->text : NULL;
    struct config *config =
        text != NULL ? config_parse(path, text->p, text->len, errors) : config_load(path, errors);
    if (config == NULL && text == NULL)
        survey_file(path, errors);
    if (config == NULL)
        return -1;
    if (open_ca(s, config, errors) != 0) {
        config_free(config);
        return -1;
    }
    if (text == NULL) {
        open_candidates(s, config);
        open_swaps(s, config);
    }
    s->door = door_new(s->loop, config, &s->bindings, errors);
    return s->door != NULL ? 0 : -1;
}

static void set_swaps(struct serving *s)
{
    if (s->swaps == NULL) {
        admin_set_swap(s->admin, keeper_swap, s->keeper);
        return;
    }
    serve_swaps_start(s->swaps, s->door, s->keeper);
    admin_set_swap(s->admin, serve_swaps_do, s->swaps);
    admin_set_swaps(s->admin, serve_swaps_told(s->swaps));
}

static int start(struct serving *s, const char *path)
{
    struct buf errors = {0};
    struct err err = {0};
    if (signals_watch(&s->signals, s->loop, SIGNALS_HANGUP, on_signal, &err) != 0 ||
        make_keeper(s, &err) != 0 || open_door(s, path, &errors) != 0) {
        if (errors.len > 0)
            tell_lines_of(s, buf_text(&errors));
        else
            print_lines(err.text);
        buf_free(&errors);
        return -1;
    }
    buf_free(&errors);
    warn(s);
    door_set_notice(s->door, on_notice, s);
    door_set_reload_watch(s->door, on_reload, s);
    door_set_served(s->door, on_served, s);
    bool asked = !door_is_for_one(s->door); /* of doors for one connection there may be any number at once */
    if (asked)
        s->admin = admin_new(s->loop, s->door, &err);
    if ((asked && s->admin == NULL) || door_start(s->door, &err) != 0) {
        if (s->hooks == NULL || s->hooks->told == NULL)
            fprintf(stderr, "cardea: ");
        tell_lines_of(s, err.text);
        return -1;
    }
    if (asked) {
        admin_set_reloaded(s->admin, on_reloaded, s);
        const struct admin_demands demands = {keeper_figures(s->keeper), forget, s->keeper};
        admin_set_candidates(s->admin, s->candidates);
        watch_promoted(s);
        admin_set_listing(s->admin, keeper_list, s->keeper);
        set_swaps(s);
        admin_set_demands(s->admin, &demands);
        admin_set_ca(s->admin, serve_ca_ends, s->ca);
    }
    return 0;
}

static void finish(struct serving *s)
{
    admin_free(s->admin);
    serve_swaps_stop(s->swaps);
    if (s->keeper != NULL)
        keeper_stop(s->keeper);
    loop_deliver(s->loop); /* what it has told */
    door_free(s->door);
    loop_deliver(s->loop); /* and its office */
    serve_swaps_free(s->swaps);
    keeper_free(s->keeper);
    candidates_close(s->candidates);
    staging_unref(s->bindings.staging);
    signals_unwatch(&s->signals);
    supervisor_free(s->supervisor);
    loop_free(s->loop);
    release(s);
}

int serve_lend(int (*use)(const struct door_bindings *bindings, void *arg), void *arg)
{
    struct serving s = {0};
    gather(&s);
    int status = use(&s.bindings, arg);
    release(&s);
    return status;
}

struct check {
    const char *path;
    bool json;
};

static int check_only(const struct door_bindings *bindings, void *arg)
{
    const struct check *c = arg;
    return check_config(c->path, bindings, c->json);
}

/* Routes that take connections of this listener. */
static size_t routes_on(const struct config *c, const char *listener)
{
    size_t n = 0;
    for (size_t i = 0; i < c->routes.n; i++) {
        const struct config_texts *on = &c->routes.v[i].listeners;
        size_t k = 0;
        while (k < on->n && strcmp(on->v[k].text, listener) != 0)
            k++;
        n += on->n == 0 || k < on->n;
    }
    return n;
}

static const char *carried_by(const struct snapshot *snap, size_t listener)
{
    if (snap->config->listeners.v[listener].address.place == CONFIG_AT_UNIX)
        return "unix";
    return snapshot_listens_udp(snap, listener) ? "TCP, UDP" : "TCP";
}

/* What was opened: a line for each listener; the last one tells where the door is asked. */
static void tell_started(const struct serving *s)
{
    const struct snapshot *snap = door_snapshot(s->door);
    if (door_is_for_one(s->door))
        return;
    const struct config_listeners *l = &snap->config->listeners;
    for (size_t i = 0; i < l->n; i++) {
        size_t n = routes_on(snap->config, l->v[i].name.text);
        bool last = i + 1 == l->n;
        const char *socket = last ? admin_socket(s->admin) : NULL;
        fprintf(stderr, "cardea: serving %zu route%s on %s (%s)%s%s\n", n, n == 1 ? "" : "s",
                l->v[i].address.text.text, carried_by(snap, i), socket != NULL ? "; status at " : "",
                socket != NULL ? socket : "");
    }
}

int serve_run(const char *config_path, const struct serve_hooks *hooks)
{
    struct serving s = {.hooks = hooks, .signals = SIGNALS_NONE};
    struct err err;
    process_raise_descriptors();
    process_keep_memory();
    process_keep_children();
    s.loop = loop_new(&err);
    if (s.loop == NULL) {
        fprintf(stderr, "cardea: %s\n", err.text);
        return 1;
    }
    supervise(&s);
    gather(&s);
    int status = start(&s, config_path) == 0 ? 0 : 1;
    if (status == 0) {
        supervisor_ready(s.supervisor);
        if (hooks == NULL)
            tell_started(&s);
        else if (hooks->ready != NULL)
            hooks->ready(hooks->arg, s.loop);
        status = loop_run(s.loop, &err) == 0 ? 0 : 1;
        loop_deliver(s.loop); /* answers that workers gave while they stopped */
        if (hooks != NULL && hooks->stopping != NULL)
            hooks->stopping(hooks->arg);
    }
    finish(&s);
    return s.failed ? 1 : status;
}

int cmd_serve(int argc, char **argv)
{
    static const struct option options[] = {{"config", required_argument, NULL, 'c'},
                                            {"check", no_argument, NULL, 'k'},
                                            {"json", no_argument, NULL, 'j'},
                                            {"help", no_argument, NULL, 'h'},
                                            {0}};
    const char *path = NULL;
    bool check = false, json = false;
    for (int c; (c = cmd_option(argc, argv, "c:h", options)) != -1;) {
        if (c == 'c')
            path = optarg;
        else if (c == 'k')
            check = true;
        else if (c == 'j')
            json = true;
        else
            return cmd_usage("serve", c == 'h');
    }
    if (optind != argc)
        return cmd_misused("serve", "unexpected argument: %s%s", argv[optind],
                           path == NULL ? " (a configuration is named with -c)" : "");
    if (path == NULL)
        return cmd_misused("serve", "which configuration? -c FILE is missing");
    if (json && !check)
        return cmd_misused("serve", "--json goes with --check");
    if (check)
        return serve_lend(check_only, &(struct check){path, json});
    return serve_run(path, NULL);
}
