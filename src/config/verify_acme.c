/* SPDX-License-Identifier: Apache-2.0 */
#include "config/verify_acme.h"

#include <string.h>

#define BY_EAB "eab:"
#define BY_KEY "key:"
#define GROUP_MAX 64 /* bytes */
#define GROUPS_MAX 48

static bool begins(const char *text, const char *with)
{
    return strncmp(text, with, strlen(with)) == 0;
}

/* A route that serves it needs a CA that does. */
static int verify_routes(struct report *r, const struct config *c)
{
    int bad = 0;
    for (size_t i = 0; i < c->routes.n; i++)
        for (size_t k = 0; k < c->routes.v[i].serve.n; k++)
            if (strcmp(c->routes.v[i].serve.v[k].text, "acme") == 0 && (c->ca == NULL || c->ca->acme == NULL))
                bad = report_add(r, c->routes.v[i].serve.v[k].at,
                                 "routes[%zu].serve: 'acme' issues certificates, and there is no CA that "
                                 "does so; expected 'ca: {directory: DIR, acme: {url: https://NAME}}'",
                                 i);
    return bad;
}

static int verify_url(struct report *r, const struct config_ca_acme *a)
{
    char quoted[QUOTE_MAX];
    const char *url = a->url.text;
    const char *host = begins(url, "https://") ? url + 8 : begins(url, "http://") ? url + 7 : NULL;
    if (host != NULL && *host != '\0' && strpbrk(host, "/?#@ \"<>") == NULL && strlen(url) < 200)
        return 0;
    return report_add(r, a->url.at,
                      "ca.acme.url: %s; expected https://NAME or https://NAME:PORT, without a path",
                      report_quote(quoted, url));
}

static bool has_profile(const struct config_ca_acme *a, const char *name)
{
    static const char *const usual[] = {"server", "short", "client", "agent"};
    for (size_t i = 0; i < a->profiles.n; i++)
        if (strcmp(a->profiles.v[i].name.text, name) == 0)
            return true;
    for (size_t i = 0; a->profiles.n == 0 && i < sizeof(usual) / sizeof(usual[0]); i++)
        if (strcmp(usual[i], name) == 0)
            return true;
    return false;
}

/* What a certificate can have (ca/name.c). */
static int verify_groups(struct report *r, const struct config_acme_rule *rule, size_t i)
{
    char quoted[QUOTE_MAX];
    int bad = 0;
    for (size_t k = 0; k < rule->groups.n; k++)
        if (strlen(rule->groups.v[k].text) > GROUP_MAX)
            bad = report_add(r, rule->groups.v[k].at,
                             "ca.acme.rules[%zu].groups: %s; expected %d bytes at most", i,
                             report_quote(quoted, rule->groups.v[k].text), GROUP_MAX);
    if (rule->groups.n > GROUPS_MAX)
        bad = report_add(r, rule->groups.v[GROUPS_MAX].at,
                         "ca.acme.rules[%zu].groups: %zu groups; expected %d at most", i, rule->groups.n,
                         GROUPS_MAX);
    return bad;
}

static int verify_rule(struct report *r, const struct config_ca_acme *a, const struct config_acme_rule *rule,
                       size_t i)
{
    char quoted[QUOTE_MAX];
    int bad = 0;
    if (rule->trusted && rule->accounts.n == 0)
        bad = report_add(r, rule->head.at,
                         "ca.acme.rules[%zu]: has 'trusted' and no 'accounts', so that anybody could have "
                         "certificates for these names; expected 'accounts'",
                         i);
    for (size_t k = 0; k < rule->accounts.n; k++) {
        const char *text = rule->accounts.v[k].text;
        if (!begins(text, BY_EAB) && !begins(text, BY_KEY))
            bad = report_add(r, rule->accounts.v[k].at,
                             "ca.acme.rules[%zu].accounts: %s; expected eab:PATTERN or key:THUMBPRINT", i,
                             report_quote(quoted, text));
        else if (begins(text, BY_EAB) && a->eab_file.text == NULL)
            bad =
                report_add(r, rule->accounts.v[k].at,
                           "ca.acme.rules[%zu].accounts: %s, and there are no such keys; expected 'eab_file'",
                           i, report_quote(quoted, text));
    }
    for (size_t k = 0; k < rule->profiles.n; k++)
        if (!has_profile(a, rule->profiles.v[k].text))
            bad = report_add(r, rule->profiles.v[k].at, "ca.acme.rules[%zu].profiles: there is no profile %s",
                             i, report_quote(quoted, rule->profiles.v[k].text));
    return verify_groups(r, rule, i) < 0 ? -1 : bad;
}

static int verify_profiles(struct report *r, const struct config_ca_acme *a)
{
    int bad = 0;
    for (size_t i = 0; i < a->profiles.n; i++) {
        char quoted[QUOTE_MAX];
        const struct config_text *name = &a->profiles.v[i].name;
        if (strlen(name->text) >= 64)
            bad = report_add(r, name->at, "ca.acme.profiles[%zu].name: expected 63 bytes at most", i);
        for (size_t k = 0; k < i; k++)
            if (strcmp(a->profiles.v[k].name.text, name->text) == 0)
                bad = report_add(r, name->at, "ca.acme.profiles[%zu].name: %s is here twice", i,
                                 report_quote(quoted, name->text));
    }
    return bad;
}

int verify_acme(struct report *r, const struct config *c)
{
    int bad = verify_routes(r, c);
    const struct config_ca_acme *a = c->ca == NULL ? NULL : c->ca->acme;
    if (a == NULL)
        return bad;
    bad |= verify_url(r, a) | verify_profiles(r, a);
    if (a->eab_required && a->eab_file.text == NULL)
        bad = report_add(r, a->head.at,
                         "ca.acme: has 'eab_required', and no key can be given out; expected 'eab_file'");
    for (size_t i = 0; i < a->rules.n; i++)
        bad |= verify_rule(r, a, &a->rules.v[i], i);
    return bad;
}
