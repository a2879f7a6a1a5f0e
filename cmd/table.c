/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/table.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clean.h"

#define GAP 2

void table_add(struct table *t, const char *fmt, ...)
{
    va_list ap;
    char *text;
    va_start(ap, fmt);
    CHECK(vasprintf(&text, fmt, ap) >= 0);
    va_end(ap);
    size_t cap = strlen(text) + 1;
    char *clean = malloc(cap);
    t->cell = realloc(t->cell, (t->count + 1) * sizeof(*t->cell));
    t->colour = realloc(t->colour, (t->count + 1) * sizeof(*t->colour));
    CHECK(clean != NULL && t->cell != NULL && t->colour != NULL);
    t->colour[t->count] = TABLE_PLAIN;
    str_clean(clean, cap, text);
    free(text);
    t->cell[t->count++] = clean;
}

void table_paint(struct table *t, enum table_colour colour)
{
    CHECK(t->count > 0);
    t->colour[t->count - 1] = colour;
}

const char *table_duration(double seconds, char text[TABLE_DURATION_MAX])
{
    long long s = (long long)seconds;
    if (s >= 86400)
        snprintf(text, TABLE_DURATION_MAX, "%lldd %lldh", s / 86400, s % 86400 / 3600);
    else if (s >= 3600)
        snprintf(text, TABLE_DURATION_MAX, "%lldh %lldm", s / 3600, s % 3600 / 60);
    else if (s >= 60)
        snprintf(text, TABLE_DURATION_MAX, "%lldm %llds", s / 60, s % 60);
    else
        snprintf(text, TABLE_DURATION_MAX, "%llds", s);
    return text;
}

/* How wide a column is; the last one has no width, so that no line ends in spaces. */
static int width_of(const struct table *t, size_t column)
{
    size_t width = 0;
    if (column + 1 == t->columns)
        return 0;
    for (size_t i = column; i < t->count; i += t->columns)
        width = MAX(width, strlen(t->cell[i]));
    return (int)width + GAP;
}

const char *table_text(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    return text != NULL && *text != '\0' ? text : "-";
}

bool table_is_coloured(FILE *out)
{
    const char *no = getenv("NO_COLOR"), *term = getenv("TERM");
    return isatty(fileno(out)) && (no == NULL || *no == '\0') && (term == NULL || strcmp(term, "dumb") != 0);
}

const char *table_code(enum table_colour colour)
{
    static const char *const codes[] = {[TABLE_PLAIN] = "\033[0m",
                                        [TABLE_GREEN] = "\033[32m",
                                        [TABLE_YELLOW] = "\033[33m",
                                        [TABLE_RED] = "\033[31m"};
    return codes[colour];
}

static void print_cell(const struct table *t, size_t i, bool coloured, FILE *out)
{
    int width = width_of(t, i % t->columns);
    if (coloured && t->colour[i] != TABLE_PLAIN)
        fprintf(out, "%s%s%s%*s", table_code(t->colour[i]), t->cell[i], table_code(TABLE_PLAIN),
                MAX(0, width - (int)strlen(t->cell[i])), "");
    else
        fprintf(out, "%-*s", width, t->cell[i]);
}

void table_end(struct table *t, FILE *out)
{
    bool coloured = table_is_coloured(out);
    CHECK(t->columns > 0 && t->count % t->columns == 0);
    for (size_t i = 0; t->count > t->columns && i < t->count; i++) {
        size_t column = i % t->columns;
        if (i == 0)
            fputc('\n', out);
        print_cell(t, i, coloured, out);
        if (column + 1 == t->columns)
            fputc('\n', out);
    }
    for (size_t i = 0; i < t->count; i++)
        free(t->cell[i]);
    free(t->cell);
    free(t->colour);
    *t = (struct table){.columns = t->columns};
}
