/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/serve_check.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "admin/tell.h"
#include "base/buf.h"
#include "base/str.h"
#include "keeper/candidates.h"
#include "keeper/permit.h"
#include "keeper/swaps.h"
#include "route/route.h"
#include "session/snapshot.h"
#include "session/survey.h"

/* The routes as they are being printed. */
struct listing {
    const struct config *config;
    struct buf out;
    bool json;
    size_t rows;
};

/* What follows the action's name: the backends, or the alert. */
static void put_goal(struct buf *b, const struct config_route *rc)
{
    const struct config_backend *cb = config_route_backend(rc);
    if (rc->action == CONFIG_REJECT)
        buf_printf(b, "%s", config_alert_name(rc->reject));
    for (size_t i = 0; i < rc->serve.n; i++)
        buf_printf(b, "%s%s", i > 0 ? ", " : "", rc->serve.v[i].text);
    for (size_t i = 0; cb != NULL && i < cb->to.n; i++)
        buf_printf(b, "%s%s", i > 0 ? ", " : "", cb->to.v[i].text.text);
}

static void put_listeners(struct buf *b, const struct config_route *rc)
{
    for (size_t i = 0; i < rc->listeners.n; i++)
        buf_printf(b, "%s%s", i > 0 ? ", " : "", rc->listeners.v[i].text);
    if (rc->listeners.n == 0)
        buf_printf(b, "any");
}

static void put_json(struct buf *b, const char *key, const char *value)
{
    buf_printf(b, ",\"%s\":", key);
    str_json(b, value, strlen(value));
}

static const char *clients_word(const struct config_route *rc)
{
    static const char *const words[] = {"-", "optional", "required"};
    return words[rc->clients.mode];
}

/* What a connection must speak. */
static void put_protocols(struct buf *b, const char *alpn, const struct config_codes *first)
{
    if (first->n == 0 || strcmp(alpn, "any") != 0)
        buf_printf(b, "%s%s", alpn, first->n > 0 ? " " : "");
    for (size_t i = 0; i < first->n; i++)
        buf_printf(b, "%s%s", i == 0 ? "first:" : ",", tell_first_bytes_word(first->v[i]));
}

static void row_json(struct listing *l, const struct route_row *row, const char *listeners, const char *goal)
{
    const struct config_route *rc = &l->config->routes.v[row->route];
    buf_printf(&l->out, "%s\n  {\"order\":%zu", l->rows > 1 ? "," : "", l->rows);
    put_json(&l->out, "route", row->name);
    put_json(&l->out, "sni", row->sni);
    buf_printf(&l->out, ",\"more_names\":%zu", row->more);
    put_json(&l->out, "alpn", row->alpn);
    buf_printf(&l->out, ",\"first_bytes\":");
    tell_first_bytes(&l->out, &rc->first_bytes);
    put_json(&l->out, "listeners", listeners);
    put_json(&l->out, "clients", clients_word(rc));
    put_json(&l->out, "action", config_action_name(rc->action));
    put_json(&l->out, "to", goal);
    buf_printf(&l->out, "}");
}

static void row_text(struct listing *l, const struct route_row *row, const char *listeners, const char *goal)
{
    const struct config_route *rc = &l->config->routes.v[row->route];
    struct buf sni = {0}, protocols = {0};
    buf_printf(&sni, "%s", row->sni);
    if (row->more > 0)
        buf_printf(&sni, " (+%zu)", row->more);
    put_protocols(&protocols, row->alpn, &rc->first_bytes);
    buf_printf(&l->out, "%5zu  %-16s %-30s %-18s %-12s %-9s %-9s %s\n", l->rows, row->name, buf_text(&sni),
               buf_text(&protocols), listeners, clients_word(rc), config_action_name(rc->action), goal);
    buf_free(&sni);
    buf_free(&protocols);
}

static void put_row(void *arg, const struct route_row *row)
{
    struct listing *l = arg;
    const struct config_route *rc = &l->config->routes.v[row->route];
    struct buf goal = {0}, listeners = {0};
    put_goal(&goal, rc);
    put_listeners(&listeners, rc);
    l->rows++;
    (l->json ? row_json : row_text)(l, row, buf_text(&listeners), buf_text(&goal));
    buf_free(&goal);
    buf_free(&listeners);
}

static int print_routes(const struct snapshot *snap, const char *warnings, bool json)
{
    struct listing l = {.config = snap->config, .json = json};
    if (json)
        buf_printf(&l.out, "{\"routes\":[");
    else
        buf_printf(&l.out, "%5s  %-16s %-30s %-18s %-12s %-9s %-9s %s\n", "order", "route", "sni", "alpn",
                   "listeners", "clients", "action", "to");
    int ret = route_explain(snap->table, put_row, &l);
    if (json) {
        buf_printf(&l.out, "\n],\n\"warnings\":");
        tell_lines(&l.out, warnings);
        buf_printf(&l.out, "}\n");
    }
    if (ret == 0 && buf_text(&l.out) != NULL)
        fputs(buf_text(&l.out), stdout);
    buf_free(&l.out);
    return ret == 0 ? 0 : 1;
}

static void print_errors(const char *errors, bool json)
{
    struct buf out = {0};
    if (!json) {
        fputs(errors, stderr);
        return;
    }
    buf_printf(&out, "{\"errors\":");
    tell_lines(&out, errors);
    printf("%s}\n", buf_text(&out));
    buf_free(&out);
}

/* Who checks may be another than who serves, and not be let in there. */
static struct staging *staging_kept(const struct config *config)
{
    struct err err;
    struct buf troubles = {0};
    struct candidates *c = candidates_open(config_state_folder(config), &troubles, &err);
    struct staging *s = c == NULL ? NULL : candidates_now(c, time(NULL));
    candidates_close(c);
    buf_free(&troubles);
    return s;
}

/* The lists of names that are permitted on demand, which a start reads. */
static int audit_names(const struct config *c, struct buf *errors)
{
    int rc = 0;
    for (size_t i = 0; i < c->certificates.n; i++) {
        const struct config_acme *a = c->certificates.v[i].on_demand;
        struct err err, placed;
        struct permit *p = a != NULL ? permit_new(a, &err) : NULL;
        if (a != NULL && p == NULL) {
            config_error(c, a->names_file.at, &placed, "certificates[%zu].on_demand: %s", i, err.text);
            buf_printf(errors, "%s\n", placed.text);
            rc = -1;
        }
        permit_free(p);
    }
    return rc;
}

/* What building a snapshot does not open. All of it is told. */
static bool has_files(const struct config *c, struct buf *errors)
{
    int audit = survey_audit(c, errors), acme = survey_acme(c, errors), names = audit_names(c, errors);
    return audit == 0 && acme == 0 && names == 0;
}

struct snapshot *check_build(const char *path, const struct door_bindings *bindings, bool files,
                             struct snapshot_shared *shared, struct buf *errors)
{
    snapshot_shared_init(shared, 1, bindings);
    shared->only_checks = true;
    struct config *config = config_load(path, errors);
    if (config == NULL) {
        survey_file(path, errors);
        return NULL;
    }
    shared->staging = staging_kept(config);
    shared->aside = swaps_kept(config_state_folder(config));
    bool good = !files || has_files(config, errors);
    struct snapshot *snap = snapshot_build(config, shared, errors);
    if (good)
        return snap;
    snapshot_unref(snap);
    return NULL;
}

int check_config(const char *path, const struct door_bindings *bindings, bool json)
{
    struct buf errors = {0}, warnings = {0};
    struct snapshot_shared shared;
    struct snapshot *snap = check_build(path, bindings, true, &shared, &errors);
    int status = 1;
    if (snap != NULL) {
        tell_warnings(&warnings, snap, true);
        if (!json)
            fputs(buf_text(&warnings), stderr);
        status = print_routes(snap, buf_text(&warnings), json);
    } else {
        print_errors(buf_text(&errors), json);
    }
    snapshot_unref(snap);
    snapshot_shared_free(&shared);
    buf_free(&errors);
    buf_free(&warnings);
    return status;
}
