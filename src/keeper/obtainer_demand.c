/* SPDX-License-Identifier: Apache-2.0 */
/* What is obtained on demand: it comes from the book when there is something to do, and goes back there. */
#include <stdlib.h>
#include <string.h>

#include "cert/key.h"
#include "keeper/obtainer_internal.h"

struct book *obtainer_book(struct obtainer *o)
{
    return o->book;
}

struct fetcher *obtainer_fetcher(struct obtainer *o)
{
    return o->fetcher;
}

void obtainer_say(struct obtainer *o, const char *name, const struct err *why)
{
    struct err text;
    err_set(&text, "certificate for %s: %s", name, why->text);
    o->owner.notice(o->owner.arg, &text);
}

/* What the book has is served at once: no turn tells of it, for nobody has another. */
static struct obtained *begin(struct obtained *g, const struct obtained_ear *ear)
{
    if (g == NULL)
        return NULL;
    g->ear = *ear;
    g->served = life_serves(g->lineage, obtainer_now());
    g->told = g->served != LIFE_NO_SLOT ? g->certs[g->served] : NULL;
    return g;
}

struct obtained *obtainer_demand(struct obtainer *o, struct acme_wish *wish, bool fresh,
                                 const struct obtained_ear *ear)
{
    CHECK_MAGIC(o, OBTAINER_MAGIC);
    const struct book_lineage what = {.names = (const char *const *)wish->names,
                                      .names_len = wish->names_len,
                                      .key_kind = key_kind_name(wish->key),
                                      .profile = acme_wish_profile(wish),
                                      .on_demand = true};
    struct err err;
    int64_t id = fresh ? book_add(o->book, &what, &err) : book_known(o->book, &what, &err);
    struct obtained *before = id > 0 ? obtainer_of_id(o, id) : NULL;
    if (id < 0)
        obtainer_say(o, wish->names[0], &err);
    if (before != NULL && before->ear.taken != NULL) {
        const struct obtained_ear old = before->ear;
        obtained_release(before);
        old.taken(old.arg);
        before = NULL;
    }
    if (id > 0 && before == NULL)
        return begin(obtainer_take_up(o, wish, id), ear);
    acme_wish_free(wish);
    return NULL;
}

void obtained_permit(struct obtained *g, const struct err *why)
{
    if (g->waits.lineage == NULL)
        return;
    if (why == NULL)
        obtained_order(g, g->waits.slot, g->waits.ca);
    else
        obtained_fail(g, LIFE_REFUSED, why);
    g->waits = (struct life_job){0};
}

enum obtained_stage obtained_stage(const struct obtained *g, int64_t *ret_next)
{
    const struct lineage *l = g->lineage;
    int64_t now = obtainer_now();
    *ret_next = life_due_of(l);
    if (g->order.running != NULL || l->ordering != LIFE_NO_SLOT || g->look.running != NULL ||
        g->outgoing != NULL)
        *ret_next = now;
    if (life_serves(l, now) != g->served) { /* its turn is near */
        *ret_next = now;
        return OBTAINED_COMES;
    }
    if (life_is_unused(l, now) && *ret_next > now)
        *ret_next = LIFE_NEVER;
    if (g->served != LIFE_NO_SLOT && g->certs[g->served] != NULL &&
        life_rank(&l->state.slot[g->served], now) <= LIFE_REVOKED)
        return OBTAINED_SERVES;
    return l->ordering != LIFE_NO_SLOT || life_next_try(l) <= now ? OBTAINED_COMES : OBTAINED_LACKS;
}

void obtained_used(struct obtained *g)
{
    int64_t before = g->lineage->state.used;
    life_used(g->o->life, g->lineage, obtainer_now());
    if (g->lineage->state.used == before)
        return;
    obtained_save(g);
    obtainer_go_on(g->o);
}

void obtained_leave(struct obtained *g, int64_t due)
{
    struct err err;
    if (book_save(g->o->book, g->lineage, due, &err) < 0)
        obtained_notice(g, &err);
    obtained_release(g);
}

static int is_demanded(void *arg, const struct book_lineage *l, int64_t due, struct err *err)
{
    bool *ret = arg;
    (void)due;
    (void)err;
    *ret = l->on_demand;
    return 0;
}

int obtainer_forget(struct obtainer *o, int64_t *ids, int count, struct err *err)
{
    int going = 0;
    for (int i = 0; i < count; i++) {
        bool on_demand = false;
        if (obtainer_of_id(o, ids[i]) != NULL)
            continue;
        if (book_get(o->book, ids[i], is_demanded, &on_demand, err) < 0)
            return -1;
        if (on_demand)
            ids[going++] = ids[i];
    }
    return book_remove(o->book, ids, going, err) < 0 ? -1 : going;
}
