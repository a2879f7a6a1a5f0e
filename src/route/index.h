/* SPDX-License-Identifier: Apache-2.0 */
/* The finished map from name patterns to sets, packed for lookups. An array of buckets says where the few
 * patterns with the same hash stand one after the other, and which hashes these have, so that finding that
 * one is not there costs next to nothing. Private to route/. */
#ifndef CARDEA_ROUTE_INDEX_H
#define CARDEA_ROUTE_INDEX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "route/names.h"

/* Its names stand from `start` to the start of the next bucket. */
struct name_bucket {
    uint32_t start;
    uint32_t filter; /* two bits for each name; of a name that is here both are set */
};

struct name_index {
    struct hash_key key;
    uint32_t count;
    uint32_t bucket_count;
    struct name_bucket *buckets; /* bucket_count, and one that says where the last one ends */
    uint8_t *records;
};

/* Pack all names with their values. False when memory is out. */
bool index_build(struct name_index *x, const struct names *n);

void index_free(struct name_index *x);

/* The value of this name, or 0. */
uint32_t index_get(const struct name_index *x, enum name_kind kind, const char *name, size_t len);

struct name_record {
    enum name_kind kind;
    const char *name; /* not NUL-terminated */
    size_t len;
    uint32_t value;
};

/* Read the record at *offset, which begins at 0, and move on to the next one; false at the end. */
bool index_next(const struct name_index *x, size_t *offset, struct name_record *ret);

/* Bytes of heap. */
size_t index_bytes(const struct name_index *x);

#endif
