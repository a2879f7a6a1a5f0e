/* SPDX-License-Identifier: Apache-2.0 */
/* GET /metrics: Prometheus text exposition format 0.0.4. */
#include <stdlib.h>
#include <string.h>

#include "admin/admin_internal.h"
#include "admin/offers.h"
#include "base/check.h"
#include "base/clock.h"
#include "session/snapshot.h"
#include "web/service.h"

#define TYPE_METRICS "text/plain; version=0.0.4; charset=utf-8"

static bool gauge(struct buf *b, const char *name, const char *help)
{
    return buf_printf(b, "# HELP cardea_%s %s.\n# TYPE cardea_%s gauge\n", name, help, name);
}

static bool counter(struct buf *b, const char *name, const char *help, uint64_t value)
{
    return buf_printf(b, "# HELP cardea_%s %s.\n# TYPE cardea_%s counter\ncardea_%s %llu\n", name, help, name,
                      name, (unsigned long long)value);
}

static bool put_astray(struct buf *b, const struct door *door)
{
    uint64_t dropped, all = door_packets_astray(door, &dropped);
    return counter(b, "quic_packets_astray_total",
                   "Packets that workers handed on to the one whose connection they are for", all) &&
           counter(b, "quic_packets_astray_dropped_total", "Of these, dropped since too many waited",
                   dropped);
}

static bool put_door(struct buf *b, const struct door *door)
{
    return gauge(b, "up", "Whether the door serves") && buf_printf(b, "cardea_up 1\n") &&
           gauge(b, "version_info", "The version that runs") &&
           buf_printf(b, "cardea_version_info{version=\"%s\"} 1\n", CARDEA_VERSION) &&
           gauge(b, "uptime_seconds", "Time since the door began to serve") &&
           buf_printf(b, "cardea_uptime_seconds %.3f\n", (double)door_uptime(door) / NSEC_PER_SEC) &&
           gauge(b, "open_connections", "Connections open now, with those that have no route yet") &&
           buf_printf(b, "cardea_open_connections %zu\n", door_connections(door));
}

/* A label's value: backslash, quote and line feed are escaped. */
static bool put_label(struct buf *b, const char *text)
{
    bool ok = buf_append(b, "\"", 1);
    for (; *text != '\0' && ok; text++) {
        if (*text == '\n')
            ok = buf_append(b, "\\n", 2);
        else if (*text == '"' || *text == '\\')
            ok = buf_printf(b, "\\%c", *text);
        else
            ok = buf_append(b, text, 1);
    }
    return ok && buf_append(b, "\"", 1);
}

/* Does an earlier entry of the list name the same backend? A sample may be given only once. */
static bool is_repeated(const struct upstream *u, size_t i)
{
    for (size_t k = 0; k < i; k++)
        if (u->v[k] == u->v[i])
            return true;
    return false;
}

/* Of the door's own pages: by service and by the hundreds of the status. */
static bool put_requests(struct buf *b, const struct door *door)
{
    const struct door_bindings *all = door_bindings(door);
    bool ok = buf_printf(b, "# HELP cardea_requests_total Requests that the door itself has answered; of the "
                            "service -: that none has.\n# TYPE cardea_requests_total counter\n");
    for (size_t i = 0; i <= all->services_len; i++)
        for (unsigned hundred = 2; hundred <= 5 && ok; hundred++)
            ok = buf_printf(b, "cardea_requests_total{service=\"%s\",status=\"%uxx\"} %llu\n",
                            i < all->services_len ? all->services[i].name : "-", hundred,
                            (unsigned long long)door_requests(door, i, hundred));
    return ok;
}

/* One figure of every backend of every route. */
static bool put_backends(struct buf *b, const struct snapshot *snap, const char *name, const char *help,
                         unsigned (*figure)(const struct backend *))
{
    bool ok = gauge(b, name, help);
    for (size_t i = 0; i < snap->config->routes.n; i++) {
        const struct upstream *u = &snap->routes[i].upstream;
        for (size_t k = 0; k < u->n && ok; k++) {
            if (is_repeated(u, k))
                continue;
            ok =
                buf_printf(b, "cardea_%s{route=\"%s\",backend=", name, snap->config->routes.v[i].name.text) &&
                put_label(b, u->v[k]->key) && buf_printf(b, "} %u\n", figure(u->v[k]));
        }
    }
    return ok;
}

static bool is_repeated_label(const struct snapshot *snap, size_t i)
{
    for (size_t k = 0; k < i; k++)
        if (snap->certs[k] != NULL && strcmp(snap->certs[k]->label, snap->certs[i]->label) == 0)
            return true;
    return false;
}

static bool put_certificates(struct buf *b, const struct snapshot *snap)
{
    bool ok = gauge(b, "certificate_not_after_seconds", "When the certificate expires, since 1970");
    for (size_t i = 0; i < snap->config->certificates.n && ok; i++) {
        const struct cert *cert = snap->certs[i];
        ok = cert == NULL || is_repeated_label(snap, i) ||
             (buf_printf(b, "cardea_certificate_not_after_seconds{certificate=") &&
              put_label(b, cert->label) && buf_printf(b, "} %lld\n", (long long)cert->not_after));
    }
    return ok;
}

static unsigned figure_up(const struct backend *backend)
{
    return admin_backend_up(backend);
}

static unsigned figure_live(const struct backend *backend)
{
    return atomic_load(&backend->live);
}

static bool put_routes(struct buf *b, const struct door *door)
{
    size_t n = door_snapshot(door)->config->routes.n;
    struct route_counters *rows = calloc(n + 1, sizeof(*rows));
    CHECK(rows != NULL);
    for (size_t i = 0; i < n; i++)
        rows[i] = door_route_counters(door, i);
    rows[n] = door_unrouted_counters(door);
    bool ok = counters_prometheus(b, rows, n + 1);
    free(rows);
    return ok;
}

static void answer(void *arg, struct agent *const *offers, size_t count)
{
    struct exchange *e = arg;
    const struct admin *a = exchange_arg(e);
    if (a == NULL) {
        exchange_refuse(e, 503, "nobody waits for this any more");
        return;
    }
    const struct snapshot *snap = door_snapshot(a->door);
    struct buf body = {0};
    bool ok = put_door(&body, a->door) && put_astray(&body, a->door) && put_routes(&body, a->door) &&
              put_requests(&body, a->door) &&
              put_backends(&body, snap, "backend_up", "Whether connections go to the backend", figure_up) &&
              put_backends(&body, snap, "backend_connections", "Connections to the backend, of all routes",
                           figure_live) &&
              offers_prometheus(&body, offers, count) && put_certificates(&body, snap);
    admin_answer(e, ok, TYPE_METRICS, &body);
}

void admin_metrics(struct exchange *e, const struct request *request)
{
    const struct admin *a = exchange_arg(e);
    (void)request;
    door_offers(a->door, answer, e);
}
