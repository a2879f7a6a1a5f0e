/* SPDX-License-Identifier: Apache-2.0 */
/* Reads a line that audit_format() has written, of this version or another: one JSON object (RFC 8259). Pure
 * and fast: a log of a week has millions. */
#ifndef CARDEA_AUDIT_LINE_H
#define CARDEA_AUDIT_LINE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/str.h"

/* What is looked for; doc/internals/audit.md says what each is. */
enum audit_field {
    AUDIT_TIME,
    AUDIT_CARRIER,
    AUDIT_PEER,
    AUDIT_SNI,
    AUDIT_ROUTE,
    AUDIT_ACTION,
    AUDIT_VERSION,
    AUDIT_GROUP,
    AUDIT_CIPHER,
    AUDIT_VERIFIES,
    AUDIT_JA4,
    AUDIT_OFFERS_GROUPS,
    AUDIT_OFFERS_CIPHERS,
    AUDIT_IDENTITY,
    AUDIT_OFFER,
    AUDIT_REASON,
    AUDIT_FIELDS
};

/* The texts between their quotes as they stand in the line, escapes not resolved; p NULL: the line has no
 * such field, or it is no text. */
struct audit_line {
    struct str v[AUDIT_FIELDS];
};

#define AUDIT_TIME_LEN 24 /* "2026-11-23T00:40:00.123Z" */

/* Read a line of `len` bytes, without its newline. NULL when it is good: an object whose `time` is
 * one; else what is wrong with it, static text. Fields that are not looked for may hold anything;
 * UTF-8 is not checked. */
const char *audit_line_read(const char *text, size_t len, struct audit_line *ret);

/* Is it of a CA that was shown the certificate for a challenge of acme-tls/1? No client, and of no route. */
bool audit_line_is_challenge(const struct audit_line *line);

/* A text with its escapes resolved, NUL-terminated and cut to `cap` (>= 1) bytes; what is no escape stays as
 * it stands, and each byte that is no UTF-8, or was when it was whole, becomes '?'. */
void audit_line_text(struct str value, char *ret, size_t cap);

#endif
