/* SPDX-License-Identifier: Apache-2.0 */
#include "keeper/acme_errand.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/str.h"
#include "fetch/fetch.h"

#define ERRAND_MAGIC 0xe44a0d01u
#define REQUEST_TIME (30 * NSEC_PER_SEC)

struct acme_errand {
    uint32_t magic;
    struct acme_errand_settings settings;
    char *ca_file;
    struct acme_client *client;
    struct fetch *fetch;
    struct prover_call call;
    struct prover *prover; /* that `call` is with, or NULL */
    bool presents;         /* `call` puts up, else it takes down */
    struct timer timer;
    struct task step;
    int64_t least; /* the clock does not go back behind what was waited for */
    bool account_noted, order_noted;
};

/* Seconds since 1970. */
static int64_t now(struct acme_errand *e)
{
    e->least = MAX(e->least, clock_wall() / NSEC_PER_SEC);
    return e->least;
}

static void free_errand(struct acme_errand *e)
{
    wheel_cancel(&e->timer);
    list_remove(&e->step.node);
    acme_client_free(e->client);
    free(e->ca_file);
    e->magic = 0;
    free(e);
}

static void go_on(struct acme_errand *e)
{
    loop_defer(e->settings.loop, &e->step);
}

/* ---- requests ---- */

static void note(struct acme_errand *e)
{
    bool account = acme_client_account(e->client) != NULL, order = acme_client_order(e->client) != NULL;
    if (account == e->account_noted && order == e->order_noted)
        return;
    e->account_noted = account;
    e->order_noted = order;
    if (e->settings.noted != NULL)
        e->settings.noted(e->settings.arg, e->client);
}

static void on_answer(void *arg, const struct fetch_answer *a, const struct err *err)
{
    struct acme_errand *e = arg;
    e->fetch = NULL;
    if (a == NULL) {
        acme_client_unanswered(e->client, now(e), err);
    } else {
        const struct acme_client_answer answer = {.status = a->status,
                                                  .body = a->body,
                                                  .location = fetch_field(a, "Location"),
                                                  .nonce = fetch_field(a, "Replay-Nonce"),
                                                  .retry_after = fetch_field(a, "Retry-After")};
        acme_client_answer(e->client, now(e), &answer);
    }
    note(e);
    go_on(e);
}

static void send_request(struct acme_errand *e, const struct acme_client_request *r)
{
    const struct fetch_request request = {.method = r->method,
                                          .url = r->url,
                                          .type =
                                              strcmp(r->method, "POST") == 0 ? "application/jose+json" : NULL,
                                          .body = r->body,
                                          .ca_file = e->ca_file,
                                          .timeout = REQUEST_TIME,
                                          .max = ACME_CLIENT_ANSWER_MAX};
    struct err err;
    e->fetch = fetch_start(e->settings.fetcher, &request, on_answer, e, &err);
    if (e->fetch == NULL) {
        acme_client_unanswered(e->client, now(e), &err);
        go_on(e);
    }
}

/* ---- proofs ---- */

static void on_proven(struct prover_call *call, const struct err *why)
{
    struct acme_errand *e = CONTAINER_OF(call, struct acme_errand, call);
    e->prover = NULL;
    if (e->presents)
        acme_client_presented(e->client, now(e), why);
    else
        acme_client_withdrawn(e->client);
    go_on(e);
}

static void prove(struct acme_errand *e, const struct acme_client_proof *proof, bool present)
{
    struct prover *p = e->settings.provers[proof->kind];
    CHECK(p != NULL);
    e->presents = present;
    e->prover = p;
    e->call = (struct prover_call){.proof = proof, .done = on_proven};
    if (present)
        p->ops->put(p, &e->call);
    else
        p->ops->drop(p, &e->call);
}

/* ---- on and on ---- */

static void finish(struct acme_errand *e, bool well)
{
    e->settings.done(e->settings.arg, e->client, well ? NULL : acme_client_failure(e->client));
    free_errand(e);
}

static void wait_until(struct acme_errand *e, int64_t at)
{
    int64_t delay = MAX(0, at - now(e)) * NSEC_PER_SEC;
    e->least = MAX(e->least, at); /* it counts as come when the timer fires, whatever the clock says then */
    loop_set_timer(e->settings.loop, &e->timer, loop_now(e->settings.loop) + delay);
}

static void on_timer(struct timer *t)
{
    go_on(CONTAINER_OF(t, struct acme_errand, timer));
}

static void on_step(struct task *t)
{
    struct acme_errand *e = CONTAINER_OF(t, struct acme_errand, step);
    struct acme_client_next next;
    if (e->fetch != NULL || e->prover != NULL)
        return;
    switch (acme_client_next(e->client, now(e), &next)) {
    case ACME_NEEDS_ANSWER:
        send_request(e, &next.request);
        break;
    case ACME_NEEDS_TIME:
        wait_until(e, next.at);
        break;
    case ACME_NEEDS_PROOF:
        prove(e, next.proof, true);
        break;
    case ACME_NEEDS_WITHDRAWAL:
        prove(e, next.proof, false);
        break;
    case ACME_IS_DONE:
        finish(e, true);
        break;
    case ACME_HAS_FAILED:
        finish(e, false);
        break;
    }
}

struct acme_errand *acme_errand_start(const struct acme_errand_settings *settings, struct err *err)
{
    struct acme_errand *e = calloc(1, sizeof(*e));
    CHECK(e != NULL);
    e->magic = ERRAND_MAGIC;
    e->settings = *settings;
    e->ca_file = str_dup(settings->ca_file);
    timer_init(&e->timer, on_timer);
    task_init(&e->step, on_step);
    e->client = acme_client_new(&settings->client, now(e), err);
    if (e->client == NULL) {
        free_errand(e);
        return NULL;
    }
    e->account_noted = acme_client_account(e->client) != NULL;
    go_on(e);
    return e;
}

void acme_errand_cancel(struct acme_errand *e)
{
    struct acme_client_next next;
    CHECK_MAGIC(e, ERRAND_MAGIC);
    if (e->fetch != NULL)
        fetch_cancel(e->fetch);
    if (e->prover != NULL)
        e->prover->ops->cancel(e->prover, &e->call);
    acme_client_abandon(e->client, &(struct err){"it was given up"});
    while (acme_client_next(e->client, now(e), &next) == ACME_NEEDS_WITHDRAWAL) {
        if (next.proof->kind != ACME_BY_DNS)
            prove(e, next.proof, false);
        else
            acme_client_withdrawn(e->client);
    }
    free_errand(e);
}
