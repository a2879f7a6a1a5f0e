/* SPDX-License-Identifier: Apache-2.0 */
/* The head of an HTTP/1.1 request to one of the door's own pages (http1/head.h, RFC 9112): strict and pure.
 */
#ifndef CARDEA_ADMIN_REQUEST_H
#define CARDEA_ADMIN_REQUEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "http1/head.h"

#define REQUEST_HEAD_MAX HEAD_MAX /* bytes, with the empty line */
#define REQUEST_FIELDS_MAX HEAD_FIELDS_MAX

struct request {
    char method[16];
    char path[256];   /* begins with '/'; nothing is decoded, for no page has a name that needs it */
    char query[2048]; /* what follows the '?', or "" */
    unsigned bad;     /* with REQUEST_BAD: the status to answer with */
};

enum request_status {
    REQUEST_MORE, /* the head is not complete; never said once there are REQUEST_HEAD_MAX bytes */
    REQUEST_READ,
    REQUEST_BAD, /* ret->bad and err are set */
};

/* Read the request at the start of `data`: all bytes since the connection began. The result depends on the
 * bytes, not on how they were split. Refused: what two readers could understand differently, and any content
 * (no page takes one). */
enum request_status request_read(const uint8_t *data, size_t len, struct request *ret, struct err *err);

/* The number that the query gives for `key` ("limit=5"), or `otherwise` when it does not. False, with `err`,
 * when it is no number from 1 to `max`, or when the query has any other key. */
bool request_number(const struct request *r, const char *key, uint64_t max, uint64_t otherwise, uint64_t *ret,
                    struct err *err);

/* The id of a connection (audit/record.h) that the query gives: "id=ID", and nothing else. False with `err`.
 */
bool request_id(const struct request *r, uint64_t *ret, struct err *err);

/* Copy what the query "a=x&b=y" has for `key`, without its percent-encoding (RFC 3986, 2.1), into ret[size].
 * False where it has none, or one that is damaged or too long; then ret is empty. */
bool request_value(const struct request *r, const char *key, char *ret, size_t size);

#endif
