/* SPDX-License-Identifier: Apache-2.0 */
/* Text in columns, for people. */
#ifndef CARDEA_CMD_TABLE_H
#define CARDEA_CMD_TABLE_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

enum table_colour { TABLE_PLAIN, TABLE_GREEN, TABLE_YELLOW, TABLE_RED };

struct table {
    size_t columns;
    bool first;   /* nothing stands before it */
    size_t count; /* cells so far */
    char **cell;
    enum table_colour *colour; /* of each; NULL: none has any */
};

/* Add the next cell, from left to right, row by row; the first row is the heading. Control characters are
 * replaced. */
void table_add(struct table *t, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Give the cell that was added last a colour. It is seen on a terminal only, and not where NO_COLOR
 * (no-color.org) is set. */
void table_paint(struct table *t, enum table_colour colour);

/* Would colours be seen there? */
bool table_is_coloured(FILE *out);

/* What begins a colour, and what ends it (TABLE_PLAIN), on a terminal. Static. */
const char *table_code(enum table_colour colour);

#define TABLE_DURATION_MAX 32

/* "3d 4h", "5m 12s": the two greatest units. Returns `text`. */
const char *table_duration(double seconds, char text[TABLE_DURATION_MAX]);

/* What a cell says of a text in a JSON object: "-" where there is none, or an empty one. */
const char *table_text(const json_t *object, const char *key);

/* Print what was added when there is more than a heading, with an empty line before unless it is the first,
 * and free it. */
void table_end(struct table *t, FILE *out);

#endif
