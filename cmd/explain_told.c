/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/explain_told.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/check.h"
#include "base/clean.h"
#include "base/tls_version.h"
#include "cert/identity.h"
#include "cert/pem.h"
#include "cert/store.h"
#include "cmd/cmd.h"
#include "cmd/table.h"
#include "session/snapshot.h"

#define NAMES_SHOWN 5
#define SHOWN 512

/* ---- JSON: all that is known, which the text is made from too ---- */

static const char *const verdicts[] = {
    [ROUTE_TAKES] = "takes",
    [ROUTE_OTHER_NAME] = "name",
    [ROUTE_OTHER_KIND] = "first_bytes",
    [ROUTE_OTHER_LISTENER] = "listener",
    [ROUTE_OTHER_ALPN] = "alpn",
    [ROUTE_COMES_LATER] = "later",
};

void explain_told_trial(struct explain_told *t, const struct route_trial *trial)
{
    json_t *row = json_pack("{s:s, s:s, s:s?, s:s}", "route", trial->name, "verdict",
                            verdicts[trial->verdict], "sni", trial->sni, "alpn", trial->alpn);
    CHECK(row != NULL && json_array_append_new(t->trials, row) == 0);
}

static json_t *protocols_json(const struct foresee_client *c)
{
    json_t *list = json_array();
    for (size_t at = 0; at < c->alpn_len; at += 1 + (size_t)c->alpn[at])
        json_array_append_new(list, json_stringn_nocheck((const char *)c->alpn + at + 1, c->alpn[at]));
    return list;
}

static json_t *client_json(const struct explain_told *t)
{
    const struct foresee_client *c = t->client;
    char from[NET_ADDR_TEXT_MAX];
    return json_pack("{s:s, s:s, s:s*, s:s*, s:o, s:b, s:s, s:s*}", "listener",
                     t->snap->config->listeners.v[c->listener].name.text, "transport",
                     c->quic ? "quic" : "tcp", "from",
                     c->peer.family == AF_UNSPEC ? NULL : net_addr_host(&c->peer, from), "sni",
                     *c->name == '\0' ? NULL : c->name, "alpn", protocols_json(c), "taken_for_http",
                     (int)t->as_http, "version", tls_version_word(c->version), "certificate", t->certificate);
}

static json_t *certificate_json(const struct cert *cert)
{
    char end[PEM_TIME_MAX];
    if (cert == NULL)
        return json_null();
    json_t *names = json_array();
    for (size_t i = 0; i < cert->names_len; i++)
        json_array_append_new(names, json_string(cert->names[i]));
    return json_pack("{s:s, s:s, s:o, s:s}", "label", cert->label, "kind", cert_kind_word(cert->kind),
                     "names", names, "not_after", pem_time_text(cert->not_after, end));
}

static json_t *tls_json(const struct foresight *f)
{
    if (!f->ends_tls)
        return json_null();
    return json_pack("{s:s, s:s*, s:o, s:b, s:b, s:s}", "version", tls_version_word(f->version), "alpn",
                     *f->alpn == '\0' ? NULL : f->alpn, "certificate", certificate_json(f->cert), "looked_up",
                     (int)f->looked_up, "candidates", (int)f->candidates, "clients",
                     f->demands ? "required"
                     : f->asks  ? "optional"
                                : "none");
}

static json_t *backends_json(const struct explain_told *t)
{
    const struct upstream *u = &t->foresight->route->upstream;
    json_t *list = json_array();
    for (size_t i = 0; i < u->n; i++)
        json_array_append_new(list, json_string(u->v[i]->key));
    return list;
}

static json_t *route_json(const struct explain_told *t)
{
    const struct route_runtime *r = t->foresight->route;
    if (r == NULL)
        return json_null();
    return json_pack("{s:s, s:s, s:i, s:o}", "name", r->config->name.text, "action",
                     config_action_name(r->config->action), "line", r->config->head.at.line, "backends",
                     backends_json(t));
}

static json_t *policy_json(const struct foresight *f)
{
    if (!f->judged)
        return json_null();
    return json_pack("{s:b, s:s?}", "allows", f->verdict.effect != POLICY_DENY, "rule", f->verdict.rule);
}

static json_t *end_json(const struct foresight *f)
{
    if (f->reason == CLOSE_DONE)
        return json_null();
    return json_pack("{s:s, s:s*, s:s}", "reason", close_reason_word(f->reason), "alert",
                     f->alert == 0 ? NULL : config_alert_name(f->alert), "detail", f->why);
}

static json_t *make(const struct explain_told *t)
{
    const struct foresight *f = t->foresight;
    json_t *all = json_pack("{s:o, s:O, s:o, s:o, s:s*, s:o, s:o}", "client", client_json(t), "routes",
                            t->trials, "route", route_json(t), "tls", tls_json(f), "identity",
                            f->identity == NULL ? NULL : identity_label(f->identity), "policy",
                            policy_json(f), "end", end_json(f));
    CHECK(all != NULL);
    return all;
}

void explain_told_json(const struct explain_told *t)
{
    json_t *all = make(t);
    cmd_print_json(all);
    json_decref(all);
}

/* ---- text ---- */

static void line(const char *what, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

static void line(const char *what, const char *fmt, ...)
{
    char text[SHOWN], clean[SHOWN];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    str_clean(clean, sizeof(clean), text);
    printf("%-13s%s\n", what, clean);
}

static void put_list(struct buf *b, const json_t *list, size_t most)
{
    size_t i, n = json_array_size(list);
    const json_t *item;
    json_array_foreach(list, i, item) if (i < most)
        buf_printf(b, "%s%s", i > 0 ? ", " : "", json_string_value(item));
    if (n > most)
        buf_printf(b, " and %zu more", n - most);
}

static void tell_client(const struct explain_told *t, const json_t *all)
{
    const json_t *c = json_object_get(all, "client"), *alpn = json_object_get(c, "alpn");
    const struct config_listener *l = &t->snap->config->listeners.v[t->client->listener];
    struct buf b = {0};
    put_list(&b, alpn, NAMES_SHOWN);
    line("listener", "%s (%s%s)", l->name.text, l->address.text.text, t->client->quic ? ", QUIC" : "");
    line("client", "%s, %s%s, TLS %s, %s%s", *t->client->name == '\0' ? "no server name" : t->client->name,
         b.len == 0 ? "no ALPN" : "ALPN ",
         b.len > 0    ? buf_text(&b)
         : t->as_http ? " (taken for one that speaks http/1.1)"
                      : "",
         table_text(c, "version"), t->certificate == NULL ? "no certificate" : "certificate ",
         t->certificate == NULL ? "" : t->certificate);
    buf_free(&b);
}

static const char *verdict_text(const json_t *row, char text[SHOWN])
{
    const char *verdict = table_text(row, "verdict");
    if (strcmp(verdict, "takes") == 0)
        return "takes it";
    if (strcmp(verdict, "later") == 0)
        return "would take it, but another has precedence";
    if (strcmp(verdict, "alpn") == 0)
        snprintf(text, SHOWN, "no: it is for ALPN %s", table_text(row, "alpn"));
    else
        snprintf(text, SHOWN, "no: it is for %s",
                 strcmp(verdict, "listener") == 0 ? "other listeners" : "other first bytes");
    return text;
}

/* The rules whose name holds in a table, the others on one line. */
static void tell_routes(const struct explain_told *t)
{
    struct table table = {.columns = 3};
    json_t *others = json_array();
    struct buf b = {0};
    char text[SHOWN];
    size_t i;
    const json_t *row;
    table_add(&table, "ROUTE");
    table_add(&table, "NAME");
    table_add(&table, "VERDICT");
    json_array_foreach(t->trials, i, row)
    {
        if (strcmp(table_text(row, "verdict"), "name") == 0) {
            json_array_append(others, json_object_get(row, "route"));
            continue;
        }
        bool takes = strcmp(table_text(row, "verdict"), "takes") == 0;
        table_add(&table, "%s", table_text(row, "route"));
        table_paint(&table, takes ? TABLE_GREEN : TABLE_PLAIN);
        table_add(&table, "%s", table_text(row, "sni"));
        table_add(&table, "%s", verdict_text(row, text));
    }
    table_end(&table, stdout);
    putchar('\n');
    put_list(&b, others, NAMES_SHOWN);
    if (b.len > 0)
        line("other names", "%s", buf_text(&b));
    json_decref(others);
    buf_free(&b);
}

static void tell_certificate(const struct foresight *f, const json_t *tls)
{
    const json_t *cert = json_object_get(tls, "certificate");
    struct buf b = {0};
    put_list(&b, json_object_get(cert, "names"), NAMES_SHOWN);
    if (f->looked_up)
        line("certificate", "the running door looks one up for the name%s%s",
             f->cert == NULL ? "" : "; where there is none: ", f->cert == NULL ? "" : f->cert->label);
    else if (f->cert != NULL)
        line("certificate", "%s: %s (%s), until %s%s", f->cert->label, buf_text(&b),
             cert_kind_word(f->cert->kind), table_text(cert, "not_after"),
             f->candidates ? "; the client sees candidates" : "");
    buf_free(&b);
}

static void tell_tls(const struct foresight *f, const json_t *all)
{
    const json_t *tls = json_object_get(all, "tls");
    if (!f->ends_tls)
        return;
    line("TLS", "%s%s%s", table_text(tls, "version"), *f->alpn == '\0' ? "" : ", ", f->alpn);
    tell_certificate(f, tls);
    if (f->asks)
        line("identity", "%s (client certificates: %s)",
             f->identity == NULL ? "none is proven" : identity_label(f->identity),
             table_text(tls, "clients"));
}

/* Where it goes, in the words of its action. */
static void tell_goal(const struct explain_told *t)
{
    const struct config_route *rc = t->foresight->route->config;
    const struct upstream *u = &t->foresight->route->upstream;
    struct buf b = {0};
    json_t *backends = backends_json(t);
    put_list(&b, backends, NAMES_SHOWN);
    for (size_t i = 0; i < rc->serve.n; i++)
        buf_printf(&b, "%s%s", i > 0 ? ", " : "", rc->serve.v[i].text);
    if (rc->action == CONFIG_TUNNEL)
        line("backend", "the target that the client names, as the policy allows");
    else if (rc->action == CONFIG_EXPOSE)
        line("backend",
             "the agent that offers the name; which one, and in what kind, the running door knows");
    else if (u->n > 1)
        line("backend", "%s: of those that are up the one with the fewest connections", buf_text(&b));
    else
        line(rc->action == CONFIG_SERVE ? "service" : "backend", "%s", buf_text(&b));
    json_decref(backends);
    buf_free(&b);
}

static void tell_policy(const struct foresight *f)
{
    if (!f->judged)
        return;
    if (f->verdict.rule != NULL)
        line("policy", "row %s %s", f->verdict.rule, f->verdict.effect == POLICY_DENY ? "denies" : "allows");
    else
        line("policy", "%s", f->reason == CLOSE_DENIED ? "no row allows it" : "the target decides");
}

static void tell_end(const struct foresight *f)
{
    if (f->reason == CLOSE_DONE)
        return;
    line("refused", "%s (%s%s%s)", f->why, close_reason_word(f->reason), f->alert == 0 ? "" : ", alert ",
         f->alert == 0 ? "" : config_alert_name(f->alert));
}

void explain_told_text(const struct explain_told *t)
{
    const struct foresight *f = t->foresight;
    json_t *all = make(t);
    tell_client(t, all);
    tell_routes(t);
    if (f->route != NULL)
        line("route", "%s (line %u): %s", f->route->config->name.text, f->route->config->head.at.line,
             config_action_name(f->route->config->action));
    tell_tls(f, all);
    tell_policy(f);
    if (f->reason == CLOSE_DONE)
        tell_goal(t);
    else
        tell_end(f);
    json_decref(all);
}
