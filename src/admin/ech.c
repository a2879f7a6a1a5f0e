/* SPDX-License-Identifier: Apache-2.0 */
/* GET /ech: the public name, the ECHConfigList that is offered, the keys that open, and the records that
 * are published, and those that are not any more but still hold keys: {"ech":{...}}, or {"ech":null}. With
 * ?name=NAME also whether some route is for that name ("routed"). POST /ech/publish: push all records now;
 * {"hurried":N} is the figure that GET /ech tells once that is over. POST /ech/withdraw?name=NAME: take a
 * record out of the DNS: {"withdrawn":NAME}. Status 409 with {"error":...} where that cannot be. */
#include "ech/publisher.h"

#include <string.h>

#include "admin/admin_internal.h"
#include "base/base64.h"
#include "base/clock.h"
#include "base/hostname.h"
#include "session/door.h"
#include "session/routing.h"
#include "session/snapshot.h"

/* 0 and INT64_MAX, which stand for no time, become null. */
static bool put_time(struct buf *b, const char *key, int64_t seconds)
{
    char text[CLOCK_TEXT_MAX];
    if (seconds == 0 || seconds == INT64_MAX)
        return buf_printf(b, ",\"%s\":null", key);
    return buf_printf(b, ",\"%s\":\"%s\"", key, clock_format(seconds * NSEC_PER_SEC, text));
}

static bool put_key(struct buf *b, const struct ech_ring_key *key)
{
    return buf_printf(b, "{\"id\":%u,\"offered\":%s", key->id, key->offered ? "true" : "false") &&
           put_time(b, "from", key->from) && put_time(b, "until", key->until) &&
           put_time(b, "published", key->published) && buf_printf(b, ",\"records\":%zu", key->records) &&
           put_time(b, "opens_until", key->opens_until) && buf_append(b, "}", 1);
}

static bool put_keys(struct buf *b, const struct ech_ring *ring)
{
    struct ech_ring_key keys[ECH_KEYS_MAX];
    size_t n = ech_ring_list(ring, clock_wall() / NSEC_PER_SEC, keys);
    bool ok = buf_printf(b, "\"keys\":[");
    for (size_t i = 0; i < n && ok; i++)
        ok = (i == 0 || buf_append(b, ",\n", 2)) && put_key(b, &keys[i]);
    return ok && buf_append(b, "]", 1);
}

static bool put_records(struct buf *b, const struct ech_publisher *p)
{
    struct ech_publisher_figures figures = ech_publisher_figures(p);
    bool ok = buf_printf(b, ",\"pushed\":%llu,\"failed\":%llu,\"hurried\":%llu,\"names\":[",
                         (unsigned long long)figures.pushed, (unsigned long long)figures.failed,
                         (unsigned long long)figures.hurried);
    for (size_t i = 0; i < ech_publisher_count(p) && ok; i++) {
        struct ech_publisher_row row = ech_publisher_row(p, i);
        ok = buf_printf(b, "%s{\"name\":", i > 0 ? ",\n" : "") && admin_json_text(b, row.name) &&
             buf_printf(b, ",\"current\":%s,\"error\":", row.current ? "true" : "false") &&
             admin_json_text(b, row.error) && buf_append(b, "}", 1);
    }
    return ok && buf_append(b, "]", 1);
}

/* Names that are not published any more: somebody has to withdraw them, or their keys stay. */
static bool put_left(struct buf *b, const struct ech_records *known, const struct ech_publisher *p)
{
    const char *before = "";
    bool ok = buf_printf(b, ",\"left\":[");
    for (size_t i = 0; i < known->names_len && ok; i++) {
        if (ech_publisher_has(p, known->names[i].name))
            continue;
        ok = buf_printf(b, "%s", before) && admin_json_text(b, known->names[i].name);
        before = ",";
    }
    return ok && buf_append(b, "]", 1);
}

/* Of one name, where that was asked for. */
static bool put_routed(struct buf *b, const struct snapshot *snap, const char *name)
{
    return *name == '\0' ||
           buf_printf(b, ",\"routed\":%s", routing_of_name(snap, name) != ROUTE_NONE ? "true" : "false");
}

static bool put_ring(struct buf *b, const struct config_ech *config, const struct ech_ring *ring,
                     const struct ech_publisher *publisher)
{
    struct cursor list = ech_keys_offered(ech_ring_keys(ring));
    return buf_printf(b, "{\"public_name\":") && admin_json_text(b, config->public_name.text) &&
           buf_printf(b, ",\"keep\":%lld,\"config\":\"", (long long)(config->keep / NSEC_PER_SEC)) &&
           base64_put(b, list.p, cursor_left(&list)) && buf_printf(b, "\",") && put_keys(b, ring) &&
           put_records(b, publisher) && put_left(b, ech_ring_records(ring), publisher) &&
           buf_printf(b, ",\"publishes\":%s", ech_publisher_is_set(publisher) ? "true" : "false");
}

void admin_ech(struct exchange *e, const struct request *request)
{
    const struct admin *a = exchange_arg(e);
    const struct snapshot *snap = door_snapshot(a->door);
    struct buf body = {0};
    char name[HOSTNAME_MAX + 1];
    if (!request_value(request, "name", name, sizeof(name)))
        name[0] = '\0';
    bool ok = buf_printf(&body, "{\"ech\":") &&
              (snap->ech == NULL ? buf_printf(&body, "null")
                                 : put_ring(&body, snap->config->ech, snap->ech, door_publisher(a->door)) &&
                                       put_routed(&body, snap, name) && buf_append(&body, "}", 1)) &&
              buf_printf(&body, "}\n");
    admin_answer(e, ok, TYPE_JSON, &body);
}

void admin_ech_publish(struct exchange *e, const struct request *request)
{
    const struct admin *a = exchange_arg(e);
    struct ech_publisher *p = door_publisher(a->door);
    struct buf body = {0};
    struct err err;
    (void)request;
    if (!ech_publisher_hurry(p)) {
        err_set(&err, "%s: give names, and their records are printed",
                ech_publisher_is_set(p) ? "'ech.publish' has no 'names'"
                                        : "the configuration has no section 'ech.publish'");
        admin_refuse(e, &err);
        return;
    }
    struct ech_publisher_figures figures = ech_publisher_figures(p);
    admin_answer(e, buf_printf(&body, "{\"hurried\":%llu}\n", (unsigned long long)figures.hurried_next),
                 TYPE_JSON, &body);
}

static void withdrawn(void *arg, const struct err *why)
{
    struct exchange *e = arg;
    struct buf body = {0};
    if (why != NULL)
        admin_refuse(e, why);
    else
        admin_answer(e, buf_printf(&body, "{\"withdrawn\":true}\n"), TYPE_JSON, &body);
}

void admin_ech_withdraw(struct exchange *e, const struct request *request)
{
    const struct admin *a = exchange_arg(e);
    char name[HOSTNAME_MAX + 1];
    if (!request_value(request, "name", name, sizeof(name)) ||
        hostname_check(name, strlen(name)) != HOSTNAME_OK)
        exchange_refuse(e, 400, "the query must be name=NAME, with a DNS name");
    else
        ech_publisher_withdraw(door_publisher(a->door), name, withdrawn, e);
}

bool admin_ech_metrics(struct buf *b, const struct door *door)
{
    const struct ech_publisher *p = door_publisher(door);
    struct ech_publisher_figures figures = ech_publisher_figures(p);
    size_t n = ech_publisher_count(p), stale = 0;
    for (size_t i = 0; i < n; i++)
        stale += !ech_publisher_row(p, i).current;
    return buf_printf(
               b,
               "# HELP cardea_ech_records_total HTTPS records that were to get a new key, by what became of "
               "it.\n# TYPE cardea_ech_records_total counter\n"
               "cardea_ech_records_total{what=\"pushed\"} %llu\n"
               "cardea_ech_records_total{what=\"failed\"} %llu\n",
               (unsigned long long)figures.pushed, (unsigned long long)figures.failed) &&
           admin_gauge(b, "ech_records_stale", "HTTPS records without the key that is offered") &&
           buf_printf(b, "cardea_ech_records_stale %zu\n", stale) &&
           admin_gauge(b, "ech_backends_untold",
                       "Names of backends whose ECH config the DNS did not tell when it was last asked") &&
           buf_printf(b, "cardea_ech_backends_untold %zu\n", door_ech_untold(door));
}
