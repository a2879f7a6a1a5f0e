/* SPDX-License-Identifier: Apache-2.0 */
/* For the operator: what there is, and the backups that he wants served. */
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/str.h"
#include "cert/cert.h"
#include "cert/key.h"
#include "keeper/choice.h"
#include "keeper/obtainer_internal.h"

/* ---- swap ---- */

/* Its URL, where some wish has a CA of that name in the configuration; else what was given, a URL itself. */
static const char *url_of(const struct obtainer *o, const char *ca)
{
    for (struct list *n = o->all.next; n != &o->all; n = n->next) {
        const struct acme_wish *w = CONTAINER_OF(n, struct obtained, node)->wish;
        for (size_t i = 0; i < w->cas_len; i++)
            if (str_same(w->cas[i].name, ca))
                return w->cas[i].url;
    }
    return ca;
}

static int number_of(const struct obtainer *o, const char *ca)
{
    const char *url = url_of(o, ca);
    for (size_t i = 0; i < o->cas_len; i++)
        if (strcmp(o->cas[i].url, url) == 0)
            return (int)i;
    return -1;
}

/* The first name of each, or the URLs of the CAs, as a phrase: what could be meant. */
static void put_choice(const struct obtainer *o, bool cas, struct buf *ret)
{
    size_t n = 0;
    for (size_t i = 0; cas && i < o->cas_len; i++)
        choice_add(ret, &n, "'", o->cas[i].url);
    for (struct list *at = o->all.next; !cas && at != &o->all; at = at->next) {
        const struct obtained *g = CONTAINER_OF(at, struct obtained, node);
        if (g->ear.taken == NULL) /* on demand there are too many */
            choice_add(ret, &n, "", g->wish->names[0]);
    }
}

static int refuse(const struct obtainer *o, const struct obtainer_swap *what, struct err *err)
{
    struct buf choice = {0};
    put_choice(o, what->name == NULL, &choice);
    const char *known = choice.len > 0 ? buf_text(&choice) : "none but on demand";
    if (what->name != NULL)
        err_set(err, "the door obtains no certificate for '%s'; what it obtains: %s", what->name, known);
    else
        err_set(
            err,
            "no certificate is from a CA '%s', neither by a name in acme_cas nor by the URL of a directory; "
            "its CAs: %s",
            what->ca, known);
    buf_free(&choice);
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
            return refuse(o, what, err);
    } else {
        int ca = what->ca != NULL ? number_of(o, what->ca) : -1;
        if (what->ca != NULL && ca < 0)
            return refuse(o, what, err);
        ret->swapped = life_swap_all(o->life, ca, obtainer_now(), &ret->left);
    }
    obtainer_go_on(o);
    return what->name != NULL && ret->swapped == 0 ? err_set(err, "%s: %s", what->name, why.text) : 0;
}

/* ---- listing ---- */

static void tell_slot(const struct obtained *g, struct listing_slot *s, int slot)
{
    if (!s->held)
        return;
    s->ca = str_dup(g->o->cas[g->lineage->state.slot[slot].ca].url);
    if (g->certs[slot] != NULL)
        listing_slot_of_cert(g->certs[slot], s);
}

static void put_names(struct listing *l, const char *const *names, size_t n)
{
    l->names = calloc(n + 1, sizeof(*l->names));
    CHECK(l->names != NULL);
    for (; l->names_len < n; l->names_len++)
        l->names[l->names_len] = str_dup(names[l->names_len]);
}

static void tell_one(const struct obtained *g, const char *from, struct listing *l)
{
    int served;
    listing_of(g->lineage, obtainer_now(), l, &served);
    l->from = from;
    l->next_try = life_next_try(g->lineage);
    put_names(l, (const char *const *)g->wish->names, g->wish->names_len);
    tell_slot(g, &l->served, served);
    tell_slot(g, &l->backup, 1 - served);
}

void obtainer_list(const struct obtainer *o, const char *match, struct listings *rows)
{
    CHECK_MAGIC(o, OBTAINER_MAGIC);
    for (struct list *n = o->all.next; n != &o->all; n = n->next) {
        const struct obtained *g = CONTAINER_OF(n, struct obtained, node);
        bool wanted = *match == '\0';
        for (size_t i = 0; i < g->wish->names_len && !wanted; i++)
            wanted = str_glob(match, g->wish->names[i]);
        if (wanted && g->ear.taken == NULL)
            tell_one(g, "acme", listings_add(rows));
    }
}

/* A slot of a lineage that is in the book only. */
static void read_slot(const struct obtainer *o, int64_t id, int slot, struct listing_slot *s)
{
    struct book_copy copied = {0};
    struct err err;
    if (!s->held || book_certificate(o->book, id, slot, &copied, &err) != 1)
        return;
    struct evp_pkey_st *key = key_from_der(copied.is.key);
    struct cert *cert = key != NULL ? cert_from(copied.is.chain, key, "", &err) : NULL;
    if (copied.is.ca < o->cas_len)
        s->ca = str_dup(o->cas[copied.is.ca].url);
    if (cert != NULL)
        listing_slot_of_cert(cert, s);
    cert_unref(cert);
    key_free(key);
    book_copy_free(&copied);
}

/* When it is renewed, as long as somebody asks for it. */
static int64_t next_order(const struct lineage *l, int served, int64_t now)
{
    int64_t at = l->state.slot[served].renew_at;
    return !l->state.slot[served].held || life_is_unused(l, MAX(at, now)) ? LIFE_NEVER : at;
}

static void tell_place(const struct obtainer *o, const struct book_place *at, struct listings *rows)
{
    const struct obtained *g = obtainer_of_id(o, at->id);
    const char *name = at->name;
    struct lineage l = {.id = at->id, .rule = {.on_demand = true, .backup = LIFE_NO_BACKUP}};
    struct err err;
    int served;
    if (g != NULL) {
        tell_one(g, "on demand", listings_add(rows));
        return;
    }
    if (book_load(o->book, at->id, &l.rule, &l.state, &err) != 1)
        return;
    struct listing *row = listings_add(rows);
    listing_of(&l, obtainer_now(), row, &served);
    row->from = "on demand";
    row->next_try = next_order(&l, served, obtainer_now());
    put_names(row, &name, 1);
    read_slot(o, at->id, served, &row->served);
    read_slot(o, at->id, 1 - served, &row->backup);
}

int obtainer_page(const struct obtainer *o, struct book_place *at, const char *match, size_t most,
                  struct listings *rows, struct err *err)
{
    CHECK_MAGIC(o, OBTAINER_MAGIC);
    struct book_place *places = calloc(most, sizeof(*places));
    CHECK(places != NULL);
    int n = book_page(o->book, at, match, places, most, err);
    for (int i = 0; i < n; i++)
        tell_place(o, &places[i], rows);
    if (n > 0)
        *at = places[n - 1];
    free(places);
    return n < 0 ? -1 : (size_t)n == most;
}
