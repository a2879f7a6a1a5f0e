/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/ca_accounts.h"

#include <getopt.h>
#include <inttypes.h>
#include <pwd.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <jansson.h>

#include "base/base64.h"
#include "base/check.h"
#include "base/clock.h"
#include "base/unit.h"
#include "ca/authority.h"
#include "cert/pem.h"
#include "cmd/ca.h"
#include "cmd/cmd.h"
#include "cmd/table.h"
#include "login/accounts.h"
#include "login/enrolments.h"

enum { OPTION_DIR = 256, OPTION_GROUP, OPTION_LIFETIME, OPTION_CODE_LIFE, OPTION_USER, OPTION_JSON };

static const struct option options[] = {
    {"dir", required_argument, NULL, OPTION_DIR},
    {"group", required_argument, NULL, OPTION_GROUP},
    {"lifetime", required_argument, NULL, OPTION_LIFETIME},
    {"code-life", required_argument, NULL, OPTION_CODE_LIFE},
    {"user", required_argument, NULL, OPTION_USER},
    {"json", no_argument, NULL, OPTION_JSON},
    {"help", no_argument, NULL, 'h'},
    {0},
};

struct asked {
    const char *dir;
    const char *groups[ACCOUNT_GROUPS_MAX];
    size_t groups_len;
    int64_t lifetime;  /* of certificates, seconds; 0: as usual */
    int64_t code_life; /* seconds */
    const char *user;
    bool json;
    const char *word[3]; /* what stands without an option */
    size_t words;
    struct accounts *accounts;
    int64_t now;
};

/* ---- the command line ---- */

static int take_time(const char *flag, const char *text, int64_t *ret)
{
    int64_t ns;
    if (!unit_parse(text, unit_durations, &ns) || ns < NSEC_PER_SEC)
        return cmd_misused("ca", "%s %s: expected a time such as 30m or 4h", flag, text);
    *ret = ns / NSEC_PER_SEC;
    return -1;
}

static int take_group(struct asked *a, const char *group)
{
    if (a->groups_len == ACCOUNT_GROUPS_MAX)
        return cmd_misused("ca", "--group: at most %d", ACCOUNT_GROUPS_MAX);
    a->groups[a->groups_len++] = group;
    return -1;
}

/* Returns -1 to go on, or an exit status. */
static int take(struct asked *a, int option)
{
    switch (option) {
    case OPTION_DIR:
        a->dir = optarg;
        return -1;
    case OPTION_GROUP:
        return take_group(a, optarg);
    case OPTION_LIFETIME:
        return take_time("--lifetime", optarg, &a->lifetime);
    case OPTION_CODE_LIFE:
        return take_time("--code-life", optarg, &a->code_life);
    case OPTION_USER:
        a->user = optarg;
        return -1;
    case OPTION_JSON:
        a->json = true;
        return -1;
    case 'h':
        return cmd_usage("ca", true);
    default:
        return cmd_usage("ca", false);
    }
}

static int take_words(struct asked *a, int argc, char **argv)
{
    for (int i = optind; i < argc; i++) {
        if (a->words == ARRAY_LEN(a->word))
            return cmd_misused("ca", "%s: one too many", argv[i]);
        a->word[a->words++] = argv[i];
    }
    return -1;
}

/* Read, and open the accounts. Returns -1 to go on, or an exit status. */
static int begin(struct asked *a, int argc, char **argv)
{
    struct err err = {""};
    int status = -1;
    *a = (struct asked){
        .dir = ca_default_dir(), .code_life = ACCOUNT_CODE_LIFE, .now = clock_wall() / NSEC_PER_SEC};
    optind = 1;
    for (int c; status < 0 && (c = cmd_option(argc, argv, "", options)) != -1;)
        status = take(a, c);
    if (status < 0)
        status = take_words(a, argc, argv);
    if (status >= 0)
        return status;
    /* The accounts stand beside a CA: in a folder that is none they would be made for nobody. */
    struct authority *authority = authority_open(a->dir, &err);
    if (authority == NULL)
        return cmd_failed("%s", err.text);
    authority_close(authority);
    a->accounts = accounts_open(a->dir, &err);
    return a->accounts != NULL ? -1 : cmd_failed("%s", err.text);
}

static struct str text_of(const char *text)
{
    CHECK(text != NULL);
    return (struct str){text, strlen(text)};
}

/* Print and free. */
static int print_json(json_t *m)
{
    char *text = m != NULL ? json_dumps(m, JSON_COMPACT) : NULL;
    json_decref(m);
    if (text == NULL)
        return cmd_failed("out of memory");
    puts(text);
    free(text);
    return CMD_OK;
}

/* ---- accounts ---- */

static int tell_code(const struct asked *a, const char *name, const char *code)
{
    char until[PEM_TIME_MAX];
    pem_time_text(a->now + a->code_life, until);
    if (a->json)
        return print_json(json_pack("{s:s, s:s, s:s}", "user", name, "code", code, "until", until));
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
    const char *name = a->word[1];
    if (accounts_add(a->accounts, name, a->groups, a->groups_len, a->lifetime, a->now, &err) < 0 ||
        accounts_give_code(a->accounts, text_of(name), a->now, a->code_life, code, &err) < 0)
        return cmd_failed("%s", err.text);
    return tell_code(a, name, code);
}

static int reset(struct asked *a)
{
    struct err err = {""};
    char code[CODE_TEXT_MAX];
    int status = accounts_reset(a->accounts, text_of(a->word[1]), a->now, a->code_life, code, &err);
    if (status < 0)
        return cmd_failed("%s", err.text);
    return status == 0 ? none(a->word[1]) : tell_code(a, a->word[1], code);
}

/* What was given before does not end by it. */
static void tell_rest(const struct account *account)
{
    fprintf(stderr,
            "Certificates that %s has stay good until they end, in %" PRId64
            " minutes at most; 'cardea ca revoke' ends them now.\n",
            account->name, account->lifetime / 60);
}

static int change(struct asked *a, int (*how)(struct asked *a, struct str name, struct err *err), bool ends)
{
    struct err err = {""};
    struct account account;
    struct str name = text_of(a->word[1]);
    int status = accounts_find(a->accounts, name, &account, &err);
    if (status == 1)
        status = how(a, name, &err);
    if (status < 0)
        return cmd_failed("%s", err.text);
    if (status == 0)
        return none(a->word[1]);
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
    if (l->a->json)
        return print_json(l->all);
    if (empty)
        printf("%s\n", nothing);
    return CMD_OK;
}

static int list(struct asked *a)
{
    static const char *const names[] = {"USER", "STATE", "CERTIFICATES", "LAST LOGIN", "GROUPS"};
    struct err err = {""};
    struct listing l = {.a = a, .all = a->json ? json_array() : NULL};
    add_row(&l.table, names, ARRAY_LEN(names));
    return end_listing(&l, accounts_each(a->accounts, list_one, &l, &err), "no accounts", &err);
}

static int run_user(struct asked *a)
{
    const char *what = a->words > 0 ? a->word[0] : "";
    if (strcmp(what, "list") == 0 && a->words == 1)
        return list(a);
    if (a->words != 2)
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

int ca_user(int argc, char **argv)
{
    struct asked a;
    int status = begin(&a, argc, argv);
    if (status < 0)
        status = run_user(&a);
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

int ca_pending(int argc, char **argv)
{
    static const char *const names[] = {"CODE", "ASKED", "FROM", "CALLS ITSELF", "KEY"};
    struct err err = {""};
    struct asked a;
    int status = begin(&a, argc, argv);
    if (status < 0 && a.words > 0)
        status = cmd_misused("ca", "pending: %s: one too many", a.word[0]);
    if (status < 0) {
        struct listing l = {.a = &a, .all = a.json ? json_array() : NULL};
        add_row(&l.table, names, ARRAY_LEN(names));
        status =
            end_listing(&l, enrolments_each(a.accounts, a.now, pend_one, &l, &err), "nobody waits", &err);
    }
    accounts_close(a.accounts);
    return status;
}

/* Who says so, for the log of the CA. */
static void name_ourselves(char ret[ACCOUNT_NAME_MAX + 1])
{
    const struct passwd *pw = getpwuid(getuid());
    if (pw != NULL)
        str_copy(ret, ACCOUNT_NAME_MAX + 1, pw->pw_name, strlen(pw->pw_name));
    else
        snprintf(ret, ACCOUNT_NAME_MAX + 1, "%u", (unsigned)getuid());
}

static int decide(struct asked *a, const char *account)
{
    struct err err = {""};
    char who[ACCOUNT_NAME_MAX + 1];
    name_ourselves(who);
    int status = enrolments_decide(a->accounts, text_of(a->word[0]), account, who, a->now, &err);
    if (status < 0)
        return cmd_failed("%s", err.text);
    if (status == 0)
        return cmd_failed("nobody waits with the code %s (any more): 'cardea ca pending' shows who does",
                          a->word[0]);
    return CMD_OK;
}

int ca_approve(int argc, char **argv)
{
    struct asked a;
    int status = begin(&a, argc, argv);
    if (status < 0 && (a.words != 1 || a.user == NULL))
        status = cmd_misused("ca", "approve: expected CODE --user NAME: for whom is it?");
    if (status < 0)
        status = decide(&a, a.user);
    accounts_close(a.accounts);
    return status;
}

int ca_refuse(int argc, char **argv)
{
    struct asked a;
    int status = begin(&a, argc, argv);
    if (status < 0 && a.words != 1)
        status = cmd_misused("ca", "refuse: expected CODE");
    if (status < 0)
        status = decide(&a, NULL);
    accounts_close(a.accounts);
    return status;
}
