/* SPDX-License-Identifier: Apache-2.0 */
/* What came of a request, as HTTP says it: a status, Proxy-Status (RFC 9209) and a line for people. One list
 * of fields for all versions of HTTP; each has its own way to write them. Pure. */
#ifndef CARDEA_HTTP_ANSWER_H
#define CARDEA_HTTP_ANSWER_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "base/str.h"
#include "session/front.h"

#define ANSWER_FIELDS_MAX 5
#define ANSWER_NAME "cardea" /* what the door calls itself in Proxy-Status */

struct answer_field {
    const char *name; /* in lower case; static */
    struct str value; /* borrowed from the answer */
};

struct answer {
    unsigned status;
    const char *phrase; /* for HTTP/1.1; static */
    struct answer_field fields[ANSWER_FIELDS_MAX];
    size_t n;
    struct str body;     /* empty with a yes; content otherwise */
    char status_text[4]; /* the status in digits: the value of :status */
    char length[24];
    struct buf text;         /* what `body` is */
    struct buf proxy_status; /* a value of a field */
};

/* Make the answer; free it with answer_free(). `udp`: the request was for UDP, so a yes says that capsules
 * follow (RFC 9298, 3.5). */
void answer_make(struct answer *ret, const struct front_answer *from, bool udp);

void answer_free(struct answer *a);

/* The `ask` of a front whose requests are read before their sessions begin: asked only where the request is
 * no good, and then `ret` has said so from the start. */
enum front_result answer_bad(const uint8_t *data, size_t len, struct front_request *ret, struct err *err);

#endif
