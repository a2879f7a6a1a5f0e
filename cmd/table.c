/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/table.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

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
    CHECK(clean != NULL && t->cell != NULL);
    str_clean(clean, cap, text);
    free(text);
    t->cell[t->count++] = clean;
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

void table_end(struct table *t, FILE *out)
{
    CHECK(t->columns > 0 && t->count % t->columns == 0);
    for (size_t i = 0; t->count > t->columns && i < t->count; i++) {
        size_t column = i % t->columns;
        if (i == 0)
            fputc('\n', out);
        fprintf(out, "%-*s%s", width_of(t, column), t->cell[i], column + 1 == t->columns ? "\n" : "");
    }
    for (size_t i = 0; i < t->count; i++)
        free(t->cell[i]);
    free(t->cell);
    *t = (struct table){.columns = t->columns};
}
