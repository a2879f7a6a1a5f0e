/* SPDX-License-Identifier: Apache-2.0 */
/* `cardea expose`: services of this machine, offered at a door. */
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
    char **last; /* what was said of each offer last, so that it is said once */
    size_t refused;
    bool stopping;
    int status;
};

static const char *const kinds[] = {
    [OFFER_PRIVATE] = "private", [OFFER_PUBLIC] = "public", [OFFER_END_TO_END] = "end-to-end"};

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

static void print_news_json(const struct expose *e, const struct agent_news *n)
{
    static const char *const events[] = {
        [AGENT_STANDS] = "offering", [AGENT_LOST] = "lost", [AGENT_REFUSED] = "refused"};
    struct buf b = json_begin(events[n->event], n->service);
    put(&b, "kind", kinds[n->service->offer.kind]);
    put(&b, "door", e->options->settings.value[SETTING_DOOR]);
    if (n->event == AGENT_STANDS)
        put(&b, "transport", n->quic ? "quic" : "tcp");
    put(&b, n->event == AGENT_STANDS ? "warning" : "text", n->text);
    if (n->event == AGENT_LOST)
        CHECK(buf_printf(&b, ",\"retry_in\":%.3f", (double)n->wait / NSEC_PER_SEC));
    json_end(&b);
}

static size_t index_of(const struct expose *e, const struct agent_service *service)
{
    for (size_t i = 0; i < e->options->exposures_len; i++)
        if (strcmp(e->options->exposures[i].service.offer.name, service->offer.name) == 0 &&
            e->options->exposures[i].service.offer.port == service->offer.port)
            return i;
    return 0;
}

static void print_news(struct expose *e, const struct agent_news *n)
{
    const char *name = n->service->offer.name, *door = e->options->settings.value[SETTING_DOOR];
    char **last = &e->last[index_of(e, n->service)];
    if (n->event == AGENT_LOST && *last != NULL && strcmp(*last, n->text) == 0)
        return; /* it does not work still */
    free(*last);
    *last = n->event == AGENT_STANDS ? NULL : strdup(n->text);
    if (n->event == AGENT_STANDS)
        fprintf(stderr, "cardea: offering %s (%s) at %s over %s\n", name, kinds[n->service->offer.kind], door,
                n->quic ? "QUIC" : "TCP");
    if (n->event == AGENT_STANDS && *n->text != '\0')
        fprintf(stderr, "cardea: warning: %s: %s\n", name, n->text);
    if (n->event == AGENT_LOST)
        fprintf(stderr, "cardea: %s is not offered: %s; trying again\n", name, n->text);
    else if (n->event == AGENT_REFUSED)
        cmd_failed("%s", n->text);
}

static void on_news(void *owner, const struct agent_news *n)
{
    struct expose *e = owner;
    if (e->options->json)
        print_news_json(e, n);
    print_news(e, n);
    if (n->event != AGENT_REFUSED || ++e->refused < e->options->exposures_len)
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

/* ---- running ---- */

/* Once: take no more visitors and let those who are there finish; again: end. */
static void on_signal(struct signals *s, int number)
{
    struct expose *e = CONTAINER_OF(s, struct expose, signals);
    (void)number;
    if (e->stopping)
        loop_stop(e->loop);
    else
        exposer_stop(e->agent, e->options->grace);
    e->stopping = true;
}

static int watch_signals(struct expose *e, struct err *err)
{
    return signals_watch(&e->signals, e->loop, SIGNALS_HANGUP | SIGNALS_INHERIT, on_signal, err);
}

static int load_tls(const struct expose_options *o, struct agent_service *services, struct err *err)
{
    for (size_t i = 0; i < o->exposures_len; i++) {
        services[i] = o->exposures[i].service;
        if (services[i].offer.kind != OFFER_END_TO_END)
            continue;
        services[i].tls = agent_tls_new(&o->exposures[i].tls, err);
        if (services[i].tls == NULL)
            return err_prefix(err, "%s", services[i].offer.name);
    }
    return 0;
}

static int start(struct expose *e, const struct agent_service *services, struct err *err)
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
    e->agent = exposer_new(e->loop, e->door, services, o->exposures_len, o->retry, &events, e);
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
    struct agent_service *services = calloc(o->exposures_len, sizeof(*services));
    e.last = calloc(o->exposures_len, sizeof(*e.last));
    CHECK(services != NULL && e.last != NULL);
    struct err err = {0};
    if (load_tls(o, services, &err) != 0 || start(&e, services, &err) != 0 || loop_run(e.loop, &err) != 0)
        e.status = cmd_failed("%s", err.text);
    finish(&e);
    for (size_t i = 0; i < o->exposures_len; i++) {
        agent_tls_free(services[i].tls);
        free(e.last[i]);
    }
    free(e.last);
    free(services);
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
