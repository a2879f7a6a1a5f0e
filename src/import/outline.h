/* SPDX-License-Identifier: Apache-2.0 */
/* A tree that becomes YAML, and the memory that everything of one import lives in. */
#ifndef CARDEA_IMPORT_OUTLINE_H
#define CARDEA_IMPORT_OUTLINE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"

struct chunk;
struct remark;

/* Memory that is freed together. Zeroed by its owner. */
struct pool {
    struct chunk *chunks;
};

/* A key with its value, or an item of a list. Empty maps and lists are not printed. */
struct node {
    enum { NODE_MAP, NODE_LIST, NODE_TEXT } kind;
    const char *key;  /* NULL: an item, or the root */
    const char *text; /* of a NODE_TEXT */
    bool literal;     /* its text is no text for YAML, and not to be quoted */
    struct pool *pool;
    struct node *first, *last, *next;
    struct remark *remarks, *remarks_last;
};

/* Zeroed memory, aligned for anything; CHECKs that there is some: what is imported is bounded. */
void *pool_alloc(struct pool *p, size_t size);
const char *pool_copy(struct pool *p, const char *text, size_t len);
const char *pool_printf(struct pool *p, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void pool_free(struct pool *p);

struct node *outline_new(struct pool *p);

/* The map or list under `key`, made where there is none. `key` must outlive the tree. */
struct node *outline_map(struct node *map, const char *key);
struct node *outline_list(struct node *map, const char *key);

/* Another map at the end of a list of maps. */
struct node *outline_item(struct node *list);

/* Set `key` to `value`, quoted where YAML asks for it. `value` must outlive the tree. */
void outline_set(struct node *map, const char *key, const char *value);

/* Set `key` to true or false. */
void outline_flag(struct node *map, const char *key, bool value);

/* Another text at the end of a list of texts, unless it is there already. */
void outline_add(struct node *list, const char *value);

/* The value of `key`, or NULL. */
const char *outline_get(const struct node *map, const char *key);
struct node *outline_find(const struct node *map, const char *key);

/* Say something in comments before a node. Line breaks and what a terminal would obey become spaces. */
void outline_remark(struct node *n, const char *text);

/* Put what was said about `from` behind what was said about `to`. */
void outline_move_remarks(struct node *to, struct node *from);

/* Append the tree as YAML. */
void outline_print(struct buf *out, const struct node *root);

#endif
