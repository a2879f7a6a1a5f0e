/* SPDX-License-Identifier: Apache-2.0 */
#include "acme/settings.h"

#include <stdlib.h>
#include <string.h>

#include "base/base64.h"
#include "base/check.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/str.h"
#include "cert/pem.h"
#include "config/config.h"
#include "policy/host.h"

#define PREFIX "/acme"
#define DATABASE "acme.db"
#define EAB_FILE_MAX (1024 * 1024)
#define EAB_SECRET_MIN 16 /* bytes: shorter ones could be guessed */
#define DAY INT64_C(86400)

static const struct acme_profile usual_profiles[] = {
    {"server", "for servers, 90 days", CA_PROFILE_SERVER, 90 * DAY},
    {"short", "for servers, 6 days", CA_PROFILE_SERVER, 6 * DAY},
    {"client", "for people and devices, 7 days", CA_PROFILE_CLIENT, 7 * DAY},
    {"agent", "for agents of a door, 7 days", CA_PROFILE_AGENT, 7 * DAY},
};

/* Copies
 * ------------------------------------------------------------------------------------------------------------
 */

/* A text that lives as long as the settings. */
static const char *keep(struct acme_settings *s, const char *text)
{
    if (s->texts_len == s->texts_cap) {
        s->texts_cap = 2 * s->texts_cap + 8;
        s->texts = realloc(s->texts, s->texts_cap * sizeof(*s->texts));
        CHECK(s->texts != NULL);
    }
    return s->texts[s->texts_len++] = str_dup(text);
}

/* A list, NULL-terminated; NULL where there is nothing in it. */
static const char *const *keep_list(struct acme_settings *s, const struct config_texts *texts)
{
    if (texts->n == 0)
        return NULL;
    const char **list = calloc(texts->n + 1, sizeof(*list));
    s->lists = realloc(s->lists, (s->lists_len + 1) * sizeof(*s->lists));
    CHECK(list != NULL && s->lists != NULL);
    s->lists[s->lists_len++] = list;
    for (size_t i = 0; i < texts->n; i++)
        list[i] = keep(s, texts->v[i].text);
    return list;
}

static void copy_profiles(struct acme_settings *s, const struct config_acme_profiles *from)
{
    static const enum ca_profile kinds[] = {[CONFIG_ACME_SERVER] = CA_PROFILE_SERVER,
                                            [CONFIG_ACME_CLIENT] = CA_PROFILE_CLIENT,
                                            [CONFIG_ACME_AGENT] = CA_PROFILE_AGENT};
    s->params.profiles = usual_profiles;
    s->params.profiles_len = ARRAY_LEN(usual_profiles);
    if (from->n == 0)
        return;
    s->profiles = calloc(from->n, sizeof(*s->profiles));
    CHECK(s->profiles != NULL);
    for (size_t i = 0; i < from->n; i++)
        s->profiles[i] =
            (struct acme_profile){.name = keep(s, from->v[i].name.text),
                                  .text = keep(s, from->v[i].text.text != NULL ? from->v[i].text.text : ""),
                                  .kind = kinds[from->v[i].kind],
                                  .lifetime = from->v[i].lifetime / NSEC_PER_SEC};
    s->params.profiles = s->profiles;
    s->params.profiles_len = from->n;
}

static void copy_rules(struct acme_settings *s, const struct config_acme_rules *from)
{
    s->rules = calloc(from->n > 0 ? from->n : 1, sizeof(*s->rules));
    CHECK(s->rules != NULL);
    for (size_t i = 0; i < from->n; i++)
        s->rules[i] = (struct acme_rule){.accounts = keep_list(s, &from->v[i].accounts),
                                         .profiles = keep_list(s, &from->v[i].profiles),
                                         .names = keep_list(s, &from->v[i].names),
                                         .groups = keep_list(s, &from->v[i].groups),
                                         .trusted = from->v[i].trusted};
    s->params.rules = s->rules;
    s->params.rules_len = from->n;
}

static void copy_networks(struct acme_settings *s, const struct config_networks *from)
{
    s->deny = calloc(from->n > 0 ? from->n : 1, sizeof(*s->deny));
    CHECK(s->deny != NULL);
    for (size_t i = 0; i < from->n; i++)
        s->deny[i] = from->v[i];
    s->deny_len = from->n;
}

static char *joined(const char *a, const char *b)
{
    struct buf text = {0};
    CHECK(buf_printf(&text, "%s%s", a, b) && buf_text(&text) != NULL);
    return (char *)text.data;
}

static struct acme_limits limits_of(const struct config_acme_limits *l)
{
    return (struct acme_limits){.accounts = (uint32_t)l->accounts,
                                .accounts_per_source = (uint32_t)l->accounts_per_source,
                                .orders = (uint32_t)l->orders,
                                .orders_per_account = (uint32_t)l->orders_per_account,
                                .failures = (uint32_t)l->failures,
                                .names = (uint32_t)l->names,
                                .certificates = (uint32_t)l->certificates,
                                .waiting_per_account = (uint32_t)l->waiting_per_account,
                                .waiting_per_source = (uint32_t)l->waiting_per_source,
                                .pending = l->pending / NSEC_PER_SEC,
                                .idle = l->idle / NSEC_PER_SEC};
}

struct acme_settings *acme_settings_of(const struct config_ca *ca)
{
    const struct config_ca_acme *a = ca->acme;
    struct acme_settings *s = calloc(1, sizeof(*s));
    CHECK(s != NULL && a != NULL);
    s->eab_file = str_dup(a->eab_file.text);
    s->dns = str_dup(a->resolvers.text);
    s->http_port = (uint16_t)a->http_port;
    s->tls_port = (uint16_t)a->tls_port;
    s->looks = (uint16_t)a->limits.looks;
    s->looks_per_target = (uint16_t)a->limits.looks_per_target;
    s->params.url = s->url = joined(a->url.text, PREFIX);
    s->params.path = s->path = joined(ca->directory.text, "/" DATABASE);
    s->params.terms = s->terms = str_dup(a->terms.text);
    s->params.website = s->website = str_dup(a->website.text);
    s->params.caa = s->caa = str_dup(a->caa.text);
    s->params.eab_required = a->eab_required;
    s->params.limits = limits_of(&a->limits);
    for (size_t i = 0; i < a->challenges.n; i++)
        s->params.challenges[a->challenges.v[i]] = true;
    copy_profiles(s, &a->profiles);
    copy_rules(s, &a->rules);
    copy_networks(s, &a->deny);
    return s;
}

void acme_settings_free(struct acme_settings *s)
{
    if (s == NULL)
        return;
    for (size_t i = 0; i < s->texts_len; i++)
        free(s->texts[i]);
    for (size_t i = 0; i < s->lists_len; i++)
        free(s->lists[i]);
    char *const own[] = {s->eab_file, s->dns, s->url, s->path, s->terms, s->website, s->caa};
    for (size_t i = 0; i < ARRAY_LEN(own); i++)
        free(own[i]);
    free(s->texts);
    free(s->lists);
    free(s->deny);
    free(s->profiles);
    free(s->rules);
    free(s);
}

/* Questions
 * ---------------------------------------------------------------------------------------------------------
 */

static bool is_denied(const struct acme_settings *s, const struct policy_address *address)
{
    struct net_addr a = {.family = policy_address_is_v4(address) ? AF_INET : AF_INET6};
    if (a.family == AF_INET)
        memcpy(a.ip, address->bytes + 12, 4);
    else
        memcpy(a.ip, address->bytes, 16);
    for (size_t i = 0; i < s->deny_len; i++)
        if (net_addr_in(&a, s->deny[i].family, s->deny[i].addr, s->deny[i].prefix))
            return true;
    return policy_address_is_unspecified(address); /* which reaches this machine */
}

bool acme_settings_allow(void *settings, const struct net_addr *address)
{
    const struct acme_settings *s = settings;
    struct policy_address embedded[POLICY_EMBEDDED_MAX], whole;
    struct sockaddr_storage sa = {0};
    net_addr_to(address, &sa);
    whole = policy_address_of((const struct sockaddr *)&sa);
    size_t n = policy_address_embedded(&whole, embedded);
    bool denied = is_denied(s, &whole);
    for (size_t i = 0; i < n && !denied; i++)
        denied = is_denied(s, &embedded[i]);
    return !denied;
}

static struct str next_word(struct str *line)
{
    while (line->len > 0 && strchr(" \t\r", line->p[0]) != NULL)
        *line = (struct str){line->p + 1, line->len - 1};
    struct str word = {line->p, 0};
    while (word.len < line->len && strchr(" \t\r", line->p[word.len]) == NULL)
        word.len++;
    *line = (struct str){line->p + word.len, line->len - word.len};
    return word;
}

/* ID and key of a line; what is empty or begins with '#' has neither. */
static bool line_has(struct str line, struct str id, struct buf *ret_secret)
{
    struct str name = next_word(&line), key = next_word(&line);
    if (name.len != id.len || name.len == 0 || name.p[0] == '#' || memcmp(name.p, id.p, id.len) != 0)
        return false;
    return base64url_read(key, ret_secret) && ret_secret->len >= EAB_SECRET_MIN && next_word(&line).len == 0;
}

bool acme_settings_eab(void *settings, struct str id, struct buf *ret_secret)
{
    const struct acme_settings *s = settings;
    struct buf file = {0};
    mode_t mode;
    bool found = false;
    if (s->eab_file == NULL || file_read(s->eab_file, EAB_FILE_MAX, &file, &mode, NULL) < 0)
        return false;
    struct str rest = {(const char *)file.data, file.len};
    while (!found && rest.len > 0 && pem_key_is_kept(mode)) {
        const char *end = memchr(rest.p, '\n', rest.len);
        size_t len = end == NULL ? rest.len : (size_t)(end - rest.p);
        found = line_has((struct str){rest.p, len}, id, ret_secret);
        len += end != NULL;
        rest = (struct str){rest.p + len, rest.len - len};
    }
    buf_wipe(&file);
    return found;
}
