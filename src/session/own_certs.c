/* SPDX-License-Identifier: Apache-2.0 */
#include "session/own_certs.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/check.h"
#include "cert/cert.h"
#include "cert/store.h"
#include "session/backend_ech.h"
#include "session/plan.h"
#include "session/shared.h"
#include "session/staging.h"
#include "session/standby.h"

/* ---- what is read ---- */

/* What can be wrong with it before anything is asked of it. */
static void check_source(struct complaints *said, const struct config_certificate *cc)
{
    struct err err;
    if (cc->directory.text == NULL)
        return;
    int fd = open(cc->directory.text, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) {
        err_errno(&err, errno, "%s: not a folder that can be read", cc->directory.text);
        complain(said, cc->directory.at, &err);
    } else {
        close(fd);
    }
}

static void load_backup(struct complaints *said, const struct config_backup *backup,
                        const struct cert_files *first, struct standby_pair *pair)
{
    const struct cert_files files = {.certificate = backup->certificate.text,
                                     .key = backup->key.text,
                                     .names = first->names,
                                     .names_len = first->names_len};
    struct err err;
    if (standby_load(pair, &files, &err) != 0)
        complain(said, backup->certificate.at, &err);
}

void own_certs_read(struct own_certs *own, struct complaints *said)
{
    const struct config *c = said->plan->config;
    for (size_t i = 0; i < c->certificates.n; i++) {
        const struct config_certificate *cc = &c->certificates.v[i];
        if (config_certificate_is_source(cc)) {
            check_source(said, cc);
            continue;
        }
        struct cert_files files = {cc->certificate.text, cc->key.text, cc->name.text, plan_texts(&cc->names),
                                   cc->names.n};
        struct err err;
        struct standby_pair *pair = &own->pairs[i];
        pair->side[STANDBY_FIRST] = cert_load(&files, &err);
        if (pair->side[STANDBY_FIRST] == NULL)
            complain(said, cc->certificate.at, &err);
        else if (cc->backup != NULL)
            load_backup(said, cc->backup, &files, pair);
        plan_texts_done(files.names);
    }
}

void own_certs_choose(struct own_certs *own, const struct set_aside *aside)
{
    for (size_t i = 0; i < own->n; i++)
        own->v[i] = own->pairs[i].side[standby_serves(&own->pairs[i], aside)];
}

/* ---- what routes choose from ---- */

/* Is this certificate one of those the route restricts itself to? */
static bool route_wants_cert(const struct config_route *rc, const struct config_certificate *cc)
{
    for (size_t i = 0; i < rc->certificates.n; i++)
        if (cc->name.text != NULL && strcmp(rc->certificates.v[i].text, cc->name.text) == 0)
            return true;
    return rc->certificates.n == 0;
}

bool own_certs_looks_up(const struct config *c, const struct config_route *rc)
{
    for (size_t i = 0; i < c->certificates.n; i++)
        if (config_certificate_is_source(&c->certificates.v[i]) &&
            route_wants_cert(rc, &c->certificates.v[i]))
            return true;
    return false;
}

static bool is_among(struct cert *const *v, size_t n, const struct cert *cert)
{
    for (size_t i = 0; i < n; i++)
        if (v[i] == cert)
            return true;
    return false;
}

/* Those of the configuration, and what stands in for them; of one that stands in for several
 * one is enough. */
static size_t gather_certs(const struct own_certs *own, const struct config *c, const struct config_route *rc,
                           const struct stand_ins *ins, struct cert **ret)
{
    size_t n = 0;
    for (size_t i = 0; i < ins->n; i++)
        if (ins->v[i] != NULL && route_wants_cert(rc, &c->certificates.v[i]) &&
            (ins->v[i] == own->v[i] || !is_among(ret, n, ins->v[i])))
            ret[n++] = ins->v[i];
    return n;
}

/* What stands in for none of the configuration's files is for routes that take every certificate, and for
 * those that name its label. */
static size_t gather_put(const struct config_route *rc, const struct stand_ins *ins, struct cert **ret)
{
    size_t n = 0;
    for (size_t i = 0; i < ins->more_len; i++) {
        bool wanted = rc->certificates.n == 0;
        for (size_t k = 0; k < rc->certificates.n && !wanted; k++)
            wanted = strcmp(rc->certificates.v[k].text, ins->more_labels[i]) == 0;
        if (wanted)
            ret[n++] = ins->more[i];
    }
    return n;
}

static bool is_store_of(const struct cert_store *store, struct cert *const *v, size_t n)
{
    if (store == NULL || cert_store_count(store) != n)
        return false;
    for (size_t i = 0; i < n; i++)
        if (cert_store_at(store, i) != v[i])
            return false;
    return true;
}

/* One of these stores, where it is the same; else a new one. */
static struct cert_store *store_of(struct complaints *said, const struct config_route *rc,
                                   struct cert *const *v, size_t n, struct cert_store *const like[2])
{
    struct err err;
    for (int i = 0; i < 2; i++)
        if (is_store_of(like[i], v, n))
            return cert_store_ref(like[i]);
    struct cert_store *store = cert_store_build(v, n, &err);
    if (store == NULL)
        complain(said, rc->head.at, &err);
    return store;
}

/* *ret_store is NULL, too, where all of its certificates are looked up. `like`: what either may be
 * the same as. */
static void store_for(const struct own_certs *own, struct complaints *said, const struct config_route *rc,
                      const struct stand_ins *ins, struct cert_store *const like[4],
                      struct cert_store **ret_store, struct cert_store **ret_put)
{
    struct cert **wanted = calloc(ins->n + ins->more_len + 1, sizeof(struct cert *));
    CHECK(wanted != NULL);
    const struct config *c = said->plan->config;
    bool looks_up = own_certs_looks_up(c, rc);
    size_t n = said->failed ? 0 : gather_certs(own, c, rc, ins, wanted);
    size_t more = said->failed ? 0 : gather_put(rc, ins, wanted + n);
    if (!said->failed && (n > 0 || !looks_up))
        *ret_store = store_of(said, rc, wanted, looks_up ? n : n + more, like);
    if (!said->failed && looks_up && more > 0)
        *ret_put = store_of(said, rc, wanted + n, more, like + 2);
    free(wanted);
}

/* Of a snapshot before this one with the same files, NULL else, stores are shared. */
void own_certs_stock(struct own_certs *own, const struct staging *staging, const struct own_certs *before,
                     struct complaints *said)
{
    const struct config *c = said->plan->config;
    struct stand_ins now, candidates;
    stand_ins_make(own->v, c->certificates.n, staging, false, &now);
    stand_ins_make(own->v, c->certificates.n, staging, true, &candidates);
    for (size_t i = 0; i < c->routes.n; i++) {
        struct route_certs *rs = &own->route[i];
        if (!config_route_ends_tls(c, &c->routes.v[i]))
            continue;
        static const struct route_certs none;
        const struct route_certs *old = before == NULL ? &none : &before->route[i];
        struct cert_store *like[4] = {old->store, old->candidate_store, old->put, old->candidate_put};
        store_for(own, said, &c->routes.v[i], &now, like, &rs->store, &rs->put);
        struct cert_store *same[4] = {rs->store, old->candidate_store, rs->put, old->candidate_put};
        store_for(own, said, &c->routes.v[i], &candidates, same, &rs->candidate_store, &rs->candidate_put);
    }
    stand_ins_done(&now);
    stand_ins_done(&candidates);
}

/* ---- what backends are shown ---- */

/* What the door shows to the backends of this route, or NULL. */
static struct cert *backend_cert(struct complaints *said, const struct config_route *rc)
{
    const struct config_backend *backend = config_route_backend(rc);
    const struct config_backend_tls *t = backend == NULL ? NULL : backend->tls;
    if (t == NULL || t->certificate.text == NULL)
        return NULL;
    struct err err;
    struct cert_files files = {.certificate = t->certificate.text, .key = t->key.text};
    struct cert *cert = cert_load(&files, &err);
    if (cert == NULL)
        complain(said, t->certificate.at, &err);
    return cert;
}

void own_certs_read_backends(struct own_certs *own, struct snapshot_shared *shared, struct complaints *said)
{
    const struct config *c = said->plan->config;
    struct err err;
    for (size_t i = 0; i < c->routes.n; i++) {
        const struct config_route *rc = &c->routes.v[i];
        own->route[i].backend = backend_cert(said, rc);
        own->route[i].ech = backend_ech_load(shared, c, rc, &err);
        if (own->route[i].ech == NULL && err.text[0] != '\0')
            complain(said, config_route_backend(rc)->tls->ech.at, &err);
    }
    if (!said->failed && !shared->only_checks)
        backend_ech_ask(shared);
}

/* ---- its life ---- */

struct own_certs *own_certs_new(const struct config *c)
{
    struct own_certs *own = calloc(1, sizeof(*own));
    CHECK(own != NULL);
    own->refs = 1;
    own->n = c->certificates.n;
    own->pairs = calloc(own->n + 1, sizeof(*own->pairs));
    own->v = calloc(own->n + 1, sizeof(struct cert *));
    own->routes = c->routes.n;
    own->route = calloc(own->routes + 1, sizeof(struct route_certs));
    CHECK(own->pairs != NULL && own->v != NULL && own->route != NULL);
    return own;
}

struct own_certs *own_certs_again(const struct own_certs *old, const struct config *c)
{
    struct own_certs *own = own_certs_new(c);
    for (size_t i = 0; i < own->n; i++)
        own->pairs[i] = standby_pair_ref(&old->pairs[i]);
    for (size_t i = 0; i < own->routes; i++) {
        own->route[i].backend = old->route[i].backend == NULL ? NULL : cert_ref(old->route[i].backend);
        own->route[i].ech = backend_ech_ref(old->route[i].ech);
    }
    return own;
}

struct own_certs *own_certs_ref(struct own_certs *own)
{
    __atomic_add_fetch(&own->refs, 1, __ATOMIC_RELAXED);
    return own;
}

void own_certs_unref(struct own_certs *own)
{
    if (__atomic_sub_fetch(&own->refs, 1, __ATOMIC_ACQ_REL) > 0)
        return;
    for (size_t i = 0; i < own->routes; i++) {
        cert_store_free(own->route[i].store);
        cert_store_free(own->route[i].put);
        cert_store_free(own->route[i].candidate_store);
        cert_store_free(own->route[i].candidate_put);
        cert_unref(own->route[i].backend);
        backend_ech_unref(own->route[i].ech);
    }
    for (size_t i = 0; i < own->n; i++)
        standby_pair_unref(&own->pairs[i]);
    free(own->route);
    free(own->v);
    free(own->pairs);
    free(own);
}
