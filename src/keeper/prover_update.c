/* SPDX-License-Identifier: Apache-2.0 */
/* The prover that changes a zone itself. */
#include "keeper/prover.h"

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/check.h"
#include "dns/rdata.h"
#include "dns/updater.h"

#define TTL 60

struct update_prover {
    struct prover base;
    struct loop *loop;
    struct dns_server server;
    char *zone, *key_name;
    struct buf secret;
};

static void on_updated(void *arg, const struct err *why, bool silent)
{
    struct prover_call *call = arg;
    (void)silent;
    call->state = NULL;
    call->done(call, why);
}

static void run(struct update_prover *p, struct prover_call *call, enum dns_change change)
{
    char name[ACME_CLIENT_DNS_NAME_MAX], value[ACME_CLIENT_DNS_VALUE_MAX];
    struct buf data = {0};
    struct err err;
    acme_client_dns_name(call->proof, name);
    acme_client_dns_value(call->proof, value);
    call->state = NULL;
    if (dns_rdata_txt(&data, value, &err) != 0) {
        call->done(call, &err);
        return;
    }
    const struct dns_update u = {.zone = p->zone,
                                 .name = name,
                                 .type = DNS_TYPE_TXT,
                                 .change = change,
                                 .data = {buf_text(&data), data.len},
                                 .ttl = TTL};
    struct dns_updater *under_way = dns_updater_start(p->loop, &p->server, &u, on_updated, call);
    if (under_way != NULL)
        call->state = under_way;
    buf_free(&data);
}

static void put(struct prover *p, struct prover_call *call)
{
    run(CONTAINER_OF(p, struct update_prover, base), call, DNS_ADD);
}

static void drop(struct prover *p, struct prover_call *call)
{
    run(CONTAINER_OF(p, struct update_prover, base), call, DNS_REMOVE);
}

static void cancel(struct prover *p, struct prover_call *call)
{
    (void)p;
    if (call->state != NULL)
        dns_updater_cancel(call->state);
    call->state = NULL;
}

static void free_prover(struct prover *p)
{
    struct update_prover *u = CONTAINER_OF(p, struct update_prover, base);
    if (u->secret.data != NULL)
        explicit_bzero(u->secret.data, u->secret.cap);
    buf_free(&u->secret);
    free(u->zone);
    free(u->key_name);
    free(u);
}

struct prover *prover_update(struct loop *loop, const struct net_addr *server, const char *zone,
                             const char *key_name, struct str secret)
{
    static const struct prover_ops ops = {put, drop, cancel, free_prover};
    struct update_prover *u = calloc(1, sizeof(*u));
    CHECK(u != NULL);
    *u = (struct update_prover){
        .base = {&ops}, .loop = loop, .zone = strdup(zone), .key_name = strdup(key_name)};
    CHECK(u->zone != NULL && u->key_name != NULL && buf_append(&u->secret, secret.p, secret.len));
    u->server = (struct dns_server){*server, {u->key_name, {(const char *)u->secret.data, u->secret.len}}};
    return &u->base;
}
