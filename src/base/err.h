/* SPDX-License-Identifier: Apache-2.0 */
/* One error text on its way up to whoever prints it. Library code fills it and returns -1; it never prints.
 */
#ifndef CARDEA_BASE_ERR_H
#define CARDEA_BASE_ERR_H

#include <stdbool.h>

#define ERR_TEXT_MAX 1024

struct err {
    char text[ERR_TEXT_MAX];
};

/* Set the text (printf style, truncated at ERR_TEXT_MAX) and return -1, so that callers write `return
 * err_set(...)`. `err` may be NULL when the caller does not want the text. */
int err_set(struct err *err, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Put `fmt: ` before the text that is already there; returns -1. */
int err_prefix(struct err *err, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Append ": " and the text of errno value `code`; returns -1. */
int err_errno(struct err *err, int code, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

#endif
