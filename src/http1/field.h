/* SPDX-License-Identifier: Apache-2.0 */
/* The lines that heads of HTTP/1.1 are made of (RFC 9112), read strictly: whatever two readers could
 * understand differently is no line. */
#ifndef CARDEA_HTTP1_FIELD_H
#define CARDEA_HTTP1_FIELD_H

#include <stdbool.h>

#include "base/cursor.h"
#include "base/str.h"

enum line_status {
    LINE_READ,
    LINE_MORE,    /* its end is not there yet */
    LINE_ENDING,  /* it does not end in CR LF */
    LINE_CONTROL, /* it holds a control character other than TAB */
};

/* Take the next line, without its CR LF. Only CR LF ends a line, and no control character but TAB is let in:
 * lone CR, lone LF and NUL are what smuggling is made of (RFC 9112, 2.2; RFC 9110, 5.5). `c` stays where it
 * was unless LINE_READ. */
enum line_status line_next(struct cursor *c, struct str *ret);

/* RFC 9110, 5.6.2: a method or a field name. */
bool field_is_token(struct str s);

/* Without the spaces and tabs around it. */
struct str field_trim(struct str s);

/* Is it that name (in lower case), in any case? */
bool field_name_is(struct str name, const char *lower);

/* Is `token` (in lower case) one of a list that commas part (RFC 9110, 5.6.1)? In any case. */
bool field_lists(struct str list, const char *token);

/* Does it look like the value of Host (RFC 9112, 3.2)? */
bool field_is_host(struct str s);

/* Split `s` at the first `sep`: *ret_before is what stands before it, `s` what follows it. False when there
 * is none. */
bool field_split(struct str *s, char sep, struct str *ret_before);

#endif
