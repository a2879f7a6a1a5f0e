/* SPDX-License-Identifier: Apache-2.0 */
#include "session/backend_ech.h"

#include <stdatomic.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/clock.h"
#include "ech/source.h"

#define ASK_NS (5 * NSEC_PER_SEC)

struct place {
    struct list node;
    struct ech_source *source;
    bool complained; /* it fails, and that has been told */
};

/* The one that is there from a configuration before, or a new one. Borrowed. */
static struct ech_source *source_of(struct snapshot_shared *shared, const struct config_doh *doh,
                                    const char *host, uint16_t port)
{
    const struct doh_resolver resolver = config_doh_resolver(doh);
    for (struct list *n = shared->ech_sources.next; n != &shared->ech_sources; n = n->next) {
        struct place *p = CONTAINER_OF(n, struct place, node);
        if (ech_source_is(p->source, &resolver, host, port))
            return p->source;
    }
    struct place *p = calloc(1, sizeof(*p));
    CHECK(p != NULL);
    p->source = ech_source_new(&resolver, host, port);
    list_insert(&shared->ech_sources, &p->node);
    return p->source;
}

/* Its configuration has seen to it that a resolver is there, and a name. */
static int load_one(struct snapshot_shared *shared, const struct config *config,
                    const struct config_backend *backend, size_t i, struct ech_offer *ret, struct err *err)
{
    struct ech_setting setting;
    const struct config_address *to = &backend->to.v[i];
    const char *name = backend->tls->name.text != NULL ? backend->tls->name.text : to->host;
    CHECK(ech_setting_read(backend->tls->ech.text, &setting));
    struct ech_source *source =
        setting.wish != ECH_WISH_AUTO ? NULL : source_of(shared, config->doh, name, to->port);
    return ech_offer_load(&setting, source, ret, err);
}

struct backend_ech *backend_ech_load(struct snapshot_shared *shared, const struct config *config,
                                     const struct config_route *route, struct err *err)
{
    const struct config_backend *backend = config_route_backend(route);
    err->text[0] = '\0';
    if (backend == NULL || backend->tls == NULL)
        return NULL;
    struct backend_ech *e = calloc(1, sizeof(*e) + backend->to.n * sizeof(e->v[0]));
    CHECK(e != NULL);
    e->refs = 1;
    for (; e->n < backend->to.n; e->n++)
        if (load_one(shared, config, backend, e->n, &e->v[e->n], err) != 0) {
            backend_ech_unref(e);
            return NULL;
        }
    return e;
}

struct backend_ech *backend_ech_ref(struct backend_ech *e)
{
    if (e != NULL)
        atomic_fetch_add(&e->refs, 1);
    return e;
}

void backend_ech_unref(struct backend_ech *e)
{
    if (e == NULL || atomic_fetch_sub(&e->refs, 1) > 1)
        return;
    for (size_t i = 0; i < e->n; i++)
        ech_offer_free(&e->v[i]);
    free(e);
}

static void drop(struct place *p)
{
    list_remove(&p->node);
    ech_source_unref(p->source);
    free(p);
}

void backend_ech_ask(struct snapshot_shared *shared)
{
    size_t n = 0;
    struct ech_source **all = NULL;
    for (struct list *node = shared->ech_sources.next; node != &shared->ech_sources; node = node->next) {
        all = realloc(all, (n + 1) * sizeof(struct ech_source *));
        CHECK(all != NULL);
        all[n++] = CONTAINER_OF(node, struct place, node)->source;
    }
    ech_sources_wait(all, n, ASK_NS);
    free(all);
}

/* Those of configurations that nobody has any more go. */
void backend_ech_keep(struct snapshot_shared *shared, struct loop *loop)
{
    for (struct list *n = shared->ech_sources.next, *next; n != &shared->ech_sources; n = next) {
        struct place *p = CONTAINER_OF(n, struct place, node);
        next = n->next;
        if (ech_source_is_alone(p->source))
            drop(p);
        else
            ech_source_keep(p->source, loop);
    }
}

bool backend_ech_news(struct snapshot_shared *shared, struct err *ret)
{
    for (struct list *n = shared->ech_sources.next; n != &shared->ech_sources; n = n->next) {
        struct place *p = CONTAINER_OF(n, struct place, node);
        bool fails = ech_source_is_failing(p->source, ret), told = p->complained;
        p->complained = fails;
        if (fails != told)
            return true;
    }
    return false;
}

size_t backend_ech_failing(const struct snapshot_shared *shared)
{
    size_t count = 0;
    struct err why;
    for (struct list *n = shared->ech_sources.next; n != &shared->ech_sources; n = n->next)
        count += ech_source_is_failing(CONTAINER_OF(n, struct place, node)->source, &why);
    return count;
}

void backend_ech_forget(struct snapshot_shared *shared)
{
    while (!list_empty(&shared->ech_sources))
        drop(CONTAINER_OF(shared->ech_sources.next, struct place, node));
}
