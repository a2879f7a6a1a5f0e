/* SPDX-License-Identifier: Apache-2.0 */
/* GET /staging: who sees candidates, what they are, what they stand in for, and what was promoted; with all
 * that `cardea cert test` compares. */
#include "admin/staging.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

#include "admin/admin_internal.h"
#include "base/base64.h"
#include "base/check.h"
#include "base/clock.h"
#include "cert/facts.h"
#include "cert/leaf.h"
#include "cert/store.h"
#include "session/snapshot.h"
#include "session/staging.h"

#define BESIDE_MAX 64

static bool put_text(struct buf *b, const char *key, const char *text)
{
    return buf_printf(b, ",\"%s\":", key) && admin_json_text(b, text);
}

static bool put_time(struct buf *b, const char *key, int64_t at)
{
    char text[CLOCK_TEXT_MAX];
    return put_text(b, key, clock_format(MIN(at, INT64_MAX / NSEC_PER_SEC) * NSEC_PER_SEC, text));
}

/* ---- names that are lost ---- */

static bool put_missing(struct buf *b, const struct cert *cert, const struct stand_ins *after)
{
    bool ok = true;
    for (size_t i = 0; cert != NULL && i < cert->names_len && ok; i++)
        if (!stand_ins_have(after, cert->names[i]))
            ok = buf_printf(b, "%s\n", cert->names[i]);
    return ok;
}

/* Only certificates that are not there afterwards can have what is lost. */
static bool is_kept(const struct stand_ins *after, size_t i, const struct cert *cert)
{
    return i < after->n && after->v[i] == cert;
}

static bool put_lost(struct buf *b, const struct stand_ins *before, const struct stand_ins *after)
{
    bool ok = true;
    for (size_t i = 0; i < before->n && ok; i++)
        if (!is_kept(after, i, before->v[i]))
            ok = put_missing(b, before->v[i], after);
    return ok;
}

bool staging_put_lost(struct buf *b, const struct snapshot *snap, const struct staging *before,
                      const struct staging *after)
{
    struct stand_ins now, then;
    stand_ins_make(snap->certs, snap->config->certificates.n, before, false, &now);
    stand_ins_make(snap->certs, snap->config->certificates.n, after, false, &then);
    bool ok = put_lost(b, &now, &then);
    stand_ins_done(&now);
    stand_ins_done(&then);
    return ok;
}

/* ---- certificates ---- */

static bool put_names(struct buf *b, const struct cert *cert)
{
    bool ok = buf_printf(b, ",\"names\":[");
    for (size_t i = 0; i < cert->names_len && ok; i++)
        ok = buf_append(b, ",", i > 0) && admin_json_text(b, cert->names[i]);
    return ok && buf_append(b, "]", 1);
}

static bool put_chain(struct buf *b, const struct cert *cert)
{
    struct buf pem = {0};
    bool ok = true;
    for (size_t i = 0; i < cert->chain_len && ok; i++)
        ok = cert_put_pem(&pem, cert_chain_der(cert, i));
    ok = ok && put_text(b, "chain", buf_text(&pem));
    buf_free(&pem);
    return ok;
}

static bool put_cert(struct buf *b, const struct cert *cert)
{
    char issuer[PEM_NAME_MAX];
    return buf_printf(b, "{\"kind\":\"%s\"", cert_kind_word(cert->kind)) &&
           put_text(b, "label", cert->label) && put_names(b, cert) &&
           put_text(b, "issuer", cert_issuer_text(cert, issuer)) && put_text(b, "key", cert->key_text) &&
           put_text(b, "signature", cert->signature) && put_time(b, "not_before", cert->not_before) &&
           put_time(b, "not_after", cert->not_after) && put_chain(b, cert) && buf_append(b, "}", 1);
}

/* Those that a client may get for one of its names all the same: another kind of key, a wildcard. */
static bool put_beside(struct buf *b, const struct stand_ins *ins, const struct cert *cert)
{
    bool ok = buf_printf(b, ",\"beside\":[");
    for (size_t i = 0, n = 0; i < ins->n && n < BESIDE_MAX && ok; i++) {
        bool near = false;
        for (size_t k = 0; ins->v[i] != NULL && ins->v[i] != cert && k < cert->names_len && !near; k++)
            near = cert_is_for(ins->v[i], cert->names[k]);
        if (near)
            ok = buf_printf(b, "%s{\"kind\":\"%s\"", n++ > 0 ? "," : "", cert_kind_word(ins->v[i]->kind)) &&
                 put_names(b, ins->v[i]) && buf_append(b, "}", 1);
    }
    return ok && buf_append(b, "]", 1);
}

/* What it takes the place of; of a candidate in what everybody gets now, else in the configuration's own. */
static bool put_replaced(struct buf *b, const struct stand_ins *ins, const struct cert *cert)
{
    bool *marks = calloc(ins->n + ins->more_len + 1, sizeof(bool)), ok;
    CHECK(marks != NULL);
    staging_stands_for(cert, ins->v, ins->n, marks);
    staging_stands_for(cert, ins->more, ins->more_len, marks + ins->n);
    ok = buf_printf(b, ",\"stands_for\":[");
    for (size_t i = 0, n = 0; i < ins->n + ins->more_len && ok; i++)
        if (marks[i])
            ok = buf_append(b, ",", n++ > 0) && put_cert(b, i < ins->n ? ins->v[i] : ins->more[i - ins->n]);
    free(marks);
    return ok && buf_append(b, "]", 1);
}

/* As it will be when this one candidate is promoted. */
static struct staging *with_promoted(const struct staging *s, size_t at)
{
    struct staging *then = staging_new(s->n);
    for (size_t i = 0; i < s->n; i++)
        if (s->v[i].promoted)
            staging_add(then, &s->v[i]);
    staging_add(then, &s->v[at]);
    then->v[then->n - 1].promoted = true;
    return then;
}

static bool put_lost_names(struct buf *b, const struct stand_ins *now, const struct stand_ins *then)
{
    struct buf lost = {0};
    bool ok = put_lost(&lost, now, then) && buf_printf(b, ",\"lost\":[");
    size_t n = 0;
    for (const char *p = lost.len == 0 ? "" : buf_text(&lost); *p != '\0' && ok; p += strcspn(p, "\n") + 1)
        ok = buf_append(b, ",", n++ > 0) && str_json(b, p, strcspn(p, "\n"));
    buf_free(&lost);
    return ok && buf_append(b, "]", 1);
}

static bool put_certificate(struct buf *b, const struct snapshot *snap, size_t at)
{
    const struct staged *item = &snap->staging->v[at];
    size_t n = snap->config->certificates.n;
    struct stand_ins now, then;
    struct staging *promoted = with_promoted(snap->staging, at);
    stand_ins_make(snap->certs, n, item->promoted ? NULL : snap->staging, false, &now);
    stand_ins_make(snap->certs, n, promoted, false, &then);
    bool ok = buf_printf(b, ",\"certificate\":") && put_cert(b, item->cert) &&
              put_replaced(b, &now, item->cert) && put_beside(b, &then, item->cert) &&
              put_lost_names(b, &now, &then);
    stand_ins_done(&now);
    stand_ins_done(&then);
    staging_unref(promoted);
    return ok;
}

static bool put_entries(struct buf *b, const struct snapshot *snap)
{
    const struct staging *s = snap->staging;
    bool ok = buf_printf(b, ",\n\"entries\":[");
    for (size_t i = 0; s != NULL && i < s->n && ok; i++)
        ok = buf_printf(b, "%s{\"state\":\"%s\"", i > 0 ? ",\n" : "",
                        s->v[i].promoted ? "promoted" : "candidate") &&
             put_text(b, "label", s->v[i].label) && put_time(b, "since", s->v[i].since) &&
             put_text(b, "tls", s->v[i].tls_text) && (s->v[i].cert == NULL || put_certificate(b, snap, i)) &&
             buf_append(b, "}", 1);
    return ok && buf_append(b, "]", 1);
}

/* ---- TLS settings ---- */

static bool put_codes(struct buf *b, const char *key, const struct config_codes *codes,
                      const char *(*name)(int code))
{
    bool ok = buf_printf(b, ",\"%s\":[", key);
    for (size_t i = 0; i < codes->n && ok; i++)
        ok = buf_printf(b, "%s\"%s\"", i > 0 ? "," : "", name(codes->v[i]));
    return ok && buf_append(b, "]", 1);
}

/* Those that `pq` leaves. */
static bool put_groups(struct buf *b, const struct config_tls *t)
{
    const char *comma = "";
    bool ok = buf_printf(b, ",\"groups\":[");
    for (size_t i = 0; i < t->groups.n && ok; i++) {
        if (!tls_pq_allows(t->pq, (uint16_t)t->groups.v[i]))
            continue;
        ok = buf_printf(b, "%s\"%s\"", comma, config_group_name(t->groups.v[i]));
        comma = ",";
    }
    return ok && buf_append(b, "]", 1);
}

static bool put_settings(struct buf *b, const char *key, const struct config_tls *t)
{
    return buf_printf(b, ",\"%s\":{\"min_version\":\"%s\"", key,
                      t->min_version == CONFIG_TLS_1_3 || t->pq == TLS_PQ_REQUIRE ? "1.3" : "1.2") &&
           put_groups(b, t) && put_codes(b, "ciphers", &t->ciphers, config_cipher_name) &&
           buf_append(b, "}", 1);
}

/* As the configuration has them, as they are, and as they would be. */
static bool put_routes(struct buf *b, const struct snapshot *snap)
{
    const struct config *c = snap->config;
    bool ok = buf_printf(b, ",\n\"routes\":[");
    for (size_t i = 0, n = 0; i < c->routes.n && ok; i++) {
        struct config_tls now, then;
        if (!config_route_ends_tls(c, &c->routes.v[i]))
            continue;
        staging_tls(&c->routes.v[i].tls, snap->staging, false, &now);
        staging_tls(&c->routes.v[i].tls, snap->staging, true, &then);
        ok = buf_printf(b, "%s{\"name\":", n++ > 0 ? ",\n" : "") &&
             admin_json_text(b, c->routes.v[i].name.text) &&
             put_settings(b, "configured", &c->routes.v[i].tls) && put_settings(b, "now", &now) &&
             put_settings(b, "candidate", &then) && buf_append(b, "}", 1);
    }
    return ok && buf_append(b, "]", 1);
}

/* ---- who sees them ---- */

static bool put_network(struct buf *b, const struct config_network *n)
{
    char text[INET6_ADDRSTRLEN] = "";
    if (n->family == AF_UNIX)
        return buf_printf(b, "\"unix\"");
    inet_ntop(n->family, n->addr, text, sizeof(text));
    return buf_printf(b, "\"%s/%u\"", text, n->prefix);
}

/* Where a client of TLS can come to by himself. */
static bool is_open(const struct config_listener *l)
{
    return l->address.host != NULL && l->proxy_protocol == NULL &&
           (l->speaks.text == NULL || strcmp(l->speaks.text, CONFIG_SPEAKS_TLS) == 0);
}

static bool is_of_staging(const struct config *c, const struct config_listener *l)
{
    for (size_t i = 0; c->staging != NULL && i < c->staging->listeners.n; i++)
        if (strcmp(c->staging->listeners.v[i].text, l->name.text) == 0)
            return true;
    return false;
}

/* The first address of production, or of staging, from this machine; null where there is none. */
static bool put_place(struct buf *b, const char *key, const struct config *c, bool of_staging)
{
    for (size_t i = 0; i < c->listeners.n; i++) {
        const struct config_listener *l = &c->listeners.v[i];
        const char *host = l->address.host;
        if (!is_open(l) || is_of_staging(c, l) != of_staging)
            continue;
        bool any = *host == '\0' || strcmp(host, "0.0.0.0") == 0, any6 = strcmp(host, "::") == 0;
        bool v6 = any6 || (!any && strchr(host, ':') != NULL);
        return buf_printf(b, ",\"%s\":\"%s%s%s:%u\"", key, v6 ? "[" : "",
                          any    ? "127.0.0.1"
                          : any6 ? "::1"
                                 : host,
                          v6 ? "]" : "", l->address.port);
    }
    return buf_printf(b, ",\"%s\":null", key);
}

static bool put_audience(struct buf *b, const struct config_staging *s)
{
    if (s == NULL)
        return buf_printf(b, "\"staging\":null");
    bool ok = buf_printf(b, "\"staging\":{\"listeners\":[");
    for (size_t i = 0; i < s->listeners.n && ok; i++)
        ok = buf_append(b, ",", i > 0) && admin_json_text(b, s->listeners.v[i].text);
    ok = ok && buf_printf(b, "],\"networks\":[");
    for (size_t i = 0; i < s->networks.n && ok; i++)
        ok = buf_append(b, ",", i > 0) && put_network(b, &s->networks.v[i]);
    ok = ok && buf_printf(b, "],\"pins\":[");
    for (size_t i = 0; i < s->pins.n && ok; i++)
        ok = buf_printf(b, "%s\"", i > 0 ? "," : "") && base64_put(b, s->pins.v[i], CONFIG_PIN_LEN) &&
             buf_append(b, "\"", 1);
    return ok && buf_append(b, "]}", 2);
}

void admin_staging(struct exchange *e, const struct request *request)
{
    const struct admin *a = exchange_arg(e);
    const struct snapshot *snap = door_snapshot(a->door);
    struct buf body = {0};
    (void)request;
    bool ok = buf_append(&body, "{", 1) && put_audience(&body, snap->config->staging) &&
              put_place(&body, "production_address", snap->config, false) &&
              put_place(&body, "staging_address", snap->config, true) &&
              put_text(&body, "audit", snap->config->audit.file.text) && put_entries(&body, snap) &&
              put_routes(&body, snap) && buf_append(&body, "}\n", 2);
    admin_answer(e, ok, TYPE_JSON, &body);
}
