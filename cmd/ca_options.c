/* SPDX-License-Identifier: Apache-2.0 */
/* The command line of `cardea ca`: which form takes which options. */
#include <getopt.h>
#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/str.h"
#include "base/unit.h"
#include "cmd/ca.h"
#include "cmd/cmd.h"

enum {
    INIT = 1 << 0,
    ISSUE = 1 << 1,
    SIGN = 1 << 2,
    REVOKE = 1 << 3,
    LIST = 1 << 4,
    CRL = 1 << 5,
    AUDIT = 1 << 6,
    SHOW = 1 << 7,
    SET = 1 << 8,
    USER = 1 << 9,
    PENDING = 1 << 10,
    APPROVE = 1 << 11,
    REFUSE = 1 << 12,
    RENEW = 1 << 13,
    ALL = -1,
};

static const struct form {
    const char *name;
    int mask;
    size_t least, most; /* words beside options */
    int (*run)(const struct ca_options *o);
} forms[] = {
    {"init", INIT, 1, 1, ca_init},
    {"renew", RENEW, 0, 0, ca_renew},
    {"issue", ISSUE, 1, CA_LIST_MAX, ca_issue_form},
    {"sign", SIGN, 1, CA_LIST_MAX, ca_sign},
    {"revoke", REVOKE, 1, 1, ca_revoke},
    {"list", LIST, 0, 0, ca_list_form},
    {"crl", CRL, 0, 0, ca_crl},
    {"audit", AUDIT, 0, 0, ca_audit},
    {"show", SHOW, 0, 0, ca_show},
    {"set", SET, 0, 0, ca_set},
    {"user", USER, 1, 3, ca_user},
    {"pending", PENDING, 0, 0, ca_pending},
    {"approve", APPROVE, 1, 1, ca_approve},
    {"refuse", REFUSE, 1, 1, ca_refuse},
};

enum {
    O_DIR,
    O_PASSPHRASE,
    O_ROOT_PASSPHRASE,
    O_ROOT_KEY,
    O_INTERMEDIATE_KEY,
    O_SSH_USER_KEY,
    O_SSH_HOST_KEY,
    O_GENERATE,
    O_SAME_KEY,
    O_ROOT,
    O_NEW_ROOT_KEY,
    O_NEW_ROOT_PASSPHRASE,
    O_NAME,
    O_KEY,
    O_PERMIT,
    O_URL,
    O_REPLACE,
    O_PROFILE,
    O_GROUP,
    O_LIFETIME,
    O_OUT,
    O_MUST_STAPLE,
    O_SSH,
    O_PRINCIPAL,
    O_ID,
    O_COMMAND,
    O_SOURCE,
    O_NO_PTY,
    O_NO_FORWARDING,
    O_REASON,
    O_ALL,
    O_KRL,
    O_DER,
    O_HEAD,
    O_USER,
    O_CODE_LIFE,
    O_JSON,
    O_HELP
};

static const struct option options[] = {
    [O_DIR] = {"dir", required_argument, NULL, O_DIR},
    [O_PASSPHRASE] = {"passphrase-file", required_argument, NULL, O_PASSPHRASE},
    [O_ROOT_PASSPHRASE] = {"root-passphrase-file", required_argument, NULL, O_ROOT_PASSPHRASE},
    [O_ROOT_KEY] = {"root-key", required_argument, NULL, O_ROOT_KEY},
    [O_INTERMEDIATE_KEY] = {"intermediate-key", required_argument, NULL, O_INTERMEDIATE_KEY},
    [O_SSH_USER_KEY] = {"ssh-user-key", required_argument, NULL, O_SSH_USER_KEY},
    [O_SSH_HOST_KEY] = {"ssh-host-key", required_argument, NULL, O_SSH_HOST_KEY},
    [O_GENERATE] = {"generate", no_argument, NULL, O_GENERATE},
    [O_SAME_KEY] = {"same-key", no_argument, NULL, O_SAME_KEY},
    [O_ROOT] = {"root", no_argument, NULL, O_ROOT},
    [O_NEW_ROOT_KEY] = {"new-root-key", required_argument, NULL, O_NEW_ROOT_KEY},
    [O_NEW_ROOT_PASSPHRASE] = {"new-root-passphrase-file", required_argument, NULL, O_NEW_ROOT_PASSPHRASE},
    [O_NAME] = {"name", required_argument, NULL, O_NAME},
    [O_KEY] = {"key", required_argument, NULL, O_KEY},
    [O_PERMIT] = {"permit", required_argument, NULL, O_PERMIT},
    [O_URL] = {"url", required_argument, NULL, O_URL},
    [O_REPLACE] = {"replace", required_argument, NULL, O_REPLACE},
    [O_PROFILE] = {"profile", required_argument, NULL, O_PROFILE},
    [O_GROUP] = {"group", required_argument, NULL, O_GROUP},
    [O_LIFETIME] = {"lifetime", required_argument, NULL, O_LIFETIME},
    [O_OUT] = {"out", required_argument, NULL, O_OUT},
    [O_MUST_STAPLE] = {"must-staple", no_argument, NULL, O_MUST_STAPLE},
    [O_SSH] = {"ssh", required_argument, NULL, O_SSH},
    [O_PRINCIPAL] = {"principal", required_argument, NULL, O_PRINCIPAL},
    [O_ID] = {"id", required_argument, NULL, O_ID},
    [O_COMMAND] = {"force-command", required_argument, NULL, O_COMMAND},
    [O_SOURCE] = {"source-address", required_argument, NULL, O_SOURCE},
    [O_NO_PTY] = {"no-pty", no_argument, NULL, O_NO_PTY},
    [O_NO_FORWARDING] = {"no-forwarding", no_argument, NULL, O_NO_FORWARDING},
    [O_REASON] = {"reason", required_argument, NULL, O_REASON},
    [O_ALL] = {"all", no_argument, NULL, O_ALL},
    [O_KRL] = {"krl", no_argument, NULL, O_KRL},
    [O_DER] = {"der", no_argument, NULL, O_DER},
    [O_HEAD] = {"head", required_argument, NULL, O_HEAD},
    [O_USER] = {"user", required_argument, NULL, O_USER},
    [O_CODE_LIFE] = {"code-life", required_argument, NULL, O_CODE_LIFE},
    [O_JSON] = {"json", no_argument, NULL, O_JSON},
    [O_HELP] = {"help", no_argument, NULL, O_HELP},
    {0},
};

/* Which forms an option goes with. */
static const int goes_with[] = {
    [O_DIR] = ALL & ~INIT,
    [O_PASSPHRASE] = INIT | RENEW | ISSUE | SIGN | CRL,
    [O_ROOT_PASSPHRASE] = INIT | RENEW,
    [O_ROOT_KEY] = INIT | RENEW,
    [O_INTERMEDIATE_KEY] = INIT | RENEW,
    [O_SSH_USER_KEY] = INIT,
    [O_SSH_HOST_KEY] = INIT,
    [O_GENERATE] = INIT | RENEW,
    [O_SAME_KEY] = RENEW,
    [O_ROOT] = RENEW,
    [O_NEW_ROOT_KEY] = RENEW,
    [O_NEW_ROOT_PASSPHRASE] = RENEW,
    [O_NAME] = INIT | ISSUE | SIGN,
    [O_KEY] = INIT | RENEW | ISSUE,
    [O_PERMIT] = INIT,
    [O_URL] = INIT | SET,
    [O_REPLACE] = SET,
    [O_PROFILE] = ISSUE | SIGN,
    [O_GROUP] = ISSUE | SIGN | USER,
    [O_LIFETIME] = RENEW | ISSUE | SIGN | CRL | USER,
    [O_OUT] = ISSUE | SIGN | CRL,
    [O_MUST_STAPLE] = ISSUE | SIGN,
    [O_SSH] = ISSUE,
    [O_PRINCIPAL] = ISSUE,
    [O_ID] = ISSUE,
    [O_COMMAND] = ISSUE,
    [O_SOURCE] = ISSUE,
    [O_NO_PTY] = ISSUE,
    [O_NO_FORWARDING] = ISSUE,
    [O_REASON] = REVOKE,
    [O_ALL] = LIST,
    [O_KRL] = CRL,
    [O_DER] = CRL,
    [O_HEAD] = AUDIT,
    [O_USER] = APPROVE,
    [O_CODE_LIFE] = USER,
    [O_JSON] = RENEW | ISSUE | LIST | AUDIT | SHOW | USER | PENDING,
    [O_HELP] = ALL,
};
_Static_assert(ARRAY_LEN(goes_with) == ARRAY_LEN(options) - 1, "one for each option");

/* ---- values ---- */

static int take_profile(const char *text, enum ca_profile *ret)
{
    static const char *const names[] = {"server", "client", "agent", NULL};
    static const enum ca_profile profiles[] = {CA_PROFILE_SERVER, CA_PROFILE_CLIENT, CA_PROFILE_AGENT};
    char hint[STR_HINT_MAX];
    for (size_t i = 0; names[i] != NULL; i++) {
        if (strcmp(names[i], text) == 0) {
            *ret = profiles[i];
            return CMD_OK;
        }
    }
    return cmd_misused("ca", "found profile '%s', expected server, client or agent%s", text,
                       str_hint(text, names, hint));
}

static int take_key(const char *text, bool *ret_given, enum key_kind *ret)
{
    char names[KEY_KIND_NAMES_MAX], hint[STR_HINT_MAX];
    *ret_given = true;
    if (key_kind_parse(text, ret))
        return CMD_OK;
    return cmd_misused("ca", "found key '%s', expected %s%s", text, key_kind_names(names),
                       key_kind_hint(text, hint));
}

static int take_reason(const char *text, enum ca_reason *ret)
{
    if (ca_reason_parse(text, ret))
        return CMD_OK;
    return cmd_misused(
        "ca",
        "found reason '%s', expected unspecified, keyCompromise, cACompromise, affiliationChanged, "
        "superseded, cessationOfOperation, privilegeWithdrawn or aACompromise",
        text);
}

static int take_lifetime(const char *text, int64_t *ret)
{
    int64_t ns;
    if (!unit_parse(text, unit_durations, &ns) || ns < NSEC_PER_SEC)
        return cmd_misused(
            "ca", "found lifetime '%s', expected a time of a second or more, such as 4h or 90d", text);
    *ret = ns / NSEC_PER_SEC;
    return CMD_OK;
}

static int take_one_more(const char *text, struct ca_list *ret)
{
    if (ret->len == CA_LIST_MAX)
        return cmd_misused("ca", "more than %d of a kind", CA_LIST_MAX);
    ret->at[ret->len++] = text;
    return CMD_OK;
}

/* Where a text of its own is all that is kept. */
static const char **text_of(int option, struct ca_options *o)
{
    switch (option) {
    case O_DIR:
        return &o->dir;
    case O_PASSPHRASE:
        return &o->passphrase_file;
    case O_ROOT_PASSPHRASE:
        return &o->root_passphrase_file;
    case O_ROOT_KEY:
        return &o->root_key;
    case O_INTERMEDIATE_KEY:
        return &o->intermediate_key;
    case O_SSH_USER_KEY:
        return &o->ssh_user_key;
    case O_SSH_HOST_KEY:
        return &o->ssh_host_key;
    case O_NEW_ROOT_KEY:
        return &o->new_root_key;
    case O_NEW_ROOT_PASSPHRASE:
        return &o->new_root_passphrase_file;
    case O_NAME:
        return &o->name;
    case O_URL:
        return &o->url;
    case O_REPLACE:
        return &o->replace;
    case O_OUT:
        return &o->out;
    case O_SSH:
        return &o->ssh;
    case O_ID:
        return &o->id;
    case O_COMMAND:
        return &o->force_command;
    case O_SOURCE:
        return &o->source_address;
    case O_HEAD:
        return &o->head;
    case O_USER:
        return &o->user;
    default:
        return NULL;
    }
}

static bool *flag_of(int option, struct ca_options *o)
{
    switch (option) {
    case O_GENERATE:
        return &o->generate;
    case O_SAME_KEY:
        return &o->same_key;
    case O_ROOT:
        return &o->root;
    case O_MUST_STAPLE:
        return &o->must_staple;
    case O_NO_PTY:
        return &o->no_pty;
    case O_NO_FORWARDING:
        return &o->no_forwarding;
    case O_ALL:
        return &o->all;
    case O_KRL:
        return &o->krl;
    case O_DER:
        return &o->der;
    case O_JSON:
        return &o->json;
    default:
        return NULL;
    }
}

static struct ca_list *list_of(int option, struct ca_options *o)
{
    switch (option) {
    case O_PERMIT:
        return &o->permits;
    case O_GROUP:
        return &o->groups;
    default:
        CHECK(option == O_PRINCIPAL);
        return &o->principals;
    }
}

/* ---- the line ---- */

static int take(int option, const char *value, struct ca_options *o)
{
    const char **text = text_of(option, o);
    bool *flag = flag_of(option, o);
    if (text != NULL)
        *text = value;
    else if (flag != NULL)
        *flag = true;
    else if (option == O_PROFILE)
        return take_profile(value, &o->profile);
    else if (option == O_KEY)
        return take_key(value, &o->key_given, &o->key);
    else if (option == O_REASON)
        return take_reason(value, &o->reason);
    else if (option == O_LIFETIME)
        return take_lifetime(value, &o->lifetime);
    else if (option == O_CODE_LIFE)
        return take_lifetime(value, &o->code_life);
    else
        return take_one_more(value, list_of(option, o));
    return CMD_OK;
}

static const struct form *find_form(const char *name)
{
    for (size_t i = 0; i < ARRAY_LEN(forms); i++)
        if (strcmp(forms[i].name, name) == 0)
            return &forms[i];
    return NULL;
}

static int unknown_form(const char *name)
{
    const char *names[ARRAY_LEN(forms) + 1] = {NULL};
    char hint[STR_HINT_MAX];
    for (size_t i = 0; i < ARRAY_LEN(forms); i++)
        names[i] = forms[i].name;
    return cmd_misused(
        "ca",
        "found '%s', expected init, renew, issue, sign, revoke, list, crl, audit, show, set, user, "
        "pending, approve or refuse%s",
        name, str_hint(name, names, hint));
}

int ca_run_form(int argc, char **argv)
{
    struct ca_options o = {.profile = CA_PROFILE_SERVER};
    const struct form *form = find_form(argv[0]);
    if (form == NULL)
        return unknown_form(argv[0]);
    char program[32];
    snprintf(program, sizeof(program), "cardea ca %s", form->name);
    argv[0] = program;
    for (int c; (c = cmd_option(argc, argv, "h", options)) != -1;) {
        if (c == O_HELP || c == 'h' || c == '?')
            return cmd_usage("ca", c != '?');
        if ((goes_with[c] & form->mask) == 0)
            return cmd_misused("ca", "--%s does not go with '%s'", options[c].name, form->name);
        int rc = take(c, optarg, &o);
        if (rc != CMD_OK)
            return rc;
    }
    for (int i = optind; i < argc; i++)
        if (take_one_more(argv[i], &o.words) != CMD_OK)
            return CMD_USAGE;
    if (o.words.len < form->least || o.words.len > form->most)
        return cmd_misused("ca", "'%s' has %zu words beside options, expected %s", form->name, o.words.len,
                           form->most == 0   ? "none"
                           : form->most == 1 ? "one"
                                             : "one or more");
    return form->run(&o);
}
