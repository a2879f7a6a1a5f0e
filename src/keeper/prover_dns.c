/* SPDX-License-Identifier: Apache-2.0 */
/* The provers that change a zone. */
#include "keeper/prover.h"

#include <stdlib.h>

#include "base/buf.h"
#include "base/check.h"
#include "dns/changer.h"
#include "dns/rdata.h"
#include "net/hook.h"

#define TTL 60

struct dns_prover {
    struct prover base;
    struct dns_changer changer;
    char **words; /* of a program, or NULL: */
    char *zone, *key_name;
    struct buf secret;
};

static void on_changed(void *arg, const struct err *why, bool silent)
{
    struct prover_call *call = arg;
    (void)silent;
    call->state = NULL;
    call->done(call, why);
}

static void change(struct prover *base, struct prover_call *call, const char *what, enum dns_change change)
{
    struct dns_prover *p = CONTAINER_OF(base, struct dns_prover, base);
    char name[ACME_CLIENT_DNS_NAME_MAX], value[ACME_CLIENT_DNS_VALUE_MAX];
    const char *words[] = {what, name, value, NULL};
    struct buf data = {0};
    struct err err;
    acme_client_dns_name(call->proof, name);
    acme_client_dns_value(call->proof, value);
    call->state = NULL;
    if (dns_rdata_txt(&data, value, &err) == 0) {
        const struct dns_update update = {.zone = p->zone,
                                          .name = name,
                                          .type = DNS_TYPE_TXT,
                                          .change = change,
                                          .data = {buf_text(&data), data.len},
                                          .ttl = TTL};
        call->state = dns_changer_start(&p->changer, &update, words, on_changed, call, &err);
    }
    buf_free(&data);
    if (call->state == NULL)
        call->done(call, &err);
}

static void put(struct prover *p, struct prover_call *call)
{
    change(p, call, "present", DNS_ADD);
}

static void drop(struct prover *p, struct prover_call *call)
{
    change(p, call, "cleanup", DNS_REMOVE);
}

/* The thread ends. */
static void cancel(struct prover *p, struct prover_call *call)
{
    (void)p;
    if (call->state != NULL)
        dns_changing_cancel(call->state);
    call->state = NULL;
}

static void free_prover(struct prover *base)
{
    struct dns_prover *p = CONTAINER_OF(base, struct dns_prover, base);
    buf_wipe(&p->secret);
    hook_words_free(p->words);
    free(p->zone);
    free(p->key_name);
    free(p);
}

static struct dns_prover *make(struct loop *loop)
{
    static const struct prover_ops ops = {put, drop, cancel, free_prover};
    struct dns_prover *p = calloc(1, sizeof(*p));
    CHECK(p != NULL);
    p->base.ops = &ops;
    p->changer.loop = loop;
    return p;
}

struct prover *prover_hook(struct loop *loop, struct list *programs, char *const argv[], int64_t patience)
{
    struct dns_prover *p = make(loop);
    p->words = hook_words_copy(argv);
    p->changer.program = p->words;
    p->changer.programs = programs;
    p->changer.patience = patience;
    return &p->base;
}

struct prover *prover_update(struct loop *loop, const struct net_addr *server, const char *zone,
                             const char *key_name, struct str secret)
{
    struct dns_prover *p = make(loop);
    p->zone = str_dup(zone);
    p->key_name = str_dup(key_name);
    CHECK(buf_append(&p->secret, secret.p, secret.len));
    p->changer.server =
        (struct dns_server){*server, {p->key_name, {(const char *)p->secret.data, p->secret.len}}};
    return &p->base;
}
