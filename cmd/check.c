/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/check.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/str.h"
#include "cert/cert.h"

/* The routes as they are being printed. */
struct listing {
    const struct config *config;
    struct buf out;
    bool json;
    size_t rows;
};

static const struct config_backend *backend_of(const struct config_route *rc)
{
    return rc->action == CONFIG_PASS ? rc->pass : rc->terminate;
}

/* What follows the action's name: the backends, or the alert. */
static void put_goal(struct buf *b, const struct config_route *rc)
{
    const struct config_backend *cb = backend_of(rc);
    if (rc->action == CONFIG_REJECT)
        buf_printf(b, "%s", config_alert_name(rc->reject));
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

static void print_row(void *arg, const struct route_row *row)
{
    struct listing *l = arg;
    const struct config_route *rc = &l->config->routes.v[row->route];
    struct buf sni = {0}, goal = {0}, listeners = {0};
    buf_printf(&sni, "%s", row->sni);
    if (row->more > 0)
        buf_printf(&sni, " (+%zu)", row->more);
    put_goal(&goal, rc);
    put_listeners(&listeners, rc);
    const char *action = config_action_name(rc->action);
    if (l->json) {
        buf_printf(&l->out, "%s\n  {\"order\":%zu", l->rows > 0 ? "," : "", l->rows + 1);
        put_json(&l->out, "route", row->name);
        put_json(&l->out, "sni", row->sni);
        buf_printf(&l->out, ",\"more_names\":%zu", row->more);
        put_json(&l->out, "alpn", row->alpn);
        put_json(&l->out, "listeners", buf_text(&listeners));
        put_json(&l->out, "clients", clients_word(rc));
        put_json(&l->out, "action", action);
        put_json(&l->out, "to", buf_text(&goal));
        buf_printf(&l->out, "}");
    } else {
        buf_printf(&l->out, "%5zu  %-16s %-30s %-18s %-12s %-9s %-9s %s\n", l->rows + 1, row->name,
                   buf_text(&sni), row->alpn, buf_text(&listeners), clients_word(rc), action,
                   buf_text(&goal));
    }
    l->rows++;
    buf_free(&sni);
    buf_free(&goal);
    buf_free(&listeners);
}

static int print_routes(const struct snapshot *snap, bool json)
{
    struct listing l = {.config = snap->config, .json = json};
    if (json)
        buf_printf(&l.out, "{\"routes\":[");
    else
        buf_printf(&l.out, "%5s  %-16s %-30s %-18s %-12s %-9s %-9s %s\n", "order", "route", "sni", "alpn",
                   "listeners", "clients", "action", "to");
    int ret = route_explain(snap->table, print_row, &l);
    if (json)
        buf_printf(&l.out, "\n]}\n");
    if (ret == 0 && buf_text(&l.out) != NULL)
        fputs(buf_text(&l.out), stdout);
    buf_free(&l.out);
    return ret == 0 ? 0 : 1;
}

void check_warn(const struct snapshot *snap)
{
    struct err text;
    for (size_t i = 0; i < snap->config->certificates.n; i++)
        if (cert_warning(snap->certs[i], time(NULL), &text)) {
            struct err placed;
            config_error(snap->config, snap->config->certificates.v[i].certificate.at, &placed, "warning: %s",
                         text.text);
            fprintf(stderr, "%s\n", placed.text);
        }
}

int check_config(const char *path, const struct front_binding *fronts, size_t fronts_len, bool json)
{
    struct buf errors = {0};
    struct snapshot_shared shared;
    snapshot_shared_init(&shared, 1, fronts, fronts_len);
    struct config *config = config_load(path, &errors);
    struct snapshot *snap = config == NULL ? NULL : snapshot_build(config, &shared, &errors);
    int status = 1;
    if (snap != NULL) {
        check_warn(snap);
        status = print_routes(snap, json);
    } else {
        fputs(buf_text(&errors), stderr);
    }
    snapshot_unref(snap);
    snapshot_shared_free(&shared);
    buf_free(&errors);
    return status;
}
