/* SPDX-License-Identifier: Apache-2.0 */
/* Where `cardea check` has the ECHConfigs of servers from: whom it asks for a server's HTTPS record, or a
 * file. */
#ifndef CARDEA_CMD_CHECK_DNS_H
#define CARDEA_CMD_CHECK_DNS_H

#include <stdbool.h>

#include "base/err.h"
#include "ech/lookup.h"
#include "ech/offer.h"

struct check_options;
struct check_subject;
struct loop;
struct resolver;

struct check_dns {
    struct ech_resolver resolver;
    struct fetcher *fetcher; /* by DNS over HTTPS; else NULL */
    struct resolver *own;    /* for --dns; else NULL */
    bool given;              /* by an option */
    struct ech_offer file;   /* of --ech; else empty */
};

/* As the options say, which are borrowed; `system` is what is asked where they say nothing. -1 with `err`;
 * for check_dns_end() all the same. */
int check_dns_begin(struct check_dns *dns, const struct check_options *o, struct loop *loop,
                    struct resolver *system, struct err *err);
void check_dns_end(struct check_dns *dns);

/* Who is asked for the record of this server; NULL: nobody. */
const struct ech_resolver *check_dns_for(const struct check_dns *dns, const struct check_subject *s);

/* Why nobody is, where a user might wonder; else NULL. Static text. */
const char *check_dns_left_out(const struct check_dns *dns, const struct check_subject *s);

/* The configs of --ech; NULL: there are none. */
const struct buf *check_dns_configs(const struct check_dns *dns);

#endif
