/* SPDX-License-Identifier: Apache-2.0 */
/* Records put into a zone, or taken out of it (RFC 2136), signed with a shared secret (TSIG with
 * HMAC-SHA256, RFC 8945): the messages, without sockets and without a clock. */
#ifndef CARDEA_DNS_UPDATE_H
#define CARDEA_DNS_UPDATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/str.h"

#define DNS_UPDATE_MAX 2048 /* bytes of a message of ours */
#define DNS_MAC_LEN 32

/* What both messages of an exchange are signed with. Names are host names without a dot at the end. */
struct dns_key {
    const char *name;
    struct str secret; /* its bytes */
};

/* What becomes of the records of one name and type. */
enum dns_change {
    DNS_ADD,     /* this one comes, beside those that are there */
    DNS_REMOVE,  /* this one goes */
    DNS_REPLACE, /* this one comes, and all others go, at once */
    DNS_CLEAR,   /* all go */
};

struct dns_update {
    const char *zone;
    const char *name; /* of the record */
    uint16_t type;    /* dns/rdata.h */
    enum dns_change change;
    struct str data; /* the record's data (RDATA), where there is one */
    uint32_t ttl;    /* ... and where it comes */
    uint16_t id;     /* a random number */
    int64_t now;     /* seconds since 1970 */
};

/* A request that was sent, as its answer is held against it. */
struct dns_request {
    uint8_t bytes[DNS_UPDATE_MAX];
    size_t len;
    uint8_t mac[DNS_MAC_LEN];
};

/* Write the message. -1 with `err` where a name is none, or there is too much data. */
int dns_update_make(const struct dns_update *u, const struct dns_key *key, struct dns_request *ret,
                    struct err *err);

enum dns_result {
    DNS_DONE,
    DNS_REFUSED,  /* with `err`, which says what the server says */
    DNS_NOT_OURS, /* not an answer to this request, or nobody who knows the secret has sent it: wait on */
    DNS_CUT,      /* it did not fit in a datagram: ask over TCP */
};

/* Read an answer. Without a good signature nothing is believed of it but that it is an error in the signature
 * (RFC 8945, 5.3.2), which is told. */
enum dns_result dns_update_read(const struct dns_request *request, const struct dns_key *key,
                                struct str answer, int64_t now, struct err *err);

#endif
