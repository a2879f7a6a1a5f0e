/* SPDX-License-Identifier: Apache-2.0 */
/* The kinds of private keys that are made here, by name; the rows are in tables/key_kinds.def. What is done
 * with keys is in cert/key.h. */
#ifndef CARDEA_BASE_KEY_KIND_H
#define CARDEA_BASE_KEY_KIND_H

#include <stdbool.h>

#define KEY_TEXT_MAX 32 /* what any key is in words, see key_describe() */

enum key_kind {
#define KIND(NAME, name, type, size, synonyms) KEY_##NAME, /* the first is the default */
#include "tables/key_kinds.def"
#undef KIND
    KEY_KINDS
};

/* As it is printed everywhere: "P-256", "RSA-2048", "ML-DSA-65". */
const char *key_kind_name(enum key_kind kind);

/* Read one, by its name or a synonym: "P-256", "p256", "prime256v1". False where there is no such kind. */
bool key_kind_parse(const char *text, enum key_kind *ret);

/* Room for all names, apart by commas. */
#define KEY_KIND_NAMES_MAX 160

/* "P-256, P-384, ... or ML-DSA-87", for errors. Returns `ret`. */
const char *key_kind_names(char ret[KEY_KIND_NAMES_MAX]);

/* The same as str_hint() tells of a word that is no kind. Returns `ret`. */
const char *key_kind_hint(const char *word, char *ret);

#endif
