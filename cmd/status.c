/* SPDX-License-Identifier: Apache-2.0 */
/* `cardea status`: what the running door does, as tables or as its own JSON. */
#include <getopt.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/check.h"
#include "base/clean.h"
#include "base/clock.h"
#include "cmd/admin_client.h"
#include "cmd/carriers.h"
#include "cmd/cmd.h"
#include "cmd/table.h"

#define STATUS_NS (10 * NSEC_PER_SEC)
#define LIST_SHOWN 4 /* items of a list in a table */

static long long count_of(const json_t *object, const char *key)
{
    return (long long)json_integer_value(json_object_get(object, key));
}

/* ---- figures ---- */

#define AMOUNT_MAX 32

/* Bytes as "17 B", "1.5 KiB". */
static const char *amount(long long bytes, char text[AMOUNT_MAX])
{
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB"};
    double n = (double)bytes;
    size_t unit = 0;
    for (; n >= 1024 && unit < 5; unit++)
        n /= 1024;
    snprintf(text, AMOUNT_MAX, unit == 0 ? "%.0f %s" : "%.1f %s", n, units[unit]);
    return text;
}

/* Connections that have ended in any other way than well. */
static long long failed(const json_t *route)
{
    const char *reason;
    json_t *n;
    long long total = 0;
    json_object_foreach(json_object_get(route, "closed"), reason, n)
    {
        if (strcmp(reason, "done") != 0)
            total += (long long)json_integer_value(n);
    }
    return total;
}

/* ---- tables ---- */

/* The first few of a list, and how many there are. The door gives the first few as well, and a count in
 * KEY_total. */
static void put_list(struct buf *b, const json_t *route, const char *key, const char *before)
{
    json_t *list = json_object_get(route, key);
    char total_key[64];
    size_t n = json_array_size(list);
    for (size_t i = 0; i < n && i < LIST_SHOWN; i++)
        buf_printf(b, "%s%s", i == 0 ? before : ",", json_string_value(json_array_get(list, i)));
    snprintf(total_key, sizeof(total_key), "%s_total", key);
    long long total = json_object_get(route, total_key) != NULL ? count_of(route, total_key) : (long long)n;
    if (total > LIST_SHOWN)
        buf_printf(b, ",... (%lld)", total);
}

/* What a connection must be like to come to this route. */
static void add_match(struct table *t, const json_t *route)
{
    struct buf b = {0};
    put_list(&b, route, "sni", "");
    if (json_object_get(route, "sni_file") != NULL)
        buf_printf(&b, "%s%s", b.len > 0 ? "," : "", table_text(route, "sni_file"));
    put_list(&b, route, "alpn", " alpn:");
    put_list(&b, route, "first_bytes", " first:");
    put_list(&b, route, "listeners", " on:");
    const char *text = b.len == 0 ? "any" : buf_text(&b);
    table_add(t, "%s", text + (*text == ' '));
    buf_free(&b);
}

static void add_counts(struct table *t, const json_t *route)
{
    char in[AMOUNT_MAX], out[AMOUNT_MAX];
    table_add(t, "%lld", count_of(route, "connections"));
    table_add(t, "%lld", count_of(route, "connections_total"));
    table_add(t, "%lld", failed(route));
    table_add(t, "%s", amount(count_of(route, "bytes_in_total"), in));
    table_add(t, "%s", amount(count_of(route, "bytes_out_total"), out));
}

static void add_heading(struct table *t, const char *const *words)
{
    for (; *words != NULL; words++)
        table_add(t, "%s", *words);
}

static void show_routes(const json_t *status)
{
    static const char *const heading[] = {"ROUTE", "ACTION", "OPEN", "TOTAL", "FAILED",
                                          "IN",    "OUT",    "FOR",  NULL};
    struct table t = {.columns = 8};
    size_t i;
    json_t *route, *unrouted = json_object_get(status, "unrouted");
    add_heading(&t, heading);
    json_array_foreach(json_object_get(status, "routes"), i, route)
    {
        table_add(&t, "%s", table_text(route, "name"));
        table_add(&t, "%s", table_text(route, "action"));
        add_counts(&t, route);
        add_match(&t, route);
    }
    table_add(&t, "-");
    table_add(&t, "-");
    add_counts(&t, unrouted);
    table_add(&t, "ended before they had a route");
    table_end(&t, stdout);
}

static void add_failures(struct table *t, const json_t *route, const char *name)
{
    const char *reason;
    json_t *n;
    json_object_foreach(json_object_get(route, "closed"), reason, n)
    {
        if (strcmp(reason, "done") == 0)
            continue;
        table_add(t, "%s", reason);
        table_add(t, "%lld", (long long)json_integer_value(n));
        table_add(t, "%s", name);
    }
}

static void show_failures(const json_t *status)
{
    static const char *const heading[] = {"FAILURE", "COUNT", "ROUTE", NULL};
    struct table t = {.columns = 3};
    size_t i;
    json_t *route;
    add_heading(&t, heading);
    json_array_foreach(json_object_get(status, "routes"), i, route)
        add_failures(&t, route, table_text(route, "name"));
    add_failures(&t, json_object_get(status, "unrouted"), "-");
    table_end(&t, stdout);
}

static void show_listeners(const json_t *status)
{
    static const char *const heading[] = {"LISTENER", "ADDRESS", NULL};
    struct table t = {.columns = 2};
    size_t i;
    json_t *listener;
    add_heading(&t, heading);
    json_array_foreach(json_object_get(status, "listeners"), i, listener)
    {
        table_add(&t, "%s", table_text(listener, "name"));
        table_add(&t, "%s", table_text(listener, "address"));
    }
    table_end(&t, stdout);
}

static const char *backend_state(const json_t *backend)
{
    if (!json_is_true(json_object_get(backend, "up")))
        return "down";
    return json_is_false(json_object_get(backend, "tried")) ? "untried" : "up";
}

static void show_backends(const json_t *status)
{
    static const char *const heading[] = {"BACKEND", "STATE", "OPEN", "ROUTE", NULL};
    struct table t = {.columns = 4};
    size_t i, k;
    json_t *route, *backend;
    add_heading(&t, heading);
    json_array_foreach(json_object_get(status, "routes"), i, route)
        json_array_foreach(json_object_get(route, "backends"), k, backend)
    {
        table_add(&t, "%s", table_text(backend, "to"));
        table_add(&t, "%s", backend_state(backend));
        table_add(&t, "%lld", count_of(backend, "connections"));
        table_add(&t, "%s", table_text(route, "name"));
    }
    table_end(&t, stdout);
}

static void add_offer(struct table *t, const json_t *offer)
{
    char in[AMOUNT_MAX], out[AMOUNT_MAX];
    const char *down = json_string_value(json_object_get(offer, "down"));
    table_add(t, "%s", table_text(offer, "name"));
    table_add(t, "%s", table_text(offer, "kind"));
    if (json_object_get(offer, "port") == NULL)
        table_add(t, "-");
    else
        table_add(t, "%lld/%s", count_of(offer, "port"), table_text(offer, "proto"));
    table_add(t, "%s%s%s", table_text(offer, "state"), down != NULL ? ": " : "", down != NULL ? down : "");
    table_add(t, "%s", table_text(offer, "agent"));
    table_add(t, "%s", table_text(offer, "peer"));
    table_add(t, "%s", table_text(offer, "transport"));
    table_add(t, "%.19sZ", table_text(offer, "since"));
    table_add(t, "%lld", count_of(offer, "visitors"));
    table_add(t, "%lld", count_of(offer, "visitors_total"));
    table_add(t, "%s", amount(count_of(offer, "bytes_in_total"), in));
    table_add(t, "%s", amount(count_of(offer, "bytes_out_total"), out));
}

/* That there are none is an answer, too. */
static void add_none(struct table *t)
{
    for (size_t i = 0; i < t->columns; i++)
        table_add(t, "%s", i == 0 ? "none" : "-");
}

static void show_offers(const json_t *status, bool asked_for)
{
    static const char *const heading[] = {"OFFER", "KIND", "PORT",  "STATE", "AGENT", "FROM", "OVER",
                                          "SINCE", "OPEN", "TOTAL", "IN",    "OUT",   NULL};
    struct table t = {.columns = 12, .first = asked_for};
    size_t i;
    json_t *offer;
    add_heading(&t, heading);
    json_array_foreach(json_object_get(status, "offers"), i, offer) add_offer(&t, offer);
    if (asked_for && t.count == t.columns)
        add_none(&t);
    table_end(&t, stdout);
    if (json_object_get(status, "offers_total") != NULL)
        printf("%lld offers in all\n", count_of(status, "offers_total"));
}

/* Its name, and that it is a backup which is served. */
static void add_certificate(struct table *t, const json_t *certificate)
{
    const char *first = json_string_value(json_object_get(certificate, "instead_of"));
    const char *swapped = json_string_value(json_object_get(certificate, "swapped"));
    if (first == NULL)
        table_add(t, "%s", table_text(certificate, "name"));
    else
        table_add(t, "%s (instead of %s%s%s)", table_text(certificate, "name"), first,
                  swapped != NULL ? ", swapped: " : "", swapped != NULL ? swapped : "");
}

static void show_certificates(const json_t *status)
{
    static const char *const heading[] = {"CERTIFICATE", "GOOD UNTIL", "NAMES", NULL};
    struct table t = {.columns = 3};
    size_t i;
    json_t *certificate;
    add_heading(&t, heading);
    json_array_foreach(json_object_get(status, "certificates"), i, certificate)
    {
        struct buf names = {0};
        put_list(&names, certificate, "names", "");
        add_certificate(&t, certificate);
        table_add(&t, "%.10s%s", table_text(certificate, "not_after"),
                  json_is_true(json_object_get(certificate, "expired")) ? " EXPIRED" : "");
        table_add(&t, "%s", names.len > 0 ? buf_text(&names) : "-");
        buf_free(&names);
    }
    table_end(&t, stdout);
}

static void show_sessions(const json_t *status)
{
    static const char *const heading[] = {"CONNECTION", "FROM", "VIA", "STATE", "ROUTE", "AGE",
                                          "IN",         "OUT",  "WHO", "TO",    NULL};
    struct table t = {.columns = 10};
    char age[AMOUNT_MAX], in[AMOUNT_MAX], out[AMOUNT_MAX];
    size_t i;
    json_t *session;
    add_heading(&t, heading);
    json_array_foreach(json_object_get(status, "sessions"), i, session)
    {
        const char *target = table_text(session, "target");
        long long streams = count_of(session, "streams");
        table_add(&t, "%s", table_text(session, "id"));
        table_add(&t, "%s", table_text(session, "peer"));
        table_add(&t, "%s", table_text(session, "transport"));
        const char *reason =
            json_object_get(session, "reason") == NULL ? NULL : table_text(session, "reason");
        table_add(&t, "%s%s%s%s%s", table_text(session, "state"), reason == NULL ? "" : " (",
                  reason == NULL ? "" : reason, reason == NULL ? "" : ")",
                  json_is_true(json_object_get(session, "denied")) ? " (denied now)" : "");
        table_add(&t, "%s", table_text(session, "route"));
        table_add(&t, "%s", table_duration(json_number_value(json_object_get(session, "seconds")), age));
        table_add(&t, "%s", amount(count_of(session, "in"), in));
        table_add(&t, "%s", amount(count_of(session, "out"), out));
        table_add(&t, "%s", table_text(session, "identity"));
        if (json_object_get(session, "streams") != NULL)
            table_add(&t, "%lld stream%s", streams, streams == 1 ? "" : "s");
        else
            table_add(&t, "%s", strcmp(target, "-") != 0 ? target : table_text(session, "sni"));
    }
    if (t.count == t.columns)
        add_none(&t);
    table_end(&t, stdout);
    if (count_of(status, "sessions_left_out") > 0)
        printf("%lld more are open\n", count_of(status, "sessions_left_out"));
}

static void show(const json_t *status)
{
    char up[AMOUNT_MAX], file[4096];
    str_clean(file, sizeof(file), table_text(status, "config"));
    printf("cardea %s under %s, up %s, %lld open connection%s\n", table_text(status, "version"), file,
           table_duration(json_number_value(json_object_get(status, "uptime")), up),
           count_of(status, "connections"), count_of(status, "connections") == 1 ? "" : "s");
    show_listeners(status);
    show_routes(status);
    show_failures(status);
    show_backends(status);
    show_offers(status, false);
    show_certificates(status);
}

/* ---- asking ---- */

/* The object that `path` answers, or NULL with `err`. */
static json_t *get(const char *socket, const char *path, struct err *err)
{
    json_t *object;
    int code = admin_ask(socket, "GET", path, STATUS_NS, &object, err);
    if (code == 200)
        return object;
    if (code >= 0) {
        json_decref(object);
        err_set(err, "the door answered %d to %s: is it another version?", code, path);
    }
    return NULL;
}

/* What is wanted. */
struct question {
    const char *socket; /* NULL: whichever there is */
    bool json;
    bool sessions; /* these too */
    bool offers;   /* these alone */
};

/* No door runs here, but carriers of `cardea connect` do. */
static int show_carriers(const json_t *carriers, bool json)
{
    json_t *object = json_pack("{s:O}", "carriers", carriers);
    struct buf places = {0};
    admin_put_places(&places);
    if (json) {
        cmd_print_json(object);
    } else {
        printf("no door here (%s); the carriers are:\n", buf_text(&places));
        carriers_show(carriers);
    }
    buf_free(&places);
    json_decref(object);
    return CMD_OK;
}

/* Of all that the door says the offers. */
static json_t *only_offers(json_t *status)
{
    static const char *const keys[] = {"offers", "offers_total"};
    json_t *some = json_object();
    for (size_t i = 0; i < ARRAY_LEN(keys); i++)
        if (json_object_get(status, keys[i]) != NULL)
            json_object_set(some, keys[i], json_object_get(status, keys[i]));
    json_decref(status);
    return some;
}

/* What the door says, as far as it is wanted; NULL with `err`. */
static json_t *ask_door(const struct question *q, struct err *err)
{
    json_t *status = get(q->socket, "/status", err);
    if (status != NULL && q->offers)
        status = only_offers(status);
    json_t *more = q->sessions && status != NULL ? get(q->socket, "/sessions", err) : NULL;
    if (more != NULL) {
        json_object_update(status, more);
    } else if (q->sessions) {
        json_decref(status);
        status = NULL;
    }
    json_decref(more);
    return status;
}

/* The door, and below it the carriers, where there are any. */
static int show_door(const struct question *q, json_t *carriers)
{
    struct err err;
    json_t *status = ask_door(q, &err);
    if (status == NULL)
        return cmd_failed("%s", err.text);
    if (carriers != NULL && !q->offers)
        json_object_set(status, "carriers", carriers);
    if (q->json) {
        cmd_print_json(status);
    } else {
        if (q->offers)
            show_offers(status, true);
        else
            show(status);
        if (q->sessions)
            show_sessions(status);
        if (!q->offers)
            carriers_show(carriers);
    }
    json_decref(status);
    return CMD_OK;
}

/* Who names a socket, or asks for what only a door has, asks a door; else what there is is shown, and nothing
 * at all is an error. */
static int status_show(const struct question *q)
{
    const char *variable = getenv("CARDEA_SOCKET");
    bool door_only = q->socket != NULL || (variable != NULL && *variable != '\0');
    json_t *carriers = door_only ? NULL : carriers_ask();
    bool alone = json_array_size(carriers) > 0 && !q->sessions && !q->offers && !admin_is_there(q->socket);
    int status = alone ? show_carriers(carriers, q->json) : show_door(q, carriers);
    json_decref(carriers);
    return status;
}

int cmd_status(int argc, char **argv)
{
    static const struct option options[] = {
        {"socket", required_argument, NULL, 's'}, {"json", no_argument, NULL, 'j'},
        {"sessions", no_argument, NULL, 'e'},     {"offers", no_argument, NULL, 'o'},
        {"help", no_argument, NULL, 'h'},         {0}};
    struct question q = {0};
    for (int c; (c = cmd_option(argc, argv, "h", options)) != -1;) {
        if (c == 's')
            q.socket = optarg;
        else if (c == 'j')
            q.json = true;
        else if (c == 'e')
            q.sessions = true;
        else if (c == 'o')
            q.offers = true;
        else
            return cmd_usage("status", c == 'h');
    }
    if (optind != argc)
        return cmd_misused("status", "unexpected argument: %s", argv[optind]);
    return status_show(&q);
}
