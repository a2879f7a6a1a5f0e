/* SPDX-License-Identifier: Apache-2.0 */
#include "session/bundles.h"

#include "cert/trust.h"
#include "config/config.h"
#include "session/plan.h"
#include "session/provider.h"
#include "session/snapshot.h"

struct revoked *bundles_revoked(const struct snapshot_shared *shared)
{
    struct revocations_provider *provider = shared->bindings->revocations;
    return provider == NULL ? NULL : provider->now(provider);
}

/* `trust` is taken over. */
static struct trust *with_revoked(struct trust *trust, struct revoked *revoked)
{
    if (trust == NULL || trust_revoked(trust) == revoked)
        return trust;
    struct trust *better = trust_with_revoked(trust, revoked);
    trust_unref(trust);
    return better;
}

struct trust *bundles_load(const struct config_trust *t, struct revoked *revoked, struct err *err)
{
    struct trust_files files = {t->name.text, plan_texts(&t->ca), t->ca.n, plan_texts(&t->crl), t->crl.n};
    struct trust *trust = trust_load(&files, err);
    plan_texts_done(files.ca);
    plan_texts_done(files.crl);
    return with_revoked(trust, revoked);
}

struct trust *bundles_renew(struct trust *old, struct revoked *revoked, uint64_t *ret_unread, struct err *err)
{
    uint64_t stale = trust_stale(old);
    struct trust *fresh = stale != 0 ? trust_reload(old, err) : NULL;
    *ret_unread = fresh == NULL ? stale : 0;
    if (fresh == NULL && trust_revoked(old) == revoked)
        return NULL;
    return with_revoked(fresh != NULL ? fresh : trust_ref(old), revoked);
}
