/* SPDX-License-Identifier: Apache-2.0 */
/* GET /status: what the door does, as one JSON object. Names, addresses and counts; no key, no path of one,
 * and nobody's identity but those of agents. */
#include <string.h>
#include <time.h>

#include "admin/admin_internal.h"
#include "admin/offers.h"
#include "admin/tell.h"
#include "audit/counters.h"
#include "base/check.h"
#include "base/clock.h"
#include "cert/cert.h"
#include "keeper/swaps.h"
#include "session/snapshot.h"
#include "session/standby.h"

#define TEXTS_SHOWN 16 /* names of a list; a route may have a million */

static bool put_seconds(struct buf *b, const char *key, int64_t ns)
{
    return buf_printf(b, ",\"%s\":%.3f", key, (double)ns / NSEC_PER_SEC);
}

static bool put_text(struct buf *b, const char *key, const char *text)
{
    return buf_printf(b, "\"%s\":", key) && admin_json_text(b, text);
}

/* `,"key":[...]`, and `,"key_total":N` when the list is longer than what is shown. */
static bool put_texts(struct buf *b, const char *key, const struct config_texts *texts)
{
    bool ok = buf_printf(b, ",\"%s\":[", key);
    for (size_t i = 0; i < texts->n && i < TEXTS_SHOWN && ok; i++)
        ok = buf_append(b, ",", i > 0) && admin_json_text(b, texts->v[i].text);
    ok = ok && buf_append(b, "]", 1);
    return texts->n <= TEXTS_SHOWN ? ok : ok && buf_printf(b, ",\"%s_total\":%zu", key, texts->n);
}

bool admin_backend_up(const struct backend *b)
{
    return !atomic_load(&b->down) && atomic_load(&b->avoid_until) <= clock_monotonic();
}

static bool put_backends(struct buf *b, const struct upstream *u)
{
    bool ok = buf_printf(b, ",\"backends\":[");
    for (size_t i = 0; i < u->n && ok; i++) {
        const struct backend *backend = u->v[i];
        ok = buf_printf(b, "%s{", i > 0 ? "," : "") && put_text(b, "to", backend->key) &&
             buf_printf(b, ",\"up\":%s,\"tried\":%s,\"connections\":%u}",
                        admin_backend_up(backend) ? "true" : "false",
                        atomic_load(&backend->tried) ? "true" : "false", atomic_load(&backend->live));
    }
    return ok && buf_append(b, "]", 1);
}

/* The counters as further keys of the object that is being written, which has at least one key and no end
 * yet. */
static bool put_counters(struct buf *b, const struct route_counters *counters)
{
    size_t at = b->len;
    bool ok = counters_json(b, counters);
    if (ok)
        b->data[at] = ','; /* instead of its own "{" */
    return ok;
}

static bool put_route(struct buf *b, const struct door *door, size_t i)
{
    const struct snapshot *snap = door_snapshot(door);
    const struct config_route *route = &snap->config->routes.v[i];
    struct route_counters counters = door_route_counters(door, i);
    bool ok = buf_append(b, "{", 1) && put_text(b, "name", route->name.text) && buf_append(b, ",", 1) &&
              put_text(b, "action", config_action_name(route->action));
    if (route->action == CONFIG_REJECT)
        ok = ok && buf_append(b, ",", 1) && put_text(b, "alert", config_alert_name(route->reject));
    ok = ok && put_texts(b, "listeners", &route->listeners) && put_texts(b, "sni", &route->sni);
    if (route->sni_file.text != NULL)
        ok = ok && buf_append(b, ",", 1) && put_text(b, "sni_file", route->sni_file.text);
    return ok && put_texts(b, "alpn", &route->alpn) && buf_printf(b, ",\"first_bytes\":") &&
           tell_first_bytes(b, &route->first_bytes) && put_backends(b, &snap->routes[i].upstream) &&
           put_counters(b, &counters);
}

static bool put_routes(struct buf *b, const struct door *door)
{
    size_t n = door_snapshot(door)->config->routes.n;
    bool ok = buf_printf(b, ",\n\"routes\":[");
    for (size_t i = 0; i < n && ok; i++)
        ok = buf_append(b, ",\n", i > 0 ? 2 : 0) && put_route(b, door, i);
    return ok && buf_append(b, "]", 1);
}

static bool put_listeners(struct buf *b, const struct config_listeners *listeners)
{
    bool ok = buf_printf(b, ",\n\"listeners\":[");
    for (size_t i = 0; i < listeners->n && ok; i++)
        ok = buf_printf(b, "%s{", i > 0 ? "," : "") && put_text(b, "name", listeners->v[i].name.text) &&
             buf_append(b, ",", 1) && put_text(b, "address", listeners->v[i].address.text.text) &&
             buf_append(b, "}", 1);
    return ok && buf_append(b, "]", 1);
}

/* Of a backup that is served: for whom, and by what swap, if any. */
static bool put_instead_of(struct buf *b, const struct admin *a, const struct standby_pair *pair)
{
    enum life_swap why = a->swaps == NULL ? LIFE_NOT_SWAPPED : swaps_state_of(a->swaps, pair).why;
    return buf_append(b, ",", 1) && put_text(b, "instead_of", pair->side[STANDBY_FIRST]->label) &&
           buf_append(b, ",", 1) &&
           put_text(b, "swapped", why == LIFE_NOT_SWAPPED ? NULL : life_swap_word(why));
}

static bool put_certificates(struct buf *b, const struct admin *a, const struct snapshot *snap)
{
    char when[CLOCK_TEXT_MAX];
    bool ok = buf_printf(b, ",\n\"certificates\":["), first = true;
    for (size_t i = 0; i < snap->config->certificates.n && ok; i++) {
        const struct cert *cert = snap->certs[i];
        if (cert == NULL)
            continue;
        int64_t end = MIN(cert->not_after, INT64_MAX / NSEC_PER_SEC); /* some end in 9999 */
        ok = buf_printf(b, "%s{", first ? "" : ",") && put_text(b, "name", cert->label) &&
             buf_printf(b, ",\"not_after\":\"%s\",\"expired\":%s,\"names\":[",
                        clock_format(end * NSEC_PER_SEC, when),
                        cert->not_after < time(NULL) ? "true" : "false");
        for (size_t k = 0; k < cert->names_len && k < TEXTS_SHOWN && ok; k++)
            ok = buf_append(b, ",", k > 0) && admin_json_text(b, cert->names[k]);
        ok = ok && buf_append(b, "]", 1) &&
             (cert != snap->pairs[i].side[STANDBY_BACKUP] || put_instead_of(b, a, &snap->pairs[i])) &&
             buf_append(b, "}", 1);
        first = false;
    }
    return ok && buf_append(b, "]", 1);
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
    struct route_counters unrouted = door_unrouted_counters(a->door);
    struct buf body = {0};
    bool ok = buf_append(&body, "{", 1) && put_text(&body, "version", CARDEA_VERSION) &&
              buf_append(&body, ",", 1) && put_text(&body, "config", snap->config->file) &&
              put_seconds(&body, "uptime", door_uptime(a->door)) &&
              buf_printf(&body, ",\"connections\":%zu", door_connections(a->door)) &&
              put_listeners(&body, &snap->config->listeners) && put_certificates(&body, a, snap) &&
              put_routes(&body, a->door) && buf_printf(&body, ",\n\"unrouted\":") &&
              counters_json(&body, &unrouted) && offers_json(&body, offers, count) &&
              buf_append(&body, "}\n", 2);
    admin_answer(e, ok, TYPE_JSON, &body);
}

void admin_status(struct exchange *e, const struct request *request)
{
    const struct admin *a = exchange_arg(e);
    (void)request;
    door_offers(a->door, answer, e);
}
