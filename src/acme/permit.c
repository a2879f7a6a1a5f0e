/* SPDX-License-Identifier: Apache-2.0 */
/* Who may enrol what, by the operator's rules. */
#include <stdio.h>
#include <string.h>

#include "acme/server_internal.h"

#define BY_EAB "eab:"
#define BY_THUMBPRINT "key:"

static const struct acme_rule anybody = {0};

const char *acme_name_text(const struct acme_name *n, char ret[ACME_NAME_TEXT])
{
    snprintf(ret, ACME_NAME_TEXT, "%s%s", n->wildcard ? "*." : "", n->text);
    return ret;
}

const char *acme_name_type(const struct acme_name *n)
{
    return n->ip ? "ip" : "dns";
}

const struct acme_profile *acme_profile_named(const struct acme_server *s, const char *name)
{
    for (size_t i = 0; i < s->params->profiles_len; i++)
        if (strcmp(s->params->profiles[i].name, name) == 0)
            return &s->params->profiles[i];
    return NULL;
}

static bool is_thumbprint(const char *wanted, const char *thumbprint)
{
    return strncmp(wanted, BY_THUMBPRINT, strlen(BY_THUMBPRINT)) == 0 &&
           strcmp(wanted + strlen(BY_THUMBPRINT), thumbprint) == 0;
}

/* The operator gives the key out, and takes it back: whose line has gone from the file is bound by nothing.
 */
static bool is_bound(const struct acme_server *s, struct acme_account *account)
{
    const struct acme_server_params *p = s->params;
    struct buf secret = {0};
    if (account->binding == ACME_BINDING_UNKNOWN) {
        struct str id = {account->eab, strlen(account->eab)};
        account->binding = p->eab != NULL && p->eab(p->eab_arg, id, &secret) ? ACME_BOUND : ACME_UNBOUND;
    }
    buf_wipe(&secret);
    return account->binding == ACME_BOUND;
}

static bool is_account(const struct acme_server *s, const char *wanted, struct acme_account *account)
{
    if (strncmp(wanted, BY_EAB, strlen(BY_EAB)) == 0)
        return account->eab[0] != '\0' && str_glob(wanted + strlen(BY_EAB), account->eab) &&
               is_bound(s, account);
    return is_thumbprint(wanted, account->thumbprint);
}

bool acme_rules_name(const struct acme_server *s, const char *thumbprint)
{
    for (size_t i = 0; i < s->params->rules_len; i++)
        for (const char *const *at = s->params->rules[i].accounts; at != NULL && *at != NULL; at++)
            if (is_thumbprint(*at, thumbprint))
                return true;
    return false;
}

static bool has_account(const struct acme_server *s, const struct acme_rule *rule,
                        struct acme_account *account)
{
    const char *const *at = rule->accounts;
    while (at != NULL && *at != NULL && !is_account(s, *at, account))
        at++;
    return at == NULL || *at != NULL;
}

static bool has_profile(const struct acme_rule *rule, const char *name)
{
    const char *const *at = rule->profiles;
    while (at != NULL && *at != NULL && strcmp(*at, name) != 0)
        at++;
    return at == NULL || *at != NULL;
}

/* "192.0.2.*", "2001:db8:*": what is meant for addresses permits no name that begins like one
 * (192.0.2.example.net). */
static bool is_of_addresses(const char *pattern)
{
    bool digits = strpbrk(pattern, "0123456789") != NULL && strchr(pattern, '.') != NULL;
    return strchr(pattern, ':') != NULL || (digits && pattern[strspn(pattern, "0123456789.*")] == '\0');
}

static bool is_like(const char *pattern, const struct acme_name *name, const char *text)
{
    return (name->ip || !is_of_addresses(pattern)) && str_glob_nocase(pattern, text);
}

static bool has_name(const struct acme_rule *rule, const struct acme_name *name)
{
    char text[ACME_NAME_TEXT];
    const char *const *at = rule->names;
    acme_name_text(name, text);
    while (at != NULL && *at != NULL && !is_like(*at, name, text))
        at++;
    return at == NULL || *at != NULL;
}

const struct acme_rule *acme_permit(const struct acme_server *s, struct acme_account *account,
                                    const struct acme_profile *profile, const struct acme_name *names,
                                    size_t count)
{
    if (s->params->rules_len == 0)
        return profile->kind == CA_PROFILE_SERVER ? &anybody : NULL;
    for (size_t i = 0; i < s->params->rules_len; i++) {
        const struct acme_rule *rule = &s->params->rules[i];
        bool fits = has_account(s, rule, account) && has_profile(rule, profile->name);
        for (size_t k = 0; fits && k < count; k++)
            fits = has_name(rule, &names[k]);
        if (fits)
            return rule;
    }
    return NULL;
}
