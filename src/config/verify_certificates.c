/* SPDX-License-Identifier: Apache-2.0 */
#include "config/verify_certificates.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "base/hostname.h"
#include "base/str.h"

#define ACME_NAMES_MOST 100
#define ACME_CAS_MOST 4

static int verify_files(struct report *r, const struct config_certificate *c, size_t i)
{
    if (c->certificate.text != NULL && c->key.text != NULL)
        return 0;
    return report_add(r, c->head.at, "certificates[%zu]: has '%s' but no '%s'; they go together", i,
                      c->key.text == NULL ? "certificate" : "key",
                      c->key.text == NULL ? "key" : "certificate");
}

static int verify_directory(struct report *r, const struct config_certificate *c, size_t i)
{
    const char *other = c->certificate.text != NULL ? "certificate"
                        : c->key.text != NULL       ? "key"
                        : c->backup != NULL         ? "backup"
                        : c->names.n > 0            ? "names"
                                                    : NULL;
    if (other == NULL)
        return 0;
    return report_add(r, c->directory.at, "certificates[%zu].directory: stands alone, found '%s' beside it%s",
                      i, other, c->names.n > 0 ? ": the names are those of its files" : "");
}

static bool has_challenge(const struct config_acme *a, enum config_challenge which)
{
    for (size_t i = 0; i < a->challenges.n; i++)
        if (a->challenges.v[i] == (int)which)
            return true;
    return false;
}

/* Can each name be proven in one of the ways? */
static int verify_acme_names(struct report *r, const struct config_acme *a, size_t i)
{
    bool dns = has_challenge(a, CONFIG_BY_DNS);
    bool only_dns = dns && !has_challenge(a, CONFIG_BY_TLS_ALPN) && !has_challenge(a, CONFIG_BY_HTTP);
    int bad = 0;
    for (size_t k = 0; k < a->names.n; k++) {
        const struct config_text *name = &a->names.v[k];
        uint8_t ip[16];
        if (strncmp(name->text, "*.", 2) == 0 && !dns)
            bad = report_add(r, name->at,
                             "certificates[%zu].acme.names: %s: a wildcard is proven by dns-01 alone, which "
                             "'challenges' does not have",
                             i, name->text);
        if (only_dns && hostname_address(name->text, ip) > 0)
            bad = report_add(r, name->at,
                             "certificates[%zu].acme.names: %s: an address is not proven by dns-01; add "
                             "tls-alpn-01 or http-01",
                             i, name->text);
        for (size_t j = 0; j < k; j++)
            if (strcmp(a->names.v[j].text, name->text) == 0)
                bad = report_add(r, name->at, "certificates[%zu].acme.names: '%s' is here twice", i,
                                 name->text);
    }
    return bad;
}

int verify_dns(struct report *r, const struct config_dns *d, const char *where)
{
    const struct config_text *const parts[] = {&d->zone, &d->key, &d->secret_file};
    static const char *const names[] = {"zone", "key", "secret_file"};
    uint8_t ignored[16];
    int bad = 0;
    for (size_t k = 0; k < 3; k++)
        if ((parts[k]->text != NULL) == (d->hook != NULL))
            bad = report_add(r, d->head.at,
                             d->hook != NULL ? "%s.dns.%s: goes with 'server', found 'hook'"
                                             : "%s.dns: 'server' needs '%s'",
                             where, names[k]);
    if (d->hook == NULL && (d->server.host == NULL || hostname_address(d->server.host, ignored) == 0))
        bad = report_add(r, d->head.at, "%s.dns.server: found '%s', expected an IP address and a port", where,
                         d->server.text.text);
    return bad;
}

/* A backup is of another CA. */
static int verify_backup(struct report *r, const struct config_acme *a, const char *key, size_t i)
{
    if (!a->backup.wanted || (a->from.n > 1 && a->backup_from < a->from.n))
        return 0;
    return report_add(
        r, a->head.at,
        "certificates[%zu].%s.backup: is from another CA than the certificate that it stands by for: "
        "name a second one in 'ca', or here",
        i, key);
}

/* `key`: what `a` is called. */
static int verify_acme(struct report *r, const struct config_certificate *c, const struct config_acme *a,
                       const char *key, size_t i)
{
    const char *other = c->certificate.text != NULL            ? "certificate"
                        : c->key.text != NULL                  ? "key"
                        : c->backup != NULL                    ? "backup"
                        : c->directory.text != NULL            ? "directory"
                        : c->names.n > 0                       ? "names"
                        : a == c->on_demand && c->acme != NULL ? "acme"
                                                               : NULL;
    char where[64];
    int bad = 0;
    if (other != NULL)
        bad = report_add(r, a->head.at, "certificates[%zu].%s: stands alone, found '%s' beside it", i, key,
                         other);
    if (a->names.n > ACME_NAMES_MOST || a->from.n > ACME_CAS_MOST)
        bad = report_add(r, a->head.at, "certificates[%zu].%s: at most %d names and %d CAs%s", i, key,
                         ACME_NAMES_MOST, ACME_CAS_MOST,
                         a == c->on_demand ? "; more names go into 'names_file'" : "");
    bad |= verify_backup(r, a, key, i);
    if (a->dns == NULL && has_challenge(a, CONFIG_BY_DNS))
        bad = report_add(r, a->head.at, "certificates[%zu].%s: dns-01 needs the section 'dns'", i, key);
    snprintf(where, sizeof(where), "certificates[%zu].%s", i, key);
    if (a->dns != NULL)
        bad |= verify_dns(r, a->dns, where);
    if (a->dns != NULL && a->dns->settle >= a->order_timeout)
        bad = report_add(r, a->dns->head.at,
                         "certificates[%zu].%s.dns.settle: has to be shorter than 'order_timeout', which is "
                         "for all of an order",
                         i, key);
    return bad;
}

/* Without any of these every name that anybody invents would be ordered. */
static int verify_on_demand(struct report *r, const struct config_certificate *c, size_t i)
{
    const struct config_acme *a = c->on_demand;
    int bad = verify_acme(r, c, a, "on_demand", i);
    if (a->ask.text.text != NULL || a->names.n > 0 || a->names_file.text != NULL)
        return bad;
    return report_add(r, a->head.at,
                      "certificates[%zu].on_demand: nothing says which names are permitted, so that anybody "
                      "could have certificates ordered for names that he invents; expected 'ask', 'names' or "
                      "'names_file'",
                      i);
}

static int verify_entry(struct report *r, const struct config_certificate *c, size_t i)
{
    if (c->on_demand != NULL)
        return verify_on_demand(r, c, i);
    if (c->acme != NULL)
        return verify_acme(r, c, c->acme, "acme", i) | verify_acme_names(r, c->acme, i);
    if (c->directory.text != NULL)
        return verify_directory(r, c, i);
    if (c->certificate.text != NULL || c->key.text != NULL)
        return verify_files(r, c, i);
    return report_add(
        r, c->head.at,
        "certificates[%zu]: expected 'certificate' and 'key', 'directory', 'acme', or 'on_demand'", i);
}

/* The door has one account at each URL, whatever names that has. */
static bool same_account(const struct config_acme_ca *a, const struct config_acme_ca *b)
{
    if (!str_same(a->email.text, b->email.text) || (a->eab == NULL) != (b->eab == NULL))
        return false;
    return a->eab == NULL || str_same(a->eab->kid.text, b->eab->kid.text);
}

static int verify_acme_ca(struct report *r, const struct config *c, size_t i)
{
    const struct config_acme_ca *ca = &c->acme_cas.v[i];
    int bad = 0;
    if (strcmp(ca->name.text, "true") == 0 || strcmp(ca->name.text, "false") == 0)
        bad = report_add(r, ca->name.at,
                         "acme_cas[%zu].name: '%s' means something else in 'backup'; expected another name",
                         i, ca->name.text);
    for (size_t k = 0; k < i; k++) {
        const struct config_acme_ca *other = &c->acme_cas.v[k];
        if (strcmp(other->name.text, ca->name.text) == 0)
            bad = report_add(r, ca->name.at,
                             "acme_cas[%zu].name: '%s' is the name of acme_cas[%zu] already (line %u)", i,
                             ca->name.text, k, other->name.at.line);
        if (strcmp(other->url.text, ca->url.text) == 0 && !same_account(other, ca))
            bad = report_add(
                r, ca->head.at,
                "acme_cas[%zu]: has the 'url' of '%s', where the door has one account; expected the same "
                "'email' and 'eab'",
                i, other->name.text);
    }
    return bad;
}

/* Where the CA of an entry stands. */
struct said {
    const struct config_text *text;
    const char *entry, *key; /* "acme", "ca" */
    size_t i;
};

__attribute__((format(printf, 3, 4))) static int wrong_ca(struct report *r, const struct said *s,
                                                          const char *fmt, ...)
{
    char text[ERR_TEXT_MAX - 128];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    return report_add(r, s->text->at, "certificates[%zu].%s.%s: %s", s->i, s->entry, s->key, text);
}

#define HINTS_MOST 64

static const char *hint_of(const struct config *c, const char *word, char hint[STR_HINT_MAX])
{
    const char *names[HINTS_MOST + 1] = {NULL};
    for (size_t i = 0; i < c->acme_cas.n && i < HINTS_MOST; i++)
        names[i] = c->acme_cas.v[i].name.text;
    return str_hint(word, names, hint);
}

/* A name there is; and what has a name is called by that. */
static int verify_said(struct report *r, const struct config *c, const struct config_acme_ca *ca,
                       const struct said *s)
{
    char hint[STR_HINT_MAX];
    if (ca->name.text != NULL)
        return 0;
    if (strchr(ca->url.text, ':') == NULL)
        return wrong_ca(r, s, "there is no CA '%s'; expected a URL, or a 'name' of 'acme_cas'%s",
                        s->text->text, hint_of(c, s->text->text, hint));
    for (size_t k = 0; k < c->acme_cas.n; k++)
        if (strcmp(c->acme_cas.v[k].url.text, ca->url.text) == 0)
            return wrong_ca(r, s, "'%s' has the name '%s' in 'acme_cas'; expected that", s->text->text,
                            c->acme_cas.v[k].name.text);
    return 0;
}

/* All that an entry names, each of which is here once. */
static int verify_cas(struct report *r, const struct config *c, const struct config_acme *a,
                      const char *entry, size_t i)
{
    int bad = 0;
    for (size_t k = 0; a != NULL && k < a->from.n; k++) {
        const struct said s = {k < a->ca.n ? &a->ca.v[k] : &a->backup.ca, entry,
                               k < a->ca.n ? "ca" : "backup", i};
        bad |= verify_said(r, c, &a->from.v[k], &s);
        for (size_t j = 0; j < k; j++)
            if (strcmp(a->from.v[j].url.text, a->from.v[k].url.text) == 0)
                bad = wrong_ca(r, &s, "'%s' is the same CA as '%s'", s.text->text, a->ca.v[j].text);
    }
    return bad;
}

int verify_certificates(struct report *r, const struct config *c)
{
    int bad = 0;
    for (size_t i = 0; i < c->acme_cas.n; i++)
        bad |= verify_acme_ca(r, c, i);
    for (size_t i = 0; i < c->certificates.n; i++)
        bad |= verify_entry(r, &c->certificates.v[i], i) |
               verify_cas(r, c, c->certificates.v[i].acme, "acme", i) |
               verify_cas(r, c, c->certificates.v[i].on_demand, "on_demand", i);
    return bad;
}
