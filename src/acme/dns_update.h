/* SPDX-License-Identifier: Apache-2.0 */
/* A TXT record put into a zone, or taken out of it (RFC 2136), signed with a shared secret (TSIG with
 * HMAC-SHA256, RFC 8945): the messages, without sockets and without a clock. */
#ifndef CARDEA_ACME_DNS_UPDATE_H
#define CARDEA_ACME_DNS_UPDATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/str.h"

#define DNS_UPDATE_MAX 1024 /* bytes of a message of ours */
#define DNS_MAC_LEN 32

/* What both messages of an exchange are signed with. Names are host names without a dot at the end. */
struct dns_key {
    const char *name;
    struct str secret; /* its bytes */
};

struct dns_update {
    const char *zone;
    const char *name;  /* of the record */
    const char *value; /* its text, at most 255 bytes */
    bool remove;       /* that one record goes; else it comes, beside those that are there */
    uint16_t id;       /* a random number */
    int64_t now;       /* seconds since 1970 */
};

/* A request that was sent, as its answer is held against it. */
struct dns_request {
    uint8_t bytes[DNS_UPDATE_MAX];
    size_t len;
    uint8_t mac[DNS_MAC_LEN];
};

/* Write the message. -1 with `err` where a name is none, or a text too long. */
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
