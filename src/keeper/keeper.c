/* SPDX-License-Identifier: Apache-2.0 */
/* Sources are made by the control thread and asked by workers; everything else happens in the keeper's own
 * thread, to which both send messages. A source names its folders; the folders belong to the keeper, so that
 * a configuration that names the same ones goes on with what they have read. */
#include "keeper/keeper.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/str.h"
#include "cert/issuers.h"
#include "cert/source.h"
#include "config/config.h"
#include "fetch/fetch.h"
#include "keeper/asker.h"
#include "keeper/book.h"
#include "keeper/census.h"
#include "keeper/demand.h"
#include "keeper/folder.h"
#include "keeper/keeper_internal.h"
#include "keeper/obtainer.h"
#include "keeper/prospect.h"
#include "keeper/stapler.h"
#include "loop/loop.h"
#include "session/standby.h"

#define KEEPER_MAGIC 0x6ee9e400u
#define SOURCE_MAGIC 0x50d4ce00u

/* What the configuration's limits say of it. */
struct keeping {
    struct asker_settings asker;
    size_t staples;  /* of files, at once */
    unsigned orders; /* under way at once */
};

struct keeper {
    uint32_t magic;
    struct cert_provider provider;
    struct keeper_ear ear;
    struct challenges *challenges;
    struct loop *loop;
    pthread_t thread;
    bool runs;
    bool has_book; /* of the control thread */
    /* Of its thread. */
    struct cert_issuers *issuers;
    struct list held;  /* struct held */
    struct book *book; /* opened by the control thread, until the obtainer has it */
    struct obtainer *obtainer;
    struct fetcher *fetcher; /* NULL: none is needed yet, or libcurl is missing */
    struct asker *asker;     /* NULL: none is needed yet */
    struct stapler *stapler; /* the same */
    struct keeping keeping;
    char *kept; /* where staples are */
    struct demands *demands;
    struct demand_figures figures; /* atomic */
    int64_t notices_since;
    size_t notices;
};

/* A folder, and how many sources name it. */
struct held {
    struct list node;
    struct folder *folder;
    struct census *census;
    size_t sources;
    size_t names, bytes; /* ... with which bounds, and whether its certificates are stapled */
    bool staples;
};

/* An entry of the configuration's `certificates`. */
struct source_entry {
    char *directory;
    bool staple; /* what is in it */
    struct held *held;
    struct acme_wish *wish; /* until the obtainer has it */
    struct obtained *obtained;
    struct demand_maker *maker; /* until it is in force */
    struct demand *demand;
};

struct source {
    uint32_t magic;
    struct cert_source base;
    struct keeper *keeper;
    struct message begins, ends; /* the first may be on its way still when it goes */
    size_t names, bytes;         /* as much as folders may keep */
    struct keeping keeping;
    char *kept; /* where staples are, or NULL */
    bool asks;  /* something is obtained */
    struct source_entry *entries;
    size_t entries_len;
    bool *serves; /* for each route that names its certificates, for each entry: is it one of these? */
    size_t routes_len;
};

/* ---- what is told ---- */

struct told {
    struct message message;
    struct keeper_ear ear;
    void (*tell)(void *arg, const char *text);
    bool none;
    char text[];
};

static void on_told(struct message *m)
{
    struct told *t = CONTAINER_OF(m, struct told, message);
    t->tell(t->ear.arg, t->none ? NULL : t->text);
    free(t);
}

static void tell(const struct keeper *k, void (*how)(void *arg, const char *text), const char *text)
{
    size_t len = text == NULL ? 0 : strlen(text);
    struct told *t = calloc(1, sizeof(*t) + len + 1);
    CHECK(t != NULL);
    *t = (struct told){.message.run = on_told, .ear = k->ear, .tell = how, .none = text == NULL};
    memcpy(t->text, text == NULL ? "" : text, len + 1);
    loop_post(k->ear.loop, &t->message);
}

#define NOTICES_MAX 30 /* in NOTICES_NS */
#define NOTICES_NS (60 * NSEC_PER_SEC)

static void notice(void *arg, const struct err *text)
{
    struct keeper *k = arg;
    int64_t now = loop_now(k->loop);
    if (now >= k->notices_since + NOTICES_NS) {
        k->notices_since = now;
        k->notices = 0;
    }
    if (k->notices++ < NOTICES_MAX)
        tell(k, k->ear.notice, text->text);
    else if (k->notices == NOTICES_MAX + 1)
        tell(k, k->ear.notice, "more certificates that cannot be used are not told of for a minute");
}

static void changed(void *arg, const char *name)
{
    keeper_changed(arg, name);
}

struct retired {
    struct message message;
    struct keeper_ear ear;
    struct cert_staple *staple;
};

static void on_retired(struct message *m)
{
    struct retired *r = CONTAINER_OF(m, struct retired, message);
    r->ear.retired(r->ear.arg, r->staple);
    free(r);
}

static void retire(void *arg, struct cert_staple *staple)
{
    const struct keeper *k = arg;
    struct retired *r = calloc(1, sizeof(*r));
    CHECK(r != NULL);
    *r = (struct retired){.message.run = on_retired, .ear = k->ear, .staple = staple};
    loop_post(k->ear.loop, &r->message);
}

/* ---- who is asked ---- */

/* As the last configuration wants it. */
static void set_keeping(struct keeper *k, const struct keeping *settings, const char *kept)
{
    k->keeping = *settings;
    free(k->kept);
    k->kept = str_dup(kept);
    if (k->asker != NULL)
        asker_set(k->asker, &settings->asker);
    if (k->stapler != NULL)
        stapler_set(k->stapler, settings->asker.check_every, settings->staples, k->kept);
}

static void need_asker(struct keeper *k)
{
    struct err err;
    if (k->asker != NULL)
        return;
    k->fetcher = fetcher_new(k->loop, &err);
    if (k->fetcher == NULL)
        notice(k, &err);
    k->asker = asker_new(k->loop, k->fetcher, &k->keeping.asker);
}

static void watch(struct keeper *k, struct cert *cert, bool by_crl)
{
    struct issued names;
    if (!asker_can(cert, &names) || (names.ocsp[0] == '\0' && !by_crl))
        return;
    need_asker(k);
    if (k->stapler == NULL) {
        const struct stapler_owner owner = {k->loop, k->asker, notice, retire, k};
        k->stapler = stapler_new(&owner);
        stapler_set(k->stapler, k->keeping.asker.check_every, k->keeping.staples, k->kept);
    }
    stapler_add(k->stapler, cert, by_crl);
}

/* One that came in a file, and that its entry wants stapled. */
static void staple(void *arg, struct cert *cert)
{
    watch(arg, cert, false);
}

/* ---- folders ---- */

/* Sources that want the same of a folder share it. */
static struct held *hold(struct keeper *k, const struct source_entry *e, const struct source *s)
{
    const char *path = e->directory;
    for (struct list *n = k->held.next; n != &k->held; n = n->next) {
        struct held *h = CONTAINER_OF(n, struct held, node);
        if (strcmp(folder_path(h->folder), path) == 0 && h->names == s->names && h->bytes == s->bytes &&
            h->staples == e->staple) {
            h->sources++;
            return h;
        }
    }
    struct held *h = calloc(1, sizeof(*h));
    CHECK(h != NULL);
    const struct folder_owner owner = {k->loop, k->issuers, notice, changed, e->staple ? staple : NULL, k};
    *h = (struct held){.folder = folder_new(path, s->names, s->bytes, &owner),
                       .sources = 1,
                       .names = s->names,
                       .bytes = s->bytes,
                       .staples = e->staple};
    h->census = census_new(k->loop, h->folder, &k->stapler);
    list_insert(&k->held, &h->node);
    return h;
}

static void release(struct held *h)
{
    if (--h->sources > 0)
        return;
    list_remove(&h->node);
    census_free(h->census);
    folder_free(h->folder);
    free(h);
}

/* ---- what is obtained ---- */

static struct obtainer *need_obtainer(struct keeper *k, const struct source *s)
{
    const struct obtainer_settings settings = {.check_every = s->keeping.asker.check_every,
                                               .orders = s->keeping.orders};
    if (k->obtainer == NULL) {
        const struct obtainer_owner owner = {k->loop, k->challenges, notice, changed, retire, k};
        k->obtainer = obtainer_new(k->book, k->fetcher, k->asker, &owner);
        k->demands = demands_new(k->obtainer, k->loop, &k->figures);
        k->book = NULL;
    }
    obtainer_set(k->obtainer, &settings);
    return k->obtainer;
}

static struct demands *need_demands(struct keeper *k, const struct source *s)
{
    need_obtainer(k, s);
    return k->demands;
}

/* ---- a source's life ---- */

static void begin_source(struct message *m)
{
    struct source *s = CONTAINER_OF(m, struct source, begins);
    CHECK_MAGIC(s, SOURCE_MAGIC);
    set_keeping(s->keeper, &s->keeping, s->kept);
    if (s->asks)
        need_asker(s->keeper);
    for (size_t i = 0; i < s->entries_len; i++)
        if (s->entries[i].directory != NULL)
            s->entries[i].held = hold(s->keeper, &s->entries[i], s);
    for (size_t i = 0; i < s->entries_len; i++) {
        if (s->entries[i].wish != NULL)
            s->entries[i].obtained = obtainer_want(need_obtainer(s->keeper, s), s->entries[i].wish);
        s->entries[i].wish = NULL;
        if (s->entries[i].maker != NULL)
            s->entries[i].demand = demand_new(need_demands(s->keeper, s), s->entries[i].maker);
        s->entries[i].maker = NULL;
    }
}

static void free_entries(struct source *s)
{
    for (size_t i = 0; i < s->entries_len; i++) {
        free(s->entries[i].directory);
        acme_wish_free(s->entries[i].wish);
        demand_maker_free(s->entries[i].maker);
    }
    free(s->entries);
    free(s->serves);
    free(s->kept);
    s->magic = 0;
    free(s);
}

static void end_source(struct message *m)
{
    struct source *s = CONTAINER_OF(m, struct source, ends);
    CHECK_MAGIC(s, SOURCE_MAGIC);
    for (size_t i = 0; i < s->entries_len; i++) {
        if (s->entries[i].held != NULL)
            release(s->entries[i].held);
        if (s->entries[i].obtained != NULL)
            obtained_release(s->entries[i].obtained);
        if (s->entries[i].demand != NULL)
            demand_free(s->entries[i].demand);
    }
    free_entries(s);
}

/* Messages run in the order in which they are posted. */
static void source_free(struct cert_source *base)
{
    struct source *s = CONTAINER_OF(base, struct source, base);
    CHECK_MAGIC(s, SOURCE_MAGIC);
    s->ends.run = end_source;
    loop_post(s->keeper->loop, &s->ends);
}

/* ---- questions ---- */

static bool serves(const struct source *s, uint32_t route, size_t entry)
{
    if (route == CERT_ANY_ROUTE)
        return true;
    CHECK(route < s->routes_len);
    return s->serves[route * s->entries_len + entry];
}

static bool find(const struct source_entry *e, const char *name, struct cert_answer *ret)
{
    if (e->held != NULL)
        return folder_find(e->held->folder, name, ret);
    return e->obtained != NULL && obtained_find(e->obtained, name, ret);
}

/* The first entry that has one for the name. */
static void on_question(struct message *m)
{
    struct cert_question *q = CONTAINER_OF(m, struct cert_question, message);
    const struct source *s = CONTAINER_OF(q->source, struct source, base);
    CHECK_MAGIC(s, SOURCE_MAGIC);
    struct cert_answer answer = {.why = PROSPECT_NOT_ASKED, .good_for = NSEC_PER_SEC};
    bool found = false;
    for (size_t i = 0; i < s->entries_len && !found; i++) {
        if (!serves(s, q->route, i))
            continue;
        if (s->entries[i].demand != NULL) {
            if (demand_ask(s->entries[i].demand, q))
                return;
            answer.why = PROSPECT_NOT_PERMITTED;
        }
        found = find(&s->entries[i], q->name, &answer);
    }
    cert_question_answer(q, &answer);
}

static void source_ask(struct cert_source *base, struct cert_question *q)
{
    const struct source *s = CONTAINER_OF(base, struct source, base);
    q->message.run = on_question;
    loop_post(s->keeper->loop, &q->message);
}

/* ---- making sources ---- */

static bool names(const struct config_route *rc, const struct config_certificate *cc)
{
    for (size_t i = 0; i < rc->certificates.n; i++)
        if (cc->name.text != NULL && strcmp(rc->certificates.v[i].text, cc->name.text) == 0)
            return true;
    return false;
}

/* Where staples are kept; NULL where there is no folder for state. */
static char *staples_folder(const struct config *c)
{
    struct buf path = {0};
    if (access(config_state_folder(c), W_OK) != 0)
        return NULL;
    CHECK(buf_printf(&path, "%s/staples", config_state_folder(c)));
    char *ret = str_dup(buf_text(&path));
    buf_free(&path);
    return ret;
}

static struct keeping keeping_of(const struct config *c)
{
    return (struct keeping){
        .asker = {.crl_max = c->limits.crl_size, .check_every = c->limits.revocation_check / NSEC_PER_SEC},
        .staples = c->limits.staples,
        .orders = (unsigned)c->limits.certificate_orders};
}

static int make_demand(struct source_entry *e, const struct config_certificate *cc, size_t i, struct err *err)
{
    struct err why;
    if (cc->on_demand == NULL)
        return 0;
    e->maker = demand_maker_new(cc->on_demand, &why);
    return e->maker != NULL ? 0 : err_set(err, "certificates[%zu].on_demand: %s", i, why.text);
}

static struct source *source_new(struct keeper *k, const struct config *c, struct err *err)
{
    int rc = 0;
    static const struct cert_source_ops ops = {source_ask, source_free};
    struct source *s = calloc(1, sizeof(*s));
    CHECK(s != NULL);
    *s = (struct source){.magic = SOURCE_MAGIC,
                         .keeper = k,
                         .begins.run = begin_source,
                         .names = c->limits.certificates,
                         .bytes = c->limits.certificate_memory,
                         .keeping = keeping_of(c),
                         .kept = staples_folder(c),
                         .entries_len = c->certificates.n,
                         .routes_len = c->routes.n};
    cert_source_init(&s->base, &ops);
    s->entries = calloc(s->entries_len + 1, sizeof(struct source_entry));
    s->serves = calloc(s->entries_len * s->routes_len + 1, sizeof(bool));
    CHECK(s->entries != NULL && s->serves != NULL);
    for (size_t i = 0; i < s->entries_len; i++) {
        const struct config_certificate *cc = &c->certificates.v[i];
        s->entries[i].directory = str_dup(cc->directory.text);
        s->entries[i].wish = cc->acme == NULL ? NULL : acme_wish_new(cc->acme);
        s->entries[i].staple = cc->staple;
        s->asks = s->asks || cc->acme != NULL || cc->on_demand != NULL;
        rc = rc == 0 ? make_demand(&s->entries[i], cc, i, err) : rc;
        for (size_t r = 0; r < s->routes_len; r++)
            s->serves[r * s->entries_len + i] = names(&c->routes.v[r], cc);
    }
    if (rc == 0)
        return s;
    free_entries(s);
    return NULL;
}

static void *thread_main(void *arg)
{
    struct keeper *k = arg;
    struct err err;
    CHECK(loop_run(k->loop, &err) == 0);
    return NULL;
}

static int start(struct keeper *k, struct err *err)
{
    sigset_t all, before;
    if (k->runs)
        return 0;
    sigfillset(&all); /* signals are the control thread's */
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int code = pthread_create(&k->thread, NULL, thread_main, k);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    k->runs = code == 0;
    return code == 0 ? 0 : err_errno(err, code, "cannot start the thread that keeps certificates");
}

/* What obtaining needs is looked for where an error can still keep a configuration from coming into force. */
static int need_book(struct keeper *k, const struct config *c, struct err *err)
{
    bool needed = false;
    for (size_t i = 0; i < c->certificates.n; i++)
        needed = needed || c->certificates.v[i].acme != NULL || c->certificates.v[i].on_demand != NULL;
    if (!needed || k->has_book)
        return 0;
    if (fetch_check(err) < 0)
        return -1;
    k->book = book_open(config_state_folder(c), err);
    k->has_book = k->book != NULL;
    return k->has_book ? 0 : -1;
}

static struct cert_source *make_source(struct cert_provider *provider, const struct config *c,
                                       struct err *err)
{
    struct keeper *k = CONTAINER_OF(provider, struct keeper, provider);
    CHECK_MAGIC(k, KEEPER_MAGIC);
    if (need_book(k, c, err) != 0 || start(k, err) != 0)
        return NULL;
    struct source *s = source_new(k, c, err);
    if (s == NULL)
        return NULL;
    loop_post(k->loop, &s->begins);
    return &s->base;
}

/* ---- the configuration's files ---- */

struct loaded {
    struct message message;
    struct keeper *keeper;
    struct keeping keeping;
    char *kept;
    size_t len;
    struct loaded_cert {
        struct cert *cert; /* a reference */
        bool by_crl;
    } certs[];
};

static void on_loaded(struct message *m)
{
    struct loaded *l = CONTAINER_OF(m, struct loaded, message);
    set_keeping(l->keeper, &l->keeping, l->kept);
    for (size_t i = 0; i < l->len; i++) {
        watch(l->keeper, l->certs[i].cert, l->certs[i].by_crl);
        cert_unref(l->certs[i].cert);
    }
    free(l->kept);
    free(l);
}

/* Both of a pair; only where another one stands by has it a use to know what a CRL says. */
static void add_loaded(struct loaded *l, const struct standby_pair *pair)
{
    bool by_crl = pair->side[STANDBY_BACKUP] != NULL;
    for (int i = 0; i < STANDBY_SIDES; i++)
        if (pair->side[i] != NULL && asker_can(pair->side[i], NULL))
            l->certs[l->len++] = (struct loaded_cert){pair->side[i], by_crl};
}

static void on_files(struct cert_provider *provider, const struct config *c, const struct standby_pair *pairs)
{
    struct keeper *k = CONTAINER_OF(provider, struct keeper, provider);
    CHECK_MAGIC(k, KEEPER_MAGIC);
    struct loaded *l = calloc(1, sizeof(*l) + c->certificates.n * STANDBY_SIDES * sizeof(l->certs[0]));
    CHECK(l != NULL);
    for (size_t i = 0; i < c->certificates.n; i++)
        if (c->certificates.v[i].staple)
            add_loaded(l, &pairs[i]);
    if (l->len == 0 || start(k, NULL) != 0) {
        free(l);
        return;
    }
    l->message.run = on_loaded;
    l->keeper = k;
    l->keeping = keeping_of(c);
    l->kept = staples_folder(c);
    for (size_t i = 0; i < l->len; i++)
        cert_ref(l->certs[i].cert);
    loop_post(k->loop, &l->message);
}

/* ---- for keeper_swap.c, keeper_list.c and keeper_forget.c ---- */

struct census *keeper_census(const struct keeper *k, size_t i)
{
    for (struct list *n = k->held.next; n != &k->held; n = n->next)
        if (i-- == 0)
            return CONTAINER_OF(n, struct held, node)->census;
    return NULL;
}

const struct stapler *keeper_stapler(const struct keeper *k)
{
    return k->stapler;
}

struct demands *keeper_demands(const struct keeper *k)
{
    return k->demands;
}

void keeper_changed(const struct keeper *k, const char *name)
{
    tell(k, k->ear.changed, name);
}

struct obtainer *keeper_obtainer(const struct keeper *k)
{
    return k->obtainer;
}

struct loop *keeper_loop(const struct keeper *k)
{
    CHECK_MAGIC(k, KEEPER_MAGIC);
    return k->runs ? k->loop : NULL;
}

struct loop *keeper_home(const struct keeper *k)
{
    return k->ear.loop;
}

const struct demand_figures *keeper_figures(const struct keeper *k)
{
    return &k->figures;
}

/* ---- life ---- */

struct keeper *keeper_new(const struct keeper_ear *ear, struct challenges *challenges, struct err *err)
{
    struct keeper *k = calloc(1, sizeof(*k));
    CHECK(k != NULL);
    *k = (struct keeper){
        .magic = KEEPER_MAGIC, .provider = {make_source, on_files}, .ear = *ear, .challenges = challenges};
    list_init(&k->held);
    k->loop = loop_new(err);
    if (k->loop == NULL) {
        free(k);
        return NULL;
    }
    k->issuers = cert_issuers_new();
    return k;
}

struct cert_provider *keeper_provider(struct keeper *k)
{
    CHECK_MAGIC(k, KEEPER_MAGIC);
    return &k->provider;
}

void keeper_stop(struct keeper *k)
{
    CHECK_MAGIC(k, KEEPER_MAGIC);
    if (k->runs) {
        loop_stop(k->loop);
        pthread_join(k->thread, NULL);
    }
    k->runs = false;
    if (k->demands != NULL)
        demands_stop(k->demands);
    for (struct list *n = k->held.next; n != &k->held; n = n->next)
        census_stop(CONTAINER_OF(n, struct held, node)->census);
    loop_deliver(k->loop);
}

void keeper_free(struct keeper *k)
{
    if (k == NULL)
        return;
    keeper_stop(k); /* sources have gone since */
    CHECK(list_empty(&k->held));
    demands_free(k->demands);
    obtainer_free(k->obtainer);
    stapler_free(k->stapler);
    free(k->kept);
    asker_free(k->asker);
    fetcher_free(k->fetcher);
    book_close(k->book);
    cert_issuers_free(k->issuers);
    loop_free(k->loop);
    k->magic = 0;
    free(k);
}
