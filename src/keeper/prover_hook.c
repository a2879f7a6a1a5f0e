/* SPDX-License-Identifier: Apache-2.0 */
/* The prover that is a program. */
#include "keeper/prover.h"

#include <stdlib.h>

#include "base/check.h"
#include "net/hook.h"

struct hook_prover {
    struct prover base;
    struct loop *loop;
    struct list *programs;
    int64_t patience; /* ns */
    char **words;
};

static void on_done(void *arg, enum hook_end end, const struct err *why)
{
    struct prover_call *call = arg;
    (void)end;
    call->state = NULL;
    call->done(call, why);
}

static void run(struct hook_prover *h, struct prover_call *call, const char *what)
{
    char name[ACME_CLIENT_DNS_NAME_MAX], value[ACME_CLIENT_DNS_VALUE_MAX];
    const char *more[] = {what, name, value, NULL};
    const struct hook_wish wish = {.loop = h->loop,
                                   .programs = h->programs,
                                   .command = h->words,
                                   .more = more,
                                   .patience = h->patience,
                                   .done = on_done,
                                   .arg = call};
    struct err err;
    acme_client_dns_name(call->proof, name);
    acme_client_dns_value(call->proof, value);
    call->state = hook_start(&wish, &err);
    if (call->state == NULL)
        call->done(call, &err);
}

static void put(struct prover *p, struct prover_call *call)
{
    run(CONTAINER_OF(p, struct hook_prover, base), call, "present");
}

static void drop(struct prover *p, struct prover_call *call)
{
    run(CONTAINER_OF(p, struct hook_prover, base), call, "cleanup");
}

/* The thread ends. */
static void cancel(struct prover *p, struct prover_call *call)
{
    (void)p;
    if (call->state != NULL)
        hook_cancel(call->state);
    call->state = NULL;
}

static void free_prover(struct prover *p)
{
    struct hook_prover *h = CONTAINER_OF(p, struct hook_prover, base);
    hook_words_free(h->words);
    free(h);
}

struct prover *prover_hook(struct loop *loop, struct list *programs, char *const argv[], int64_t patience)
{
    static const struct prover_ops ops = {put, drop, cancel, free_prover};
    struct hook_prover *h = calloc(1, sizeof(*h));
    CHECK(h != NULL);
    h->base.ops = &ops;
    h->loop = loop;
    h->programs = programs;
    h->patience = patience;
    h->words = hook_words_copy(argv);
    return &h->base;
}
