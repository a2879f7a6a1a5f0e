/* SPDX-License-Identifier: Apache-2.0 */
/* What the control thread asks the keeper: messages that travel there and back. */
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/str.h"
#include "keeper/keeper_internal.h"
#include "keeper/obtainer.h"
#include "loop/loop.h"

/* ---- listing ---- */

struct listed {
    struct message message;
    struct keeper *keeper;
    size_t most, len, total;
    struct listing *v; /* with texts of its own, but for static ones */
    listing_done *done;
    void *arg;
};

static void own_texts(struct listing *l)
{
    char **names = calloc(l->names_len + 1, sizeof(*names));
    CHECK(names != NULL);
    for (size_t i = 0; i < l->names_len; i++)
        names[i] = str_dup(l->names[i]);
    l->names = (const char *const *)names;
    struct listing_slot *const slots[] = {&l->served, &l->backup};
    for (size_t i = 0; i < ARRAY_LEN(slots); i++) {
        slots[i]->issuer = str_dup(slots[i]->issuer);
        slots[i]->ca = str_dup(slots[i]->ca);
        slots[i]->key = str_dup(slots[i]->key);
    }
    l->label = str_dup(l->label);
    l->explanation = str_dup(l->explanation);
}

static void let_go(const void *text)
{
    union {
        const void *borrowed;
        void *own;
    } both = {text};
    free(both.own);
}

static void free_texts(const struct listing *l)
{
    const struct listing_slot *const slots[] = {&l->served, &l->backup};
    for (size_t i = 0; i < l->names_len; i++)
        let_go(l->names[i]);
    let_go(l->names);
    for (size_t i = 0; i < ARRAY_LEN(slots); i++) {
        let_go(slots[i]->issuer);
        let_go(slots[i]->ca);
        let_go(slots[i]->key);
    }
    let_go(l->label);
    let_go(l->explanation);
}

static void take_listing(void *arg, const struct listing *v, size_t len, size_t total)
{
    struct listed *l = arg;
    l->v = calloc(len + 1, sizeof(*l->v));
    CHECK(l->v != NULL);
    memcpy(l->v, v, len * sizeof(*v));
    for (size_t i = 0; i < len; i++)
        own_texts(&l->v[i]);
    l->len = len;
    l->total = total;
}

static void on_listed(struct message *m)
{
    struct listed *l = CONTAINER_OF(m, struct listed, message);
    l->done(l->arg, l->v, l->len, l->total);
    for (size_t i = 0; i < l->len; i++)
        free_texts(&l->v[i]);
    free(l->v);
    free(l);
}

static void on_list(struct message *m)
{
    struct listed *l = CONTAINER_OF(m, struct listed, message);
    if (keeper_obtainer(l->keeper) != NULL)
        obtainer_list(keeper_obtainer(l->keeper), l->most, take_listing, l);
    m->run = on_listed;
    loop_post(keeper_home(l->keeper), m);
}

void keeper_list(void *keeper, size_t most, listing_done *done, void *arg)
{
    struct keeper *k = keeper;
    if (keeper_loop(k) == NULL) {
        done(arg, NULL, 0, 0);
        return;
    }
    struct listed *l = calloc(1, sizeof(*l));
    CHECK(l != NULL);
    *l = (struct listed){.message.run = on_list, .keeper = k, .most = most, .done = done, .arg = arg};
    loop_post(keeper_loop(k), &l->message);
}

/* ---- swap ---- */

struct swap {
    struct message message;
    struct keeper *keeper;
    char *name, *ca; /* or NULL */
    struct obtainer_swapped swapped;
    bool failed;
    struct err err;
    keeper_swapped *done;
    void *arg;
};

static void on_swapped(struct message *m)
{
    struct swap *s = CONTAINER_OF(m, struct swap, message);
    s->done(s->arg, s->swapped.swapped, s->swapped.left, s->failed ? &s->err : NULL);
    free(s->name);
    free(s->ca);
    free(s);
}

static void on_swap(struct message *m)
{
    struct swap *s = CONTAINER_OF(m, struct swap, message);
    struct obtainer *o = keeper_obtainer(s->keeper);
    const struct obtainer_swap what = {.name = s->name, .ca = s->ca};
    int rc = o != NULL ? obtainer_swap(o, &what, &s->swapped, &s->err)
                       : err_set(&s->err, "the door obtains no certificates (certificates: - acme)");
    s->failed = rc < 0;
    m->run = on_swapped;
    loop_post(keeper_home(s->keeper), m);
}

void keeper_swap(void *keeper, const char *name, const char *ca, keeper_swapped *done, void *arg)
{
    struct keeper *k = keeper;
    if (keeper_loop(k) == NULL) {
        struct err err;
        err_set(&err, "the door obtains no certificates (certificates: - acme)");
        done(arg, 0, 0, &err);
        return;
    }
    struct swap *s = calloc(1, sizeof(*s));
    CHECK(s != NULL);
    *s = (struct swap){.message.run = on_swap,
                       .keeper = k,
                       .name = str_dup(name),
                       .ca = str_dup(ca),
                       .done = done,
                       .arg = arg};
    loop_post(keeper_loop(k), &s->message);
}
