/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/check_dns.h"

#include <string.h>
#include <strings.h>

#include "base/hostname.h"
#include "cmd/check_options.h"
#include "cmd/check_report.h"
#include "fetch/fetch.h"
#include "net/resolver.h"

int check_dns_begin(struct check_dns *dns, const struct check_options *o, struct loop *loop,
                    struct resolver *system, struct err *err)
{
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
    fetcher_free(dns->fetcher);
    resolver_free(dns->own);
}

/* RFC 6761, 6.3: the DNS does not tell about this machine. */
static bool is_local(const char *name)
{
    const char *last = strrchr(name, '.');
    return strcasecmp(last == NULL ? name : last + 1, "localhost") == 0;
}

/* A record is for who speaks TLS at once. One of another server than that behind the name would be none of
 * this one's, so it is asked for only where somebody says so. */
const struct ech_resolver *check_dns_for(const struct check_dns *dns, const struct check_subject *s)
{
    if (s->protocol != NULL || hostname_check(s->name, strlen(s->name)) != HOSTNAME_OK)
        return NULL;
    if (!dns->given && (is_local(s->name) || strcasecmp(s->name, s->host) != 0))
        return NULL;
    return &dns->resolver;
}
