/* SPDX-License-Identifier: Apache-2.0 */
/* From a parsed configuration to what serves: files are read, contexts made, tables built. All errors are
 * gathered, each with its place in the file.
 *
 * A snapshot is put together from counted parts: the plan (session/plan.h), the door's certificates, and the
 * trust bundles. TLS contexts depend on all of them and are made for each snapshot. So a snapshot may differ
 * from the one before in one part only and share the others, files and all. */
#include "session/snapshot.h"

#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "base/check.h"
#include "base/clock.h"
#include "cert/revoked.h"
#include "cert/source.h"
#include "net/handed.h"
#include "session/backend_ech.h"
#include "session/bundles.h"
#include "session/own_certs.h"
#include "session/plan.h"
#include "session/provider.h"
#include "session/shared.h"
#include "session/staging.h"
#include "session/standby.h"
#include "tls/client.h"
#include "tls/server.h"
#include "web/service.h"

#define SNAPSHOT_MAGIC 0x54a95807u
#define STANDING_FDS \
    13 /* of the control thread: standard ones, loop, signals, audit, admin listener; of the office */
#define DOOR_STATS "-"

/* The making of one snapshot. */
struct build {
    struct snapshot *snap;
    struct snapshot_shared *shared;
    struct complaints said;
    size_t fresh;    /* trust bundles of a refresh that were read anew */
    uint64_t unread; /* ... and how the files of those are that could not be: see snapshot_stale() */
};

/* ---- certificates and trust ---- */

static void load_trust(struct build *b)
{
    const struct config *c = b->snap->config;
    for (size_t i = 0; i < c->trust.n; i++) {
        struct err err;
        b->snap->trust[i] = bundles_load(&c->trust.v[i], b->snap->revoked, &err);
        if (b->snap->trust[i] == NULL)
            complain(&b->said, c->trust.v[i].head.at, &err);
    }
}

/* A bundle that has not changed is shared. One that cannot be read again is complained of and stays too: its
 * CRLs expire by themselves. */
static void renew_trust(struct build *b, const struct snapshot *old, size_t i)
{
    struct err why, err;
    uint64_t unread;
    struct trust *fresh = bundles_renew(old->trust[i], b->snap->revoked, &unread, &why);
    if (unread != 0) {
        err_set(&err, "%s; the CRL before stays in force, until it expires", why.text);
        plan_complain(old->plan, old->config->trust.v[i].head.at, &err, b->said.errors);
    }
    b->snap->trust[i] = fresh != NULL ? fresh : trust_ref(old->trust[i]);
    b->fresh += fresh != NULL;
    b->unread += unread;
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
            complain(&b->said, name->at, &err);
    }
    return b->snap->system_trust;
}

/* Not where the configuration is only looked at. */
static void make_source(struct build *b)
{
    struct err err;
    const struct config *c = b->snap->config;
    size_t i = 0;
    while (i < c->certificates.n && !config_certificate_is_source(&c->certificates.v[i]))
        i++;
    if (i == c->certificates.n || b->shared->bindings->provider == NULL || b->said.failed)
        return;
    b->snap->source = b->shared->bindings->provider->source(b->shared->bindings->provider, c, &err);
    if (b->snap->source == NULL)
        complain(&b->said, c->certificates.v[i].head.at, &err);
}

static void load_ech(struct build *b)
{
    const struct config *c = b->snap->config;
    struct err err;
    if (c->ech == NULL || b->said.failed)
        return;
    if (shared_ech(b->shared, c, &b->snap->ech, &err) < 0)
        complain(&b->said, c->ech->head.at, &err);
}

/* ---- routes ---- */

/* What the door selects from by ALPN. */
static const struct config_texts *protocols_of(const struct config_route *rc)
{
    static struct config_text http[] = {{.text = "http/1.1"}};
    static const struct config_texts none = {0}, pages = {.v = http, .n = ARRAY_LEN(http)};
    switch (rc->action) {
    case CONFIG_TERMINATE:
        return &rc->terminate->alpn;
    case CONFIG_EXPOSE:
        return &rc->alpn;
    case CONFIG_SERVE:
        return &pages;
    default:
        return &none;
    }
}

/* Tickets are good for what they were given out under: with candidates a client is to see these. */
static void put_scope(struct buf *scope, const struct build *b, const struct config_route *rc,
                      const struct trust *trust, enum config_clients_mode mode, bool candidates)
{
    CHECK(buf_printf(scope, "%s %s %d", rc->name.text, trust == NULL ? "-" : trust_name(trust), mode));
    if (candidates)
        CHECK(buf_printf(scope, " candidates %llu", (unsigned long long)b->snap->staging->number));
}

static struct tls_server *make_server(struct build *b, const struct route_runtime *r,
                                      enum config_clients_mode mode, bool candidates)
{
    const struct config_route *rc = r->config;
    static const enum tls_clients modes[] = {[CONFIG_CLIENTS_NONE] = TLS_CLIENTS_NONE,
                                             [CONFIG_CLIENTS_OPTIONAL] = TLS_CLIENTS_OPTIONAL,
                                             [CONFIG_CLIENTS_REQUIRED] = TLS_CLIENTS_REQUIRED};
    struct trust *trust = mode == CONFIG_CLIENTS_NONE ? NULL : trust_named(b, &rc->clients.trust);
    const struct cert_store *store = candidates ? r->candidates.store : r->store;
    if ((store == NULL && !r->looks_up) || b->said.failed)
        return NULL;
    const struct config_texts *alpn = protocols_of(rc);
    struct config_tls tls;
    struct buf scope = {0};
    staging_tls(&rc->tls, b->snap->staging, candidates, &tls);
    put_scope(&scope, b, rc, trust, mode, candidates);
    struct tls_server_params params = {
        .min_version = (uint16_t)tls.min_version,
        .max_version = (uint16_t)tls.max_version,
        .groups = tls.groups.v,
        .groups_len = tls.groups.n,
        .pq = tls.pq,
        .ciphers = tls.ciphers.v,
        .ciphers_len = tls.ciphers.n,
        .store = store,
        .alpn = plan_texts(alpn),
        .alpn_len = alpn->n,
        .clients = modes[mode],
        .trust = trust,
        .tickets = tls.tickets ? shared_tickets(b->shared, tls.ticket_lifetime) : NULL,
        .ech = b->snap->ech,
        .scope = buf_text(&scope),
    };
    struct err err;
    struct tls_server *server = tls_server_new(&params, &err);
    if (server == NULL)
        complain(&b->said, rc->head.at, &err);
    plan_texts_done(params.alpn);
    buf_free(&scope);
    return server;
}

/* What agents expose is reached in private by those who prove who they are, in public by anybody. */
static void make_both(struct build *b, const struct route_runtime *r, bool candidates,
                      struct tls_server **ret, struct tls_server **ret_open)
{
    const struct config_route *rc = r->config;
    if (rc->action != CONFIG_EXPOSE || rc->clients.mode != CONFIG_CLIENTS_NONE)
        *ret = make_server(b, r, rc->action == CONFIG_EXPOSE ? CONFIG_CLIENTS_REQUIRED : rc->clients.mode,
                           candidates);
    if (rc->action == CONFIG_EXPOSE)
        *ret_open = make_server(b, r, CONFIG_CLIENTS_NONE, candidates);
}

/* Is there a candidate that would change what this route serves? */
static bool has_candidates(const struct build *b, const struct route_runtime *r)
{
    const struct staging *s = b->snap->staging;
    if (s == NULL || b->snap->config->staging == NULL)
        return false;
    for (size_t i = 0; i < s->n; i++)
        if (!s->v[i].promoted && s->v[i].cert == NULL)
            return true;
    return r->candidates.store != r->store || r->candidates.put != r->put;
}

static void make_servers(struct build *b, struct route_runtime *r)
{
    const struct config_route *rc = r->config;
    const struct route_certs *own = &b->snap->own->route[rc - b->snap->config->routes.v];
    r->store = own->store;
    r->put = own->put;
    r->candidates = (struct route_candidates){.store = own->candidate_store, .put = own->candidate_put};
    r->looks_up = own_certs_looks_up(b->snap->config, rc);
    r->asks_as = rc->certificates.n > 0 ? (uint32_t)(rc - b->snap->config->routes.v) : CERT_ANY_ROUTE;
    make_both(b, r, false, &r->tls, &r->tls_open);
    if (has_candidates(b, r))
        make_both(b, r, true, &r->candidates.tls, &r->candidates.tls_open);
}

static void make_backend_tls(struct build *b, struct route_runtime *r, const struct config_backend_tls *t)
{
    struct err err;
    r->expect = (struct expect){.uri = t->uri.text,
                                .issuer = t->issuer.text,
                                .pins = (const uint8_t(*)[EXPECT_PIN_LEN])t->pin.v,
                                .pins_len = t->pin.n,
                                .anyone = t->verify == CONFIG_VERIFY_ANY};
    struct tls_client_params params = {.min_version = (uint16_t)t->min_version,
                                       .max_version = (uint16_t)t->max_version,
                                       .groups = t->groups.v,
                                       .groups_len = t->groups.n,
                                       .pq = t->pq,
                                       .trust = t->trust.text == NULL ? NULL : trust_named(b, &t->trust),
                                       .expect = &r->expect,
                                       .resumes = t->resume,
                                       .cert =
                                           b->snap->own->route[r->config - b->snap->config->routes.v].backend,
                                       .alpn = plan_texts(&t->alpn),
                                       .alpn_len = t->alpn.n};
    if (!b->said.failed && (r->backend_tls = tls_client_new(&params, &err)) == NULL)
        complain(&b->said, t->head.at, &err);
    plan_texts_done(params.alpn);
    r->ech = b->snap->own->route[r->config - b->snap->config->routes.v].ech;
}

static void make_upstream(struct build *b, struct route_runtime *r, const struct config_backend *cb)
{
    struct err err;
    if (cb->to.n > UPSTREAM_BACKENDS_MAX) {
        err_set(&err, "found %zu backends, expected at most %d", cb->to.n, UPSTREAM_BACKENDS_MAX);
        complain(&b->said, cb->head.at, &err);
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
    if (cb->tls != NULL && cb->tls->starttls.text != NULL)
        r->asks = plan_protocol(b->snap->plan, cb->tls->starttls.text);
}

/* ---- the door's own pages ---- */

static const struct web_service *service_named(const struct door_bindings *all, const char *name)
{
    for (size_t i = 0; i < all->services_len; i++)
        if (strcmp(all->services[i].name, name) == 0)
            return &all->services[i];
    return NULL;
}

/* There is none of that name. */
static void complain_of_service(struct build *b, const struct config_text *name)
{
    const struct door_bindings *all = b->shared->bindings;
    const char *names[DOOR_SERVICES_MAX + 1] = {NULL};
    struct buf list = {0};
    struct err err;
    char hint[STR_HINT_MAX];
    for (size_t i = 0; i < all->services_len; i++) {
        names[i] = all->services[i].name;
        buf_printf(&list, "%s%s", i > 0 ? ", " : "", names[i]);
    }
    err_set(&err, "serve: found '%s', expected services that this door has: %s%s", name->text,
            list.len > 0 ? buf_text(&list) : "it has none", str_hint(name->text, names, hint));
    complain(&b->said, name->at, &err);
    buf_free(&list);
}

static void find_services(struct build *b, struct route_runtime *r)
{
    const struct config_texts *names = &r->config->serve;
    bool plain = config_route_is_plain(b->snap->config, r->config);
    struct err err;
    r->services = calloc(names->n, sizeof(struct web_service *));
    CHECK(r->services != NULL);
    for (size_t i = 0; i < names->n; i++) {
        const struct web_service *service = service_named(b->shared->bindings, names->v[i].text);
        if (service == NULL) {
            complain_of_service(b, &names->v[i]);
        } else if (plain && !service->plain) {
            err_set(&err, "serve: '%s' is served within TLS only, and a listener of this route speaks plain",
                    service->name);
            complain(&b->said, names->v[i].at, &err);
        } else {
            r->services[r->services_len++] = service;
        }
    }
}

bool snapshot_needs_office(const struct snapshot *snap)
{
    for (size_t i = 0; i < snap->config->routes.n; i++)
        for (size_t k = 0; k < snap->routes[i].services_len; k++)
            if (!snap->routes[i].services[k]->at_once)
                return true;
    return snap->config->ca != NULL && snap->config->ca->agents != NULL;
}

static void make_route(struct build *b, size_t i)
{
    struct route_runtime *r = &b->snap->routes[i];
    const struct config_route *rc = &b->snap->config->routes.v[i];
    r->config = rc;
    r->stats = shared_stats(b->shared, rc->name.text);
    r->ask_policy = rc->clients.mode != CONFIG_CLIENTS_NONE;
    if (config_route_ends_tls(b->snap->config, rc))
        make_servers(b, r);
    if (rc->action == CONFIG_SERVE)
        find_services(b, r);
    const struct config_backend *backend = config_route_backend(rc);
    if (backend != NULL)
        make_upstream(b, r, backend);
    if (rc->hand_on.protocol.text != NULL)
        r->tells = plan_protocol(b->snap->plan, rc->hand_on.protocol.text);
}

/* ---- all of it ---- */

/* Some the door holds as long as it runs: each worker has four (its loop's and those of its scratch), and two
 * for each listener. Some stay in reserve for files, reloads and the admin API. The rest is for connections,
 * and suffices for one at least. */
static size_t descriptor_limit(const struct config *c, size_t workers)
{
    struct rlimit files;
    if (getrlimit(RLIMIT_NOFILE, &files) != 0 || files.rlim_cur == RLIM_INFINITY)
        return SIZE_MAX;
    size_t kept = STANDING_FDS + workers * 2 * (2 + c->listeners.n) + c->limits.reserved_fds;
    return files.rlim_cur > kept + 2 ? files.rlim_cur - kept : 2;
}

/* Of these parts (references taken over), with neither trust nor routes yet. */
static struct snapshot *snapshot_new(struct plan *plan, struct own_certs *own, struct snapshot_shared *shared)
{
    struct snapshot *snap = calloc(1, sizeof(*snap));
    CHECK(snap != NULL);
    snap->magic = SNAPSHOT_MAGIC;
    atomic_store(&snap->refs, 1);
    snap->plan = plan;
    snap->config = plan->config;
    snap->own = own;
    snap->certs = own->v;
    snap->pairs = own->pairs;
    snap->trust = calloc(snap->config->trust.n + 1, sizeof(struct trust *));
    snap->routes = calloc(snap->config->routes.n + 1, sizeof(struct route_runtime));
    CHECK(snap->trust != NULL && snap->routes != NULL);
    snap->door = shared_stats(shared, DOOR_STATS);
    return snap;
}

static struct build build_of(struct snapshot *snap, struct snapshot_shared *shared, struct buf *errors)
{
    return (struct build){.snap = snap, .shared = shared, .said = {.plan = snap->plan, .errors = errors}};
}

/* The end of making one: ready, or gone when something failed. */
static struct snapshot *snapshot_finish(struct build *b)
{
    struct snapshot *snap = b->snap;
    if (b->said.failed) {
        snapshot_unref(snap);
        return NULL;
    }
    snap->table = snap->plan->table;
    snap->policy = snap->plan->policy;
    snap->descriptor_limit = descriptor_limit(snap->config, b->shared->workers);
    return snap;
}

struct snapshot *snapshot_build(struct config *config, struct snapshot_shared *shared, struct buf *errors)
{
    struct build b = build_of(snapshot_new(plan_new(config), own_certs_new(config), shared), shared, errors);
    bool planned = plan_make(b.snap->plan, errors) == 0;
    b.snap->staging = shared->staging == NULL ? NULL : staging_ref(shared->staging);
    b.snap->aside = set_aside_ref(shared->aside);
    b.snap->revoked = revoked_ref(bundles_revoked(shared));
    load_ech(&b);
    load_trust(&b);
    own_certs_read(b.snap->own, &b.said);
    own_certs_choose(b.snap->own, b.snap->aside);
    own_certs_stock(b.snap->own, b.snap->staging, NULL, &b.said);
    own_certs_read_backends(b.snap->own, shared, &b.said);
    for (size_t i = 0; i < config->routes.n; i++)
        make_route(&b, i);
    b.said.failed |= !planned;
    make_source(&b);
    struct cert_provider *provider = shared->bindings->provider;
    if (!b.said.failed && provider != NULL && provider->loaded != NULL)
        provider->loaded(provider, config, b.snap->pairs);
    return snapshot_finish(&b);
}

struct snapshot *snapshot_refresh(const struct snapshot *old, struct snapshot_shared *shared,
                                  struct buf *errors, uint64_t *ret_unread)
{
    CHECK_MAGIC(old, SNAPSHOT_MAGIC);
    struct build b =
        build_of(snapshot_new(plan_ref(old->plan), own_certs_ref(old->own), shared), shared, errors);
    b.snap->revoked = revoked_ref(bundles_revoked(shared));
    b.snap->ech = old->ech;
    for (size_t i = 0; i < old->config->trust.n; i++)
        renew_trust(&b, old, i);
    b.snap->staging = old->staging == NULL ? NULL : staging_ref(old->staging);
    b.snap->aside = set_aside_ref(old->aside);
    b.snap->system_trust = old->system_trust == NULL ? NULL : trust_ref(old->system_trust);
    b.snap->source = cert_source_ref(old->source);
    *ret_unread = b.unread;
    b.said.failed = b.fresh == 0 && b.snap->revoked == old->revoked;
    for (size_t i = 0; i < old->config->routes.n && !b.said.failed; i++)
        make_route(&b, i);
    return snapshot_finish(&b);
}

struct snapshot *snapshot_restage(const struct snapshot *old, struct snapshot_shared *shared,
                                  struct staging *staging, struct set_aside *aside, struct buf *errors)
{
    CHECK_MAGIC(old, SNAPSHOT_MAGIC);
    struct build b = build_of(
        snapshot_new(plan_ref(old->plan), own_certs_again(old->own, old->config), shared), shared, errors);
    struct staging *beside = staging != NULL ? staging : old->staging;
    b.snap->staging = beside == NULL ? NULL : staging_ref(beside);
    b.snap->aside = set_aside_ref(aside != NULL ? aside : old->aside);
    own_certs_choose(b.snap->own, b.snap->aside);
    b.snap->revoked = revoked_ref(old->revoked);
    b.snap->ech = old->ech;
    for (size_t i = 0; i < old->config->trust.n; i++)
        b.snap->trust[i] = trust_ref(old->trust[i]);
    b.snap->system_trust = old->system_trust == NULL ? NULL : trust_ref(old->system_trust);
    b.snap->source = cert_source_ref(old->source);
    own_certs_stock(b.snap->own, b.snap->staging, old->own, &b.said);
    for (size_t i = 0; i < old->config->routes.n && !b.said.failed; i++)
        make_route(&b, i);
    return snapshot_finish(&b);
}

uint64_t snapshot_stale(const struct snapshot *snap, const struct snapshot_shared *shared)
{
    const struct revoked *revoked = bundles_revoked(shared);
    uint64_t sum = revoked == snap->revoked ? 0 : (uintptr_t)revoked | 1;
    for (size_t i = 0; i < snap->config->trust.n; i++)
        sum += trust_stale(snap->trust[i]);
    return sum;
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
    tls_server_free(r->tls_open);
    tls_server_free(r->candidates.tls);
    tls_server_free(r->candidates.tls_open);
    tls_client_free(r->backend_tls);
    for (size_t i = 0; i < r->upstream.n; i++)
        backend_unref(r->upstream.v[i]);
    free(r->upstream.v);
    free(r->services);
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
    for (size_t i = 0; i < c->trust.n; i++)
        trust_unref(snap->trust[i]);
    trust_unref(snap->system_trust);
    revoked_unref(snap->revoked);
    cert_source_unref(snap->source);
    staging_unref(snap->staging);
    set_aside_unref(snap->aside);
    free(snap->routes);
    free(snap->trust);
    own_certs_unref(snap->own);
    plan_unref(snap->plan);
    snap->magic = 0;
    free(snap);
}

/* Is there, or can there be, a UDP socket beside the listener's own? */
static bool has_datagrams(const struct config_address *a)
{
    struct handed handed;
    struct err err;
    if (a->place == CONFIG_AT_SYSTEMD)
        return handed_find(a->name, &handed, &err) == 0 && handed.datagram >= 0;
    return a->place == CONFIG_AT_IP;
}

bool snapshot_listens_udp(const struct snapshot *snap, size_t listener)
{
    const struct config *c = snap->config;
    CHECK(listener < c->listeners.n);
    if (!has_datagrams(&c->listeners.v[listener].address) ||
        strcmp(c->listeners.v[listener].speaks.text, CONFIG_SPEAKS_TLS) != 0)
        return false;
    for (size_t i = 0; i < c->routes.n && c->listeners.v[listener].quic; i++)
        if (c->routes.v[i].action == CONFIG_TUNNEL)
            return true;
    return false;
}
