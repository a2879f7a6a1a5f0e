/* SPDX-License-Identifier: Apache-2.0 */
/* Certificates of a name are revoked, one after the other, before the name is forgotten. */
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "cert/cert.h"
#include "cert/key.h"
#include "keeper/obtainer_internal.h"

#define PATIENCE 30 /* seconds for one: somebody waits for it */

/* A certificate that is to be revoked. */
struct doomed {
    uint16_t ca;
    char *ca_file; /* whom to believe there, or NULL */
    struct cert *cert;
    struct evp_pkey_st *key;
};

struct revocation {
    struct list node;
    struct obtainer *o;
    const struct acme_wish *wish; /* until all are gathered */
    obtainer_revoked *done;
    void *arg;
    struct doomed v[BOOK_FOUND_MAX * LIFE_SLOTS];
    size_t len, at;
    bool by_certificate; /* the CA does not take it from the account */
    struct acme_errand *running;
};

static void end(struct revocation *r, const struct err *why)
{
    if (r->running != NULL)
        acme_errand_cancel(r->running);
    for (size_t i = 0; i < r->len; i++) {
        free(r->v[i].ca_file);
        cert_unref(r->v[i].cert);
        key_free(r->v[i].key);
    }
    list_remove(&r->node);
    r->done(r->arg, (int)r->at, why);
    free(r);
}

/* ---- what there is ---- */

static int is_demanded(void *arg, const struct book_lineage *l, int64_t due, struct err *err)
{
    (void)due;
    (void)err;
    *(bool *)arg = l->on_demand;
    return 0;
}

static int add_slot(struct revocation *r, int64_t id, int slot, struct err *err)
{
    struct book_copy copy = {0};
    struct doomed *d = &r->v[r->len];
    int found = book_certificate(r->o->book, id, slot, &copy, err);
    if (found == 1 && copy.is.not_after > obtainer_now() && copy.is.ca < r->o->cas_len) {
        struct evp_pkey_st *key = key_from_der(copy.is.key);
        const struct acme_wish_ca *asked =
            r->wish != NULL ? acme_wish_ca(r->wish, r->o->cas[copy.is.ca].url) : NULL;
        *d = (struct doomed){
            .ca = copy.is.ca, .ca_file = asked != NULL ? str_dup(asked->ca_file) : NULL, .key = key};
        if (key != NULL)
            d->cert = cert_from(copy.is.chain, key, "", err);
        else
            err_set(err, "the key of its certificate cannot be read in the book");
        r->len++;
        found = d->cert != NULL ? 1 : -1;
    }
    book_copy_free(&copy);
    return found < 0 ? -1 : 0;
}

static int gather(struct revocation *r, const char *name, struct err *err)
{
    int64_t ids[BOOK_FOUND_MAX];
    int n = book_find(r->o->book, (struct str){name, strlen(name)}, ids, err);
    for (int i = 0; i < n; i++) {
        bool on_demand = false;
        if (book_get(r->o->book, ids[i], is_demanded, &on_demand, err) < 0)
            return -1;
        for (int slot = 0; slot < LIFE_SLOTS && on_demand; slot++)
            if (add_slot(r, ids[i], slot, err) < 0)
                return -1;
    }
    return n < 0 ? -1 : 0;
}

/* ---- one after the other ---- */

static void go_on(struct revocation *r);

static void on_done(void *arg, const struct acme_client *c, const struct acme_client_failure *failure)
{
    struct revocation *r = arg;
    struct err err;
    (void)c;
    r->running = NULL;
    if (failure == NULL) {
        r->at++;
        r->by_certificate = false;
        go_on(r);
    } else if (failure->fault == ACME_REFUSED && !r->by_certificate) {
        r->by_certificate = true;
        go_on(r);
    } else {
        err_set(&err, "%s: %s", r->o->cas[r->v[r->at].ca].url, failure->why.text);
        end(r, &err);
    }
}

static void go_on(struct revocation *r)
{
    struct err err;
    if (r->at == r->len) {
        end(r, NULL);
        return;
    }
    const struct doomed *d = &r->v[r->at];
    const struct obtainer_ca *ca = &r->o->cas[d->ca];
    r->by_certificate = r->by_certificate || ca->account_key == NULL;
    const struct acme_errand_settings settings = {
        .loop = r->o->owner.loop,
        .fetcher = r->o->fetcher,
        .ca_file = d->ca_file,
        .done = on_done,
        .arg = r,
        .client = {.goal = ACME_REVOKE,
                   .directory = ca->url,
                   .patience = PATIENCE,
                   .account_key = r->by_certificate ? NULL : ca->account_key,
                   .account = r->by_certificate ? NULL : ca->account,
                   .key = d->key,
                   .certificate = cert_leaf_der(d->cert)}};
    if (r->o->fetcher == NULL)
        err_set(&err, "libcurl is missing");
    else
        r->running = acme_errand_start(&settings, &err);
    if (r->running == NULL)
        end(r, &err);
}

void obtainer_revoke(struct obtainer *o, const char *name, const struct acme_wish *wish,
                     obtainer_revoked *done, void *arg)
{
    struct err err;
    CHECK_MAGIC(o, OBTAINER_MAGIC);
    struct revocation *r = calloc(1, sizeof(*r));
    CHECK(r != NULL);
    *r = (struct revocation){.o = o, .wish = wish, .done = done, .arg = arg};
    list_insert(&o->revoking, &r->node);
    int rc = gather(r, name, &err);
    r->wish = NULL;
    if (rc < 0)
        end(r, &err);
    else
        go_on(r);
}

void obtainer_stop_revoking(struct obtainer *o)
{
    const struct err why = {"the door is being stopped"};
    for (struct list *at; (at = list_pop(&o->revoking)) != NULL;)
        end(CONTAINER_OF(at, struct revocation, node), &why);
}
