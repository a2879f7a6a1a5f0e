/* SPDX-License-Identifier: Apache-2.0 */
/* A request of HTTP/2 or HTTP/3, field by field, as a request for a target: CONNECT (RFC 9113, 8.5; RFC 9114,
 * 4.4) is one for TCP, extended CONNECT with connect-udp (RFC 8441; RFC 9220; RFC 9298, 3.4) one for UDP.
 * Pure. Strict as http1/head.h is: what two readers could understand differently is refused. */
#ifndef CARDEA_HTTP_REQUEST_H
#define CARDEA_HTTP_REQUEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/str.h"
#include "http/masque.h"
#include "http1/head.h"
#include "session/front.h"

#define REQUEST_AUTHORITY_MAX (HOST_MAX + 16)
#define REQUEST_LIST_MAX HEAD_MAX /* bytes of all fields, each with 32 more (RFC 9113, 6.5.2) */

/* What a field has said; `is` tells which ones there were. */
struct request {
    unsigned is;      /* a bit each, see request.c */
    const char *bad;  /* why the request is malformed, static; the first reason stands */
    uint32_t count;   /* fields */
    uint32_t size;    /* bytes of the list */
    bool connect;     /* :method is CONNECT */
    bool connect_udp; /* :protocol is connect-udp */
    bool https;       /* :scheme is */
    uint16_t authority_len;
    uint16_t host_len;
    uint16_t path_len;
    char authority[REQUEST_AUTHORITY_MAX];
    char host[REQUEST_AUTHORITY_MAX];
    char path[MASQUE_PATH_MAX];
};

/* Begin with a request. */
void request_begin(struct request *r);

/* Take the next field; the bytes are copied. False once the request is malformed; it may go on all the same,
 * and nothing more is kept then. */
bool request_field(struct request *r, struct str name, struct str value);

/* Has the list of fields become longer than REQUEST_LIST_MAX allows? */
static inline bool request_is_too_long(const struct request *r)
{
    return r->size > REQUEST_LIST_MAX;
}

/* The fields are complete: FRONT_TARGET, and the target is set; or FRONT_BAD, and bad and err are. */
enum front_result request_end(const struct request *r, struct front_request *ret, struct err *err);

#endif
