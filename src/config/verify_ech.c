/* SPDX-License-Identifier: Apache-2.0 */
#include "config/verify_ech.h"

#include <string.h>

#include "base/clock.h"
#include "base/ech_limits.h"
#include "base/err.h"
#include "base/hostname.h"
#include "config/verify_certificates.h"

static int verify_names(struct report *r, const struct config_ech_publish *p)
{
    int bad = 0;
    if (p->names.n > ECH_NAMES_MAX)
        bad = report_add(r, p->head.at, "ech.publish.names: found %zu names, expected at most %d", p->names.n,
                         ECH_NAMES_MAX);
    for (size_t i = 0; i < p->names.n; i++) {
        const struct config_text *name = &p->names.v[i];
        enum hostname_fault fault = hostname_check(name->text, strlen(name->text));
        if (fault != HOSTNAME_OK)
            bad = report_add(r, name->at, "ech.publish.names: found '%s', expected a host name: %s",
                             name->text, hostname_fault_text(fault));
        for (size_t k = 0; k < i; k++)
            if (strcmp(p->names.v[k].text, name->text) == 0)
                bad = report_add(r, name->at, "ech.publish.names: '%s' is here twice", name->text);
    }
    return bad;
}

/* What stands in a zone file without quoting; no protocol that is registered has others. */
static int verify_alpn(struct report *r, const struct config_ech_publish *p)
{
    int bad = 0;
    for (size_t i = 0; i < p->alpn.n; i++)
        for (const char *c = p->alpn.v[i].text; *c != '\0'; c++)
            if (*c <= ' ' || *c > '~' || strchr(",\"\\", *c) != NULL) {
                bad = report_add(
                    r, p->alpn.v[i].at,
                    "ech.publish.alpn: found '%s', expected a protocol without space, comma, quote and "
                    "backslash",
                    p->alpn.v[i].text);
                break;
            }
    return bad;
}

static int verify_publish(struct report *r, const struct config_ech *e)
{
    const struct config_ech_publish *p = e->publish;
    if (p == NULL)
        return 0;
    int bad = verify_names(r, p) | verify_alpn(r, p);
    if (p->dns == NULL) /* which was told */
        return -1;
    bad |= verify_dns(r, p->dns, "ech.publish");
    if (p->ttl + p->dns->settle > e->keep)
        bad |= report_add(
            r, p->head.at,
            "ech.publish: 'ttl' and 'dns.settle' come to %lld s, 'ech.keep' is %lld s: a key has to open "
            "for as long as records that have it may be cached; make 'ttl' shorter, or 'keep' longer",
            (long long)((p->ttl + p->dns->settle) / NSEC_PER_SEC), (long long)(e->keep / NSEC_PER_SEC));
    return bad;
}

static int verify_doh(struct report *r, const struct config_doh *d)
{
    enum doh_part part;
    struct err err;
    if (d == NULL || d->url.text == NULL)
        return 0;
    const struct doh_resolver resolver = config_doh_resolver(d);
    if (doh_check(&resolver, &part, &err) == 0)
        return 0;
    return part == DOH_URL     ? report_add(r, d->url.at, "doh.url: %s", err.text)
           : part == DOH_PROXY ? report_add(r, d->proxy.at, "doh.proxy: %s", err.text)
                               : report_add(r, d->configs.at, "doh.configs: %s", err.text);
}

int verify_ech(struct report *r, const struct config *c)
{
    const struct config_ech *e = c->ech;
    int bad = verify_doh(r, c->doh);
    if (e == NULL)
        return bad;
    const char *name = e->public_name.text;
    enum hostname_fault fault = name == NULL ? HOSTNAME_OK : hostname_check(name, strlen(name));
    if (fault != HOSTNAME_OK)
        bad |= report_add(r, e->public_name.at, "ech.public_name: found '%s', expected a host name: %s", name,
                          hostname_fault_text(fault));
    if (e->keep > ECH_KEEP_MAX * e->rotate)
        bad |= report_add(r, e->head.at, "ech.keep: is more than %d times 'rotate': rotate less often",
                          ECH_KEEP_MAX);
    return bad | verify_publish(r, e);
}
