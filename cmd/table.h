/* SPDX-License-Identifier: Apache-2.0 */
/* Text in columns, for people. */
#ifndef CARDEA_CMD_TABLE_H
#define CARDEA_CMD_TABLE_H

#include <jansson.h>
#include <stddef.h>
#include <stdio.h>

struct table {
    size_t columns;
    size_t count; /* cells so far */
    char **cell;
};

/* Add the next cell, from left to right, row by row; the first row is the heading. Control characters are
 * replaced. */
void table_add(struct table *t, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* What a cell says of a text in a JSON object: "-" where there is none, or an empty one. */
const char *table_text(const json_t *object, const char *key);

/* Print what was added when there is more than a heading, with an empty line before, and free it. */
void table_end(struct table *t, FILE *out);

#endif
