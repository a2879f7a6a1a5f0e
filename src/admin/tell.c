/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/tell.h"

#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "admin/tell_internal.h"
#include "base/buf.h"
#include "base/check.h"
#include "base/str.h"
#include "policy/policy.h"
#include "session/review.h"
#include "session/routing.h"
#include "session/snapshot.h"
#include "session/staging.h"
#include "session/standby.h"

#define WARNINGS_MAX 20 /* of one configuration; the rest is counted */

void tell_warn(struct telling *t, struct config_pos at, const char *fmt, ...)
{
    struct err text, placed;
    va_list ap;
    if (t->count++ >= WARNINGS_MAX)
        return;
    va_start(ap, fmt);
    vsnprintf(text.text, sizeof(text.text), fmt, ap);
    va_end(ap);
    config_error(t->snap->config, at, &placed, "warning: %s", text.text);
    t->ok = t->ok && buf_printf(t->out, "%s\n", placed.text);
}

static const struct config_text *file_of(const struct config_certificate *c, enum standby_side side)
{
    return side == STANDBY_BACKUP ? &c->backup->certificate : &c->certificate;
}

static void warn_of_certificates(struct telling *t)
{
    const struct config *c = t->snap->config;
    struct err text;
    for (size_t i = 0; i < c->certificates.n; i++)
        for (int side = 0; side < STANDBY_SIDES; side++) {
            const struct cert *cert = t->snap->pairs[i].side[side];
            if (cert != NULL && cert_warning(cert, time(NULL), &text))
                tell_warn(t, file_of(&c->certificates.v[i], (enum standby_side)side)->at, "%s", text.text);
        }
}

static bool is_same_leaf(const struct cert *a, const struct cert *b)
{
    struct str x = cert_leaf_der(a), y = cert_leaf_der(b);
    return x.len == y.len && memcmp(x.p, y.p, x.len) == 0;
}

/* One that was promoted goes on hiding the file that it was put in place of, whatever becomes of that. */
static void warn_of_hidden(struct telling *t, const struct staged *item, bool *marks)
{
    const struct config *c = t->snap->config;
    staging_stands_for(item->cert, t->snap->certs, c->certificates.n, marks);
    for (size_t i = 0; i < c->certificates.n; i++) {
        if (!marks[i])
            continue;
        const struct config_text *file =
            file_of(&c->certificates.v[i], standby_serves(&t->snap->pairs[i], t->snap->aside));
        if (is_same_leaf(item->cert, t->snap->certs[i]))
            tell_warn(
                t, file->at,
                "%s is what was promoted as '%s', which is needed no more: 'cardea cert rollback', then "
                "'cardea cert disable'",
                file->text, item->label);
        else if (t->snap->certs[i]->not_before > item->cert->not_before)
            tell_warn(
                t, file->at,
                "%s is newer than '%s', which was promoted and is served instead: stage and promote the "
                "file, or take '%s' back with 'cardea cert rollback'",
                file->text, item->label, item->label);
    }
}

static void warn_of_promoted(struct telling *t)
{
    const struct staging *s = t->snap->staging;
    bool *marks = calloc(t->snap->config->certificates.n + 1, sizeof(bool));
    CHECK(marks != NULL);
    for (size_t i = 0; s != NULL && i < s->n; i++) {
        if (!s->v[i].promoted)
            continue;
        if (s->v[i].cert != NULL)
            warn_of_hidden(t, &s->v[i], marks);
        else
            tell_warn(
                t, t->snap->config->tls.head.at,
                "TLS settings that were promoted are in force instead: %s; write them here, or take them "
                "back with 'cardea cert rollback tls'",
                s->v[i].tls_text);
    }
    free(marks);
}

/* A bundle with CRLs fails closed: whole CAs may be locked out. */
static void warn_of_lockouts(struct telling *t)
{
    const struct config *c = t->snap->config;
    struct err text;
    for (size_t i = 0; i < c->trust.n; i++) {
        const struct config_trust *ct = &c->trust.v[i];
        size_t at = 0, file;
        while (trust_lockout(t->snap->trust[i], &at, time(NULL), &file, &text))
            tell_warn(t, file == SIZE_MAX ? ct->head.at : ct->crl.v[file].at, "%s", text.text);
    }
}

/* Clients whose keys are stale are led by the public name, and told the keys of now within TLS only. */
static void warn_of_public_name(struct telling *t)
{
    const struct config_ech *e = t->snap->config->ech;
    if (e == NULL)
        return;
    uint32_t route = routing_of_name(t->snap, e->public_name.text);
    if (route == ROUTE_NONE || t->snap->routes[route].tls == NULL)
        tell_warn(t, e->public_name.at,
                  "ech: no route ends TLS for %s: clients with keys of before cannot be told the keys of now",
                  e->public_name.text);
}

/* Is `name` one label and then `suffix`, which begins with a dot? */
static bool is_label_before(const char *name, const char *suffix)
{
    const char *dot = strchr(name, '.');
    return dot != NULL && dot != name && strcmp(dot, suffix) == 0;
}

/* Does the certificate serve somebody who asks for `sni`: an exact name, or a pattern `*.x`, of which one
 * name is enough? */
static bool is_named(const struct cert *cert, const char *sni)
{
    for (size_t i = 0; i < cert->names_len; i++) {
        const char *name = cert->names[i];
        if (strcmp(name, sni) == 0 || (name[0] == '*' && is_label_before(sni, name + 1)) ||
            (sni[0] == '*' && is_label_before(name, sni + 1)))
            return true;
    }
    return false;
}

static bool has_certificate(const struct cert_store *store, const char *sni)
{
    if (sni[0] != '*')
        return is_named(
            cert_select(store, &(struct cert_query){.sni = {sni, strlen(sni)}, .version = 0x0304}), sni);
    for (size_t i = 0; i < cert_store_count(store); i++)
        if (is_named(cert_store_at(store, i), sni))
            return true;
    return false;
}

/* Clients that ask for the name get a certificate that they must refuse. */
static void warn_of_names(struct telling *t, const struct route_runtime *r)
{
    const struct config_route *rc = r->config;
    for (size_t i = 0; r->store != NULL && !r->looks_up && i < rc->sni.n; i++) {
        const char *sni = rc->sni.v[i].text;
        if (strcmp(sni, "none") != 0 && strncmp(sni, "**", 2) != 0 && !has_certificate(r->store, sni))
            tell_warn(t, rc->sni.v[i].at, "no certificate names %s (route %s)", sni, rc->name.text);
    }
}

static void warn_of_anyone(struct telling *t, const struct config_route *rc)
{
    const struct config_backend *backend = config_route_backend(rc);
    const struct config_backend_tls *tls = backend == NULL ? NULL : backend->tls;
    if (tls != NULL && tls->verify == CONFIG_VERIFY_ANY)
        tell_warn(t, tls->head.at, "anyone can be this backend: " TELL_PROVES_NOTHING " (route %s)",
                  rc->name.text);
}

/* Each connection would fail. It may come yet, so it is no error. */
static void warn_of_programs(struct telling *t, const struct config_route *rc)
{
    const struct config_backend *backend = config_route_backend(rc);
    for (size_t i = 0; backend != NULL && i < backend->to.n; i++) {
        const struct config_address *to = &backend->to.v[i];
        if (to->place == CONFIG_AT_PROGRAM && access(to->program[0], X_OK) != 0)
            tell_warn(t, to->text.at, "found %s, expected a program that can be started: %s (route %s)",
                      to->text.text, strerror(errno), rc->name.text);
    }
}

static bool is_backend_of(const char *address, const struct config_route *rc)
{
    const struct config_backend *b = config_route_backend(rc);
    for (size_t i = 0; b != NULL && i < b->to.n; i++)
        if (strcmp(b->to.v[i].text.text, address) == 0)
            return true;
    return false;
}

/* A way in which a route's backend is told who the client is, and another route's clients could say it
 * themselves; NULL: there is none. */
static const char *forged_between(const struct config_hand_on *told, const struct config_hand_on *other)
{
    if (told->protocol.text != NULL && other->protocol.text == NULL)
        return "protocol";
    if (told->proxy != CONFIG_SEND_PROXY_NONE && other->proxy == CONFIG_SEND_PROXY_NONE)
        return "proxy";
    return told->headers && !other->headers ? "headers" : NULL;
}

/* A backend believes what comes from the door: on every way there the door must say it. */
static void warn_of_forging(struct telling *t, const struct config_route *rc)
{
    const struct config *c = t->snap->config;
    const struct config_backend *b = config_route_backend(rc);
    for (size_t i = 0; i < c->routes.n; i++)
        for (size_t k = 0; b != NULL && k < b->to.n; k++) {
            const struct config_route *told = &c->routes.v[i];
            const char *key = forged_between(&told->hand_on, &rc->hand_on);
            if (key == NULL || !is_backend_of(b->to.v[k].text.text, told))
                continue;
            tell_warn(
                t, b->to.v[k].text.at,
                "%s believes the door who a client is (hand_on.%s of route %s), and clients of route %s "
                "can say so themselves: hand on there too, or lead them to another port of it",
                b->to.v[k].text.text, key, told->name.text, rc->name.text);
        }
}

/* Few web servers speak HTTP/2 without TLS. */
static void hint_at_h2(struct telling *t, const struct config_route *rc)
{
    if (rc->action != CONFIG_TERMINATE || rc->terminate->tls != NULL)
        return;
    for (size_t i = 0; i < rc->terminate->alpn.n; i++)
        if (strcmp(rc->terminate->alpn.v[i].text, "h2") == 0)
            tell_warn(t, rc->terminate->alpn.v[i].at,
                      "h2 works only if the backend speaks HTTP/2 in the clear (route %s)", rc->name.text);
}

/* ---- the policy ---- */

bool tell_row_is_for(const struct config_policy_row *row, const char *route)
{
    for (size_t i = 0; i < row->routes.n; i++)
        if (strcmp(row->routes.v[i].text, route) == 0)
            return true;
    return row->routes.n == 0;
}

/* The policy is asked on this route, and no row of it could ever say yes. */
static void warn_of_closed(struct telling *t, const struct config_route *rc)
{
    const struct config_policy *p = &t->snap->config->policy;
    bool tunnel = rc->action == CONFIG_TUNNEL;
    if (rc->clients.mode == CONFIG_CLIENTS_NONE || rc->action == CONFIG_EXPOSE)
        return;
    for (size_t i = 0; i < p->n; i++)
        if (p->v[i].effect == CONFIG_ALLOW && (p->v[i].targets.n > 0) == tunnel &&
            tell_row_is_for(&p->v[i], rc->name.text))
            return;
    tell_warn(t, rc->clients.head.at, "nobody can use route %s: no row of the policy allows anybody %s",
              rc->name.text, tunnel ? "a target there" : "to");
}

#define SNI_COMPARED 1000 /* names of a route; one with more is taken to hold any */

bool tell_may_be_name_of(const char *entry, const struct config_route *rc)
{
    char name[HOSTNAME_MAX + 16];
    enum policy_space space;
    const char *text = policy_target_of(entry, &space);
    if (rc->sni.n == 0 || rc->sni_file.text != NULL || rc->sni.n > SNI_COMPARED)
        return true;
    str_copy(name, sizeof(name), text, MIN(strcspn(text, ":"), sizeof(name) - 1));
    for (size_t i = 0; i < rc->sni.n; i++)
        if (str_globs_meet(rc->sni.v[i].text, name))
            return true;
    return false;
}

/* An allow row has a target of that kind for a name of the route. */
static bool row_has(const struct config_policy_row *row, enum policy_space space,
                    const struct config_route *rc)
{
    enum policy_space is;
    for (size_t i = 0; i < row->targets.n && row->effect == CONFIG_ALLOW; i++) {
        policy_target_of(row->targets.v[i].text, &is);
        if (is == space && tell_may_be_name_of(row->targets.v[i].text, rc))
            return true;
    }
    return false;
}

/* The row counts on some tunnel route: there agents come in. */
static bool row_is_for_tunnels(const struct config *c, const struct config_policy_row *row)
{
    for (size_t i = 0; i < c->routes.n; i++)
        if (c->routes.v[i].action == CONFIG_TUNNEL && tell_row_is_for(row, c->routes.v[i].name.text))
            return true;
    return false;
}

/* A route that leads to agents: may any agent offer something there, and may anybody visit it? */
static void warn_of_unoffered(struct telling *t, const struct config_route *rc)
{
    const struct config *c = t->snap->config;
    bool offered = false, to_some = false, visited = false;
    for (size_t i = 0; i < c->policy.n; i++) {
        const struct config_policy_row *row = &c->policy.v[i];
        bool tunnels = row_is_for_tunnels(c, row);
        to_some |= tunnels && row_has(row, POLICY_OFFER, rc);
        offered |= tunnels && (row_has(row, POLICY_OFFER, rc) || row_has(row, POLICY_PUBLIC, rc));
        visited |= tell_row_is_for(row, rc->name.text) && row_has(row, POLICY_NAME, rc);
    }
    if (!offered)
        tell_warn(
            t, rc->expose->head.at,
            "no agent can offer what route %s leads to: no row of the policy allows, on a tunnel route, a "
            "target 'offer:NAME' or 'public:NAME' with a name of it",
            rc->name.text);
    else if (to_some && !visited && rc->clients.mode != CONFIG_CLIENTS_NONE)
        tell_warn(
            t, rc->expose->head.at,
            "nobody can visit what is offered in private on route %s: no row of the policy allows a target "
            "'name:NAME' with a name of it there",
            rc->name.text);
}

/* A row may name a route on which it counts for nothing. One that denies was an error already. */
static void warn_of_named(struct telling *t, const struct config_policy_row *row)
{
    if (row->effect == CONFIG_DENY)
        return;
    for (size_t i = 0; i < row->routes.n; i++) {
        const struct config_text *name = &row->routes.v[i];
        const struct config_route *rc = config_route_find(t->snap->config, name->text);
        if (rc->clients.mode == CONFIG_CLIENTS_NONE)
            tell_warn(
                t, name->at, "the policy is not asked on route %s, which has no 'clients'%s", name->text,
                rc->action == CONFIG_REJECT || rc->action == CONFIG_EXPOSE ? "" : ": it is open to all");
        else if (rc->action == CONFIG_TUNNEL && row->targets.n == 0)
            tell_warn(t, name->at, "rule %s has no targets: it opens nothing on route %s, a tunnel",
                      row->name.text, name->text);
        else if (rc->action == CONFIG_EXPOSE && row->targets.n == 0)
            tell_warn(t, name->at,
                      "rule %s has no targets: it opens nothing on route %s, which leads to agents",
                      row->name.text, name->text);
    }
}

/* Routes that ask who their clients are: tunnels, or others. */
static bool has_asking(const struct config *c, bool tunnels)
{
    for (size_t i = 0; i < c->routes.n; i++)
        if (c->routes.v[i].clients.mode != CONFIG_CLIENTS_NONE &&
            (c->routes.v[i].action == CONFIG_TUNNEL) == tunnels)
            return true;
    return false;
}

/* A row for every route, in a file where that comes to nothing. */
static void warn_of_unnamed(struct telling *t, const struct config_policy_row *row)
{
    const struct config *c = t->snap->config;
    bool tunnels = has_asking(c, true), others = has_asking(c, false);
    if (row->routes.n > 0)
        return;
    if (!tunnels && !others)
        tell_warn(t, row->head.at, "rule %s counts for nothing: no route has 'clients'", row->name.text);
    else if (!others && row->targets.n == 0 && row->effect == CONFIG_ALLOW)
        tell_warn(t, row->head.at,
                  "rule %s has no targets, and all routes with 'clients' are tunnels: it opens nothing",
                  row->name.text);
    else if (!tunnels && row->targets.n > 0)
        tell_warn(t, row->head.at, "rule %s has targets, and no route is a tunnel: it counts for nothing",
                  row->name.text);
}

/* A row that denies on every route, and yet not where nobody is asked who he is. */
static void hint_at_denial(struct telling *t, const struct config_policy_row *row)
{
    const struct config *c = t->snap->config;
    if (row->effect != CONFIG_DENY || row->routes.n > 0 || row->targets.n > 0 ||
        (!has_asking(c, true) && !has_asking(c, false)))
        return;
    for (size_t i = 0; i < c->routes.n; i++)
        if (c->routes.v[i].action == CONFIG_TERMINATE && c->routes.v[i].clients.mode == CONFIG_CLIENTS_NONE)
            tell_warn(t, row->head.at, "rule %s does not deny anybody route %s, which has no 'clients'",
                      row->name.text, c->routes.v[i].name.text);
}

static void warn_of_policy(struct telling *t, bool hints)
{
    const struct config *c = t->snap->config;
    for (size_t i = 0; i < c->routes.n; i++) {
        warn_of_closed(t, &c->routes.v[i]);
        if (c->routes.v[i].action == CONFIG_EXPOSE)
            warn_of_unoffered(t, &c->routes.v[i]);
    }
    for (size_t i = 0; i < c->policy.n; i++) {
        warn_of_named(t, &c->policy.v[i]);
        warn_of_unnamed(t, &c->policy.v[i]);
        if (hints)
            hint_at_denial(t, &c->policy.v[i]);
    }
    tell_idle_rows(t);
}

/* Only what is alphanumeric of a protocol's name, in lower case. */
static void squeeze(const char *name, char *ret, size_t size)
{
    size_t n = 0;
    for (const char *p = name; *p != '\0' && n < size - 1; p++)
        if (isalnum((unsigned char)*p))
            ret[n++] = (char)tolower((unsigned char)*p);
    ret[n] = '\0';
}

/* Names of protocols are compared byte by byte (RFC 7301, 3.2), and some are often written otherwise. */
static void warn_of_protocols(struct telling *t, const struct config_texts *alpn)
{
    static const struct {
        const char *squeezed, *meant;
    } known[] = {{"http10", "http/1.0"}, {"http11", "http/1.1"}, {"http2", "h2"}, {"http20", "h2"},
                 {"h2", "h2"},           {"http3", "h3"},        {"h3", "h3"},    {"acmetls1", "acme-tls/1"},
                 {"cardea1", "cardea/1"}};
    for (size_t i = 0; i < alpn->n; i++) {
        const char *name = alpn->v[i].text;
        char is[16];
        squeeze(name, is, sizeof(is));
        for (size_t k = 0; k < ARRAY_LEN(known); k++)
            if (strcmp(is, known[k].squeezed) == 0 && strcmp(name, known[k].meant) != 0 &&
                strchr(name, '*') == NULL)
                tell_warn(t, alpn->v[i].at, "no protocol is called '%s'; did you mean '%s'?", name,
                          known[k].meant);
    }
}

bool tell_warnings(struct buf *b, const struct snapshot *snap, bool hints)
{
    struct telling t = {.out = b, .snap = snap, .ok = true};
    warn_of_certificates(&t);
    warn_of_promoted(&t);
    warn_of_lockouts(&t);
    warn_of_public_name(&t);
    for (size_t i = 0; i < snap->config->routes.n; i++) {
        warn_of_names(&t, &snap->routes[i]);
        warn_of_protocols(&t, &snap->routes[i].config->alpn);
        warn_of_anyone(&t, snap->routes[i].config);
        warn_of_programs(&t, snap->routes[i].config);
        warn_of_forging(&t, snap->routes[i].config);
        if (hints)
            hint_at_h2(&t, snap->routes[i].config);
    }
    warn_of_policy(&t, hints);
    if (t.count > WARNINGS_MAX)
        t.ok = t.ok && buf_printf(b, "%s: %zu more warnings are not shown\n", snap->config->file,
                                  t.count - WARNINGS_MAX);
    return t.ok;
}

bool tell_review(struct buf *b, const struct review *r)
{
    bool ok = true;
    if (r->withdrawn > 0)
        ok = buf_printf(b,
                        "cardea: %zu of %zu offers of agents %s not allowed any more and withdrawn; which "
                        "and why is in the log, and in the audit file as 'denied'\n",
                        r->withdrawn, r->offers, r->withdrawn == 1 ? "is" : "are");
    else if (r->offers > 0)
        ok = buf_printf(b, "cardea: offers of agents go on: %zu\n", r->offers);
    if (r->later > 0)
        ok =
            ok && buf_printf(b,
                             "cardea: offers of agents that are still to be judged: %zu; the log tells which "
                             "of them are withdrawn, within seconds\n",
                             r->later);
    if (r->carriers > 0)
        ok = ok &&
             buf_printf(b,
                        "cardea: connections that carry tunnels or offers: %zu; each is judged anew within "
                        "seconds, at the latest before its next tunnel. 'cardea status --sessions' shows "
                        "what goes as 'leaving', and why; so does the log\n",
                        r->carriers);
    if (r->unused > 0)
        ok = ok && buf_printf(b, "cardea: connections that clients kept ready were closed: %zu\n", r->unused);
    return ok;
}

bool tell_lines(struct buf *b, const char *text)
{
    const char *comma = "";
    bool ok = buf_append(b, "[", 1);
    while (text != NULL && *text != '\0' && ok) {
        size_t n = strcspn(text, "\n");
        if (n > 0) {
            ok = buf_printf(b, "%s", comma) && str_json(b, text, n);
            comma = ",";
        }
        text += n + (text[n] == '\n');
    }
    return ok && buf_append(b, "]", 1);
}

const char *tell_first_bytes_word(enum config_first_bytes what)
{
    static const char *const words[] = {[CONFIG_FIRST_SSH] = "ssh",
                                        [CONFIG_FIRST_HTTP] = "http",
                                        [CONFIG_FIRST_POSTGRESQL] = "postgresql",
                                        [CONFIG_FIRST_LDAP] = "ldap",
                                        [CONFIG_FIRST_XMPP] = "xmpp"};
    CHECK((size_t)what < ARRAY_LEN(words));
    return words[what];
}

bool tell_first_bytes(struct buf *b, const struct config_codes *codes)
{
    bool ok = buf_append(b, "[", 1);
    for (size_t i = 0; i < codes->n; i++)
        ok = ok && buf_printf(b, "%s\"%s\"", i > 0 ? "," : "", tell_first_bytes_word(codes->v[i]));
    return ok && buf_append(b, "]", 1);
}
