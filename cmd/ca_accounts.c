/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include <jansson.h>

#include "base/base64.h"
#include "base/check.h"
#include "base/clock.h"
#include "base/unit.h"
#include "cert/pem.h"
#include "cmd/ca.h"
#include "cmd/cmd.h"
#include "cmd/table.h"
#include "login/accounts.h"
#include "login/enrolments.h"
#include "login/login.h"
#include "login/sessions.h"

/* What one of the forms was asked for. */
struct asked {
    const struct ca_options *o;
    struct authority *authority;
    struct accounts *accounts;
    int64_t now;
    int64_t code_life;
};

/* The accounts beside the CA: in a folder that is none they would be made for nobody. False after telling
 * why. */
static bool begin(struct asked *a, const struct ca_options *o)
{
    struct err err = {""};
    *a = (struct asked){.o = o,
                        .authority = ca_open(o, false),
                        .now = ca_now(),
                        .code_life = o->code_life > 0 ? o->code_life : ACCOUNT_CODE_LIFE};
    if (a->authority == NULL)
        return false;
    a->accounts = accounts_open(ca_folder(o), &err);
    if (a->accounts == NULL)
        cmd_failed("%s", err.text);
    return a->accounts != NULL;
}

static void end(struct asked *a)
{
    accounts_close(a->accounts);
    authority_close(a->authority);
}

static struct str text_of(const char *text)
{
    CHECK(text != NULL);
    return (struct str){text, strlen(text)};
}

/* ---- accounts ---- */

static int tell_code(const struct asked *a, const char *name, const char *code)
{
    char until[PEM_TIME_MAX];
    pem_time_text(a->now + a->code_life, until);
    if (a->o->json)
        return ca_print_json(json_pack("{s:s, s:s, s:s}", "user", name, "code", code, "until", until));
    printf("%s\n", code);
    fprintf(stderr,
            "Give this code to %s alone. It is good once, until %s, to set the password:\n"
            "    cardea login --register %s %s@DOOR\n",
            name, until, code, name);
    return CMD_OK;
}

static int none(const char *name)
{
    return cmd_failed("there is no account %s; 'cardea ca user list' shows those that there are", name);
}

static int add(struct asked *a)
{
    struct err err = {""};
    char code[CODE_TEXT_MAX];
    const char *name = a->o->words.at[1];
    if (accounts_add(a->accounts, name, a->o->groups.at, a->o->groups.len, a->o->lifetime, a->now, &err) <
            0 ||
        accounts_give_code(a->accounts, text_of(name), a->now, a->code_life, code, &err) < 0)
        return cmd_failed("%s", err.text);
    return tell_code(a, name, code);
}

static int reset(struct asked *a)
{
    struct err err = {""};
    char code[CODE_TEXT_MAX];
    int status = accounts_reset(a->accounts, text_of(a->o->words.at[1]), a->now, a->code_life, code, &err);
    if (status < 0)
        return cmd_failed("%s", err.text);
    return status == 0 ? none(a->o->words.at[1]) : tell_code(a, a->o->words.at[1], code);
}

/* What was given before does not end by it. */
static void tell_rest(const struct account *account, const char *by)
{
    fprintf(stderr,
            "Certificates that %s has stay good until they end, in %" PRId64
            " minutes at most; %s ends them.\n",
            account->name, account->lifetime / 60, by);
}

/* `rest_by` ends certificates that stay; NULL: there is nothing to tell of them. */
static int change(struct asked *a, int (*how)(struct asked *a, struct str name, struct err *err),
                  const char *rest_by)
{
    struct err err = {""};
    struct account account;
    struct str name = text_of(a->o->words.at[1]);
    int status = accounts_find(a->accounts, name, &account, &err);
    if (status == 1)
        status = how(a, name, &err);
    if (status < 0)
        return cmd_failed("%s", err.text);
    if (status == 0)
        return none(a->o->words.at[1]);
    if (rest_by != NULL)
        tell_rest(&account, rest_by);
    return CMD_OK;
}

static int disable(struct asked *a, struct str name, struct err *err)
{
    return accounts_set_disabled(a->accounts, name, true, err);
}

static int enable(struct asked *a, struct str name, struct err *err)
{
    return accounts_set_disabled(a->accounts, name, false, err);
}

static int forget(struct asked *a, struct str name, struct err *err)
{
    return accounts_remove(a->accounts, name, err);
}

/* Where accounts are listed to. */
struct listing {
    const struct asked *a;
    struct table table;
    json_t *all;
};

static void add_row(struct table *t, const char *const *cells, size_t n)
{
    t->columns = n;
    for (size_t i = 0; i < n; i++)
        table_add(t, "%s", cells[i]);
}

static const char *state_of(const struct account *u, int64_t now)
{
    return u->disabled           ? "disabled"
           : u->has_password     ? "active"
           : u->code_until > now ? "invited"
                                 : "no password";
}

static int list_one(void *arg, const struct account *u, struct err *err)
{
    struct listing *l = arg;
    char last[PEM_TIME_MAX], life[UNIT_TEXT_MAX];
    (void)err;
    if (u->last_login > 0)
        pem_time_text(u->last_login, last);
    else
        snprintf(last, sizeof(last), "-");
    if (l->all != NULL)
        return json_array_append_new(l->all, json_pack("{s:s, s:s, s:s, s:I, s:s}", "user", u->name, "groups",
                                                       u->groups, "state", state_of(u, l->a->now), "lifetime",
                                                       (json_int_t)u->lifetime, "last_login", last));
    unit_format(u->lifetime * NSEC_PER_SEC, unit_durations, life);
    const char *groups = u->groups[0] != '\0' ? u->groups : "-";
    add_row(&l->table, (const char *[]){u->name, state_of(u, l->a->now), life, last, groups}, 5);
    return 0;
}

/* Show what was listed, as JSON or as a table; or say that there is nothing. */
static int end_listing(struct listing *l, int status, const char *nothing, const struct err *err)
{
    bool empty = l->table.count == l->table.columns;
    table_end(&l->table, status < 0 ? stderr : stdout);
    if (status < 0) {
        json_decref(l->all);
        return cmd_failed("%s", err->text);
    }
    if (l->a->o->json)
        return ca_print_json(l->all);
    if (empty)
        printf("%s\n", nothing);
    return CMD_OK;
}

static int list(struct asked *a)
{
    static const char *const names[] = {"USER", "STATE", "CERTIFICATES", "LAST LOGIN", "GROUPS"};
    struct err err = {""};
    struct listing l = {.a = a, .table = {.first = true}, .all = a->o->json ? json_array() : NULL};
    add_row(&l.table, names, ARRAY_LEN(names));
    return end_listing(&l, accounts_each(a->accounts, list_one, &l, &err), "no accounts", &err);
}

/* ---- sessions ---- */

static int list_session(void *arg, const struct login_session *s, struct err *err)
{
    struct listing *l = arg;
    char begun[PEM_TIME_MAX], certified[PEM_TIME_MAX], until[PEM_TIME_MAX];
    (void)err;
    pem_time_text(s->begun, begun);
    pem_time_text(s->certified, certified);
    pem_time_text(s->until, until);
    if (l->all != NULL)
        return json_array_append_new(l->all,
                                     json_pack("{s:s, s:s, s:s, s:s, s:s, s:I}", "session", s->id, "begun",
                                               begun, "renewed", certified, "until", until, "source",
                                               s->source, "renewals", (json_int_t)s->renewals));
    add_row(&l->table, (const char *[]){s->id, begun, certified, until, s->source}, 5);
    return 0;
}

/* Is there such an account? Else that is told. */
static bool is_there(struct asked *a, const char *name)
{
    struct err err = {""};
    struct account account;
    int found = accounts_find(a->accounts, text_of(name), &account, &err);
    if (found < 0)
        cmd_failed("%s", err.text);
    else if (found == 0)
        none(name);
    return found == 1;
}

static int sessions(struct asked *a)
{
    static const char *const names[] = {"SESSION", "BEGUN", "LAST CERTIFICATE", "RENEWABLE UNTIL", "FROM"};
    struct err err = {""};
    const char *name = a->o->words.at[1];
    if (!is_there(a, name))
        return CMD_FAILED;
    struct listing l = {.a = a, .table = {.first = true}, .all = a->o->json ? json_array() : NULL};
    add_row(&l.table, names, ARRAY_LEN(names));
    int status = sessions_each(a->accounts, text_of(name), a->now, list_session, &l, &err);
    return end_listing(&l, status, "no sessions", &err);
}

static int tell_ended(const struct asked *a, int ended, int certificates)
{
    if (a->o->json)
        return ca_print_json(json_pack("{s:i, s:i}", "sessions", ended, "certificates", certificates));
    printf("%d session%s ended, %d certificate%s revoked\n", ended, ended == 1 ? "" : "s", certificates,
           certificates == 1 ? "" : "s");
    return CMD_OK;
}

/* Nothing is renewed in it any more, and what was given in it is revoked. */
static int end_session(struct asked *a, const char *name, const char *id)
{
    struct err err = {""};
    char who[64], uri[sizeof(LOGIN_URI) + SESSION_ID_MAX];
    int certificates = -1, ended = sessions_end(a->accounts, text_of(name), text_of(id), &err);
    if (ended == 0)
        return cmd_failed(
            "%s has no session %s (any more); 'cardea ca user sessions %s' shows those there are", name, id,
            name);
    snprintf(uri, sizeof(uri), "%s%s", LOGIN_URI, id);
    if (ended > 0)
        certificates =
            authority_revoke_name(a->authority, uri, CA_REASON_UNSPECIFIED, ca_who(who), a->now, &err);
    return certificates < 0 ? cmd_failed("%s", err.text) : tell_ended(a, ended, certificates);
}

/* All of the account, and what was given in those that had ended before: another login replaces one, and
 * leaves its certificates good. Sessions end first, so that nothing is renewed in between. */
static int end_all(struct asked *a, const char *name)
{
    struct err err = {""};
    char who[64];
    int certificates = -1, ended = sessions_end_all(a->accounts, text_of(name), a->now, &err);
    if (ended >= 0)
        certificates = authority_revoke_label(a->authority, name, LOGIN_URI, CA_REASON_UNSPECIFIED,
                                              ca_who(who), a->now, &err);
    return certificates < 0 ? cmd_failed("%s", err.text) : tell_ended(a, ended, certificates);
}

static int end_sessions(struct asked *a)
{
    const char *name = a->o->words.at[1];
    if (!is_there(a, name))
        return CMD_FAILED;
    return a->o->words.len == 3 ? end_session(a, name, a->o->words.at[2]) : end_all(a, name);
}

/* ---- which of them ---- */

static int do_disable(struct asked *a)
{
    return change(a, disable, "'cardea ca user end'");
}

static int do_enable(struct asked *a)
{
    return change(a, enable, NULL);
}

static int do_remove(struct asked *a)
{
    return change(a, forget, "'cardea ca revoke'");
}

static const struct {
    const char *name;
    size_t least, most; /* words, with its own */
    int (*run)(struct asked *a);
} acts[] = {
    {"list", 1, 1, list},          {"add", 2, 2, add},          {"reset", 2, 2, reset},
    {"disable", 2, 2, do_disable}, {"enable", 2, 2, do_enable}, {"remove", 2, 2, do_remove},
    {"sessions", 2, 2, sessions},  {"end", 2, 3, end_sessions},
};

static int run_user(struct asked *a)
{
    const char *what = a->o->words.at[0];
    for (size_t i = 0; i < ARRAY_LEN(acts); i++) {
        if (strcmp(what, acts[i].name) != 0)
            continue;
        if (a->o->words.len < acts[i].least)
            return cmd_misused("ca", "user %s: whom do you mean? Give the NAME of an account", what);
        if (a->o->words.len > acts[i].most)
            return cmd_misused("ca", "user %s: '%s' is one word too many", what,
                               a->o->words.at[acts[i].most]);
        return acts[i].run(a);
    }
    return cmd_misused(
        "ca",
        "user %s: expected list, or add, reset, disable, enable, remove, sessions or end and a "
        "NAME",
        what);
}

int ca_user(const struct ca_options *o)
{
    struct asked a;
    int status = begin(&a, o) ? run_user(&a) : CMD_FAILED;
    end(&a);
    return status;
}

/* ---- who waits to be approved ---- */

static int pend_one(void *arg, const struct enrolment *e, struct err *err)
{
    struct listing *l = arg;
    struct buf key = {0};
    char made[PEM_TIME_MAX];
    (void)err;
    CHECK(buf_printf(&key, "SHA256:") && base64_put(&key, e->key, sizeof(e->key)));
    pem_time_text(e->made, made);
    int status = 0;
    if (l->all != NULL)
        status = json_array_append_new(l->all, json_pack("{s:s, s:s, s:s, s:s, s:s, s:I}", "code", e->code,
                                                         "asked", made, "source", e->source, "host", e->host,
                                                         "key", buf_text(&key), "remaining",
                                                         (json_int_t)(e->until - l->a->now)));
    else
        add_row(&l->table, (const char *[]){e->code, made, e->source, e->host, buf_text(&key)}, 5);
    buf_free(&key);
    return status;
}

int ca_pending(const struct ca_options *o)
{
    static const char *const names[] = {"CODE", "ASKED", "FROM", "CALLS ITSELF", "KEY"};
    struct err err = {""};
    struct asked a;
    int status = CMD_FAILED;
    if (begin(&a, o)) {
        struct listing l = {.a = &a, .table = {.first = true}, .all = o->json ? json_array() : NULL};
        add_row(&l.table, names, ARRAY_LEN(names));
        status =
            end_listing(&l, enrolments_each(a.accounts, a.now, pend_one, &l, &err), "nobody waits", &err);
    }
    end(&a);
    return status;
}

/* For that account; NULL: refused. */
static int decide(const struct ca_options *o, const char *account)
{
    struct err err = {""};
    struct asked a;
    char who[64];
    int done = 0;
    if (!begin(&a, o)) {
        end(&a);
        return CMD_FAILED;
    }
    done = enrolments_decide(a.accounts, text_of(o->words.at[0]), account, ca_who(who), a.now, &err);
    end(&a);
    if (done < 0)
        return cmd_failed("%s", err.text);
    if (done == 0)
        return cmd_failed("nobody waits with the code %s (any more): 'cardea ca pending' shows who does",
                          o->words.at[0]);
    return CMD_OK;
}

int ca_approve(const struct ca_options *o)
{
    if (o->user == NULL)
        return cmd_misused("ca", "approve: for whom is it? Give --user NAME");
    return decide(o, o->user);
}

int ca_refuse(const struct ca_options *o)
{
    return decide(o, NULL);
}
