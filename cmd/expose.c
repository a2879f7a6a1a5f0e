/* SPDX-License-Identifier: Apache-2.0 */
/* `cardea expose`: services of this machine, offered at a door. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/clock.h"
#include "cmd/cmd.h"
#include "cmd/expose_options.h"
#include "cmd/process.h"
#include "tunnel/agent_wire.h"

struct expose {
    const struct expose_options *options;
    struct loop *loop;
    struct client_door *door;
    struct exposer *agent;
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

static struct buf json_begin(const char *event, const struct agent_service *service)
{
    char time[CLOCK_TEXT_MAX];
    struct buf b = {0};
    CHECK(buf_printf(&b, "{\"time\":\"%s\",\"event\":\"%s\"", clock_format(clock_wall(), time), event));
    put(&b, "name", service->offer.name);
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
    static const char *const events[] = {
        [AGENT_STANDS] = "offering",     [AGENT_LOST] = "lost", [AGENT_REFUSED] = "refused",
        [AGENT_WITHDRAWN] = "withdrawn", [AGENT_DOWN] = "down", [AGENT_UP] = "up"};
    struct buf b = json_begin(events[n->event], n->service);
    put_offer(&b, &n->service->offer);
    put(&b, "door", e->options->settings.value[SETTING_DOOR]);
    if (n->event == AGENT_STANDS)
        put(&b, "transport", n->quic ? "quic" : "tcp");
    put(&b, n->event == AGENT_STANDS ? "warning" : "text", n->text);
    if (n->event == AGENT_LOST)
        CHECK(buf_printf(&b, ",\"retry_in\":%.3f", (double)n->wait / NSEC_PER_SEC));
    if (n->event == AGENT_DOWN)
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
    struct buf b = json_begin("visit", v->service);
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

static int load_tls(const struct exposure *x, struct agent_service *s, struct err *err)
{
    const char *name = s->offer.name;
    struct err warning;
    if (s->offer.kind != OFFER_END_TO_END)
        return 0;
    s->tls = agent_tls_new(&x->tls, err);
    if (s->tls == NULL)
        return err_prefix(err, "%s", name);
    if (agent_tls_warning(s->tls, name, clock_wall() / NSEC_PER_SEC, &warning))
        fprintf(stderr, "cardea: warning: %s: %s\n", name, warning.text);
    return 0;
}

/* To be freed in either case; the texts are the options'. */
static int services_load(const struct expose_options *o, struct services *ret, struct err *err)
{
    *ret = (struct services){.v = calloc(o->exposures_len + 1, sizeof(*ret->v))};
    CHECK(ret->v != NULL);
    while (ret->n < o->exposures_len) {
        size_t i = ret->n++;
        ret->v[i] = o->exposures[i].service;
        if (load_tls(&o->exposures[i], &ret->v[i], err) != 0)
            return -1;
    }
    return 0;
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
    struct err err;
    bool good = expose_options_reread(e->options, &fresh);
    if (good && services_load(&fresh, &services, &err) != 0) {
        cmd_failed("%s", err.text);
        good = false;
    }
    if (good) {
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
    if (e->stopping)
        loop_stop(e->loop);
    else
        exposer_stop(e->agent, e->options->grace);
    e->stopping = true;
}

static int watch_signals(struct expose *e, struct err *err)
{
    int hangup = e->options->path != NULL ? SIGNALS_RELOAD : SIGNALS_HANGUP;
    return signals_watch(&e->signals, e->loop, hangup | SIGNALS_INHERIT, on_signal, err);
}

static int start(struct expose *e, const struct services *services, struct err *err)
{
    const struct expose_options *o = e->options;
    struct client_settings settings = connect_settings_client(&o->settings);
    settings.timeout = o->timeout;
    e->loop = loop_new(err);
    if (e->loop == NULL || watch_signals(e, err) != 0)
        return -1;
    e->door = client_door_new(e->loop, &settings, err);
    if (e->door == NULL)
        return -1;
    process_raise_descriptors();
    process_keep_memory();
    e->agent = exposer_new(e->loop, e->door, services->v, services->n, o->retry, &events, e);
    return 0;
}

static void finish(struct expose *e)
{
    exposer_free(e->agent);
    client_door_free(e->door);
    signals_unwatch(&e->signals);
    loop_free(e->loop);
}

static int run(const struct expose_options *o)
{
    struct expose e = {.options = o, .signals = SIGNALS_NONE, .status = CMD_OK};
    struct services services;
    struct err err = {0};
    if (services_load(o, &services, &err) != 0 || start(&e, &services, &err) != 0 ||
        loop_run(e.loop, &err) != 0)
        e.status = cmd_failed("%s", err.text);
    finish(&e);
    services_free(&services);
    return e.status;
}

int cmd_expose(int argc, char **argv)
{
    struct expose_options o;
    int status = expose_options_read(&o, argc, argv);
    if (status < 0)
        status = connect_settings_complete(&o.settings, "expose");
    if (status < 0)
        status = run(&o);
    expose_options_free(&o);
    return status;
}
