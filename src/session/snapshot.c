/* SPDX-License-Identifier: Apache-2.0 */
/* From a parsed configuration to what serves: files are read, contexts made, tables built. All errors are
 * gathered, each with its place in the file. */
#include "session/snapshot.h"

#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/file.h"
#include "hello/first_bytes.h"
#include "session/shared.h"
#include "tls/server.h"

#define SNAPSHOT_MAGIC 0x54a95807u
#define STANDING_FDS 10 /* of the control thread: standard ones, loop, signals, audit, admin listener */
#define SNI_FILE_MAX ((size_t)1 << 30)
#define DOOR_STATS "-"

/* The making of one snapshot. */
struct build {
    struct snapshot *snap;
    struct snapshot_shared *shared;
    struct buf *errors;
    bool failed;
};

static const char *const *texts_of(const struct config_texts *texts)
{
    const char **v = calloc(texts->n + 1, sizeof(char *));
    CHECK(v != NULL);
    for (size_t i = 0; i < texts->n; i++)
        v[i] = texts->v[i].text;
    return v;
}

static void texts_done(const char *const *v)
{
    free((void *)(uintptr_t)v);
}

static void report(struct build *b, struct config_pos at, const struct err *why)
{
    struct err err;
    config_error(b->snap->config, at, &err, "%s", why->text);
    if (b->errors != NULL)
        buf_printf(b->errors, "%s\n", err.text);
    b->failed = true;
}

/* ---- certificates and trust ---- */

static void load_trust(struct build *b)
{
    const struct config *c = b->snap->config;
    b->snap->trust = calloc(c->trust.n + 1, sizeof(struct trust *));
    CHECK(b->snap->trust != NULL);
    for (size_t i = 0; i < c->trust.n; i++) {
        const struct config_trust *t = &c->trust.v[i];
        struct trust_files files = {t->name.text, texts_of(&t->ca), t->ca.n, texts_of(&t->crl), t->crl.n};
        struct err err;
        b->snap->trust[i] = trust_load(&files, &err);
        if (b->snap->trust[i] == NULL)
            report(b, t->head.at, &err);
        texts_done(files.ca);
        texts_done(files.crl);
    }
}

static struct trust *trust_named(struct build *b, const struct config_text *name)
{
    const struct config *c = b->snap->config;
    const struct config_trust *t = config_trust_find(c, name->text);
    if (t != NULL)
        return b->snap->trust[t - c->trust.v];
    CHECK(strcmp(name->text, CONFIG_TRUST_SYSTEM) == 0);
    if (b->snap->system_trust == NULL) {
        const char *const ca[] = {CONFIG_TRUST_SYSTEM};
        struct trust_files files = {.name = CONFIG_TRUST_SYSTEM, .ca = ca, .ca_len = 1};
        struct err err;
        b->snap->system_trust = trust_load(&files, &err);
        if (b->snap->system_trust == NULL)
            report(b, name->at, &err);
    }
    return b->snap->system_trust;
}

static void load_certs(struct build *b)
{
    const struct config *c = b->snap->config;
    b->snap->certs = calloc(c->certificates.n + 1, sizeof(struct cert *));
    CHECK(b->snap->certs != NULL);
    for (size_t i = 0; i < c->certificates.n; i++) {
        const struct config_certificate *cc = &c->certificates.v[i];
        struct cert_files files = {cc->certificate.text, cc->key.text, cc->name.text, texts_of(&cc->names),
                                   cc->names.n};
        struct err err;
        b->snap->certs[i] = cert_load(&files, &err);
        if (b->snap->certs[i] == NULL)
            report(b, cc->certificate.at, &err);
        texts_done(files.names);
    }
}

/* Is this certificate one of those the route restricts itself to? */
static bool route_wants_cert(const struct config_route *rc, const struct config_certificate *cc)
{
    for (size_t i = 0; i < rc->certificates.n; i++)
        if (cc->name.text != NULL && strcmp(rc->certificates.v[i].text, cc->name.text) == 0)
            return true;
    return rc->certificates.n == 0;
}

static struct cert_store *store_for(struct build *b, const struct config_route *rc)
{
    const struct config *c = b->snap->config;
    struct cert **wanted = calloc(c->certificates.n + 1, sizeof(struct cert *));
    CHECK(wanted != NULL);
    size_t n = 0;
    for (size_t i = 0; i < c->certificates.n; i++)
        if (b->snap->certs[i] != NULL && route_wants_cert(rc, &c->certificates.v[i]))
            wanted[n++] = b->snap->certs[i];
    struct err err;
    struct cert_store *store = b->failed ? NULL : cert_store_build(wanted, n, &err);
    if (store == NULL && !b->failed)
        report(b, rc->head.at, &err);
    free(wanted);
    return store;
}

/* ---- routes ---- */

static void make_server(struct build *b, struct route_runtime *r)
{
    const struct config_route *rc = r->config;
    static const enum tls_clients modes[] = {[CONFIG_CLIENTS_NONE] = TLS_CLIENTS_NONE,
                                             [CONFIG_CLIENTS_OPTIONAL] = TLS_CLIENTS_OPTIONAL,
                                             [CONFIG_CLIENTS_REQUIRED] = TLS_CLIENTS_REQUIRED};
    r->store = store_for(b, rc);
    struct trust *trust = rc->clients.mode == CONFIG_CLIENTS_NONE ? NULL : trust_named(b, &rc->clients.trust);
    if (r->store == NULL || b->failed)
        return;
    const struct config_texts none = {0}, *alpn = rc->terminate != NULL ? &rc->terminate->alpn : &none;
    struct buf scope = {0};
    CHECK(buf_printf(&scope, "%s %s %d", rc->name.text, trust == NULL ? "-" : trust_name(trust),
                     rc->clients.mode));
    struct tls_server_params params = {
        .min_version = (uint16_t)rc->tls.min_version,
        .max_version = (uint16_t)rc->tls.max_version,
        .groups = rc->tls.groups.v,
        .groups_len = rc->tls.groups.n,
        .store = r->store,
        .alpn = texts_of(alpn),
        .alpn_len = alpn->n,
        .clients = modes[rc->clients.mode],
        .trust = trust,
        .tickets = rc->tls.tickets ? shared_tickets(b->shared, rc->tls.ticket_lifetime) : NULL,
        .scope = buf_text(&scope),
    };
    struct err err;
    r->tls = tls_server_new(&params, &err);
    if (r->tls == NULL)
        report(b, rc->head.at, &err);
    texts_done(params.alpn);
    buf_free(&scope);
}

static void make_backend_tls(struct build *b, struct route_runtime *r, const struct config_backend_tls *t)
{
    struct err err;
    struct cert *cert = NULL;
    if (t->certificate.text != NULL) {
        struct cert_files files = {.certificate = t->certificate.text, .key = t->key.text};
        cert = cert_load(&files, &err);
        if (cert == NULL)
            report(b, t->certificate.at, &err);
    }
    struct trust *trust = trust_named(b, &t->trust);
    const struct config_tls *tls = &r->config->tls;
    struct tls_client_params params = {.min_version = CONFIG_TLS_1_2,
                                       .max_version = CONFIG_TLS_1_3,
                                       .groups = tls->groups.v,
                                       .groups_len = tls->groups.n,
                                       .trust = trust,
                                       .cert = cert,
                                       .alpn = texts_of(&t->alpn),
                                       .alpn_len = t->alpn.n};
    if (!b->failed && (r->backend_tls = tls_client_new(&params, &err)) == NULL)
        report(b, t->head.at, &err);
    texts_done(params.alpn);
    cert_unref(cert);
}

static void make_upstream(struct build *b, struct route_runtime *r, const struct config_backend *cb)
{
    struct err err;
    if (cb->to.n > UPSTREAM_BACKENDS_MAX) {
        err_set(&err, "found %zu backends, expected at most %d", cb->to.n, UPSTREAM_BACKENDS_MAX);
        report(b, cb->head.at, &err);
        return;
    }
    r->upstream.v = calloc(cb->to.n, sizeof(struct backend *));
    CHECK(r->upstream.v != NULL);
    r->upstream.n = cb->to.n;
    r->upstream.turn = &r->stats->turn;
    for (size_t i = 0; i < cb->to.n; i++) {
        const struct config_address *a = &cb->to.v[i];
        r->upstream.v[i] = backend_get(&b->shared->backends, a->text.text, a->host, a->port);
    }
    if (cb->tls != NULL)
        make_backend_tls(b, r, cb->tls);
}

static void make_route(struct build *b, size_t i)
{
    struct route_runtime *r = &b->snap->routes[i];
    const struct config_route *rc = &b->snap->config->routes.v[i];
    r->config = rc;
    r->stats = shared_stats(b->shared, rc->name.text);
    r->ask_policy = rc->clients.mode != CONFIG_CLIENTS_NONE;
    if (rc->action == CONFIG_TERMINATE || rc->action == CONFIG_TUNNEL)
        make_server(b, r);
    if (rc->action == CONFIG_PASS)
        make_upstream(b, r, rc->pass);
    if (rc->action == CONFIG_TERMINATE)
        make_upstream(b, r, rc->terminate);
}

/* ---- the lookup table ---- */

static uint32_t kinds_of(const struct config_route *rc)
{
    static const uint32_t kind[] = {[CONFIG_FIRST_SSH] = 1u << FIRST_BYTES_SSH,
                                    [CONFIG_FIRST_HTTP] = 1u << FIRST_BYTES_HTTP,
                                    [CONFIG_FIRST_POSTGRES] = 1u << FIRST_BYTES_POSTGRES_TLS};
    uint32_t kinds = rc->first_bytes.n == 0 ? 1u << FIRST_BYTES_TLS : 0;
    for (size_t i = 0; i < rc->first_bytes.n; i++)
        kinds |= kind[rc->first_bytes.v[i]];
    return kinds;
}

static size_t listeners_of(const struct config *c, const struct config_route *rc, uint32_t *ret)
{
    size_t n = 0;
    for (size_t i = 0; i < rc->listeners.n; i++)
        for (size_t k = 0; k < c->listeners.n; k++)
            if (strcmp(rc->listeners.v[i].text, c->listeners.v[k].name.text) == 0)
                ret[n++] = (uint32_t)k;
    return n;
}

static int add_names_file(struct route_builder *builder, const struct config_route *rc, struct err *err)
{
    struct buf text = {0};
    if (rc->sni_file.text == NULL)
        return 0;
    if (file_read(rc->sni_file.text, SNI_FILE_MAX, &text, NULL, err) != 0)
        return -1;
    int ret = route_builder_names(builder, (const char *)text.data, text.len, err);
    if (ret != 0)
        err_prefix(err, "%s", rc->sni_file.text);
    buf_free(&text);
    return ret;
}

static int add_rule(struct build *b, struct route_builder *builder, size_t i, struct err *err)
{
    const struct config *c = b->snap->config;
    const struct config_route *rc = &c->routes.v[i];
    uint32_t *listeners = calloc(c->listeners.n + rc->listeners.n + 1, sizeof(uint32_t));
    CHECK(listeners != NULL);
    struct route_rule rule = {
        .id = (uint32_t)i,
        .name = rc->name.text,
        .listeners = listeners,
        .listener_count = listeners_of(c, rc, listeners),
        .kinds = kinds_of(rc),
        .any_sni = rc->sni.n == 0 && rc->sni_file.text == NULL,
        .sni = texts_of(&rc->sni),
        .sni_count = rc->sni.n,
        .alpn = texts_of(&rc->alpn),
        .alpn_count = rc->alpn.n,
    };
    b->snap->wants_postgres |= (rule.kinds & 1u << FIRST_BYTES_POSTGRES_TLS) != 0;
    int ret = route_builder_add(builder, &rule, err);
    if (ret == 0)
        ret = add_names_file(builder, rc, err);
    free(listeners);
    texts_done(rule.sni);
    texts_done(rule.alpn);
    return ret;
}

static void build_table(struct build *b)
{
    const struct config *c = b->snap->config;
    struct hash_key key = hash_random_key();
    struct route_builder *builder = route_builder_new(&key);
    CHECK(builder != NULL);
    struct err err;
    for (size_t i = 0; i < c->routes.n; i++)
        if (add_rule(b, builder, i, &err) != 0) {
            const struct config_route *rc = &c->routes.v[i];
            report(b, rc->sni_file.text != NULL ? rc->sni_file.at : rc->head.at, &err);
            route_builder_free(builder);
            return;
        }
    b->snap->table = route_builder_finish(builder, &err);
    if (b->snap->table == NULL)
        report(b, c->routes.n > 0 ? c->routes.v[0].head.at : c->head.at, &err);
}

/* ---- policy ---- */

static size_t who_of(const struct config_who *w, struct policy_who ret[IDENTITY_KINDS])
{
    const struct {
        enum identity_kind kind;
        const struct config_texts *texts;
    } keys[] = {{IDENTITY_NAME, &w->name},   {IDENTITY_DNS, &w->dns},       {IDENTITY_URI, &w->uri},
                {IDENTITY_EMAIL, &w->email}, {IDENTITY_ISSUER, &w->issuer}, {IDENTITY_GROUP, &w->group}};
    size_t n = 0;
    for (size_t i = 0; i < ARRAY_LEN(keys); i++)
        if (keys[i].texts->n > 0)
            ret[n++] = (struct policy_who){keys[i].kind, texts_of(keys[i].texts), keys[i].texts->n};
    return n;
}

static void fill_row(const struct config *c, const struct config_policy_row *pc, struct policy_row *row)
{
    struct policy_who *who = calloc(IDENTITY_KINDS, sizeof(*who));
    uint32_t *routes = calloc(pc->routes.n + 1, sizeof(uint32_t));
    const char **targets = calloc(pc->targets.n + 1, sizeof(char *));
    CHECK(who != NULL && routes != NULL && targets != NULL);
    for (size_t i = 0; i < pc->routes.n; i++)
        routes[i] = (uint32_t)(config_route_find(c, pc->routes.v[i].text) - c->routes.v);
    for (size_t i = 0; i < pc->targets.n; i++)
        targets[i] = pc->targets.v[i].text;
    *row = (struct policy_row){
        .name = pc->name.text,
        .deny = pc->effect == CONFIG_DENY,
        .who_any = pc->who.any,
        .who = who,
        .who_count = who_of(&pc->who, who),
        .routes = routes,
        .route_count = pc->routes.n,
        .targets = targets,
        .target_count = pc->targets.n,
    };
}

static void row_done(struct policy_row *row)
{
    for (size_t i = 0; i < row->who_count; i++)
        texts_done(row->who[i].patterns);
    free((void *)(uintptr_t)row->who);
    free((void *)(uintptr_t)row->routes);
    texts_done(row->targets);
}

static void build_policy(struct build *b)
{
    const struct config_policy *p = &b->snap->config->policy;
    struct policy_row *rows = calloc(p->n + 1, sizeof(*rows));
    CHECK(rows != NULL);
    struct err err;
    for (size_t i = 0; i < p->n; i++) {
        fill_row(b->snap->config, &p->v[i], &rows[i]);
        for (size_t k = 0; k < p->v[i].targets.n; k++)
            if (policy_target_check(p->v[i].targets.v[k].text, &err) != 0)
                report(b, p->v[i].targets.v[k].at, &err);
    }
    if (!b->failed && (b->snap->policy = policy_build(rows, p->n, &err)) == NULL)
        report(b, p->n > 0 ? p->v[0].head.at : b->snap->config->head.at, &err);
    for (size_t i = 0; i < p->n; i++)
        row_done(&rows[i]);
    free(rows);
}

/* ---- all of it ---- */

/* A connection takes two descriptors. Some the door holds as long as it runs: each worker has two, and two
 * for each listener. Some stay in reserve for files, reloads and the admin API. */
static size_t connection_limit(const struct config *c, size_t workers)
{
    const struct config_limits *l = &c->limits;
    struct rlimit files;
    if (getrlimit(RLIMIT_NOFILE, &files) != 0 || files.rlim_cur == RLIM_INFINITY)
        return l->connections;
    size_t kept = STANDING_FDS + workers * 2 * (1 + c->listeners.n) + l->reserved_fds;
    size_t usable = files.rlim_cur > kept ? (files.rlim_cur - kept) / 2 : 1;
    return MIN(l->connections, MAX(usable, (size_t)1));
}

static struct snapshot *build(struct config_hold *hold, struct snapshot_shared *shared, struct buf *errors)
{
    struct snapshot *snap = calloc(1, sizeof(*snap));
    CHECK(snap != NULL);
    snap->magic = SNAPSHOT_MAGIC;
    atomic_store(&snap->refs, 1);
    snap->hold = hold;
    snap->config = hold->config;
    snap->routes = calloc(snap->config->routes.n + 1, sizeof(struct route_runtime));
    CHECK(snap->routes != NULL);
    snap->connection_limit = connection_limit(snap->config, shared->workers);
    struct build b = {.snap = snap, .shared = shared, .errors = errors};
    snap->door = shared_stats(shared, DOOR_STATS);
    load_trust(&b);
    load_certs(&b);
    for (size_t i = 0; i < snap->config->routes.n; i++)
        make_route(&b, i);
    build_table(&b);
    build_policy(&b);
    if (!b.failed)
        return snap;
    snapshot_unref(snap);
    return NULL;
}

struct snapshot *snapshot_build(struct config *config, struct snapshot_shared *shared, struct buf *errors)
{
    struct config_hold *hold = calloc(1, sizeof(*hold));
    CHECK(hold != NULL);
    hold->config = config;
    atomic_store(&hold->refs, 1);
    return build(hold, shared, errors);
}

struct snapshot *snapshot_refresh(const struct snapshot *old, struct snapshot_shared *shared,
                                  struct buf *errors)
{
    atomic_fetch_add(&old->hold->refs, 1);
    return build(old->hold, shared, errors);
}

bool snapshot_stale(const struct snapshot *snap)
{
    for (size_t i = 0; i < snap->config->trust.n; i++)
        if (trust_stale(snap->trust[i]))
            return true;
    return false;
}

struct snapshot *snapshot_ref(struct snapshot *snap)
{
    CHECK_MAGIC(snap, SNAPSHOT_MAGIC);
    atomic_fetch_add(&snap->refs, 1);
    return snap;
}

static void route_done(struct route_runtime *r)
{
    tls_server_free(r->tls);
    tls_client_free(r->backend_tls);
    cert_store_free(r->store);
    for (size_t i = 0; i < r->upstream.n; i++)
        backend_unref(r->upstream.v[i]);
    free(r->upstream.v);
}

void snapshot_unref(struct snapshot *snap)
{
    if (snap == NULL)
        return;
    CHECK_MAGIC(snap, SNAPSHOT_MAGIC);
    if (atomic_fetch_sub(&snap->refs, 1) > 1)
        return;
    const struct config *c = snap->config;
    for (size_t i = 0; i < c->routes.n; i++)
        route_done(&snap->routes[i]);
    for (size_t i = 0; i < c->certificates.n; i++)
        cert_unref(snap->certs[i]);
    for (size_t i = 0; i < c->trust.n; i++)
        trust_unref(snap->trust[i]);
    trust_unref(snap->system_trust);
    policy_free(snap->policy);
    route_table_free(snap->table);
    free(snap->routes);
    free(snap->certs);
    free(snap->trust);
    if (atomic_fetch_sub(&snap->hold->refs, 1) == 1) {
        config_free(snap->hold->config);
        free(snap->hold);
    }
    snap->magic = 0;
    free(snap);
}

bool snapshot_listens_udp(const struct snapshot *snap, size_t listener)
{
    const struct config *c = snap->config;
    CHECK(listener < c->listeners.n);
    for (size_t i = 0; i < c->routes.n && c->listeners.v[listener].quic; i++)
        if (c->routes.v[i].action == CONFIG_TUNNEL)
            return true;
    return false;
}
