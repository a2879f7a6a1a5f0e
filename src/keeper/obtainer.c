/* SPDX-License-Identifier: Apache-2.0 */
#include "keeper/obtainer.h"

#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "base/clock.h"
#include "cert/cert.h"
#include "cert/key.h"
#include "keeper/obtainer_internal.h"
#include "net/program.h"

/* ---- words ---- */

int64_t obtainer_now(void)
{
    return clock_wall() / NSEC_PER_SEC;
}

void obtained_notice(const struct obtained *g, const struct err *why)
{
    struct err text;
    err_set(&text, "certificate for %s%s: %s", g->wish->names[0], g->wish->names_len > 1 ? " and others" : "",
            why->text);
    g->o->owner.notice(g->o->owner.arg, &text);
}

static void notice(struct obtainer *o, const struct err *why)
{
    o->owner.notice(o->owner.arg, why);
}

void obtained_save(const struct obtained *g)
{
    struct err err;
    if (book_save(g->o->book, g->lineage, life_due_of(g->lineage), &err) < 0)
        obtained_notice(g, &err);
    obtained_tell(g);
}

void obtained_tell(const struct obtained *g)
{
    if (g->ear.turned != NULL)
        g->ear.turned(g->ear.arg);
}

void obtained_changed(const struct obtained *g)
{
    const struct obtainer_owner *owner = &g->o->owner;
    for (size_t i = 0; i < g->wish->names_len; i++)
        owner->changed(owner->arg, g->wish->names[i]);
}

/* ---- turns ---- */

/* False: nothing has changed, it was read from the book. */
static bool serve(struct obtained *g, int slot)
{
    g->served = slot;
    if (slot != LIFE_NO_SLOT && g->certs[slot] != NULL && g->certs[slot] == g->told)
        return false;
    g->told = NULL;
    obtained_changed(g);
    return true;
}

/* Which of ours a lineage is: there are as many as the configuration names, and turns are rare. */
static struct obtained *of_lineage(const struct obtainer *o, const struct lineage *l)
{
    for (struct list *n = o->all.next; n != &o->all; n = n->next) {
        struct obtained *g = CONTAINER_OF(n, struct obtained, node);
        if (g->lineage == l)
            return g;
    }
    return NULL;
}

static void do_job(struct obtainer *o, const struct life_job *job)
{
    struct obtained *g = of_lineage(o, job->lineage);
    CHECK(g != NULL);
    switch (job->task) {
    case LIFE_ORDER:
        if (g->ear.permit == NULL) {
            obtained_order(g, job->slot, job->ca);
            break;
        }
        g->waits = *job;
        g->ear.permit(g->ear.arg);
        break;
    case LIFE_ASK_ARI:
        obtained_ask_renewal(g, job->slot);
        break;
    case LIFE_ASK_STATUS:
        obtained_ask_status(g, job->slot);
        break;
    case LIFE_SERVE:
        if (serve(g, job->slot))
            obtained_save(g);
        else
            obtained_tell(g);
        break;
    }
}

#define WAIT_MOST (60 * NSEC_PER_SEC) /* the wall clock may be set */

static void on_turn(struct task *t)
{
    struct obtainer *o = CONTAINER_OF(t, struct obtainer, turn);
    struct life_job job;
    int64_t now = obtainer_now();
    while (life_next(o->life, now, &job))
        do_job(o, &job);
    int64_t due = life_due(o->life), wait = WAIT_MOST;
    if (due < now + WAIT_MOST / NSEC_PER_SEC)
        wait = MAX(1, due - now) * NSEC_PER_SEC;
    loop_set_timer(o->owner.loop, &o->timer, loop_now(o->owner.loop) + wait);
}

static void on_timer(struct timer *t)
{
    obtainer_go_on(CONTAINER_OF(t, struct obtainer, timer));
}

void obtainer_go_on(struct obtainer *o)
{
    loop_defer(o->owner.loop, &o->turn);
}

/* ---- CAs ---- */

static int add_ca(void *arg, const struct book_ca *ca, struct err *err)
{
    struct obtainer *o = arg;
    struct obtainer_ca *all = realloc(o->cas, (o->cas_len + 1) * sizeof(*all));
    CHECK(all != NULL);
    o->cas = all;
    struct obtainer_ca *mine = &o->cas[o->cas_len];
    *mine = (struct obtainer_ca){.url = strndup(ca->url.p, ca->url.len)};
    CHECK(mine->url != NULL);
    if (ca->account.len > 0)
        mine->account = strndup(ca->account.p, ca->account.len);
    if (ca->account_key.len > 0 && (mine->account_key = key_from_der(ca->account_key)) == NULL)
        return err_set(err, "the account's key for %s cannot be read in the book", mine->url);
    if (life_add_ca(o->life, true, &ca->state) != (int)o->cas_len || ca->number != o->cas_len)
        return err_set(err, "the CAs in the book are not numbered in order");
    o->cas_len++;
    return 0;
}

/* The number of a CA; -1 with `err`. */
static int ca_number(struct obtainer *o, const char *url, struct err *err)
{
    int number = book_add_ca(o->book, url, err);
    if (number < 0 || (size_t)number < o->cas_len)
        return number;
    const struct book_ca fresh = {.number = (uint16_t)number, .url = {url, strlen(url)}};
    return add_ca(o, &fresh, err) < 0 ? -1 : number;
}

/* ---- life ---- */

struct obtainer *obtainer_new(struct book *book, struct fetcher *fetcher, struct asker *asker,
                              const struct obtainer_owner *owner)
{
    struct life_settings settings = {0};
    struct err err;
    struct obtainer *o = calloc(1, sizeof(*o));
    CHECK(o != NULL);
    (void)!getrandom(&settings.seed, sizeof(settings.seed), 0);
    *o = (struct obtainer){.magic = OBTAINER_MAGIC,
                           .owner = *owner,
                           .book = book,
                           .life = life_new(&settings),
                           .fetcher = fetcher,
                           .asker = asker};
    CHECK(o->life != NULL);
    list_init(&o->all);
    list_init(&o->revoking);
    list_init(&o->programs);
    timer_init(&o->timer, on_timer);
    task_init(&o->turn, on_turn);
    o->door = prover_door(owner->challenges);
    if (book_each_ca(book, add_ca, o, &err) < 0)
        notice(o, &err);
    return o;
}

void obtainer_free(struct obtainer *o)
{
    if (o == NULL)
        return;
    CHECK_MAGIC(o, OBTAINER_MAGIC);
    CHECK(list_empty(&o->all) && list_empty(&o->revoking));
    wheel_cancel(&o->timer);
    list_remove(&o->turn.node);
    programs_kill(&o->programs); /* that have not ended in time */
    prover_free(o->door);
    life_free(o->life);
    book_close(o->book);
    for (size_t i = 0; i < o->cas_len; i++) {
        free(o->cas[i].url);
        free(o->cas[i].account);
        key_free(o->cas[i].account_key);
    }
    free(o->cas);
    o->magic = 0;
    free(o);
}

void obtainer_set(struct obtainer *o, const struct obtainer_settings *settings)
{
    CHECK_MAGIC(o, OBTAINER_MAGIC);
    life_set(o->life, settings->check_every, settings->orders);
    o->check_every = settings->check_every;
}

/* What the book has in a slot. */
static struct cert *load(const struct obtained *g, int slot, struct err *err)
{
    struct book_copy copy = {0};
    struct cert *cert = NULL;
    int found = book_certificate(g->o->book, g->lineage->id, slot, &copy, err);
    if (found == 1) {
        struct evp_pkey_st *key = key_from_der(copy.is.key);
        cert = key != NULL ? cert_from(copy.is.chain, key, g->wish->names[0], err) : NULL;
        if (key == NULL)
            err_set(err, "its key in the book cannot be read");
        key_free(key);
    } else if (found == 0) {
        err_set(err, "the book has lost it");
    }
    if (cert != NULL)
        cert_set_staple(cert, asker_staple(cert, copy.staple, obtainer_now())); /* nobody has it yet */
    book_copy_free(&copy);
    return cert;
}

static int make_rule(struct obtainer *o, const struct acme_wish *w, struct life_rule *ret, struct err *err)
{
    *ret = (struct life_rule){.backup = (int8_t)(w->backup < 0 ? LIFE_NO_BACKUP : w->backup),
                              .on_demand = w->on_demand,
                              .unused_after = w->unused_after,
                              .renew_before = w->renew_before};
    for (size_t i = 0; i < w->cas_len && i < LIFE_CAS_MAX; i++) {
        int number = ca_number(o, w->cas[i].url, err);
        if (number < 0)
            return -1;
        ret->cas[ret->cas_len++] = (uint16_t)number;
    }
    return 0;
}

/* Its lineage under the rule of its wish, with what the book knows. */
static int enter(struct obtained *g, int64_t id, struct err *err)
{
    struct obtainer *o = g->o;
    struct life_rule rule;
    struct life_state state;
    if (make_rule(o, g->wish, &rule, err) < 0)
        return -1;
    int known = book_load(o->book, id, &rule, &state, err);
    if (known < 0)
        return -1;
    g->lineage = life_add(o->life, id, &rule, known == 1 ? &state : NULL, obtainer_now());
    CHECK(g->lineage != NULL);
    for (int i = 0; i < LIFE_SLOTS; i++) {
        struct err why;
        if (!g->lineage->state.slot[i].held || g->certs[i] != NULL)
            continue;
        g->certs[i] = load(g, i, &why);
        if (g->certs[i] == NULL)
            obtained_notice(g, &why);
    }
    return 0;
}

struct obtained *obtainer_of_id(const struct obtainer *o, int64_t id)
{
    for (struct list *n = o->all.next; n != &o->all; n = n->next) {
        struct obtained *g = CONTAINER_OF(n, struct obtained, node);
        if (g->lineage->id == id)
            return g;
    }
    return NULL;
}

static void set_wish(struct obtained *g, struct acme_wish *wish)
{
    acme_wish_free(g->wish);
    prover_free(g->dns);
    g->wish = wish;
    g->dns = NULL;
}

static void drop(struct obtained *g)
{
    list_remove(&g->node);
    obtained_outgoing_end(g);
    for (size_t i = 0; i < LIFE_SLOTS; i++)
        cert_unref(g->certs[i]);
    acme_wish_free(g->wish);
    prover_free(g->dns);
    g->magic = 0;
    free(g);
}

static struct obtained *add(struct obtainer *o, struct acme_wish *wish)
{
    struct obtained *g = calloc(1, sizeof(*g));
    CHECK(g != NULL);
    g->magic = OBTAINED_MAGIC;
    g->o = o;
    g->served = LIFE_NO_SLOT;
    list_init(&g->node);
    set_wish(g, wish);
    return g;
}

/* The same names, as another configuration wants them obtained. */
static int renew_wish(struct obtained *g, struct acme_wish *wish, struct err *err)
{
    int64_t id = g->lineage->id;
    obtained_cancel(g);
    life_remove(g->o->life, g->lineage);
    set_wish(g, wish);
    return enter(g, id, err);
}

struct obtained *obtainer_take_up(struct obtainer *o, struct acme_wish *wish, int64_t id)
{
    struct obtained *g = add(o, wish);
    struct err err;
    if (enter(g, id, &err) < 0) {
        notice(o, &err);
        drop(g);
        return NULL;
    }
    list_insert(&o->all, &g->node);
    g->wanted++;
    obtainer_go_on(o);
    return g;
}

/* What is on demand elsewhere becomes the configuration's own. */
static void take_away(struct obtained *g)
{
    const struct obtained_ear ear = g->ear;
    obtained_release(g);
    ear.taken(ear.arg);
}

struct obtained *obtainer_want(struct obtainer *o, struct acme_wish *wish)
{
    CHECK_MAGIC(o, OBTAINER_MAGIC);
    const struct book_lineage what = {.names = (const char *const *)wish->names,
                                      .names_len = wish->names_len,
                                      .key_kind = key_kind_name(wish->key),
                                      .profile = acme_wish_profile(wish)};
    struct err err;
    int64_t id = book_add(o->book, &what, &err);
    struct obtained *g = id < 0 ? NULL : obtainer_of_id(o, id);
    int rc = id < 0 ? -1 : 0;
    if (g != NULL && g->ear.taken != NULL) {
        take_away(g);
        g = NULL;
    }
    if (rc == 0 && g != NULL) {
        rc = renew_wish(g, wish, &err);
        CHECK(rc == 0); /* it was entered before, and the book has not gone since */
    } else if (rc == 0) {
        g = add(o, wish);
        rc = enter(g, id, &err);
        if (rc == 0)
            list_insert(&o->all, &g->node);
        else
            drop(g);
    } else {
        acme_wish_free(wish);
    }
    if (rc < 0) {
        notice(o, &err);
        return NULL;
    }
    g->wanted++;
    obtainer_go_on(o);
    return g;
}

void obtained_release(struct obtained *g)
{
    CHECK_MAGIC(g, OBTAINED_MAGIC);
    if (--g->wanted > 0)
        return;
    obtained_cancel(g);
    life_remove(g->o->life, g->lineage);
    drop(g);
}

/* ---- questions ---- */

bool obtained_is_named(const struct obtained *g, const char *name)
{
    const char *dot = strchr(name, '.');
    for (size_t i = 0; i < g->wish->names_len; i++) {
        const char *mine = g->wish->names[i];
        if (strcmp(mine, name) == 0 ||
            (strncmp(mine, "*.", 2) == 0 && dot != NULL && strcmp(mine + 1, dot) == 0))
            return true;
    }
    return false;
}

struct cert *obtained_served(const struct obtained *g)
{
    if (g->served == LIFE_NO_SLOT)
        return NULL;
    return g->outgoing != NULL && g->outgoing_slot == g->served ? g->outgoing : g->certs[g->served];
}

bool obtained_find(const struct obtained *g, const char *name, struct cert_answer *ret)
{
    CHECK_MAGIC(g, OBTAINED_MAGIC);
    if (!obtained_is_named(g, name))
        return false;
    struct cert *cert = obtained_served(g);
    if (cert == NULL) {
        *ret = (struct cert_answer){.why = "its certificate has not been obtained yet",
                                    .good_for = NSEC_PER_SEC};
        return false;
    }
    *ret = (struct cert_answer){.certs = {cert_ref(cert)}, .count = 1};
    return true;
}
