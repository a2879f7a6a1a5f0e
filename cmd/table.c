/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/table.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clean.h"
#include "base/utf8.h"

#define GAP ((size_t)2)

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

/* How wide the columns are; the last one has no width, so that no line ends in spaces. */
static size_t *widths_of(const struct table *t)
{
    size_t *widths = calloc(t->columns, sizeof(*widths));
    CHECK(widths != NULL);
    for (size_t i = 0; i < t->count; i++)
        if ((i + 1) % t->columns != 0)
            widths[i % t->columns] = MAX(widths[i % t->columns], utf8_columns(t->cell[i]) + GAP);
    return widths;
}

static void print_cell(const struct table *t, size_t i, size_t width, bool coloured, FILE *out)
{
    bool paints = coloured && t->colour[i] != TABLE_PLAIN;
    size_t columns = width == 0 ? 0 : utf8_columns(t->cell[i]);
    if (paints)
        fputs(table_code(t->colour[i]), out);
    fputs(t->cell[i], out);
    if (paints)
        fputs(table_code(TABLE_PLAIN), out);
    fprintf(out, "%*s", (int)(width - columns), "");
}

void table_end(struct table *t, FILE *out)
{
    bool coloured = table_is_coloured(out);
    CHECK(t->columns > 0 && t->count % t->columns == 0);
    size_t *widths = widths_of(t);
    for (size_t i = 0; t->count > t->columns && i < t->count; i++) {
        size_t column = i % t->columns;
        if (i == 0 && !t->first)
            fputc('\n', out);
        print_cell(t, i, widths[column], coloured, out);
        if (column + 1 == t->columns)
            fputc('\n', out);
    }
    for (size_t i = 0; i < t->count; i++)
        free(t->cell[i]);
    free(widths);
    free(t->cell);
    free(t->colour);
    *t = (struct table){.columns = t->columns};
}
