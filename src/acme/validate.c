/* SPDX-License-Identifier: Apache-2.0 */
/* Looks, begun and ended; dns-01, which is one question. http-01 is in validate_http.c, tls-alpn-01 in
 * validate_tls.c. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "acme/validate_internal.h"
#include "base/check.h"
#include "base/clean.h"
#include "base/clock.h"
#include "cert/expect.h"

#define LOOK_TIME (15 * NSEC_PER_SEC) /* of one challenge, redirects and all */
#define TEXT_MAX 400
#define LOOKS 32
#define LOOKS_PER_TARGET 8

/* Ends
 * --------------------------------------------------------------------------------------------------------------
 */

static void tell(struct acme_look *l, enum acme_seen seen, enum acme_problem problem, const char *text)
{
    if (l->over)
        return;
    l->over = true;
    wheel_cancel(&l->timer);
    loop_defer(l->v->params.loop, &l->end);
    l->done(l->arg, l->check.id, seen, problem, text);
}

void look_failed(struct acme_look *l, enum acme_problem problem, const char *fmt, ...)
{
    char said[TEXT_MAX], text[TEXT_MAX];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(said, sizeof(said), fmt, ap);
    va_end(ap);
    str_clean(text, sizeof(text), said);
    tell(l, ACME_SEEN_BAD, problem, text);
}

void look_good(struct acme_look *l)
{
    tell(l, ACME_SEEN_GOOD, ACME_SERVER_INTERNAL, "");
}

void look_later(struct acme_look *l)
{
    tell(l, ACME_SEEN_LATER, ACME_SERVER_INTERNAL, "");
}

void look_unresolved(struct acme_look *l, const char *name, enum resolve_status status)
{
    look_failed(l, ACME_DNS, "%s: %s", name, resolve_status_text(status));
}

bool look_may(void *look, const struct net_addr *address)
{
    struct acme_look *l = look;
    return l->v->params.allow == NULL || l->v->params.allow(l->v->params.arg, address);
}

bool look_may_now(void *look, const struct net_addr *address)
{
    struct acme_look *l = look;
    if (!look_may(l, address))
        return false;
    bool room = acme_targets_take(l->v->targets, address, l->check.source, l, loop_now(l->v->params.loop));
    l->crowded = l->crowded || !room;
    return room;
}

static void free_look(struct acme_look *l)
{
    list_remove(&l->node);
    list_remove(&l->begin.node);
    list_remove(&l->end.node);
    list_remove(&l->again.node);
    wheel_cancel(&l->timer);
    resolve_cancel(l->query);
    if (l->fetch != NULL)
        fetch_cancel(l->fetch);
    dial_cancel(&l->dial);
    link_close(l->link, true);
    acme_targets_give(l->v->targets, l);
    l->v->count--;
    free(l);
}

static void on_end(struct task *t)
{
    free_look(CONTAINER_OF(t, struct acme_look, end));
}

static void on_timer(struct timer *t)
{
    struct acme_look *l = CONTAINER_OF(t, struct acme_look, timer);
    look_failed(l, l->check.type == ACME_DNS_01 ? ACME_DNS : ACME_CONNECTION, "%s: no answer within %d s",
                l->check.name, (int)(LOOK_TIME / NSEC_PER_SEC));
}

/* dns-01
 * ------------------------------------------------------------------------------------------------------------
 */

static void on_texts(void *arg, enum resolve_status status, const struct str *texts, size_t count)
{
    struct acme_look *l = arg;
    char wanted[ACME_CLIENT_DNS_VALUE_MAX], name[ACME_CLIENT_DNS_NAME_MAX];
    l->query = NULL;
    acme_client_dns_value(&l->proof, wanted);
    acme_client_dns_name(&l->proof, name);
    for (size_t i = 0; i < count; i++)
        if (str_is(texts[i], wanted)) {
            look_good(l);
            return;
        }
    if (status == RESOLVE_OK)
        look_failed(l, ACME_INCORRECT_RESPONSE, "%s: found %zu TXT records, expected one that says %s", name,
                    count, wanted);
    else if (status == RESOLVE_NO_ADDRESS)
        look_failed(l, ACME_DNS, "%s: the name has no TXT record", name);
    else
        look_unresolved(l, name, status);
}

static void look_dns(struct acme_look *l)
{
    char name[ACME_CLIENT_DNS_NAME_MAX];
    if (!acme_targets_take_name(l->v->targets, l->check.name, l->check.source, l,
                                loop_now(l->v->params.loop))) {
        look_later(l);
        return;
    }
    acme_client_dns_name(&l->proof, name);
    struct resolve_query *query = resolver_texts(l->v->resolver, name, on_texts, l);
    if (query != NULL)
        l->query = query;
}

/* Beginnings
 * --------------------------------------------------------------------------------------------------------
 */

static void on_begin(struct task *t)
{
    static void (*const kinds[])(struct acme_look * l) = {
        [ACME_HTTP_01] = look_http, [ACME_TLS_ALPN_01] = look_tls, [ACME_DNS_01] = look_dns};
    struct acme_look *l = CONTAINER_OF(t, struct acme_look, begin);
    CHECK((size_t)l->check.type < ARRAY_LEN(kinds));
    kinds[l->check.type](l);
}

bool acme_validator_is_full(const struct acme_validator *v)
{
    return v->count >= v->params.looks;
}

bool acme_validator_is_idle(const struct acme_validator *v)
{
    return v->count == 0;
}

void acme_validator_look(struct acme_validator *v, const struct acme_check *check, acme_validator_done *done,
                         void *arg)
{
    CHECK(!acme_validator_is_full(v));
    struct acme_look *l = calloc(1, sizeof(*l));
    CHECK(l != NULL);
    *l = (struct acme_look){.v = v, .check = *check, .done = done, .arg = arg};
    l->proof = (struct acme_client_proof){
        .name = l->check.name, .token = l->check.token, .authorization = l->check.key_authorization};
    timer_init(&l->timer, on_timer);
    task_init(&l->begin, on_begin);
    task_init(&l->end, on_end);
    task_init(&l->again, look_tls_again);
    list_insert(&v->looks, &l->node);
    v->count++;
    loop_set_timer(v->params.loop, &l->timer, loop_now(v->params.loop) + LOOK_TIME);
    loop_defer(v->params.loop, &l->begin);
}

/* One that believes nobody: what a certificate of acme-tls/1 says is looked at by ourselves. */
static struct tls_client *make_tls(uint16_t max_version, struct err *err)
{
    static const int groups[] = {0x001d, 0x0017, 0x0018};
    static const char *const alpn[] = {"acme-tls/1"};
    static const struct expect anyone = {.anyone = true};
    struct tls_client_params params = {.min_version = 0x0303,
                                       .max_version = max_version,
                                       .groups = groups,
                                       .groups_len = ARRAY_LEN(groups),
                                       .expect = &anyone,
                                       .alpn = alpn,
                                       .alpn_len = ARRAY_LEN(alpn),
                                       .only_looks = true};
    return tls_client_new(&params, err);
}

struct acme_validator *acme_validator_new(const struct acme_validator_params *params, struct err *err)
{
    struct acme_validator *v = calloc(1, sizeof(*v));
    CHECK(v != NULL);
    v->params = *params;
    if (v->params.http_port == 0)
        v->params.http_port = 80;
    if (v->params.tls_port == 0)
        v->params.tls_port = 443;
    if (v->params.looks == 0)
        v->params.looks = LOOKS;
    v->targets =
        acme_targets_new(params->looks_per_target != 0 ? params->looks_per_target : LOOKS_PER_TARGET);
    list_init(&v->looks);
    tls_scratch_init(&v->scratch, params->loop);
    v->resolver = params->dns != NULL ? resolver_new_at(params->loop, params->dns, err)
                                      : resolver_new(params->loop, err);
    if (v->resolver != NULL && (v->fetcher = fetcher_new(params->loop, err)) != NULL &&
        (v->tls[0] = make_tls(0x0304, err)) != NULL && (v->tls[1] = make_tls(0x0303, err)) != NULL)
        return v;
    acme_validator_free(v);
    return NULL;
}

void acme_validator_free(struct acme_validator *v)
{
    if (v == NULL)
        return;
    struct list *node;
    /* NOLINTNEXTLINE(clang-analyzer-unix.Malloc): a list without the last one */
    while ((node = list_pop(&v->looks)) != NULL)
        free_look(CONTAINER_OF(node, struct acme_look, node));
    fetcher_free(v->fetcher);
    resolver_free(v->resolver);
    for (size_t i = 0; i < LOOK_TRIES; i++)
        tls_client_free(v->tls[i]);
    tls_scratch_free(&v->scratch);
    acme_targets_free(v->targets);
    free(v);
}
