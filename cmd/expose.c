/* SPDX-License-Identifier: Apache-2.0 */
/* `cardea expose`: services of this machine, offered at a door. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/clock.h"
#include "cmd/cmd.h"
#include "cmd/expose_files.h"
#include "cmd/expose_options.h"
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

/* ---- telling ---- */

static void put(struct buf *b, const char *key, const char *value)
{
    if (*value != '\0')
        CHECK(buf_printf(b, ",\"%s\":", key) && str_json(b, value, strlen(value)));
}

/* `name`: of the service that it is about; NULL: of all. */
static struct buf json_begin(const char *event, const char *name)
{
    char time[CLOCK_TEXT_MAX];
    struct buf b = {0};
    CHECK(buf_printf(&b, "{\"time\":\"%s\",\"event\":\"%s\"", clock_format(clock_wall(), time), event));
    put(&b, "name", name != NULL ? name : "");
    return b;
}

static void json_end(struct buf *b)
{
    CHECK(buf_printf(b, "}\n"));
    fwrite(b->data, 1, b->len, stdout);
    fflush(stdout);
    buf_free(b);
}

/* Where visitors come: `port` is one of the door. */
static void put_offer(struct buf *b, const struct offer *o)
{
    put(b, "kind", offer_kind_word(o->kind));
    put(b, "proto", o->udp ? "udp" : "tcp");
    if (o->port != 0)
        CHECK(buf_printf(b, ",\"port\":%u", o->port));
}

static void print_news_json(const struct expose *e, const struct agent_news *n)
{
    static const char *const events[] = {[AGENT_STANDS] = "offering", [AGENT_LOST] = "lost",
                                         [AGENT_REFUSED] = "refused", [AGENT_WITHDRAWN] = "withdrawn",
                                         [AGENT_DOWN] = "down",       [AGENT_UP] = "up",
                                         [AGENT_FELLOWS] = "fellows", [AGENT_TURNED_AWAY] = "turned_away"};
    char peer[NET_ADDR_TEXT_MAX];
    struct buf b = json_begin(events[n->event], n->service->offer.name);
    put_offer(&b, &n->service->offer);
    put(&b, "door", e->options->settings.value[SETTING_DOOR]);
    if (n->event == AGENT_STANDS)
        put(&b, "transport", n->quic ? "quic" : "tcp");
    put(&b, n->event == AGENT_STANDS ? "warning" : n->event == AGENT_FELLOWS ? "identity" : "text", n->text);
    if (n->event == AGENT_FELLOWS)
        CHECK(buf_printf(&b, ",\"fellows\":%zu", n->fellows));
    if (n->event == AGENT_LOST)
        CHECK(buf_printf(&b, ",\"retry_in\":%.3f", (double)n->wait / NSEC_PER_SEC));
    if (n->peer.family != AF_UNSPEC)
        put(&b, "peer", net_addr_format(&n->peer, peer));
    if (n->event == AGENT_DOWN || n->event == AGENT_TURNED_AWAY)
        CHECK(buf_printf(&b, ",\"turned_away\":%zu", n->turned_away));
    json_end(&b);
}

static void print_offering(const char *name, const struct offer *o, const char *door, bool quic)
{
    char port[64] = "";
    if (o->port != 0)
        snprintf(port, sizeof(port), ", for visitors at %s port %u of the door", o->udp ? "UDP" : "TCP",
                 o->port);
    fprintf(stderr, "cardea: offering %s (%s) at %s over %s%s\n", name, offer_kind_word(o->kind), door,
            quic ? "QUIC" : "TCP", port);
}

static void print_down(const char *name, const struct agent_news *n)
{
    char away[64] = "";
    if (n->turned_away > 0)
        snprintf(away, sizeof(away), "; %zu visitor%s turned away", n->turned_away,
                 n->turned_away == 1 ? " was" : "s were");
    fprintf(stderr, "cardea: %s: %s%s%s\n", name, n->text, away,
            n->service->health > 0 ? "; the door sends nobody until it answers" : "");
}

static void print_turned_away(const char *name, const struct agent_news *n)
{
    char peer[NET_ADDR_TEXT_MAX];
    const char *from = n->peer.family != AF_UNSPEC ? net_addr_format(&n->peer, peer) : "an unknown address";
    if (!n->again)
        fprintf(stderr, "cardea: %s: a visitor was turned away, from %s: %s\n", name, from, n->text);
    else
        fprintf(stderr,
                "cardea: %s: %zu visitor%s turned away in the last minute, the last one from %s: %s\n", name,
                n->turned_away, n->turned_away == 1 ? " was" : "s were", from, n->text);
}

/* Whoever has not meant it may have another's certificate to look for. */
static void print_fellows(const char *name, const struct agent_news *n)
{
    const char *known = *n->text != '\0' ? n->text : "not known who";
    if (n->fellows == 0)
        fprintf(stderr, "cardea: %s: no other agent offers it any more: all visitors come here\n", name);
    else if (n->fellows == 1)
        fprintf(stderr, "cardea: %s: another agent (%s) offers it too and takes a part of the visitors\n",
                name, known);
    else
        fprintf(stderr,
                "cardea: %s: %zu%s other agents (one is %s) offer it too and take a part of the visitors\n",
                name, n->fellows, n->fellows < OFFER_FELLOWS_MAX ? "" : " or more", known);
}

static void print_news(const struct expose *e, const struct agent_news *n)
{
    const char *name = n->service->offer.name, *door = e->options->settings.value[SETTING_DOOR];
    switch (n->event) {
    case AGENT_STANDS:
        print_offering(name, &n->service->offer, door, n->quic);
        if (*n->text != '\0')
            fprintf(stderr, "cardea: warning: %s: %s\n", name, n->text);
        break;
    case AGENT_LOST:
        if (!n->again)
            fprintf(stderr, "cardea: %s is not offered: %s; trying again\n", name, n->text);
        break;
    case AGENT_REFUSED:
        cmd_failed("%s", n->text);
        break;
    case AGENT_WITHDRAWN:
        fprintf(stderr, "cardea: %s is not offered any more\n", name);
        break;
    case AGENT_DOWN:
        print_down(name, n);
        break;
    case AGENT_UP:
        fprintf(stderr, "cardea: %s: %s\n", name, n->text);
        break;
    case AGENT_FELLOWS:
        print_fellows(name, n);
        break;
    case AGENT_TURNED_AWAY:
        print_turned_away(name, n);
        break;
    }
}

static void on_news(void *owner, const struct agent_news *n)
{
    struct expose *e = owner;
    if (e->options->json)
        print_news_json(e, n);
    print_news(e, n);
    if (n->event != AGENT_REFUSED || exposer_offers(e->agent))
        return;
    e->status = CMD_FAILED; /* nothing is left to offer: those who visit still may finish */
    exposer_stop(e->agent, AGENT_NO_HURRY);
}

static void print_visited_json(const struct agent_visited *v)
{
    char text[NET_ADDR_TEXT_MAX];
    struct buf b = json_begin("visit", v->service->offer.name);
    if (v->about->peer.family != AF_UNSPEC)
        put(&b, "peer", net_addr_format(&v->about->peer, text));
    put(&b, "identity", v->identity);
    put(&b, "reason", v->reason);
    CHECK(buf_printf(&b, ",\"to_service\":%llu,\"from_service\":%llu,\"duration\":%.3f",
                     (unsigned long long)v->to_service, (unsigned long long)v->from_service,
                     (double)v->duration / NSEC_PER_SEC));
    json_end(&b);
}

static void on_visited(void *owner, const struct agent_visited *v)
{
    const struct expose *e = owner;
    char peer[NET_ADDR_TEXT_MAX];
    if (e->options->json)
        print_visited_json(v);
    if (!e->options->verbose)
        return;
    fprintf(stderr, "cardea: %s: visit of %s%s%s: %s, %llu bytes to it, %llu from it, %.3g s\n",
            v->service->offer.name, net_addr_format(&v->about->peer, peer),
            *v->identity != '\0' ? " as " : "", v->identity, v->reason, (unsigned long long)v->to_service,
            (unsigned long long)v->from_service, (double)v->duration / NSEC_PER_SEC);
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

/* What an end that somebody asked for waits for. */
static void tell_stopping(const struct expose *e)
{
    size_t n = exposer_visitors(e->agent);
    double grace = (double)e->options->grace / NSEC_PER_SEC;
    if (e->options->json) {
        struct buf b = json_begin("stopping", NULL);
        CHECK(buf_printf(&b, ",\"visitors\":%zu,\"grace\":%.3f", n, grace));
        json_end(&b);
    }
    if (n > 0)
        fprintf(stderr,
                "cardea: stopping: new visitors are not taken, %zu %s up to %.10gs; once more to end now\n",
                n, n == 1 ? "who is here has" : "who are here have", grace);
    else
        fprintf(stderr, "cardea: stopping: new visitors are not taken, and nobody is here\n");
}

/* After the last line about a visitor. */
static void tell_stopped(const struct expose *e, size_t cut_off)
{
    if (e->options->json) {
        struct buf b = json_begin("stopped", NULL);
        CHECK(buf_printf(&b, ",\"cut_off\":%zu", cut_off));
        json_end(&b);
    }
    if (cut_off > 0)
        fprintf(stderr, "cardea: stopped: %zu visitor%s cut off\n", cut_off,
                cut_off == 1 ? " was" : "s were");
    else
        fprintf(stderr, "cardea: stopped\n");
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

static void services_free(struct services *s)
{
    for (size_t i = 0; i < s->n; i++)
        agent_tls_unref(s->v[i].tls);
    free(s->v);
}

static void load_tls(const struct exposure *x, struct agent_service *s, struct err *err)
{
    const char *name = s->offer.name;
    struct err warning;
    s->tls = agent_tls_new(&x->tls, err);
    if (s->tls == NULL)
        err_prefix(err, "%s", name);
    else if (agent_tls_warning(s->tls, name, clock_wall() / NSEC_PER_SEC, &warning))
        fprintf(stderr, "cardea: warning: %s: %s\n", name, warning.text);
}

/* To be freed in either case; the texts are the options'. What is wrong with any of them is told on standard
 * error. */
static bool services_load(const struct expose_options *o, struct services *ret)
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
        load_tls(x, s, &err);
        if (s->tls != NULL)
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

static bool same_text(const char *a, const char *b)
{
    return a == NULL || b == NULL ? a == b : strcmp(a, b) == 0;
}

/* How the door is reached is settled at the start. */
static bool same_door(const struct expose_config *a, const struct expose_config *b)
{
    return same_text(a->door.text.text, b->door.text.text) && same_text(a->cert.text, b->cert.text) &&
           same_text(a->key.text, b->key.text) && same_text(a->ca.text, b->ca.text) &&
           same_text(a->name.text, b->name.text) && a->transport == b->transport;
}

static void reload(struct expose *e)
{
    struct expose_options fresh;
    struct services services = {0};
    if (expose_options_reread(e->options, &fresh) && services_load(&fresh, &services)) {
        exposer_update(e->agent, services.v, services.n);
        fprintf(stderr, "cardea: %s is read again: %zu service%s\n", e->options->path, services.n,
                services.n == 1 ? "" : "s");
        if (!same_door(e->options->file, fresh.file))
            fprintf(stderr,
                    "cardea: door, cert, key, ca, name and transport are taken at the start only: what "
                    "has changed of them needs a restart\n");
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
    tell_stopping(e);
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
    bool good = services_load(o, &services);
    if (!expose_files_of_door(o) || !good)
        e.status = CMD_FAILED;
    else if (start(&e, &services, &err) != 0 || loop_run(e.loop, &err) != 0)
        e.status = cmd_failed("%s", err.text);
    size_t cut_off = e.stopping ? exposer_visitors(e.agent) : 0;
    finish(&e);
    if (e.stopping)
        tell_stopped(&e, cut_off);
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
    if (!services_load(o, &services) || o->wrong)
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
