/* SPDX-License-Identifier: Apache-2.0 */
#include "login/login.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include <openssl/mem.h>

#include "base/check.h"
#include "login/login_internal.h"
#include "net/addr.h"

/* Behind one address there may be a whole company, and who mistypes there is forgiven in a while. An
 * account's tries come from anywhere. Nobody waits longer than a quarter of an hour, so that nobody is locked
 * out for good. */
static const struct tries_rule source_rule = {.free = 20, .first = 1, .longest = 900, .forgive = 60};
static const struct tries_rule account_rule = {.free = 5, .first = 1, .longest = 900};
static const struct tries_rule issue_rule = {.free = 30, .first = 1, .longest = 900, .forgive = 60};
/* Once, for as long as a token is good. */
static const struct tries_rule finish_rule = {.first = LOGIN_FINISH_WITHIN + 1,
                                              .longest = LOGIN_FINISH_WITHIN + 1};

void login_take(struct login *l, const struct login_settings *settings, const struct login_issuer *issuer)
{
    l->settings = *settings;
    l->issuer = *issuer;
    if (l->settings.renewable == 0)
        l->settings.renewable = LOGIN_RENEWABLE;
}

struct login *login_new(struct accounts *accounts, const struct login_settings *settings,
                        const struct login_issuer *issuer)
{
    struct login *l = calloc(1, sizeof(*l));
    CHECK(l != NULL);
    l->accounts = accounts;
    login_take(l, settings, issuer);
    l->sources = tries_new(&source_rule);
    l->accounts_tried = tries_new(&account_rule);
    l->issued = tries_new(&issue_rule);
    l->finished = tries_new(&finish_rule);
    seal_make_key(l->seal_key);
    return l;
}

void login_free(struct login *l)
{
    if (l == NULL)
        return;
    tries_free(l->sources);
    tries_free(l->accounts_tried);
    tries_free(l->issued);
    tries_free(l->finished);
    OPENSSL_cleanse(l, sizeof(*l));
    free(l);
}

struct str login_text(const char *text)
{
    return (struct str){text, strlen(text)};
}

int login_is_revoked(const struct login_step *s, struct str session, struct err *err)
{
    char uri[sizeof(LOGIN_URI) + SESSION_ID_MAX];
    snprintf(uri, sizeof(uri), LOGIN_URI "%.*s", (int)session.len, session.p);
    /* Who was revoked may have renewed before: what is of no use any more for that long is over by itself. */
    return s->l->issuer.revoked(s->l->issuer.arg, uri, s->now - s->l->settings.renewable, err);
}

struct session_shown login_shown(const struct login_step *s)
{
    const struct identity *id = s->r->identity;
    const size_t len = strlen(LOGIN_URI);
    for (uint32_t i = 0; id != NULL && s->r->key != NULL && i < id->count; i++) {
        const char *value = id->facts[i].value;
        if (id->facts[i].kind == IDENTITY_URI && strncmp(value, LOGIN_URI, len) == 0 &&
            strlen(value + len) < SESSION_ID_MAX)
            return (struct session_shown){login_text(value + len), s->r->key};
    }
    return (struct session_shown){{"", 0}, NULL};
}

const char *login_end_reused(struct login_step *s, struct str session, const char *who)
{
    char uri[sizeof(LOGIN_URI) + SESSION_ID_MAX];
    struct err err = {""};
    snprintf(uri, sizeof(uri), LOGIN_URI "%.*s", (int)session.len, session.p);
    if (s->l->issuer.revoke(s->l->issuer.arg, uri, who, s->now, &err) == 0)
        return "a key that had been replaced was used: somebody has a copy of it. The session has ended, its "
               "certificates are revoked";
    login_report(s, &err);
    return "a key that had been replaced was used: somebody has a copy of it. The session has ended, but its "
           "certificates could not be revoked";
}

bool login_put_alarm(struct login_step *s, const struct account *account, json_t *m)
{
    struct session_alarm alarm;
    struct err err = {""};
    if (sessions_take_alarm(s->l->accounts, login_text(account->name), &alarm, &err) < 0) {
        login_broken(s, &err);
        return false;
    }
    if (alarm.at == 0)
        return true;
    CHECK(json_object_set_new(m, "reused", json_integer(alarm.at)) == 0);
    form_put_text(m, "reused_from", alarm.source, strlen(alarm.source));
    return true;
}

/* ---- answers ---- */

void login_deed(struct login_step *s, const char *what, struct str who)
{
    struct web_deed *deed = &s->ret->deed;
    *deed = (struct web_deed){.action = "login", .what = what};
    str_copy(deed->who, sizeof(deed->who), who.p,
             who.len < sizeof(deed->who) ? who.len : sizeof(deed->who) - 1);
}

void login_say(struct login_step *s, json_t *m)
{
    s->ret->status = 200;
    s->ret->type = FORM_TYPE;
    CHECK(m != NULL && buf_printf(&s->ret->fields, "Cache-Control: no-store\r\n"));
    form_write(m, &s->ret->body);
    json_decref(m);
}

void login_refuse(struct login_step *s, unsigned status, const char *fmt, ...)
{
    char text[ERR_TEXT_MAX];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    s->ret->body.len = 0;
    CHECK(buf_printf(&s->ret->body, "{\"error\":") && str_json(&s->ret->body, text, strlen(text)) &&
          buf_printf(&s->ret->body, "}"));
    s->ret->status = status;
    s->ret->type = FORM_TYPE;
    s->ret->deed.refused = true;
    if (status == 400) /* nothing was tried by it */
        s->ret->deed.what = NULL;
    if (s->ret->deed.detail[0] == '\0')
        snprintf(s->ret->deed.detail, sizeof(s->ret->deed.detail), "%s", text);
}

void login_report(struct login_step *s, const struct err *err)
{
    *s->err = *err;
    s->broken = true;
}

void login_broken(struct login_step *s, const struct err *err)
{
    login_report(s, err);
    login_refuse(s, 503, "the door cannot do that at present; try again later");
}

void login_wait(struct login_step *s, int64_t wait)
{
    CHECK(buf_printf(&s->ret->fields, "Retry-After: %lld\r\n", (long long)wait));
    login_refuse(s, 429, "too many tries; the next one is possible in %lld s", (long long)wait);
}

/* ---- certificates ---- */

/* The groups of an account, a text each, in place of the blanks between them. */
static size_t split_groups(char *text, const char *ret[ACCOUNT_GROUPS_MAX])
{
    size_t n = 0;
    for (char *rest = NULL, *group = strtok_r(text, " ", &rest); group != NULL && n < ACCOUNT_GROUPS_MAX;
         group = strtok_r(NULL, " ", &rest))
        ret[n++] = group;
    return n;
}

bool login_give(struct login_step *s, const struct account *account, struct str csr, const char *session,
                int64_t session_until, const char *who, json_t *m)
{
    char groups_text[ACCOUNT_GROUPS_TEXT], uri[sizeof(LOGIN_URI) + SESSION_ID_MAX];
    const char *groups[ACCOUNT_GROUPS_MAX];
    struct err err = {""};
    struct buf pem = {0};
    int64_t left = session_until - s->now;
    memcpy(groups_text, account->groups, sizeof(groups_text));
    snprintf(uri, sizeof(uri), "%s%s", LOGIN_URI, session);
    const struct login_grant grant = {
        .csr = csr,
        .name = account->name,
        .groups = groups,
        .groups_len = split_groups(groups_text, groups),
        .uri = uri,
        .now = s->now,
        .lifetime = account->lifetime < left ? account->lifetime : left,
        .who = who,
    };
    tries_count(s->l->issued, login_text(account->name), s->now);
    char serial[LOGIN_SERIAL_MAX] = "";
    struct web_deed *deed = &s->ret->deed;
    bool good = s->l->issuer.issue(s->l->issuer.arg, &grant, &pem, serial, &err) == 0;
    snprintf(deed->session, sizeof(deed->session), "%s", session);
    snprintf(deed->serial, sizeof(deed->serial), "%s", serial);
    if (good) {
        form_put_text(m, "certificate", (const char *)pem.data, pem.len);
        CHECK(json_object_set_new(m, "until", json_integer(s->now + grant.lifetime)) == 0 &&
              json_object_set_new(m, "renewable_until", json_integer(session_until)) == 0);
    } else {
        login_broken(s, &err);
    }
    buf_free(&pem);
    return good;
}

/* ---- requests ---- */

/* Addresses of IPv6 are as many as somebody likes: his network is counted. */
static void name_source(struct str address, char ret[LOGIN_SOURCE_MAX])
{
    struct net_addr a;
    char text[NET_ADDR_TEXT_MAX];
    if (!str_copy(text, sizeof(text), address.p, address.len) || !net_addr_parse(text, 0, &a)) {
        snprintf(ret, LOGIN_SOURCE_MAX, "elsewhere");
        return;
    }
    if (a.family == AF_INET6)
        memset(a.ip + 8, 0, 8);
    net_addr_host(&a, ret);
}

/* Whoever knows a fingerprint of the root only fetches it here, and holds it against that. */
static void tell_root(struct login_step *s)
{
    struct err err = {""};
    if (s->l->issuer.root(s->l->issuer.arg, &s->ret->body, &err) < 0) {
        login_broken(s, &err);
        return;
    }
    s->ret->status = 200;
    s->ret->type = "application/x-pem-file";
}

static const struct {
    const char *path;
    login_step_fn *run;
} steps[] = {
    {"/login/register", login_register_start},
    {"/login/register/finish", login_register_finish},
    {"/login/start", login_start},
    {"/login/finish", login_finish},
    {"/login/renew", login_renew},
    {"/login/enrol", login_enrol},
    {"/login/enrol/poll", login_enrol_poll},
};

static login_step_fn *find_step(struct str path)
{
    for (size_t i = 0; i < ARRAY_LEN(steps); i++)
        if (str_is(path, steps[i].path))
            return steps[i].run;
    return NULL;
}

/* A browser sends this type to another site only when that one agrees: so nobody who has a certificate in his
 * can be made to ask for another. */
static bool is_json(struct str type)
{
    char text[64];
    if (!str_copy(text, sizeof(text), type.p, type.len))
        return false;
    text[strcspn(text, "; \t")] = '\0';
    str_lower(text, strlen(text));
    return strcmp(text, FORM_TYPE) == 0;
}

static void run_step(struct login_step *s, login_step_fn *run)
{
    json_t *m = is_json(s->r->type) ? form_read(s->r->body) : NULL;
    if (m == NULL) {
        login_refuse(s, 400, "the request has no object of %s", FORM_TYPE);
        return;
    }
    s->m = m;
    run(s);
    json_decref(m);
}

int login_answer(struct login *l, const struct web_request *r, int64_t now, struct web_answer *ret,
                 struct err *err)
{
    struct login_step s = {.l = l, .r = r, .now = now, .ret = ret, .err = err};
    login_step_fn *run = find_step(r->path);
    bool root = str_is(r->path, "/login/ca");
    name_source(r->source, s.source);
    if (run == NULL && !root)
        login_refuse(&s, 404, "there is nothing here: 'cardea login' knows the way");
    else if (!r->tls)
        login_refuse(&s, 403, "logins go over TLS only");
    else if (!str_is(r->method, root ? "GET" : "POST")) {
        CHECK(buf_printf(&ret->fields, "Allow: %s\r\n", root ? "GET" : "POST"));
        login_refuse(&s, 405, "expected %s", root ? "GET" : "POST");
    } else if (root)
        tell_root(&s);
    else
        run_step(&s, run);
    return s.broken ? -1 : 0;
}
