/* SPDX-License-Identifier: Apache-2.0 */
/* Reads Strict-Transport-Security (RFC 6797) off the head of a web server's answer. Pure. */
#ifndef CARDEA_PROBE_HSTS_H
#define CARDEA_PROBE_HSTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct hsts {
    unsigned status; /* of the answer; 0: it is none of HTTP/1, or not complete */
    bool sent;       /* the field is there, and has a max-age that can be read */
    int64_t max_age; /* seconds */
    bool subdomains;
};

/* Read all that has come. The first of several fields counts (RFC 6797, 8.1). */
void hsts_read(const uint8_t *data, size_t len, struct hsts *ret);

#endif
