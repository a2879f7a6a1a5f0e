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

/* What one of the forms was asked for. */
struct asked {
    const struct ca_options *o;
    struct accounts *accounts;
    int64_t now;
    int64_t code_life;
};

/* The accounts beside the CA: in a folder that is none they would be made for nobody. False after telling
 * why. */
static bool begin(struct asked *a, const struct ca_options *o)
{
    struct err err = {""};
    struct authority *authority = ca_open(o, false);
    *a = (struct asked){
        .o = o, .now = ca_now(), .code_life = o->code_life > 0 ? o->code_life : ACCOUNT_CODE_LIFE};
    if (authority == NULL)
        return false;
    a->accounts = accounts_open(ca_folder(o), &err);
    authority_close(authority);
    if (a->accounts == NULL)
        cmd_failed("%s", err.text);
    return a->accounts != NULL;
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
static void tell_rest(const struct account *account)
{
    fprintf(stderr,
            "Certificates that %s has stay good until they end, in %" PRId64
            " minutes at most; 'cardea ca revoke' ends them where doors have the CRL ('crl' of 'trust').\n",
            account->name, account->lifetime / 60);
}

static int change(struct asked *a, int (*how)(struct asked *a, struct str name, struct err *err), bool ends)
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
    if (ends)
        tell_rest(&account);
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
    struct listing l = {.a = a, .all = a->o->json ? json_array() : NULL};
    add_row(&l.table, names, ARRAY_LEN(names));
    return end_listing(&l, accounts_each(a->accounts, list_one, &l, &err), "no accounts", &err);
}

static int run_user(struct asked *a)
{
    const char *what = a->o->words.at[0];
    if (strcmp(what, "list") == 0 && a->o->words.len == 1)
        return list(a);
    if (a->o->words.len != 2)
        return cmd_misused("ca", "user: expected list, or add, reset, disable, enable or remove and a NAME");
    if (strcmp(what, "add") == 0)
        return add(a);
    if (strcmp(what, "reset") == 0)
        return reset(a);
    if (strcmp(what, "disable") == 0)
        return change(a, disable, true);
    if (strcmp(what, "enable") == 0)
        return change(a, enable, false);
    if (strcmp(what, "remove") == 0)
        return change(a, forget, true);
    return cmd_misused("ca", "user %s: expected add, list, reset, disable, enable or remove", what);
}

int ca_user(const struct ca_options *o)
{
    struct asked a;
    int status = begin(&a, o) ? run_user(&a) : CMD_FAILED;
    accounts_close(a.accounts);
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
        struct listing l = {.a = &a, .all = o->json ? json_array() : NULL};
        add_row(&l.table, names, ARRAY_LEN(names));
        status =
            end_listing(&l, enrolments_each(a.accounts, a.now, pend_one, &l, &err), "nobody waits", &err);
    }
    accounts_close(a.accounts);
    return status;
}

/* For that account; NULL: refused. */
static int decide(const struct ca_options *o, const char *account)
{
    struct err err = {""};
    struct asked a;
    char who[64];
    int done = 0;
    if (!begin(&a, o))
        return CMD_FAILED;
    done = enrolments_decide(a.accounts, text_of(o->words.at[0]), account, ca_who(who), a.now, &err);
    accounts_close(a.accounts);
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
