/* SPDX-License-Identifier: Apache-2.0 */
/* The finished map from exact names to sets. Of each name it keeps 64 bits of a keyed hash instead of the
 * text: so a name takes about 17 bytes however long it is, and finding one costs a single access to far
 * memory. A stranger's name passes for one of a million of ours with a chance of one in 10^13, and he cannot
 * search for such a name without the key, which is fresh for every table. Private to route/. */
#ifndef CARDEA_ROUTE_DIGESTS_H
#define CARDEA_ROUTE_DIGESTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "route/names.h"

#define DIGESTS_PER_BUCKET 5

/* A cache line. */
struct digest_bucket {
    uint64_t digest[DIGESTS_PER_BUCKET];
    uint32_t value[DIGESTS_PER_BUCKET]; /* 0: free; the used ones come first */
    /* A bit for each digest that found this bucket full and stands in one after it: of a name that is not in
     * the table nearly always the first bucket tells. */
    uint32_t spilled;
};

struct digests {
    struct hash_key key;
    uint32_t count;
    uint32_t bucket_count;
    struct digest_bucket *buckets;
};

/* Pack all names with their values. -1 with `err` when memory is out, or when two names have the same hash:
 * then loading again, under another key, helps (once in some ten million loads of a million names). */
int digests_build(struct digests *d, const struct names *n, struct err *err);

void digests_free(struct digests *d);

/* What stands for this name (in lower case, no last dot; at most NAME_MAX_LEN bytes). Its bucket begins to
 * come from far memory: what the caller does before digests_get() is done in the time that this takes. */
uint64_t digests_seek(const struct digests *d, const char *name, size_t len);

/* The value of the name that this stands for, or 0. */
uint32_t digests_get(const struct digests *d, uint64_t digest);

/* Bytes of heap. */
size_t digests_bytes(const struct digests *d);

#endif
