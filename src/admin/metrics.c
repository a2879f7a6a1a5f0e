/* SPDX-License-Identifier: Apache-2.0 */
/* GET /metrics: Prometheus text exposition format 0.0.4. */
#include <stdlib.h>
#include <string.h>

#include "admin/admin_internal.h"
#include "admin/certificates.h"
#include "admin/offers.h"
#include "audit/counters.h"
#include "base/check.h"
#include "base/clock.h"
#include "keeper/demand.h"
#include "session/snapshot.h"
#include "web/service.h"

#define TYPE_METRICS "text/plain; version=0.0.4; charset=utf-8"

bool admin_gauge(struct buf *b, const char *name, const char *help)
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

static bool put_demands(struct buf *b, const struct demand_figures *f)
{
    static const char *const words[] = {
#define X(name, word, help) word,
        DEMAND_COUNTS(X)
#undef X
    };
    bool ok = f == NULL ||
              buf_printf(b, "# HELP cardea_on_demand_total Names on demand, and questions for them, by what "
                            "became of them.\n# TYPE cardea_on_demand_total counter\n");
    for (size_t i = 0; f != NULL && i < DEMAND_COUNTS_LEN && ok; i++)
        ok = buf_printf(b, "cardea_on_demand_total{what=\"%s\"} %llu\n", words[i],
                        (unsigned long long)__atomic_load_n(&f->counts[i], __ATOMIC_RELAXED));
    if (f == NULL || !ok)
        return ok;
    return admin_gauge(b, "on_demand_names", "Names on demand that are in memory") &&
           buf_printf(b, "cardea_on_demand_names %llu\n",
                      (unsigned long long)__atomic_load_n(&f->names, __ATOMIC_RELAXED)) &&
           admin_gauge(b, "on_demand_waiting", "Questions for such names that wait for an answer") &&
           buf_printf(b, "cardea_on_demand_waiting %llu\n",
                      (unsigned long long)__atomic_load_n(&f->waiting, __ATOMIC_RELAXED));
}

static bool put_door(struct buf *b, const struct door *door)
{
    return admin_gauge(b, "up", "Whether the door serves") && buf_printf(b, "cardea_up 1\n") &&
           admin_gauge(b, "version_info", "The version that runs") &&
           buf_printf(b, "cardea_version_info{version=\"%s\"} 1\n", CARDEA_VERSION) &&
           admin_gauge(b, "uptime_seconds", "Time since the door began to serve") &&
           buf_printf(b, "cardea_uptime_seconds %.3f\n", (double)door_uptime(door) / NSEC_PER_SEC) &&
           admin_gauge(b, "open_connections", "Connections open now, with those that have no route yet") &&
           buf_printf(b, "cardea_open_connections %zu\n", door_connections(door));
}

/* A label's value: backslash, quote and line feed are escaped. */
bool admin_put_label(struct buf *b, const char *text)
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
    bool ok = admin_gauge(b, name, help);
    for (size_t i = 0; i < snap->config->routes.n; i++) {
        const struct upstream *u = &snap->routes[i].upstream;
        for (size_t k = 0; k < u->n && ok; k++) {
            if (is_repeated(u, k))
                continue;
            ok =
                buf_printf(b, "cardea_%s{route=\"%s\",backend=", name, snap->config->routes.v[i].name.text) &&
                admin_put_label(b, u->v[k]->key) && buf_printf(b, "} %u\n", figure(u->v[k]));
        }
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

/* On its way: offers are told before the certificates, and both may take a while. */
struct metrics {
    struct exchange *e;
    struct buf body;
    bool ok;
};

static void finish(void *arg, const struct listing_answer *listed)
{
    struct metrics *m = arg;
    const struct admin *a = exchange_arg(m->e);
    m->ok = m->ok && a != NULL && certificates_prometheus(&m->body, door_snapshot(a->door), listed);
    admin_answer(m->e, m->ok, TYPE_METRICS, &m->body);
    free(m);
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
    struct metrics *m = calloc(1, sizeof(*m));
    CHECK(m != NULL);
    struct buf *b = &m->body;
    m->e = e;
    m->ok = put_door(b, a->door) && admin_ca_metrics(b, a) && put_demands(b, a->demands.figures) &&
            put_astray(b, a->door) && admin_ech_metrics(b, a->door) && put_routes(b, a->door) &&
            put_requests(b, a->door) &&
            put_backends(b, snap, "backend_up", "Whether connections go to the backend", figure_up) &&
            put_backends(b, snap, "backend_connections", "Connections to the backend, of all routes",
                         figure_live) &&
            offers_prometheus(b, offers, count);
    certificates_ask(a, &(struct listing_query){.most = CERTIFICATES_MEASURED}, finish, m);
}

void admin_metrics(struct exchange *e, const struct request *request)
{
    const struct admin *a = exchange_arg(e);
    (void)request;
    door_offers(a->door, answer, e);
}
