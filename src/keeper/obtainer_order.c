/* SPDX-License-Identifier: Apache-2.0 */
/* Orders, and the question when to renew: what an errand is given, and what becomes of it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "cert/cert.h"
#include "cert/issued.h"
#include "cert/key.h"
#include "cert/pem.h"
#include "cert/secret_file.h"
#include "keeper/obtainer_internal.h"

#define NEXT_MAX (PEM_TIME_MAX + 32)

static void end_errand(struct obtained_errand *e)
{
    key_free(e->key);
    cert_unref(e->about);
    buf_wipe(&e->eab_key);
    buf_free(&e->replaces);
    buf_free(&e->resumes);
    *e = (struct obtained_errand){0};
}

void obtained_cancel(struct obtained *g)
{
    struct obtained_errand *const both[] = {&g->order, &g->look};
    for (size_t i = 0; i < ARRAY_LEN(both); i++) {
        if (both[i]->running != NULL)
            acme_errand_cancel(both[i]->running);
        end_errand(both[i]);
    }
    obtained_cancel_status(g);
}

static void save_ca(struct obtained *g, uint16_t ca)
{
    const struct life_ca_state state = life_ca_state(g->o->life, ca);
    struct err err;
    if (book_save_ca(g->o->book, ca, &state, &err) < 0)
        obtained_notice(g, &err);
}

/* What comes next; the CA that has failed is not it for a while. */
static void put_next(const struct lineage *l, int64_t now, char text[NEXT_MAX])
{
    char when[PEM_TIME_MAX];
    int64_t next = life_next_try(l);
    if (next == LIFE_NEVER)
        snprintf(text, NEXT_MAX, "there is no next try");
    else if (next <= now)
        snprintf(text, NEXT_MAX, "another CA is asked at once");
    else
        snprintf(text, NEXT_MAX, "next try at %s", pem_time_text(next, when));
}

static void fail(struct obtained *g, enum life_failure why, int64_t retry_after, const struct err *text)
{
    uint16_t ca = g->order.ca;
    int64_t now = obtainer_now();
    char next[NEXT_MAX];
    struct err line;
    end_errand(&g->order);
    if (book_end_order(g->o->book, g->lineage->id, &line) < 0)
        obtained_notice(g, &line);
    life_failed(g->o->life, g->lineage, why, retry_after, now);
    obtained_save(g);
    save_ca(g, ca);
    put_next(g->lineage, now, next);
    err_set(&line, "%s: %s; %s", g->o->cas[ca].url, text->text, next);
    obtained_notice(g, &line);
    obtainer_go_on(g->o);
}

void obtained_fail(struct obtained *g, enum life_failure why, const struct err *text)
{
    g->order.ca = g->waits.ca;
    fail(g, why, 0, text);
}

/* ---- the account ---- */

static int save_account(const struct obtained *g, uint16_t number, struct err *err)
{
    const struct obtainer_ca *ca = &g->o->cas[number];
    struct buf der = {.max = 0};
    struct str url = {ca->account != NULL ? ca->account : "", ca->account != NULL ? strlen(ca->account) : 0};
    int rc = key_put_der(ca->account_key, &der)
                 ? book_save_account(g->o->book, number, url, (struct str){(char *)der.data, der.len}, err)
                 : err_set(err, "the account's key could not be written");
    buf_wipe(&der);
    return rc;
}

/* A key is in the book before the CA hears of it: else a crash would leave an account that nobody has. */
static int need_account(const struct obtained *g, uint16_t number, struct err *err)
{
    struct obtainer_ca *ca = &g->o->cas[number];
    if (ca->account_key != NULL)
        return 0;
    ca->account_key = key_make(KEY_P256);
    if (ca->account_key == NULL)
        return err_set(err, "no key could be made");
    if (save_account(g, number, err) == 0)
        return 0;
    key_free(ca->account_key);
    ca->account_key = NULL;
    return -1;
}

static void note_account(const struct obtained *g, const struct acme_client *c)
{
    struct obtainer_ca *ca = &g->o->cas[g->order.ca];
    const char *account = acme_client_account(c);
    struct err err;
    if (account == NULL || (ca->account != NULL && strcmp(account, ca->account) == 0))
        return;
    free(ca->account);
    ca->account = str_dup(account);
    if (save_account(g, g->order.ca, &err) < 0)
        obtained_notice(g, &err);
}

/* ---- the order ---- */

/* With its key: a door that is killed goes on with it. */
static void note_order(struct obtained *g, const struct acme_client *c)
{
    const char *url = acme_client_order(c);
    struct buf der = {.max = 0};
    struct err err;
    if (url == NULL || (g->order.resumes.len > 0 && strcmp(url, buf_text(&g->order.resumes)) == 0))
        return;
    int rc = key_put_der(g->order.key, &der) ? 0 : err_set(&err, "its key could not be written");
    const struct book_order order = {.slot = g->order.slot,
                                     .ca = g->order.ca,
                                     .url = {url, strlen(url)},
                                     .key = {(char *)der.data, der.len}};
    if (rc == 0)
        rc = book_save_order(g->o->book, g->lineage->id, &order, &err);
    if (rc < 0)
        obtained_notice(g, &err);
    buf_wipe(&der);
}

static void on_noted(void *arg, const struct acme_client *c)
{
    note_account(arg, c);
    note_order(arg, c);
}

/* The order that was under way when the door ended, where it is for the same slot at the same CA. */
static void resume(struct obtained *g)
{
    struct book_order kept;
    struct buf space = {.max = 0};
    struct err err;
    int found = book_order(g->o->book, g->lineage->id, &kept, &space, &err);
    if (found < 0)
        obtained_notice(g, &err);
    if (found == 1 && kept.slot == g->order.slot && kept.ca == g->order.ca)
        g->order.key = key_from_der(kept.key);
    if (g->order.key != NULL)
        CHECK(buf_append(&g->order.resumes, kept.url.p, kept.url.len));
    buf_wipe(&space);
}

/* ---- what has come ---- */

static int read_certificate(const struct obtained *g, struct str chain, struct str key, struct issued *ret,
                            struct cert **ret_cert, struct err *err)
{
    if (issued_read(chain, key, ret, err) < 0)
        return -1;
    *ret_cert = cert_from(chain, g->order.key, g->wish->names[0], err);
    return *ret_cert != NULL ? 0 : -1;
}

/* Into its slot and into the book; what the book cannot keep is not served, for a restart would lose it. */
static int take(struct obtained *g, const struct issued *issued, struct cert *cert,
                const struct book_certificate *entry, struct err *err)
{
    const struct life_issue issue = {.not_before = issued->not_before,
                                     .not_after = issued->not_after,
                                     .must_staple = issued->must_staple,
                                     .has_status = asker_can(cert, NULL),
                                     .by_crl = issued->ocsp[0] == '\0'};
    const struct life_state before = g->lineage->state;
    struct obtainer *o = g->o;
    int slot = g->order.slot;
    life_issued(o->life, g->lineage, &issue, obtainer_now());
    if (book_put(o->book, g->lineage, life_due_of(g->lineage), slot, entry, err) < 0) {
        life_take_back(o->life, g->lineage, &before, obtainer_now());
        return -1;
    }
    bool awaits = obtained_awaits_staple(g, slot, &before.slot[slot]);
    cert_unref(g->certs[slot]);
    g->certs[slot] = cert_ref(cert);
    save_ca(g, g->order.ca);
    if (g->served == slot && !awaits) /* no turn tells of it: the slot is the same */
        obtained_changed(g);
    return 0;
}

/* The key goes into the book, the certificate to clients. -1 with `err`: it is of no use to us. */
static int keep(struct obtained *g, struct str chain, struct str key, struct issued *ret, struct err *err)
{
    struct cert *cert = NULL;
    if (read_certificate(g, chain, key, ret, &cert, err) < 0)
        return -1;
    struct book_certificate entry = {.chain = chain,
                                     .key = key,
                                     .issued = obtainer_now(),
                                     .not_before = ret->not_before,
                                     .not_after = ret->not_after,
                                     .ca = g->order.ca};
    memcpy(entry.pin, ret->pin, sizeof(entry.pin));
    int rc = take(g, ret, cert, &entry, err);
    cert_unref(cert);
    return rc;
}

static bool is_better(const struct obtained *g, struct str chain, struct str key)
{
    struct issued issued;
    if (issued_read(chain, key, &issued, NULL) < 0)
        return true; /* keep() says what is wrong with it */
    const struct life_issue issue = {.not_before = issued.not_before, .not_after = issued.not_after};
    return life_takes(g->lineage, &issue, obtainer_now());
}

static void tell_obtained(struct obtained *g, const struct issued *issued)
{
    char until[PEM_TIME_MAX];
    struct err line;
    err_set(&line, "obtained from %s, valid until %s%s", g->o->cas[g->order.ca].url,
            pem_time_text(issued->not_after, until),
            g->wish->must_staple && !issued->must_staple
                ? ", without the TLS feature status_request that was asked for (must_staple)"
                : "");
    obtained_notice(g, &line);
}

static void on_obtained(struct obtained *g, struct str chain)
{
    struct issued issued;
    struct buf der = {.max = 0};
    struct err err;
    bool readable = key_put_der(g->order.key, &der);
    struct str key = {(char *)der.data, der.len};
    if (!readable || !is_better(g, chain, key)) {
        err_set(&err, readable ? "what the CA gave is no better than what there is" : "its key is lost");
        fail(g, LIFE_USELESS, 0, &err);
    } else if (keep(g, chain, key, &issued, &err) == 0) {
        tell_obtained(g, &issued);
    } else if (g->lineage->ordering != LIFE_NO_SLOT) {
        fail(g, LIFE_USELESS, 0, &err);
    } else { /* the book has failed, and life has been told */
        obtained_notice(g, &err);
    }
    buf_wipe(&der);
    end_errand(&g->order);
    obtained_tell(g);
    obtainer_go_on(g->o);
}

static void on_order_done(void *arg, const struct acme_client *c, const struct acme_client_failure *failure)
{
    static const enum life_failure faults[] = {[ACME_UNREACHABLE] = LIFE_UNREACHABLE,
                                               [ACME_RATE_LIMITED] = LIFE_RATE_LIMITED,
                                               [ACME_REFUSED] = LIFE_REFUSED,
                                               [ACME_USELESS] = LIFE_USELESS};
    struct obtained *g = arg;
    g->order.running = NULL;
    if (failure == NULL)
        on_obtained(g, acme_client_chain(c));
    else
        fail(g, faults[failure->fault], failure->retry_after, &failure->why);
}

/* ---- an order ---- */

static int make_dns(struct obtained *g, struct err *err)
{
    const struct acme_wish *w = g->wish;
    struct buf secret = {.max = 0};
    int rc = 0;
    if (g->dns != NULL)
        return 0;
    if (w->hook != NULL) {
        g->dns = prover_hook(g->o->owner.loop, &g->o->programs, w->hook, w->hook_timeout);
    } else if (w->dns_server.family != AF_UNSPEC) {
        rc = secret_file_read(w->dns_secret_file, &secret, err);
        if (rc == 0)
            g->dns = prover_update(g->o->owner.loop, &w->dns_server, w->dns_zone, w->dns_key,
                                   (struct str){(char *)secret.data, secret.len});
        buf_wipe(&secret);
    }
    return rc;
}

/* The certificate that is in the slot, where the CA has issued it, is named as what is replaced. */
static void name_replaced(struct obtained *g)
{
    const struct life_slot *s = &g->lineage->state.slot[g->order.slot];
    if (g->certs[g->order.slot] == NULL || !s->held || s->ca != g->order.ca)
        return;
    if (acme_client_cert_id(cert_leaf_der(g->certs[g->order.slot]), &g->order.replaces, NULL) < 0)
        buf_free(&g->order.replaces);
}

static void fill_settings(struct obtained *g, struct acme_errand_settings *s)
{
    const struct acme_wish *w = g->wish;
    const struct obtainer_ca *ca = &g->o->cas[g->order.ca];
    const struct acme_wish_ca *asked = acme_wish_ca(w, ca->url);
    *s = (struct acme_errand_settings){
        .loop = g->o->owner.loop,
        .fetcher = g->o->fetcher,
        .ca_file = asked->ca_file,
        .provers = {[ACME_BY_TLS_ALPN] = g->o->door, [ACME_BY_HTTP] = g->o->door, [ACME_BY_DNS] = g->dns},
        .noted = on_noted,
        .done = on_order_done,
        .arg = g,
        .client = {.goal = ACME_OBTAIN,
                   .directory = ca->url,
                   .patience = w->patience,
                   .account_key = ca->account_key,
                   .account = ca->account,
                   .email = asked->email,
                   .eab_kid = asked->eab_kid,
                   .eab_key = {(const char *)g->order.eab_key.data, g->order.eab_key.len},
                   .names = (const char *const *)w->names,
                   .names_len = w->names_len,
                   .proofs_len = w->proofs_len,
                   .settle = w->settle,
                   .profile = asked->profile,
                   .replaces = g->order.replaces.len > 0 ? buf_text(&g->order.replaces) : NULL,
                   .key = g->order.key,
                   .must_staple = w->must_staple,
                   .order = g->order.resumes.len > 0 ? buf_text(&g->order.resumes) : NULL}};
    memcpy(s->client.proofs, w->proofs, sizeof(w->proofs));
}

void obtained_order(struct obtained *g, int slot, uint16_t ca)
{
    struct acme_errand_settings settings;
    struct err err;
    const struct acme_wish_ca *asked = acme_wish_ca(g->wish, g->o->cas[ca].url);
    CHECK(g->order.running == NULL && asked != NULL); /* orders go to the CAs of the wish */
    g->order = (struct obtained_errand){.ca = ca, .slot = slot};
    resume(g);
    if (g->order.key == NULL)
        g->order.key = key_make(g->wish->key);
    int rc = g->o->fetcher != NULL ? 0 : err_set(&err, "libcurl is missing");
    if (rc == 0 && g->order.key == NULL)
        rc = err_set(&err, "no key could be made");
    if (rc == 0)
        rc = need_account(g, ca, &err);
    if (rc == 0)
        rc = make_dns(g, &err);
    if (rc == 0 && asked->eab_key_file != NULL)
        rc = secret_file_read(asked->eab_key_file, &g->order.eab_key, &err);
    if (rc == 0) {
        name_replaced(g);
        fill_settings(g, &settings);
        g->order.running = acme_errand_start(&settings, &err);
        rc = g->order.running != NULL ? 0 : -1;
    }
    if (rc < 0)
        fail(g, LIFE_REFUSED, 0, &err);
}

/* ---- when to renew ---- */

static void on_look_done(void *arg, const struct acme_client *c, const struct acme_client_failure *failure)
{
    struct obtained *g = arg;
    struct life *life = g->o->life;
    int slot = g->look.slot;
    struct err err;
    end_errand(&g->look);
    if (failure == NULL) {
        const struct acme_client_window *w = acme_client_window(c);
        life_ari(life, g->lineage, w->start, w->end, w->retry_after, obtainer_now());
        struct str url = {w->url, strlen(w->url)};
        if (book_save_explanation(g->o->book, g->lineage->id, slot, url, &err) < 0)
            obtained_notice(g, &err);
    } else {
        life_ari_failed(life, g->lineage, failure->fault != ACME_UNREACHABLE, obtainer_now());
    }
    obtained_save(g);
    obtainer_go_on(g->o);
}

void obtained_ask_renewal(struct obtained *g, int slot)
{
    const struct life_slot *s = &g->lineage->state.slot[slot];
    const struct acme_wish_ca *asked = acme_wish_ca(g->wish, g->o->cas[s->ca].url);
    struct err err;
    CHECK(g->look.running == NULL);
    g->look = (struct obtained_errand){.slot = slot, .ca = s->ca};
    if (g->certs[slot] != NULL && g->o->fetcher != NULL) {
        g->look.about = cert_ref(g->certs[slot]);
        const struct acme_errand_settings settings = {
            .loop = g->o->owner.loop,
            .fetcher = g->o->fetcher,
            .ca_file = asked != NULL ? asked->ca_file : NULL,
            .done = on_look_done,
            .arg = g,
            .client = {.goal = ACME_RENEWAL_INFO,
                       .directory = g->o->cas[s->ca].url,
                       .certificate = cert_leaf_der(g->look.about)}};
        g->look.running = acme_errand_start(&settings, &err);
    }
    if (g->look.running != NULL)
        return;
    end_errand(&g->look);
    life_ari_failed(g->o->life, g->lineage, true, obtainer_now());
}
