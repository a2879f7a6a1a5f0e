/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/expose_told.h"

#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "base/clock.h"
#include "cmd/cmd.h"
#include "tunnel/agent_wire.h"

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
static void put_offer(struct buf *b, const struct offer *offer)
{
    put(b, "kind", offer_kind_word(offer->kind));
    put(b, "proto", offer->udp ? "udp" : "tcp");
    if (offer->port != 0)
        CHECK(buf_printf(b, ",\"port\":%u", offer->port));
}

static void print_news_json(const struct expose_options *o, const struct agent_news *n)
{
    static const char *const events[] = {[AGENT_STANDS] = "offering",
                                         [AGENT_LOST] = "lost",
                                         [AGENT_REFUSED] = "refused",
                                         [AGENT_WITHDRAWN] = "withdrawn",
                                         [AGENT_DOWN] = "down",
                                         [AGENT_UP] = "up",
                                         [AGENT_FELLOWS] = "fellows",
                                         [AGENT_CERTIFIED] = "certified",
                                         [AGENT_UNCERTIFIED] = "uncertified",
                                         [AGENT_TURNED_AWAY] = "turned_away"};
    char peer[NET_ADDR_TEXT_MAX];
    struct buf b = json_begin(events[n->event], n->service->offer.name);
    put_offer(&b, &n->service->offer);
    put(&b, "door", o->settings.value[SETTING_DOOR]);
    if (n->event == AGENT_STANDS)
        put(&b, "transport", n->quic ? "quic" : "tcp");
    put(&b, n->event == AGENT_STANDS ? "warning" : n->event == AGENT_FELLOWS ? "identity" : "text", n->text);
    if (n->event == AGENT_FELLOWS)
        CHECK(buf_printf(&b, ",\"fellows\":%zu", n->fellows));
    if (n->event == AGENT_LOST || (n->event == AGENT_UNCERTIFIED && n->wait > 0))
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

static void print_news(const struct expose_options *o, const struct agent_news *n)
{
    const char *name = n->service->offer.name, *door = o->settings.value[SETTING_DOOR];
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
    case AGENT_CERTIFIED:
        if (o->verbose || !n->again)
            fprintf(stderr, "cardea: %s: %s\n", name, n->text);
        break;
    case AGENT_UNCERTIFIED:
        fprintf(stderr, "cardea: warning: %s: %s\n", name, n->text);
        break;
    case AGENT_TURNED_AWAY:
        print_turned_away(name, n);
        break;
    }
}

void expose_told_news(const struct expose_options *o, const struct agent_news *n)
{
    if (o->json)
        print_news_json(o, n);
    print_news(o, n);
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

void expose_told_visited(const struct expose_options *o, const struct agent_visited *v)
{
    char peer[NET_ADDR_TEXT_MAX];
    if (o->json)
        print_visited_json(v);
    if (!o->verbose)
        return;
    fprintf(stderr, "cardea: %s: visit of %s%s%s: %s, %llu bytes to it, %llu from it, %.3g s\n",
            v->service->offer.name, net_addr_format(&v->about->peer, peer),
            *v->identity != '\0' ? " as " : "", v->identity, v->reason, (unsigned long long)v->to_service,
            (unsigned long long)v->from_service, (double)v->duration / NSEC_PER_SEC);
}

void expose_told_stopping(const struct expose_options *o, size_t n)
{
    double grace = (double)o->grace / NSEC_PER_SEC;
    if (o->json) {
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

void expose_told_stopped(const struct expose_options *o, size_t cut_off)
{
    if (o->json) {
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
