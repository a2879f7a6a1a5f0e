/* SPDX-License-Identifier: Apache-2.0 */
/* What all DNS messages are made of (RFC 1035, 4). Pure: bytes in, bytes out. */
#ifndef CARDEA_DNS_WIRE_H
#define CARDEA_DNS_WIRE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/cursor.h"
#include "base/hostname.h"
#include "base/str.h"

#define DNS_HEADER_LEN 12
#define DNS_CLASS_IN 1
#define DNS_FLAG_ANSWER 0x8000u
#define DNS_FLAG_CUT 0x0200u
#define DNS_FLAG_RECURSE 0x0100u
#define DNS_PADDING_BLOCK 128 /* bytes: questions are as long as whole ones of these (RFC 8467, 4.1) */

/* SvcParamKeys of HTTPS records (RFC 9460, 14.3.2; RFC 9848); they stand in rising order. */
enum { DNS_PARAM_MANDATORY = 0, DNS_PARAM_ALPN = 1, DNS_PARAM_PORT = 3, DNS_PARAM_ECH = 5 };

/* The header of a message (RFC 1035, 4.1.1): `counts` of questions, answers, authority, additional. */
struct dns_header {
    uint64_t id, flags, counts[4];
};

/* False where it is cut off; then some of *ret may be read. */
bool dns_read_header(struct cursor *c, struct dns_header *ret);

/* The response code of an answer (RFC 6895, 2.3). */
static inline unsigned dns_code(const struct dns_header *h)
{
    return (unsigned)(h->flags & 15);
}

/* The name of a code (RFC 1035, 4.1.1; RFC 2136, 2.2), or NULL. */
const char *dns_code_word(unsigned code);

/* Write a name in lower case (RFC 4034, 6.2); `w` is full where a label is empty or too long. */
void dns_put_name(struct writer *w, const char *name);

/* Over a name, which may end in a pointer to another (RFC 1035, 4.1.4). */
bool dns_skip_name(struct cursor *c);

/* Read a name of `message` as text, in lower case and without the dot at its end; the root is "". False where
 * it is none, or not made of what stands in host names (base/hostname.h) alone. */
bool dns_read_name(struct cursor *c, struct str message, char ret[HOSTNAME_MAX + 1]);

#endif
