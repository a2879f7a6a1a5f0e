/* SPDX-License-Identifier: Apache-2.0 */
/* Which ECHConfigs a name is reached by (RFC 9848): the question for its HTTPS records (RFC 9460), and what
 * the answer says. Pure: bytes in, bytes out. */
#ifndef CARDEA_DNS_QUERY_H
#define CARDEA_DNS_QUERY_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/cursor.h"
#include "base/err.h"
#include "base/hostname.h"
#include "base/str.h"

#define DNS_NAME_SIZE (HOSTNAME_MAX + 1)

/* The name whose HTTPS records tell of a host and port (RFC 9460, 9.1). -1 with `err` where it is none that
 * can stand in a DNS message. */
int dns_https_name(const char *host, uint16_t port, char ret[DNS_NAME_SIZE], struct err *err);

/* Append the question for them, padded (RFC 8467, 4.1); its id is 0, so that answers can be kept by caches
 * (RFC 8484, 4.1). -1 with `err` where it is no name. */
int dns_query_https(const char *name, struct buf *ret, struct err *err);

enum dns_found {
    DNS_HTTPS,     /* `ech` */
    DNS_NOTHING,   /* there are no such records, or none that goes with the port has `ech` */
    DNS_ALIAS,     /* ask for `alias` instead */
    DNS_NO_ANSWER, /* the resolver says that it cannot tell, or what it says is none: `err` */
};

struct dns_https {
    struct str ech;     /* within the answer, as what follows */
    bool recorded;      /* there is a record that goes with the port, with `ech` or without */
    struct cursor alpn; /* what else that one says: dns_next_protocol() */
    char alias[DNS_NAME_SIZE];
    uint32_t ttl; /* seconds that this holds: DNS_HTTPS, DNS_ALIAS; DNS_NOTHING too, 0 where the
                   * answer does not say for how long */
};

/* Read the answer to the question for `name`. Of a host's records only those count that are for the host
 * itself and for `port`, and that make nothing mandatory which is not known here (RFC 9460, 8); of these the
 * one that is wanted most. */
enum dns_found dns_answer_https(const char *name, const char *host, uint16_t port, struct str answer,
                                struct dns_https *ret, struct err *err);

/* Take the next protocol off a record's list (RFC 9460, 7.1.1). False at the end, and where the
 * rest is none. */
bool dns_next_protocol(struct cursor *alpn, struct str *ret);

#endif
