/* SPDX-License-Identifier: Apache-2.0 */
/* What is wrong with a file, one line each, so that one run shows it all. */
#ifndef CARDEA_CONFIG_REPORT_H
#define CARDEA_CONFIG_REPORT_H

#include "config/config.h"

#define REPORT_MAX 20

struct report {
    const char *file;
    struct buf *out; /* may be NULL */
    unsigned count;  /* of all, also those past REPORT_MAX */
};

/* Add `FILE:LINE:COLUMN: ` (without a position when `at.line` is 0) and the text. Returns -1. */
int report_add(struct report *r, struct config_pos at, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* Once at the end: tell how many did not fit. */
void report_finish(struct report *r);

#define QUOTE_MAX 96

/* Text from the file as it is shown in an error: in quotes, cut when long, without control characters. */
const char *report_quote(char quoted[QUOTE_MAX], const char *text);

/* Append `; did you mean 'NAME'?` when one of the NULL-terminated names is near; returns `text`. */
const char *report_hint(char *text, size_t cap, const char *word, const char *const *names);

#endif
