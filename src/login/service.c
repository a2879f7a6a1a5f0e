/* SPDX-License-Identifier: Apache-2.0 */
#include "login/service.h"

#include <stdlib.h>

#include "base/check.h"
#include "base/clock.h"
#include "login/accounts.h"
#include "login/issuer.h"
#include "loop/ear.h"

struct login_service {
    struct ear operator;
    int64_t told; /* see ear_tell_seldom() */
    struct accounts *accounts;
    struct login *login; /* NULL: there is no CA */
};

struct login_service *login_service_new(const struct ear *operator)
{
    struct login_service *s = calloc(1, sizeof(*s));
    CHECK(s != NULL);
    s->operator= * operator;
    return s;
}

void login_service_free(struct login_service *s)
{
    if (s == NULL)
        return;
    login_free(s->login);
    accounts_close(s->accounts);
    free(s);
}

int login_service_open(struct login_service *s, struct authority *a, const char *dir,
                       const struct login_settings *settings, struct err *err)
{
    CHECK(s->login == NULL);
    s->accounts = accounts_open(dir, err);
    if (s->accounts == NULL)
        return -1;
    const struct login_issuer issuer = login_issuer_of(a);
    s->login = login_new(s->accounts, settings, &issuer);
    return 0;
}

void login_service_take(struct login_service *s, struct authority *a, const struct login_settings *settings)
{
    const struct login_issuer issuer = login_issuer_of(a);
    CHECK(s->login != NULL);
    login_take(s->login, settings, &issuer);
}

static void serve(void *arg, const struct web_request *request, struct web_exchange *exchange)
{
    struct login_service *s = arg;
    struct web_answer answer = {0};
    struct err err;
    if (s->login == NULL) {
        web_exchange_text(exchange, 503,
                          "the door was started without `ca`, which logins need: start it anew");
        return;
    }
    if (login_answer(s->login, request, clock_wall() / NSEC_PER_SEC, &answer, &err) < 0)
        ear_tell_seldom(&s->operator, & s->told, "login: %s", err.text);
    web_exchange_answer(exchange, &answer);
}

struct web_service login_service_web(struct login_service *s)
{
    static const char *const prefixes[] = {"/login", NULL};
    return (struct web_service){.name = "login", .prefixes = prefixes, .serve = serve, .arg = s};
}
