/* SPDX-License-Identifier: Apache-2.0 */
/* `cardea expose`: services of this machine, offered at a door. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/str.h"
#include "cmd/cmd.h"
#include "cmd/expose_files.h"
#include "cmd/expose_options.h"
#include "cmd/expose_state.h"
#include "cmd/expose_told.h"
#include "cmd/login_keeper.h"
#include "cmd/process.h"
#include "tunnel/agent_wire.h"

struct expose {
    const struct expose_options *options;
    struct loop *loop;
    struct client_door *door;
    struct exposer *agent;
    struct login_keeper *keeper; /* NULL: the certificate is of no login */
    struct signals signals;
    bool stopping;
    int status;
};

/* ---- what happens ---- */

static void on_news(void *owner, const struct agent_news *n)
{
    struct expose *e = owner;
    expose_told_news(e->options, n);
    if (n->event != AGENT_REFUSED || exposer_offers(e->agent))
        return;
    e->status = CMD_FAILED; /* nothing is left to offer: those who visit still may finish */
    exposer_stop(e->agent, AGENT_NO_HURRY);
}

static void on_visited(void *owner, const struct agent_visited *v)
{
    const struct expose *e = owner;
    expose_told_visited(e->options, v);
}

/* That all is well is news only to who has asked for it. */
static void on_notice(void *owner, enum client_notice what, const char *text)
{
    const struct expose *e = owner;
    if (what == CLIENT_RUNS_OUT && e->keeper != NULL)
        return; /* it tells what can be done */
    if (what != CLIENT_RENEWED || e->options->verbose)
        fprintf(stderr, "cardea: %s%s\n", what == CLIENT_RENEWED ? "" : "warning: ", text);
}

static void on_login_renewed(void *owner)
{
    const struct expose *e = owner;
    client_door_look(e->door);
}

static void on_stopped(void *owner)
{
    struct expose *e = owner;
    loop_stop(e->loop);
}

static const struct agent_events events = {.news = on_news, .visited = on_visited, .stopped = on_stopped};

/* ---- services, with the files that they name ---- */

struct services {
    struct agent_service *v;
    size_t n;
};

static void service_release(struct agent_service *s)
{
    agent_tls_unref(s->tls);
    free((void *)(uintptr_t)s->kept);
}

static void services_free(struct services *s)
{
    for (size_t i = 0; i < s->n; i++)
        service_release(&s->v[i]);
    free(s->v);
}

/* Without a certificate of its own it is the door's CA that gives one. Where it is kept is settled at the
 * start, and of no interest to who only checks. */
static int find_place(const struct expose_options *started, struct agent_service *s, struct err *err)
{
    if (started->check)
        return 0;
    s->kept = expose_state_path(started->state, started->settings.value[SETTING_DOOR], s->offer.name, err);
    return s->kept != NULL ? 0 : -1;
}

static int load_tls(const struct exposure *x, const struct expose_options *started, struct agent_service *s,
                    struct err *err)
{
    const char *name = s->offer.name;
    struct err warning;
    struct agent_tls_files files = x->tls;
    files.pq = connect_settings_pq(&started->settings);
    s->tls = agent_tls_new(&files, err);
    bool bare = s->tls != NULL && agent_tls_is_bare(s->tls);
    if (s->tls == NULL || (bare && find_place(started, s, err) != 0))
        return err_prefix(err, "%s", name);
    if (!bare && agent_tls_warning(s->tls, name, clock_wall() / NSEC_PER_SEC, &warning))
        fprintf(stderr, "cardea: warning: %s: %s\n", name, warning.text);
    return 0;
}

/* To be freed in either case; the texts are the options'. What is wrong with any of them is told on standard
 * error. */
static bool services_load(const struct expose_options *o, const struct expose_options *started,
                          struct services *ret)
{
    bool good = true;
    *ret = (struct services){.v = calloc(o->exposures_len + 1, sizeof(*ret->v))};
    CHECK(ret->v != NULL);
    for (size_t i = 0; i < o->exposures_len; i++) {
        const struct exposure *x = &o->exposures[i];
        struct agent_service *s = &ret->v[ret->n++];
        struct err err;
        *s = x->service;
        if (!expose_files_of_service(o, i) || x->wrong) {
            good = false;
            continue;
        }
        if (s->offer.kind != OFFER_END_TO_END)
            continue;
        if (load_tls(x, started, s, &err) == 0)
            continue;
        good = false;
        if (o->file != NULL)
            fprintf(stderr, "%s:%u:%u: services[%zu]: %s\n", o->file->file, x->at.line, x->at.column, i,
                    err.text);
        else
            cmd_failed("%s", err.text);
    }
    return good;
}

/* ---- another file ---- */

/* How the door is reached is settled at the start. */
static bool same_door(const struct expose_config *a, const struct expose_config *b)
{
    return str_same(a->door.text.text, b->door.text.text) && str_same(a->cert.text, b->cert.text) &&
           str_same(a->key.text, b->key.text) && str_same(a->ca.text, b->ca.text) &&
           str_same(a->name.text, b->name.text) && str_same(a->ech.text, b->ech.text) &&
           str_same(a->doh.text, b->doh.text) && str_same(a->doh_ca.text, b->doh_ca.text) &&
           str_same(a->doh_proxy.text, b->doh_proxy.text) &&
           str_same(a->doh_configs.text, b->doh_configs.text) && a->transport == b->transport &&
           a->pq == b->pq;
}

static void reload(struct expose *e)
{
    struct expose_options fresh;
    struct services services = {0};
    if (expose_options_reread(e->options, &fresh) && services_load(&fresh, e->options, &services)) {
        exposer_update(e->agent, services.v, services.n);
        fprintf(stderr, "cardea: %s is read again: %zu service%s\n", e->options->path, services.n,
                services.n == 1 ? "" : "s");
        if (!same_door(e->options->file, fresh.file))
            fprintf(
                stderr,
                "cardea: door, cert, key, ca, name, ech, doh, doh_ca, doh_proxy, doh_configs, "
                "transport and pq are taken at the start only: what has changed of them needs a restart\n");
    } else {
        fprintf(stderr, "cardea: what was offered goes on as it was\n");
    }
    services_free(&services);
    expose_options_free(&fresh);
}

/* ---- running ---- */

/* Once: take no more visitors and let those who are there finish; again: end. */
static void on_signal(struct signals *s, int number)
{
    struct expose *e = CONTAINER_OF(s, struct expose, signals);
    if (number == SIGHUP && e->options->path != NULL) {
        if (!e->stopping)
            reload(e);
        return;
    }
    if (e->stopping) {
        loop_stop(e->loop);
        return;
    }
    e->stopping = true;
    expose_told_stopping(e->options, exposer_visitors(e->agent));
    exposer_stop(e->agent, e->options->grace);
}

static int watch_signals(struct expose *e, struct err *err)
{
    int hangup = e->options->path != NULL ? SIGNALS_RELOAD : SIGNALS_HANGUP;
    return signals_watch(&e->signals, e->loop, hangup | SIGNALS_INHERIT, on_signal, err);
}

/* Load what the door is to be shown; nothing is dialled. */
static int load_door(struct expose *e, struct err *err)
{
    struct client_settings settings = connect_settings_client(&e->options->settings);
    settings.timeout = e->options->timeout;
    e->door = client_door_new(e->loop, &settings, err);
    return e->door != NULL ? 0 : -1;
}

static bool door_refuses(const struct expose *e, struct err *ret_text)
{
    struct err warning;
    if (!client_door_warning(e->door, clock_wall() / NSEC_PER_SEC, &warning))
        return false;
    err_set(ret_text, "%s: doors refuse it", warning.text);
    return true;
}

static int start(struct expose *e, const struct services *services, struct err *err)
{
    const struct expose_options *o = e->options;
    struct err warning;
    e->loop = loop_new(err);
    if (e->loop == NULL || watch_signals(e, err) != 0 || load_door(e, err) != 0)
        return -1;
    if (door_refuses(e, &warning))
        fprintf(stderr, "cardea: warning: %s\n", warning.text);
    process_raise_descriptors();
    process_keep_memory();
    client_door_notices(e->door, on_notice, e);
    e->agent = exposer_new(e->loop, e->door, services->v, services->n, o->retry, &events, e);
    const struct client_settings settings = connect_settings_client(&o->settings);
    const struct login_keeper_owner owner = {.renewed = on_login_renewed, .owner = e};
    process_keep_children();
    return login_keeper_new(&e->keeper, e->loop, &settings, &owner, err);
}

static void finish(struct expose *e)
{
    login_keeper_free(e->keeper);
    exposer_free(e->agent);
    client_door_free(e->door);
    signals_unwatch(&e->signals);
    loop_free(e->loop);
}

static int run(const struct expose_options *o)
{
    struct expose e = {.options = o, .signals = SIGNALS_NONE, .status = CMD_OK};
    struct services services;
    struct err err;
    bool good = services_load(o, o, &services);
    if (!expose_files_of_door(o) || !good)
        e.status = CMD_FAILED;
    else if (start(&e, &services, &err) != 0 || loop_run(e.loop, &err) != 0)
        e.status = cmd_failed("%s", err.text);
    size_t cut_off = e.stopping ? exposer_visitors(e.agent) : 0;
    finish(&e);
    if (e.stopping)
        expose_told_stopped(o, cut_off);
    services_free(&services);
    return e.status;
}

/* ---- checking ---- */

static void print_checked(const struct agent_service *s)
{
    const struct offer *o = &s->offer;
    char port[32] = "";
    if (o->port != 0)
        snprintf(port, sizeof(port), ", %s port %u of the door", o->udp ? "UDP" : "TCP", o->port);
    printf("%s (%s%s) leads to ", o->name, offer_kind_word(o->kind), port);
    if (s->path != NULL)
        printf("unix:%s\n", s->path);
    else
        printf(strchr(s->host, ':') != NULL ? "[%s]:%u\n" : "%s:%u\n", s->host, s->port);
}

/* All that can be wrong on this side is told; the door is not asked. */
static int check(const struct expose_options *o)
{
    struct expose e = {.options = o, .signals = SIGNALS_NONE, .status = CMD_OK};
    struct services services;
    struct err err;
    const char *const *v = o->settings.value;
    bool whole =
        !o->wrong || (v[SETTING_DOOR] != NULL && (v[SETTING_CERT] == NULL) == (v[SETTING_KEY] == NULL));
    if (!services_load(o, o, &services) || o->wrong)
        e.status = CMD_FAILED;
    e.loop = loop_new(&err);
    if (!expose_files_of_door(o))
        e.status = CMD_FAILED;
    else if (e.loop == NULL || (whole && (load_door(&e, &err) != 0 || door_refuses(&e, &err))))
        e.status = cmd_failed("%s", err.text);
    for (size_t i = 0; e.status == CMD_OK && i < services.n; i++)
        print_checked(&services.v[i]);
    finish(&e);
    services_free(&services);
    return e.status;
}

int cmd_expose(int argc, char **argv)
{
    struct expose_options o;
    int status = expose_options_read(&o, argc, argv);
    if (status < 0 && !o.wrong) /* what could not be read of the file may be just that which is missing */
        status = connect_settings_complete(&o.settings, "expose");
    if (status < 0)
        status = o.check ? check(&o) : run(&o);
    expose_options_free(&o);
    return status;
}
