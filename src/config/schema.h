/* SPDX-License-Identifier: Apache-2.0 */
/* A section is an array of rows; one engine reads a YAML section into a struct by its rows. Nothing in here
 * knows what the keys mean. */
#ifndef CARDEA_CONFIG_SCHEMA_H
#define CARDEA_CONFIG_SCHEMA_H

#include "config/report.h"
#include "config/store.h"
#include "config/yaml.h"

enum schema_flags {
    SCHEMA_REQUIRED = 1, /* must be in the file */
    SCHEMA_CHOICE = 2,   /* of the keys with this flag exactly one must be */
    SCHEMA_INHERIT = 4,  /* left out: schema_inherit() fills it in */
};

/* One of the names that an enum key takes. */
struct schema_name {
    const char *name; /* NULL ends the array */
    int value;
};

struct schema_key;

/* A scalar's text on its way into a field. */
struct schema_value {
    struct config_store *store;
    const char *dir; /* relative paths are joined to it; "" or ending in '/' */
    const struct schema_key *key;
    const char *text;
    struct config_pos at;
};

/* A type of scalars. */
struct schema_type {
    const char *name; /* for the manual: "duration" */
    size_t size;      /* of the field, or of one item of a list */
    /* Write the field. -1 with a text that goes on after "KEY: ", such as "found 'x', expected true or
     * false". */
    int (*read)(const struct schema_value *v, void *ret, struct err *err);
};

struct schema;

struct schema_key {
    const char *name;
    unsigned flags; /* enum schema_flags */
    size_t offset;  /* of the field */
    size_t size;

    /* Either a scalar's type or a section's rows. */
    const struct schema_type *type;
    const struct schema *section;
    bool list;     /* the field is {T *v; size_t n}; a lone scalar is taken too */
    bool embedded; /* the section's struct itself, with defaults where it is left out; else a pointer, or NULL
                    */

    int64_t min, max;                /* of numbers, in the unit of the field */
    const struct schema_name *names; /* of an enum */
    const char *fallback; /* default, as one would write it; items of a list apart by spaces; or NULL */
    const char *help;
    const char *example; /* or "" */
};

struct schema {
    size_t size; /* of the struct; it begins with a config_head */
    const char *help;
    const struct schema_key *keys; /* a row without a name ends them */
};

struct schema_reader {
    struct report *report;
    struct config_store *store;
    const char *dir;
    char path[256];   /* of the key at hand: "routes[2].name" */
    uint64_t content; /* of the section at hand, so far: see config_head */
};

/* Fill `ret` (schema->size bytes, zeroed) from a section, the defaults included. 0, or -1 with one error or
 * more in the report. */
int schema_read(struct schema_reader *rd, const struct schema *schema, const struct yaml_node *section,
                void *ret);

/* Give each INHERIT key that was left out the value of the key of that name in `from`. */
void schema_inherit(const struct schema *schema, void *section, const struct schema *from_schema,
                    const void *from);

/* Was the key given in the file? There must be a row of that name. */
bool schema_given(const struct schema *schema, const void *section, const char *key);

#endif
