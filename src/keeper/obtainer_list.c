/* SPDX-License-Identifier: Apache-2.0 */
/* For the operator: what there is, and the backups that he wants served. */
#include <stdlib.h>
#include <string.h>

#include "cert/facts.h"
#include "keeper/obtainer_internal.h"

/* ---- swap ---- */

static int number_of(const struct obtainer *o, const char *url)
{
    for (size_t i = 0; i < o->cas_len; i++)
        if (strcmp(o->cas[i].url, url) == 0)
            return (int)i;
    return -1;
}

static void swap_named(struct obtainer *o, const char *name, struct obtainer_swapped *ret, struct err *err)
{
    for (struct list *n = o->all.next; n != &o->all; n = n->next) {
        struct obtained *g = CONTAINER_OF(n, struct obtained, node);
        if (!obtained_is_named(g, name))
            continue;
        if (life_swap(o->life, g->lineage, obtainer_now(), err) == 0)
            ret->swapped++;
        else
            ret->left++;
    }
}

int obtainer_swap(struct obtainer *o, const struct obtainer_swap *what, struct obtainer_swapped *ret,
                  struct err *err)
{
    CHECK_MAGIC(o, OBTAINER_MAGIC);
    struct err why = {""};
    *ret = (struct obtainer_swapped){0};
    if (what->name != NULL) {
        swap_named(o, what->name, ret, &why);
        if (ret->swapped + ret->left == 0)
            return err_set(err, "the door obtains no certificate for '%s'", what->name);
    } else {
        int ca = what->ca != NULL ? number_of(o, what->ca) : -1;
        if (what->ca != NULL && ca < 0)
            return err_set(err, "no certificate is from a CA with the directory '%s'", what->ca);
        ret->swapped = life_swap_all(o->life, ca, obtainer_now(), &ret->left);
    }
    obtainer_go_on(o);
    return what->name != NULL && ret->swapped == 0 ? err_set(err, "%s: %s", what->name, why.text) : 0;
}

/* ---- listing ---- */

static void tell_slot(const struct obtained *g, struct listing_slot *s, int slot, char issuer[PEM_NAME_MAX])
{
    if (!s->held)
        return;
    s->ca = g->o->cas[g->lineage->state.slot[slot].ca].url;
    if (g->certs[slot] == NULL)
        return;
    s->issuer = cert_issuer_text(g->certs[slot], issuer);
    s->key = g->certs[slot]->key_text;
}

static int by_end(const void *a, const void *b)
{
    const struct listing *x = a, *y = b;
    return (x->served.not_after > y->served.not_after) - (x->served.not_after < y->served.not_after);
}

void obtainer_list(const struct obtainer *o, size_t most, listing_done *told, void *arg)
{
    CHECK_MAGIC(o, OBTAINER_MAGIC);
    size_t total = life_count(o->life), len = 0;
    struct listing *v = calloc(total + 1, sizeof(*v));
    char(*issuers)[PEM_NAME_MAX] = calloc(2 * total + 1, sizeof(*issuers));
    CHECK(v != NULL && issuers != NULL);
    for (struct list *n = o->all.next; n != &o->all && len < total; n = n->next, len++) {
        const struct obtained *g = CONTAINER_OF(n, struct obtained, node);
        struct listing *l = &v[len];
        int serves = life_serves(g->lineage, obtainer_now());
        int served = serves != LIFE_NO_SLOT ? serves : g->lineage->state.active;
        listing_of(g->lineage, obtainer_now(), l);
        l->from = "acme";
        l->names = (const char *const *)g->wish->names;
        l->names_len = g->wish->names_len;
        tell_slot(g, &l->served, served, issuers[2 * len]);
        tell_slot(g, &l->backup, 1 - served, issuers[2 * len + 1]);
    }
    qsort(v, len, sizeof(*v), by_end);
    told(arg, v, MIN(len, most), len);
    free(v);
    free(issuers);
}
