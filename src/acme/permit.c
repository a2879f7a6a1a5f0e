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

static bool is_account(const char *wanted, const struct acme_account *account)
{
    if (strncmp(wanted, BY_EAB, strlen(BY_EAB)) == 0)
        return account->eab[0] != '\0' && str_glob(wanted + strlen(BY_EAB), account->eab);
    return strncmp(wanted, BY_THUMBPRINT, strlen(BY_THUMBPRINT)) == 0 &&
           strcmp(wanted + strlen(BY_THUMBPRINT), account->thumbprint) == 0;
}

static bool has_account(const struct acme_rule *rule, const struct acme_account *account)
{
    const char *const *at = rule->accounts;
    while (at != NULL && *at != NULL && !is_account(*at, account))
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

static bool has_name(const struct acme_rule *rule, const struct acme_name *name)
{
    char text[ACME_NAME_TEXT];
    const char *const *at = rule->names;
    acme_name_text(name, text);
    while (at != NULL && *at != NULL && !str_glob_nocase(*at, text))
        at++;
    return at == NULL || *at != NULL;
}

const struct acme_rule *acme_permit(const struct acme_server *s, const struct acme_account *account,
                                    const struct acme_profile *profile, const struct acme_name *names,
                                    size_t count)
{
    if (s->params->rules_len == 0)
        return profile->kind == CA_PROFILE_SERVER ? &anybody : NULL;
    for (size_t i = 0; i < s->params->rules_len; i++) {
        const struct acme_rule *rule = &s->params->rules[i];
        bool fits = has_account(rule, account) && has_profile(rule, profile->name);
        for (size_t k = 0; fits && k < count; k++)
            fits = has_name(rule, &names[k]);
        if (fits)
            return rule;
    }
    return NULL;
}
