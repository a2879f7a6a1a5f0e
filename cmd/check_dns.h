/* SPDX-License-Identifier: Apache-2.0 */
/* Whom `cardea check` asks for a server's HTTPS record. */
#ifndef CARDEA_CMD_CHECK_DNS_H
#define CARDEA_CMD_CHECK_DNS_H

#include <stdbool.h>

#include "base/err.h"
#include "ech/lookup.h"

struct check_options;
struct check_subject;
struct loop;
struct resolver;

struct check_dns {
    struct ech_resolver resolver;
    struct fetcher *fetcher; /* by DNS over HTTPS; else NULL */
    struct resolver *own;    /* for --dns; else NULL */
    bool given;              /* by an option */
};

/* As the options say, which are borrowed; `system` is what is asked where they say nothing. -1 with `err`;
 * for check_dns_end() all the same. */
int check_dns_begin(struct check_dns *dns, const struct check_options *o, struct loop *loop,
                    struct resolver *system, struct err *err);
void check_dns_end(struct check_dns *dns);

/* Who is asked for the record of this server; NULL: nobody. */
const struct ech_resolver *check_dns_for(const struct check_dns *dns, const struct check_subject *s);

#endif
