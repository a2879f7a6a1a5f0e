/* SPDX-License-Identifier: Apache-2.0 */
/* The rows of the table as mdoc(7). */
#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "config/keys.h"
#include "config/value.h"

#define PATH_MAX_LEN 128

/* A line of text that mdoc takes as it is: no control line, no escapes. */
static bool put_line(struct buf *b, const char *before, const char *text, const char *after)
{
    char first = *before != '\0' ? *before : *text;
    bool ok = (first != '.' && first != '\'') || buf_printf(b, "\\&");
    ok = ok && buf_printf(b, "%s", before);
    for (const char *p = text; *p != '\0' && ok; p++)
        ok = *p == '\\' ? buf_printf(b, "\\e") : buf_append(b, p, 1);
    return ok && buf_printf(b, "%s\n", after);
}

/* Help as a sentence. */
static bool put_help(struct buf *b, const char *help)
{
    char first[2] = {(char)toupper((unsigned char)help[0]), '\0'};
    return put_line(b, first, help + 1, ".");
}

static bool put_names(struct buf *b, const struct schema_name *names)
{
    bool ok = buf_printf(b, "One of ");
    for (; names->name != NULL && ok; names++)
        ok = buf_printf(b, "%s%s", names->name, names[1].name != NULL ? ", " : ".\n");
    return ok;
}

static bool put_range(struct buf *b, const struct schema_key *k)
{
    char low[UNIT_TEXT_MAX], high[UNIT_TEXT_MAX];
    return buf_printf(b, "From %s to %s.\n", value_show(k->type, k->min, low),
                      value_show(k->type, k->max, high));
}

static bool put_type(struct buf *b, const struct schema_key *k)
{
    const char *type = k->section != NULL ? "section" : k->type->name;
    const char *need = (k->flags & SCHEMA_REQUIRED) != 0 ? "; required" : "";
    return buf_printf(b, "(%s%s%s)\n", k->list ? "list: " : "", type, need);
}

static bool put_key(struct buf *b, const struct schema_key *k)
{
    bool ok = buf_printf(b, ".It Ic %s\n", k->name) && put_type(b, k) && put_help(b, k->help);
    if (k->names != NULL)
        ok = ok && put_names(b, k->names);
    if (k->max != 0)
        ok = ok && put_range(b, k);
    if (k->fallback != NULL)
        ok = ok && put_line(b, "Default: ", k->fallback, ".");
    if (*k->example != '\0') {
        char before[PATH_MAX_LEN];
        snprintf(before, sizeof(before), "Example: %s: ", k->name);
        ok = ok && buf_printf(b, ".br\n") && put_line(b, before, k->example, "");
    }
    return ok;
}

static bool put_keys(struct buf *b, const struct schema *schema)
{
    if (schema->keys->name == NULL)
        return true;
    bool ok = buf_printf(b, ".Bl -tag -width Ds\n");
    for (const struct schema_key *k = schema->keys; k->name != NULL && ok; k++)
        ok = put_key(b, k);
    return ok && buf_printf(b, ".El\n");
}

/* The section at `path`, then those inside it. The table is a tree, so this ends. */
static bool put_section(struct buf *b, const struct schema *schema, const char *path)
{
    bool ok = *path == '\0' || (buf_printf(b, ".Ss %s\n", path) && put_help(b, schema->help));
    ok = ok && put_keys(b, schema);
    for (const struct schema_key *k = schema->keys; k->name != NULL && ok; k++) {
        char inner[PATH_MAX_LEN];
        if (k->section == NULL)
            continue;
        snprintf(inner, sizeof(inner), "%s%s%s%s", path, *path != '\0' ? "." : "", k->name,
                 k->list ? "[]" : "");
        ok = put_section(b, k->section, inner);
    }
    return ok;
}

bool config_man(struct buf *b)
{
    return buf_printf(b, ".Sh KEYS\n") && put_section(b, &keys_config, "") &&
           buf_printf(b, ".Sh KEYS OF THE CLIENT'S FILE\n") && put_section(b, &keys_client, "") &&
           buf_printf(b, ".Sh KEYS OF THE AGENT'S FILE\n") && put_section(b, &keys_expose_file, "");
}
