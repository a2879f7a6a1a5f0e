/* SPDX-License-Identifier: Apache-2.0 */
#include "config/verify.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/err.h"
#include "base/hostname.h"
#include "config/keys.h"
#include "config/schema.h"
#include "config/store.h"
#include "config/verify_acme.h"
#include "config/verify_backend_tls.h"
#include "config/verify_certificates.h"
#include "config/verify_ech.h"
#include "config/verify_ports.h"

/* The names of one kind of thing, sorted, and NULL at the end. */
struct names {
    const char **v;
    size_t n;
    bool unsure; /* some could not be read: one that is not here may yet exist */
};

struct verify {
    struct report *report;
    const struct config *c;
    struct config_store *scratch;
    bool partial; /* the file has errors, so values may be missing */
    struct names listeners, certificates, trusts, routes;
};

/* Add `LIST[INDEX].KEY: ` and the text; without a key `LIST[INDEX]: `. Returns -1. */
__attribute__((format(printf, 6, 7))) static int wrong(struct verify *v, struct config_pos at,
                                                       const char *list, size_t index, const char *key,
                                                       const char *fmt, ...)
{
    char text[ERR_TEXT_MAX - 128];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    return report_add(v->report, at, "%s[%zu]%s%s: %s", list, index, key != NULL ? "." : "",
                      key != NULL ? key : "", text);
}

static struct config_pos first_pos(const struct config_texts *list)
{
    CHECK(list->n > 0);
    return list->v[0].at;
}

/* Names */

struct named {
    const struct config_text *name;
    size_t index;
};

static int compare_named(const void *a, const void *b)
{
    const struct named *x = a, *y = b;
    int r = strcmp(x->name->text, y->name->text);
    return r != 0 ? r : (x->index > y->index) - (x->index < y->index);
}

static int compare_name(const void *key, const void *item)
{
    return strcmp(key, *(const char *const *)item);
}

/* Sort the names of `n` structs of `size` bytes whose name stands at `offset`; none may be there twice. */
static int collect(struct verify *v, const char *list, const void *items, size_t n, size_t size,
                   size_t offset, struct names *ret)
{
    struct named *sorted = store_alloc(v->scratch, n, sizeof(*sorted));
    ret->v = store_alloc(v->scratch, n + 1, sizeof(*ret->v));
    if (sorted == NULL || ret->v == NULL)
        return report_add(v->report, (struct config_pos){0, 0}, "out of memory");
    size_t count = 0;
    for (size_t i = 0; i < n; i++) {
        const struct config_text *name = (const void *)((const unsigned char *)items + i * size + offset);
        if (name->text != NULL)
            sorted[count++] = (struct named){name, i};
    }
    ret->unsure = v->partial && (n == 0 || count < n);
    if (count > 0)
        qsort(sorted, count, sizeof(*sorted), compare_named);
    int r = 0;
    for (size_t i = 0; i < count; i++) {
        ret->v[ret->n++] = sorted[i].name->text;
        if (i > 0 && sorted[i].name->at.line != 0 &&
            strcmp(sorted[i - 1].name->text, sorted[i].name->text) == 0)
            r = wrong(v, sorted[i].name->at, list, sorted[i].index, "name",
                      "'%s' is the name of %s[%zu] already (line %u)", sorted[i].name->text, list,
                      sorted[i - 1].index, sorted[i - 1].name->at.line);
    }
    return r;
}

#define COLLECT(v, field, type, ret)                                                                       \
    collect(v, #field, (v)->c->field.v, (v)->c->field.n, sizeof(struct type), offsetof(struct type, name), \
            ret)

/* `what` is a listener, a route ...: is there one of that name? */
static int refer(struct verify *v, const struct names *names, const char *what,
                 const struct config_text *name, const char *list, size_t index, const char *key)
{
    char hint[STR_HINT_MAX] = "", quoted[QUOTE_MAX];
    if (name->text == NULL || names->unsure)
        return 0;
    if (names->n > 0 && bsearch(name->text, names->v, names->n, sizeof(*names->v), compare_name) != NULL)
        return 0;
    if (v->report->count < REPORT_MAX)
        str_hint(name->text, names->v, hint);
    return wrong(v, name->at, list, index, key, "there is no %s %s%s", what, report_quote(quoted, name->text),
                 names->n == 0 ? "; the file names none" : hint);
}

static int refer_all(struct verify *v, const struct names *names, const char *what,
                     const struct config_texts *refs, const char *list, size_t index, const char *key)
{
    int r = 0;
    for (size_t i = 0; i < refs->n; i++)
        r |= refer(v, names, what, &refs->v[i], list, index, key);
    return r;
}

/* Routes */

/* Keys that speak of TLS which the door ends, on a route where it does not. */
static int verify_no_tls(struct verify *v, const struct config_route *r, size_t i)
{
    static const char only[] =
        "only routes that terminate, tunnel, expose or serve have it; this one is a '%s' route%s";
    const char *action = config_action_name(r->action);
    const char *plain = r->action == CONFIG_SERVE ? " for listeners that speak plain" : "";
    int bad = 0;
    if (r->clients.mode != CONFIG_CLIENTS_NONE)
        bad = wrong(v, r->clients.head.at, "routes", i, "clients", only, action, plain);
    if (r->certificates.n > 0)
        bad = wrong(v, first_pos(&r->certificates), "routes", i, "certificates", only, action, plain);
    if (r->tls.head.set != 0)
        bad = wrong(v, r->tls.head.at, "routes", i, "tls", only, action, plain);
    return bad;
}

static int verify_tunnel(struct verify *v, const struct config_route *r, size_t i)
{
    int bad = 0;
    if (r->clients.mode != CONFIG_CLIENTS_REQUIRED)
        bad = wrong(v, r->clients.head.at.line != 0 ? r->clients.head.at : r->head.at, "routes", i, "clients",
                    "a tunnel needs client certificates: {mode: required, trust: NAME}");
    if (v->c->policy.n == 0)
        bad = wrong(v, r->head.at, "routes", i, "tunnel",
                    "nobody could use it: there is no policy; add a row that allows somebody some targets");
    for (size_t k = 0; k < r->alpn.n; k++)
        if (strcmp(r->alpn.v[k].text, "cardea/1") != 0 && strcmp(r->alpn.v[k].text, "http/1.1") != 0 &&
            strcmp(r->alpn.v[k].text, "h2") != 0 && strcmp(r->alpn.v[k].text, "h3") != 0)
            bad = wrong(v, r->alpn.v[k].at, "routes", i, "alpn",
                        "a tunnel speaks cardea/1, and http/1.1, h2 and h3 (for CONNECT), not '%s'",
                        r->alpn.v[k].text);
    return bad;
}

/* Agents register at a tunnel, and only where the policy lets them. */
static int verify_expose(struct verify *v, const struct config_route *r, size_t i)
{
    bool tunnel = false;
    for (size_t k = 0; k < v->c->routes.n; k++)
        tunnel |= v->c->routes.v[k].action == CONFIG_TUNNEL;
    if (!tunnel)
        return wrong(v, r->head.at, "routes", i, "expose",
                     "no agent could offer anything: there is no route with 'tunnel', where agents come in");
    return 0;
}

/* Of what does not begin with TLS only HTTP can be served; a listener that speaks plain looks at no bytes. */
static int verify_served_first_bytes(struct verify *v, const struct config_route *r, size_t i)
{
    for (size_t k = 0; k < r->first_bytes.n; k++)
        if (r->first_bytes.v[k] != CONFIG_FIRST_HTTP)
            return wrong(v, r->head.at, "routes", i, "first_bytes", "with 'serve' there is 'http' only");
    for (size_t k = 0; k < v->c->listeners.n && r->first_bytes.n > 0; k++)
        if (config_route_names(r, v->c->listeners.v[k].name.text) &&
            strcmp(v->c->listeners.v[k].speaks.text, CONFIG_SPEAKS_PLAIN) == 0)
            return wrong(v, r->head.at, "routes", i, "first_bytes",
                         "listener '%s' speaks plain, where all that comes is served; leave this out",
                         v->c->listeners.v[k].name.text);
    return 0;
}

/* What is served on a port without TLS has no client who could prove himself, and no names. */
static int verify_serve(struct verify *v, const struct config_route *r, size_t i)
{
    int bad = verify_served_first_bytes(v, r, i);
    for (size_t k = 0; k < r->serve.n; k++)
        for (size_t j = 0; j < k; j++)
            if (strcmp(r->serve.v[j].text, r->serve.v[k].text) == 0)
                bad = wrong(v, r->serve.v[k].at, "routes", i, "serve", "'%s' is here twice",
                            r->serve.v[k].text);
    for (size_t k = 0; k < r->serve.n; k++)
        if (v->c->ca == NULL &&
            (strcmp(r->serve.v[k].text, "login") == 0 || strcmp(r->serve.v[k].text, "ca") == 0))
            bad = wrong(v, r->serve.v[k].at, "routes", i, "serve",
                        "'%s' needs a CA, and there is none; expected 'ca: {directory: DIR}'",
                        r->serve.v[k].text);
    if (config_route_is_plain(v->c, r) && config_route_ends_tls(v->c, r))
        bad = wrong(v, r->head.at, "routes", i, "serve",
                    "some of its listeners speak plain, some do not; make two routes");
    return bad;
}

/* There is nothing of a program's to be probed while it does not run. */
static int verify_backend(struct verify *v, const struct config_route *r, size_t i)
{
    const struct config_backend *b = config_route_backend(r);
    for (size_t k = 0; b != NULL && b->health != NULL && k < b->to.n; k++)
        if (b->to.v[k].place == CONFIG_AT_PROGRAM)
            return wrong(v, b->health->head.at, "routes", i, config_action_name(r->action),
                         "cannot have 'health' with %s: a program runs only while it has a connection",
                         b->to.v[k].text.text);
    return 0;
}

/* SSH and HTTP have no ClientHello: nothing can be ended, and there are no names to match. */
static int verify_first_bytes(struct verify *v, const struct config_route *r, size_t i)
{
    const char *plain = NULL;
    for (size_t k = 0; k < r->first_bytes.n; k++)
        if (r->first_bytes.v[k] == CONFIG_FIRST_SSH || r->first_bytes.v[k] == CONFIG_FIRST_HTTP)
            plain = r->first_bytes.v[k] == CONFIG_FIRST_SSH ? "ssh" : "http";
    if (plain == NULL)
        return 0;
    if (r->action != CONFIG_PASS && r->action != CONFIG_SERVE)
        return wrong(v, r->head.at, "routes", i, "first_bytes",
                     "'%s' is not TLS: it goes with 'pass' only, not '%s'", plain,
                     config_action_name(r->action));
    if (r->sni.n > 0 || r->sni_file.text != NULL || r->alpn.n > 0)
        return wrong(v, r->head.at, "routes", i, "first_bytes",
                     "'%s' is not TLS: it has no %s; leave that out, or make two routes", plain,
                     r->alpn.n > 0 ? "alpn" : "sni");
    return 0;
}

/* Heads are written into HTTP/1.1 only: nothing else may be agreed on. */
static int verify_headers_alpn(struct verify *v, const struct config_texts *list, size_t i, const char *key)
{
    for (size_t k = 0; k < list->n; k++)
        if (strcmp(list->v[k].text, CONFIG_HEADERS_ALPN) != 0)
            return wrong(v, list->v[k].at, "routes", i, key,
                         "with 'hand_on.headers' the only protocol is " CONFIG_HEADERS_ALPN
                         ", found '%s'; leave it out, or hand on by 'proxy: v2'",
                         list->v[k].text);
    return 0;
}

static int verify_headers(struct verify *v, const struct config_route *r, size_t i)
{
    if (r->action != CONFIG_TERMINATE)
        return wrong(
            v, r->hand_on.head.at, "routes", i, "hand_on.headers",
            "only routes that terminate have it: the door does not see the requests of what it passes");
    int bad = verify_headers_alpn(v, &r->alpn, i, "alpn");
    return bad != 0 ? bad : verify_headers_alpn(v, &r->terminate->alpn, i, "terminate.alpn");
}

static int verify_hand_on(struct verify *v, const struct config_route *r, size_t i)
{
    const struct config_hand_on *h = &r->hand_on;
    const char *pattern = h->user_pattern.text, *star = pattern == NULL ? NULL : strchr(pattern, '*');
    int bad = 0;
    if (h->head.set == 0)
        return 0;
    if (config_route_backend(r) == NULL)
        return wrong(v, h->head.at, "routes", i, "hand_on",
                     "only routes that pass, terminate or forward have it; this one is a '%s' route",
                     config_action_name(r->action));
    if (h->headers)
        bad = verify_headers(v, r, i);
    if (h->protocol.text != NULL && r->action != CONFIG_TERMINATE)
        bad = wrong(
            v, h->protocol.at, "routes", i, "hand_on.protocol",
            "only routes that terminate have it: nobody else's clients have proven anything to the door");
    if (schema_given(&keys_hand_on, h, "tlvs") && h->proxy != CONFIG_SEND_PROXY_V2)
        bad = wrong(v, h->head.at, "routes", i, "hand_on.tlvs",
                    "only PROXY headers of version 2 have them: it needs 'proxy: v2' beside it");
    if (h->chain && !h->headers)
        bad = wrong(v, h->head.at, "routes", i, "hand_on.chain",
                    "is a header field: it needs 'headers: true' beside it");
    if (pattern != NULL && (star == NULL || strchr(star + 1, '*') != NULL))
        bad = wrong(v, h->user_pattern.at, "routes", i, "hand_on.user_pattern",
                    "found '%s', expected one '*' in it, for the user name, as in '*@example.com'", pattern);
    return bad;
}

static int verify_versions(struct verify *v, const struct config_tls *tls, const char *where)
{
    if (tls->min_version <= tls->max_version)
        return 0;
    /* The wire value of version 1.N ends in N + 1. */
    return report_add(v->report, tls->head.at, "%s: min_version 1.%d is above max_version 1.%d", where,
                      (tls->min_version & 0xff) - 1, (tls->max_version & 0xff) - 1);
}

static int verify_groups(struct verify *v, const struct config_tls *tls, const char *where)
{
    for (size_t i = 0; i < tls->groups.n; i++)
        for (size_t k = 0; k < i && k < 64; k++)
            if (tls->groups.v[i] == tls->groups.v[k])
                return report_add(v->report, tls->head.at, "%s.groups: '%s' is here twice", where,
                                  config_group_name(tls->groups.v[i]));
    return 0;
}

/* `both`: the section has `pq` and `groups` itself, so that one who wrote it meant both. */
static int verify_pq(struct verify *v, const struct config_tls *tls, bool both, const char *where)
{
    const char *word = tls_pq_word(tls->pq);
    size_t left = 0;
    if (tls->pq == TLS_PQ_REQUIRE && tls->max_version < CONFIG_TLS_1_3)
        return report_add(
            v->report, tls->head.at,
            "%s: 'pq: require' needs TLS 1.3, and max_version is 1.2; raise that, or leave 'pq' "
            "out",
            where);
    for (size_t i = 0; i < tls->groups.n; i++)
        if (tls_pq_allows(tls->pq, (uint16_t)tls->groups.v[i]))
            left++;
        else if (both)
            return report_add(v->report, tls->head.at,
                              "%s.groups: '%s' %s post-quantum, and 'pq: %s' does not take it; expected one "
                              "%s MLKEM, or 'pq: prefer'",
                              where, config_group_name(tls->groups.v[i]),
                              tls->pq == TLS_PQ_REQUIRE ? "is not" : "is", word,
                              tls->pq == TLS_PQ_REQUIRE ? "with" : "without");
    if (left > 0)
        return 0;
    return report_add(v->report, tls->head.at,
                      "%s: 'pq: %s' leaves none of the 'groups' that hold here; expected one %s MLKEM among "
                      "them",
                      where, word, tls->pq == TLS_PQ_REQUIRE ? "with" : "without");
}

static int verify_ciphers(struct verify *v, const struct config_tls *tls, const char *where)
{
    for (size_t i = 0; i < tls->ciphers.n; i++)
        for (size_t k = 0; k < i && k < 64; k++)
            if (tls->ciphers.v[i] == tls->ciphers.v[k])
                return report_add(v->report, tls->head.at, "%s.ciphers: '%s' is here twice", where,
                                  config_cipher_name(tls->ciphers.v[i]));
    return 0;
}

static int verify_backend_tls(struct verify *v, const struct config_route *r, size_t i)
{
    const struct config_backend *backend = config_route_backend(r);
    const struct config_backend_tls *t = backend == NULL ? NULL : backend->tls;
    int bad = 0;
    char key[32], trust[40], where[64];
    struct err err;
    if (t == NULL)
        return 0;
    const struct config_tls tls = {.head = t->head,
                                   .min_version = t->min_version,
                                   .max_version = t->max_version,
                                   .groups = t->groups,
                                   .pq = t->pq};
    snprintf(key, sizeof(key), "%s.tls", config_action_name(r->action));
    snprintf(trust, sizeof(trust), "%s.trust", key);
    snprintf(where, sizeof(where), "routes[%zu].%s", i, key);
    if (t->trust.text != NULL && strcmp(t->trust.text, CONFIG_TRUST_SYSTEM) != 0)
        bad = refer(v, &v->trusts, "trust", &t->trust, "routes", i, trust);
    if ((t->certificate.text == NULL) != (t->key.text == NULL))
        bad = wrong(v, t->head.at, "routes", i, key, "has '%s' but no '%s'; they go together",
                    t->key.text == NULL ? "certificate" : "key", t->key.text == NULL ? "key" : "certificate");
    if (!verify_backend_tls_keys(v->c, r, &err))
        bad = wrong(v, t->head.at, "routes", i, key, "%s", err.text);
    if (schema_given(&keys_backend_tls, t, "min_version") ||
        schema_given(&keys_backend_tls, t, "max_version"))
        bad |= verify_versions(v, &tls, where);
    bool groups = schema_given(&keys_backend_tls, t, "groups"), pq = schema_given(&keys_backend_tls, t, "pq");
    if (groups)
        bad |= verify_groups(v, &tls, where);
    if (groups || pq || schema_given(&keys_backend_tls, t, "max_version"))
        bad |= verify_pq(v, &tls, groups && pq, where);
    return bad;
}

/* Only what the route says itself: what it inherits has been looked at. */
static int verify_route_tls(struct verify *v, const struct config_route *r, size_t i)
{
    char where[48];
    int bad = 0;
    snprintf(where, sizeof(where), "routes[%zu].tls", i);
    if (schema_given(&keys_route_tls, &r->tls, "min_version") ||
        schema_given(&keys_route_tls, &r->tls, "max_version"))
        bad = verify_versions(v, &r->tls, where);
    bool groups = schema_given(&keys_route_tls, &r->tls, "groups");
    bool pq = schema_given(&keys_route_tls, &r->tls, "pq");
    if (groups)
        bad |= verify_groups(v, &r->tls, where);
    if (groups || pq || schema_given(&keys_route_tls, &r->tls, "max_version"))
        bad |= verify_pq(v, &r->tls, groups && pq, where);
    if (schema_given(&keys_route_tls, &r->tls, "ciphers"))
        bad |= verify_ciphers(v, &r->tls, where);
    return bad;
}

static int verify_route(struct verify *v, const struct config_route *r, size_t i)
{
    int bad = refer_all(v, &v->listeners, "listener", &r->listeners, "routes", i, "listeners");
    bad |= verify_first_bytes(v, r, i) | verify_hand_on(v, r, i);
    bad |= verify_backend_tls(v, r, i);
    bad |= verify_backend(v, r, i);
    if (r->action == CONFIG_SERVE)
        bad |= verify_serve(v, r, i);
    else if (schema_given(&keys_route, r, "redirect_port"))
        bad = wrong(v, r->head.at, "routes", i, "redirect_port", "is for routes that 'serve' redirect");
    if (!config_route_ends_tls(v->c, r))
        return bad | verify_no_tls(v, r, i);
    bad |= refer_all(v, &v->certificates, "certificate", &r->certificates, "routes", i, "certificates");
    bad |= verify_route_tls(v, r, i);
    if (v->c->certificates.n == 0)
        bad = wrong(v, r->head.at, "routes", i, config_action_name(r->action),
                    "needs a certificate: the file has no 'certificates'");
    if (r->clients.mode != CONFIG_CLIENTS_NONE)
        bad |= refer(v, &v->trusts, "trust", &r->clients.trust, "routes", i, "clients.trust");
    if (r->action == CONFIG_TUNNEL)
        bad |= verify_tunnel(v, r, i);
    if (r->action == CONFIG_EXPOSE)
        bad |= verify_expose(v, r, i);
    return bad;
}

/* Policy */

static int verify_who(struct verify *v, const struct config_who *who, size_t i)
{
    bool others = who->name.n + who->dns.n + who->uri.n + who->email.n + who->issuer.n + who->group.n > 0;
    bool proven = schema_given(&keys_who, who, "proven"), any = schema_given(&keys_who, who, "any");
    if ((proven && !who->proven) || (any && !who->any))
        return wrong(v, who->head.at, "policy", i, any ? "who.any" : "who.proven",
                     "can only be true; leave it out to name somebody");
    if (proven + any + others > 1)
        return wrong(v, who->head.at, "policy", i, "who",
                     "'%s' is everybody%s: no other key can stand beside it", any ? "any" : "proven",
                     any ? "" : " who has proven to be somebody");
    if (proven + any + others == 0)
        return wrong(v, who->head.at, "policy", i, "who",
                     "names nobody; give one of name, dns, uri, email, issuer, group, or proven: true, or "
                     "any: true");
    return 0;
}

/* Targets count on tunnels only: on a row for other routes they are a mistake. */
static int verify_targets(struct verify *v, const struct config_policy_row *row, size_t i)
{
    if (row->targets.n == 0 || row->routes.n == 0)
        return 0;
    for (size_t k = 0; k < row->routes.n; k++) {
        const struct config_route *r = config_route_find(v->c, row->routes.v[k].text);
        if (r == NULL || r->action == CONFIG_TUNNEL || r->action == CONFIG_EXPOSE)
            return 0;
    }
    return wrong(
        v, first_pos(&row->targets), "policy", i, "targets",
        "only tunnels and what agents expose have targets, and none of the routes of this row is such");
}

/* A row that denies where nobody is asked who he is would only look like a lock. */
static int verify_denial(struct verify *v, const struct config_policy_row *row, size_t i)
{
    int bad = 0;
    for (size_t k = 0; k < row->routes.n && row->effect == CONFIG_DENY; k++) {
        const struct config_text *name = &row->routes.v[k];
        const struct config_route *r = config_route_find(v->c, name->text);
        if (r != NULL && r->clients.mode == CONFIG_CLIENTS_NONE)
            bad = wrong(
                v, name->at, "policy", i, "routes",
                "the policy is not asked on route %s, which has no 'clients': this row would deny nobody",
                name->text);
    }
    return bad;
}

static int verify_policy_row(struct verify *v, const struct config_policy_row *row, size_t i)
{
    int bad = refer_all(v, &v->routes, "route", &row->routes, "policy", i, "routes");
    return bad | verify_who(v, &row->who, i) | verify_targets(v, row, i) | verify_denial(v, row, i);
}

/* The whole */

static int verify_trust_names(struct verify *v)
{
    int bad = 0;
    for (size_t i = 0; i < v->c->trust.n; i++)
        if (v->c->trust.v[i].name.text != NULL &&
            strcmp(v->c->trust.v[i].name.text, CONFIG_TRUST_SYSTEM) == 0)
            bad = wrong(v, v->c->trust.v[i].name.at, "trust", i, "name",
                        "'" CONFIG_TRUST_SYSTEM "' means the machine's own CAs; choose another name");
    return bad;
}

static int verify_protocols(struct verify *v)
{
    struct names names = {0};
    int bad = COLLECT(v, protocols, config_protocol, &names);
    for (size_t i = 0; i < v->c->protocols.n; i++) {
        const struct config_protocol *p = &v->c->protocols.v[i];
        if (p->name.text != NULL &&
            (strcmp(p->name.text, CONFIG_SPEAKS_TLS) == 0 || strcmp(p->name.text, CONFIG_SPEAKS_PLAIN) == 0))
            bad |=
                wrong(v, p->name.at, "protocols", i, "name",
                      "'%s' is what a listener without STARTTLS speaks; choose another name", p->name.text);
        if (!v->partial && (p->file.text != NULL) == (p->chat.text != NULL))
            bad |= wrong(v, p->head.at, "protocols", i, NULL,
                         "expected one script: 'file', or 'chat' where it is one of chat(8)");
    }
    return bad;
}

static int verify_names(struct verify *v)
{
    struct names policy = {0};
    int bad = COLLECT(v, listeners, config_listener, &v->listeners);
    bad |= COLLECT(v, certificates, config_certificate, &v->certificates);
    bad |= COLLECT(v, trust, config_trust, &v->trusts);
    bad |= COLLECT(v, routes, config_route, &v->routes);
    bad |= COLLECT(v, policy, config_policy_row, &policy);
    return bad | verify_trust_names(v) | verify_protocols(v);
}

/* The bytes of a listener's IP address, IPv4 as mapped into IPv6; false: it is every address, IPv4 and IPv6.
 */
static bool one_address(const char *host, uint8_t ret[16])
{
    static const uint8_t every[16] = {0}, mapped[12] = {[10] = 0xff, [11] = 0xff};
    uint8_t addr[16];
    size_t n = hostname_address(host, addr);
    memcpy(ret, mapped, sizeof(mapped));
    memcpy(n == 4 ? ret + 12 : ret, addr, n);
    return n > 0 && memcmp(ret, every, 16) != 0;
}

/* Is the first of the two every address of the family that the second is of? */
static bool covers(const char *host, const char *other)
{
    static const uint8_t every4[16] = {[10] = 0xff, [11] = 0xff};
    uint8_t a[16], b[16];
    if (!one_address(host, a))
        return true;
    return one_address(other, b) && memcmp(a, b, memcmp(a, every4, 16) == 0 ? 12 : 16) == 0;
}

static bool same_place(const struct config_address *a, const struct config_address *b)
{
    if (a->place != b->place || a->text.text == NULL || b->text.text == NULL)
        return false;
    switch (a->place) {
    case CONFIG_AT_UNIX:
        return strcmp(a->path, b->path) == 0;
    case CONFIG_AT_SYSTEMD:
        return strcmp(a->name, b->name) == 0;
    default:
        return a->port == b->port && (covers(a->host, b->host) || covers(b->host, a->host));
    }
}

static int verify_pair(struct verify *v, size_t first, size_t i)
{
    const struct config_listener *other = &v->c->listeners.v[first], *l = &v->c->listeners.v[i];
    const struct config_address *a = &l->address, *b = &other->address;
    if (a->place == CONFIG_AT_STANDARD || b->place == CONFIG_AT_STANDARD)
        return wrong(
            v, a->text.at, "listeners", i, "address",
            "found %s beside %s of listeners[%zu]: '-' is one connection, and the door ends with it, so "
            "it stands alone",
            a->text.text, b->text.text, first);
    if (!same_place(a, b))
        return 0;
    return wrong(v, a->text.at, "listeners", i, "address",
                 strcmp(a->text.text, b->text.text) == 0
                     ? "listeners[%zu] has %s already (line %u)"
                     : "overlaps with listeners[%zu], which has %s (line %u): a connection can be only one's",
                 first, b->text.text, b->text.at.line);
}

static int verify_listener(struct verify *v, size_t i)
{
    const struct config_listener *l = &v->c->listeners.v[i];
    if (l->mode == 0 || l->address.place == CONFIG_AT_UNIX)
        return 0;
    return wrong(v, l->head.at, "listeners", i, "mode", "is for unix: sockets; %s is none",
                 l->address.text.text);
}

/* What routes can number, and each address only once, whatever its name. */
static int verify_listeners(struct verify *v)
{
    const struct config_listeners *l = &v->c->listeners;
    int bad = 0;
    if (l->n > CONFIG_LISTENERS_MAX)
        return wrong(v, l->v[CONFIG_LISTENERS_MAX].head.at, "listeners", CONFIG_LISTENERS_MAX, NULL,
                     "found %zu listeners, expected at most %d", l->n, CONFIG_LISTENERS_MAX);
    for (size_t i = 0; i < l->n; i++) {
        bad |= verify_listener(v, i);
        for (size_t k = 0; k < i; k++)
            bad |= verify_pair(v, k, i);
    }
    return bad;
}

/* An empty section is a slip: whoever writes it wants somebody to see candidates. */
static int verify_staging(struct verify *v)
{
    const struct config_staging *s = v->c->staging;
    if (s == NULL)
        return 0;
    if (s->listeners.n == 0 && s->networks.n == 0)
        return report_add(v->report, s->head.at,
                          "staging: nobody would see a candidate; expected 'listeners' (names), 'networks' "
                          "(ADDRESS/BITS), or both");
    int bad = 0;
    for (size_t i = 0; i < s->listeners.n; i++) {
        size_t k = 0;
        while (k < v->c->listeners.n && strcmp(v->c->listeners.v[k].name.text, s->listeners.v[i].text) != 0)
            k++;
        if (k == v->c->listeners.n)
            bad = report_add(v->report, s->listeners.v[i].at,
                             "staging.listeners: there is no listener '%s'; expected the 'name' of one",
                             s->listeners.v[i].text);
    }
    return bad;
}

static int verify_all(struct verify *v)
{
    int bad =
        verify_versions(v, &v->c->tls, "tls") | verify_groups(v, &v->c->tls, "tls") |
        verify_pq(v, &v->c->tls,
                  schema_given(&keys_tls, &v->c->tls, "groups") && schema_given(&keys_tls, &v->c->tls, "pq"),
                  "tls") |
        verify_ciphers(v, &v->c->tls, "tls") | verify_names(v) | verify_listeners(v);
    for (size_t i = 0; i < v->c->routes.n; i++)
        bad |= verify_route(v, &v->c->routes.v[i], i);
    for (size_t i = 0; i < v->c->policy.n; i++)
        bad |= verify_policy_row(v, &v->c->policy.v[i], i);
    return bad | verify_certificates(v->report, v->c) | verify_ports(v->report, v->c) |
           verify_acme(v->report, v->c) | verify_staging(v) | verify_ech(v->report, v->c);
}

/* All names that a route may refer to, whatever its action is. */
static void refer_route(struct verify *v, const struct config_route *r, size_t i)
{
    const struct config_backend *b = r->terminate != NULL ? r->terminate : r->forward;
    const struct config_backend_tls *t = b != NULL ? b->tls : NULL;
    refer_all(v, &v->listeners, "listener", &r->listeners, "routes", i, "listeners");
    refer_all(v, &v->certificates, "certificate", &r->certificates, "routes", i, "certificates");
    refer(v, &v->trusts, "trust", &r->clients.trust, "routes", i, "clients.trust");
    if (t != NULL && t->trust.text != NULL && strcmp(t->trust.text, CONFIG_TRUST_SYSTEM) != 0)
        refer(v, &v->trusts, "trust", &t->trust, "routes", i,
              b == r->forward ? "forward.tls.trust" : "terminate.tls.trust");
}

void config_verify_names(struct report *r, const struct config *c)
{
    struct verify v = {.report = r, .c = c, .scratch = store_new(), .partial = true};
    if (v.scratch == NULL) {
        report_add(r, (struct config_pos){0, 0}, "out of memory");
        return;
    }
    verify_names(&v);
    verify_listeners(&v);
    for (size_t i = 0; i < c->routes.n; i++)
        refer_route(&v, &c->routes.v[i], i);
    for (size_t i = 0; i < c->policy.n; i++)
        refer_all(&v, &v.routes, "route", &c->policy.v[i].routes, "policy", i, "routes");
    store_free(v.scratch);
}

int config_verify(struct report *r, const struct config *c)
{
    struct verify v = {.report = r, .c = c, .scratch = store_new()};
    if (v.scratch == NULL)
        return report_add(r, (struct config_pos){0, 0}, "out of memory");
    int bad = verify_all(&v);
    store_free(v.scratch);
    return bad;
}
