/* SPDX-License-Identifier: Apache-2.0 */
/* What is read of the head of a web server's answer (RFC 9112). Pure. */
#ifndef CARDEA_PROBE_HEAD_H
#define CARDEA_PROBE_HEAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/str.h"

struct head {
    unsigned status;   /* of the answer; 0: it is none of HTTP/1, or not complete */
    struct str fields; /* the lines behind the first; within the answer */
};

/* Read all that has come. */
struct head head_read(const uint8_t *data, size_t len);

/* The first field of that name, in whatever case, from *at on, which begins as a copy of `fields`. False:
 * there is none, or no more. */
bool head_next_field(struct str *at, const char *name, struct str *ret_value);

/* Take what stands before the first `delimiter`, or all that is left. False at the end. */
bool head_next_part(struct str *rest, char delimiter, struct str *ret);

/* Without blanks and tabs around it. */
struct str head_trim(struct str s);

/* Is it this word, in whatever case? */
bool head_is(struct str s, const char *word);

#endif
