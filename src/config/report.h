/* SPDX-License-Identifier: Apache-2.0 */
/* What is wrong with a file, one line each, so that one run shows it all. */
#ifndef CARDEA_CONFIG_REPORT_H
#define CARDEA_CONFIG_REPORT_H

struct buf;
struct config_pos;

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

/* So much is shown of a key, in bytes: a file that was never meant as a configuration, which somebody with
 * more rights may have been led to name, is not to be printed. */
#define KEY_SHOWN 40

/* The same for a key that may be anything, cut after KEY_SHOWN bytes, and where no key goes on
 * but a line of passwd(5) or an environment does (':', '$', '='); without the quotes. */
const char *report_key(char shown[QUOTE_MAX], const char *key);

#endif
