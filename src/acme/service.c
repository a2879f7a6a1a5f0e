/* SPDX-License-Identifier: Apache-2.0 */
/* The server on the office's thread: requests in, challenges looked at, a sweep now and then. */
#include "acme/service.h"

#include <stdlib.h>

#include "acme/acme_server.h"
#include "acme/issuer.h"
#include "acme/settings.h"
#include "acme/validate.h"
#include "base/check.h"
#include "base/clock.h"
#include "config/config.h"
#include "loop/ear.h"
#include "loop/loop.h"

#define ROUND (30 * NSEC_PER_SEC) /* between looks for what is left over */

/* What is in force: looks go on by the settings that they began with. */
struct in_force {
    struct acme_settings *settings;
    struct acme_validator *validator; /* while the office runs */
};

struct acme_service {
    struct ear operator;
    struct acme_server *server; /* NULL: there is no CA */
    struct in_force now;
    struct in_force before; /* while there still are looks by it */
    /* While the office runs. */
    struct loop *loop;
    struct timer round, later;
    int64_t told; /* see ear_tell_seldom() */
};

static int64_t now(void)
{
    return clock_wall() / NSEC_PER_SEC;
}

static void report(struct acme_service *s, const struct err *err)
{
    ear_tell_seldom(&s->operator, & s->told, "acme: %s", err->text);
}

/* Challenges
 * --------------------------------------------------------------------------------------------------------
 */

static void look_on(struct acme_service *s);

static void on_seen(void *arg, const char *id, enum acme_seen seen, enum acme_problem problem,
                    const char *text)
{
    struct acme_service *s = arg;
    struct err err;
    int rc = seen == ACME_SEEN_LATER
                 ? acme_server_postpone(s->server, id, now(), &err)
                 : acme_server_validated(s->server, id, seen == ACME_SEEN_GOOD, problem, text, now(), &err);
    if (rc < 0)
        report(s, &err);
    if (seen == ACME_SEEN_LATER && !timer_is_set(&s->later))
        loop_set_timer(s->loop, &s->later, loop_now(s->loop) + ACME_POSTPONED * NSEC_PER_SEC);
    look_on(s);
}

/* What is still put off then waits for the next round, or the next request. */
static void on_later(struct timer *t)
{
    look_on(CONTAINER_OF(t, struct acme_service, later));
}

/* As many at once as the validator takes; the others wait in the database. */
static void look_on(struct acme_service *s)
{
    struct acme_check check;
    struct err err;
    int found = 0;
    while (s->now.validator != NULL && !acme_validator_is_full(s->now.validator) &&
           (found = acme_server_next(s->server, now(), &check, &err)) == 1)
        acme_validator_look(s->now.validator, &check, on_seen, s);
    if (found < 0)
        report(s, &err);
}

static void forget(struct in_force *f)
{
    acme_validator_free(f->validator);
    acme_settings_free(f->settings);
    *f = (struct in_force){0};
}

static void on_round(struct timer *t)
{
    struct acme_service *s = CONTAINER_OF(t, struct acme_service, round);
    struct err err;
    int rc = acme_server_sweep(s->server, now(), &err);
    if (rc < 0)
        report(s, &err);
    look_on(s);
    if (s->before.validator != NULL && acme_validator_is_idle(s->before.validator))
        forget(&s->before);
    loop_set_timer(s->loop, t, loop_now(s->loop) + (rc > 0 ? NSEC_PER_SEC : ROUND));
}

/* The office
 * --------------------------------------------------------------------------------------------------------
 */

static void serve(void *arg, const struct web_request *request, struct web_exchange *exchange)
{
    struct acme_service *s = arg;
    struct web_answer answer = {0};
    struct err err;
    if (s->server == NULL || !acme_server_has(s->server, request->path)) {
        web_exchange_text(exchange, s->server == NULL ? 503 : 404, "%s",
                          s->server == NULL ? "the door was started without `ca.acme`: start it anew"
                                            : "there is nothing here; the directory is at /acme/directory");
        return;
    }
    if (acme_server_answer(s->server, request, now(), &answer, &err) < 0)
        report(s, &err);
    web_exchange_answer(exchange, &answer);
    look_on(s);
}

static void start_looking(struct acme_service *s)
{
    struct err err;
    const struct acme_validator_params params = {.loop = s->loop,
                                                 .dns = s->now.settings->dns,
                                                 .http_port = s->now.settings->http_port,
                                                 .tls_port = s->now.settings->tls_port,
                                                 .looks = s->now.settings->looks,
                                                 .looks_per_target = s->now.settings->looks_per_target,
                                                 .allow = acme_settings_allow,
                                                 .arg = s->now.settings};
    s->now.validator = acme_validator_new(&params, &err);
    if (s->now.validator == NULL)
        report(s, &err);
}

static void begin(void *arg, struct loop *loop)
{
    struct acme_service *s = arg;
    s->loop = loop;
    timer_init(&s->round, on_round);
    timer_init(&s->later, on_later);
    if (s->server == NULL)
        return;
    start_looking(s);
    loop_set_timer(loop, &s->round, loop_now(loop));
}

static void end(void *arg)
{
    struct acme_service *s = arg;
    wheel_cancel(&s->round);
    wheel_cancel(&s->later);
    forget(&s->before);
    acme_validator_free(s->now.validator);
    s->now.validator = NULL;
    s->loop = NULL;
}

struct web_service acme_service_web(struct acme_service *s)
{
    static const char *const prefixes[] = {"/acme/", NULL};
    return (struct web_service){
        .name = "acme", .prefixes = prefixes, .serve = serve, .begin = begin, .end = end, .arg = s};
}

/* Opening
 * -----------------------------------------------------------------------------------------------------------
 */

struct acme_service *acme_service_new(const struct ear *operator)
{
    struct acme_service *s = calloc(1, sizeof(*s));
    CHECK(s != NULL);
    s->operator= * operator;
    return s;
}

void acme_service_free(struct acme_service *s)
{
    if (s == NULL)
        return;
    acme_server_free(s->server);
    forget(&s->before);
    forget(&s->now);
    free(s);
}

struct acme_settings *acme_service_prepare(const struct config_ca *ca)
{
    return acme_settings_of(ca);
}

static void complete(struct acme_settings *settings, struct authority *a)
{
    settings->params.issuer = acme_issuer_of(a);
    settings->params.eab = acme_settings_eab;
    settings->params.eab_arg = settings;
}

int acme_service_open(struct acme_service *s, struct authority *a, const struct config_ca *ca,
                      struct err *err)
{
    if (ca->acme == NULL)
        return 0;
    s->now.settings = acme_service_prepare(ca);
    complete(s->now.settings, a);
    s->server = acme_server_new(&s->now.settings->params, err);
    return s->server != NULL ? 0 : -1;
}

void acme_service_take(struct acme_service *s, struct authority *a, struct acme_settings *settings)
{
    CHECK(s->server != NULL);
    complete(settings, a);
    acme_server_take(s->server, &settings->params);
    forget(&s->before); /* of two reloads in a row: what it looked at is handed out again */
    s->before = s->now;
    s->now = (struct in_force){.settings = settings};
    if (s->loop == NULL)
        return;
    start_looking(s);
    look_on(s);
}
