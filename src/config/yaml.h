/* SPDX-License-Identifier: Apache-2.0 */
/* YAML text -> a small tree. The only file that includes libfyaml; it sees bytes that were checked to be
 * UTF-8. Refused, each with its position: more than one document, anchors, aliases, tags, keys that are not
 * plain text, keys given twice, and whatever passes the limits below. */
#ifndef CARDEA_CONFIG_YAML_H
#define CARDEA_CONFIG_YAML_H

#include "config/config.h"
#include "config/report.h"
#include "config/store.h"

#define YAML_SIZE_MAX ((size_t)16 * 1024 * 1024)
#define YAML_DEPTH_MAX 16
#define YAML_NODES_MAX 1000000
#define YAML_KEYS_MAX 64 /* of one section */

enum yaml_kind {
    YAML_SCALAR,
    YAML_LIST,
    YAML_SECTION,
};

struct yaml_node {
    enum yaml_kind kind;
    struct config_pos at;
    struct config_pos key_at; /* inside a section: its key */
    const char *key;          /* inside a section, else NULL */
    const char *text;         /* of a scalar; NUL-terminated, holds no other NUL */
    bool empty;               /* a scalar that is no value at all: nothing, ~ or null */
    struct yaml_node *first;  /* child */
    struct yaml_node *next;   /* sibling */
    size_t n;                 /* children */
};

/* Returns the root, in the store's memory. NULL after one error was added to the report. */
struct yaml_node *yaml_read(struct report *r, struct config_store *s, const void *text, size_t len);

/* The child of a section by its key, or NULL. */
const struct yaml_node *yaml_child(const struct yaml_node *section, const char *key);

/* For error texts: "a list", "a section", "nothing" or the scalar's text in quotes. */
const char *yaml_describe(const struct yaml_node *node, char quoted[QUOTE_MAX]);

#endif
