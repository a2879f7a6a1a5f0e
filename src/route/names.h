/* SPDX-License-Identifier: Apache-2.0 */
/* Names and name patterns while a table is built: a growing map from them to a number. Private to route/. */
#ifndef CARDEA_ROUTE_NAMES_H
#define CARDEA_ROUTE_NAMES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/hash.h"

#define NAME_MAX_LEN 253 /* RFC 1035, 2.3.4, without the last dot */
#define NAME_MAX_LABELS 127

/* In order of precedence. The value is the number of asterisks. */
enum name_kind {
    NAME_EXACT,
    NAME_ONE,  /* `*.x`: one label before x */
    NAME_MANY, /* `**.x`: one or more labels before x */
};

/* `tag` is the hash and the place at once: slots lie in (almost) the order of their tags. */
struct name_slot {
    uint32_t tag;
    uint32_t offset; /* of kind, length and name in the arena */
    uint32_t value;  /* 0: the slot is free */
};

struct names {
    struct hash_key key;
    struct name_slot *slots;
    uint32_t slot_count;
    uint32_t count;
    uint8_t *arena;
    size_t arena_len;
    size_t arena_cap;
};

/* Begin empty; nothing is allocated yet. */
void names_init(struct names *n, const struct hash_key *key);

void names_free(struct names *n);

/* The slot of this name, with value 0 when it is new: the caller then sets another value at once. The pointer
 * lives until the next names_put(). NULL when memory (or the arena's 4 GiB) is out. */
struct name_slot *names_put(struct names *n, enum name_kind kind, const char *name, size_t len);

/* The kind and text (not NUL-terminated) of the name at an offset. */
enum name_kind names_text(const struct names *n, uint32_t offset, const char **ret_name, size_t *ret_len);

/* The hash of a name, for this map and for the finished one. Each kind has hashes of its own. */
uint32_t name_tag(const struct hash_key *key, enum name_kind kind, const char *name, size_t len);

/* Check that this is a DNS name in letters, digits, `-` and `_`, no address; write it in lower case and
 * without a last dot. -1 with a text that says what is wrong. */
int name_clean(const char *p, size_t len, char ret_name[NAME_MAX_LEN + 1], size_t *ret_len, struct err *err);

/* Where each label of a name begins, first to last; 0 when a label is empty or the name is too long to be in
 * a table. The bytes are otherwise not looked at. */
size_t name_labels(const char *p, size_t len, uint8_t ret_starts[NAME_MAX_LABELS]);

#endif
