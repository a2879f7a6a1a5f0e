/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/check_dns.h"

#include <string.h>
#include <strings.h>

#include "base/hostname.h"
#include "cmd/check_options.h"
#include "cmd/check_report.h"
#include "fetch/fetch.h"
#include "net/resolver.h"

static int read_configs(struct check_dns *dns, const char *path, struct err *err)
{
    struct ech_setting setting = {.wish = ECH_WISH_FILE, .path = path};
    return ech_offer_load(&setting, NULL, &dns->file, err) == 0 ? 0 : err_prefix(err, "--ech");
}

int check_dns_begin(struct check_dns *dns, const struct check_options *o, struct loop *loop,
                    struct resolver *system, struct err *err)
{
    if (o->ech != NULL && read_configs(dns, o->ech, err) != 0)
        return -1;
    dns->given = o->doh.url != NULL || o->dns != NULL;
    if (o->doh.url != NULL) {
        dns->resolver.doh = &o->doh;
        dns->fetcher = fetcher_new(loop, err);
        return dns->fetcher != NULL ? 0 : -1;
    }
    if (o->dns != NULL && (dns->own = resolver_new_at(loop, o->dns, err)) == NULL)
        return err_prefix(err, "--dns");
    dns->resolver.plain = dns->own != NULL ? dns->own : system;
    return 0;
}

void check_dns_end(struct check_dns *dns)
{
    ech_offer_free(&dns->file);
    fetcher_free(dns->fetcher);
    resolver_free(dns->own);
}

/* RFC 6761, 6.3: the DNS does not tell about this machine. */
static bool is_local(const char *name)
{
    const char *last = strrchr(name, '.');
    return strcasecmp(last == NULL ? name : last + 1, "localhost") == 0;
}

/* A record is for who speaks TLS at once, and goes by a name. */
static bool can_have_record(const struct check_dns *dns, const struct check_subject *s)
{
    return check_dns_configs(dns) == NULL && s->protocol == NULL &&
           hostname_check(s->name, strlen(s->name)) == HOSTNAME_OK && (dns->given || !is_local(s->name));
}

/* The record of another server than that behind the name would be none of this one's, so it is asked for only
 * where somebody says so. */
static bool may_be_of_another(const struct check_dns *dns, const struct check_subject *s)
{
    return !dns->given && strcasecmp(s->name, s->host) != 0;
}

const struct ech_resolver *check_dns_for(const struct check_dns *dns, const struct check_subject *s)
{
    return can_have_record(dns, s) && !may_be_of_another(dns, s) ? &dns->resolver : NULL;
}

const char *check_dns_left_out(const struct check_dns *dns, const struct check_subject *s)
{
    if (!can_have_record(dns, s) || !may_be_of_another(dns, s))
        return NULL;
    return "the name's record may be of another server; --dns or --doh asks for it, --ech FILE tries a "
           "config";
}

const struct buf *check_dns_configs(const struct check_dns *dns)
{
    return dns->file.configs.len > 0 ? &dns->file.configs : NULL;
}
