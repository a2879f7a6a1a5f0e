/* SPDX-License-Identifier: Apache-2.0 */
/* What a source of certificates has answered, kept for a while: so many names and bytes, of which the least
 * recently used go first, and refusals in a table of fixed size. It belongs to one thread and asks no clock:
 * `now` is monotonic, in nanoseconds. */
#ifndef CARDEA_CERT_CACHE_H
#define CARDEA_CERT_CACHE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/str.h"
#include "cert/source.h"

struct cert_cache;

/* Room for `names` names (at least one) whose certificates take `bytes`, as cert_bytes() tells; one name may
 * take more. Never NULL. */
struct cert_cache *cert_cache_new(size_t names, size_t bytes);

/* NULL is allowed. */
void cert_cache_free(struct cert_cache *cache);

/* What an answer is found by. */
struct cert_cache_key {
    struct str name; /* in lower case */
    uint32_t route;
};

enum cert_cached {
    CERT_CACHE_MISS,
    CERT_CACHE_HIT,
    CERT_CACHE_REFUSED,
};

/* *ret is borrowed and lives until the cache is changed. Of a refusal it has `why` only. INT64_MIN as `now`
 * finds what is there, however old. */
enum cert_cached cert_cache_find(struct cert_cache *cache, const struct cert_cache_key *key, int64_t now,
                                 const struct cert_answer **ret);

/* Keep an answer in place of what was there under the key; the references in it are taken over. A refusal
 * takes the place of another one where the table is crowded. */
void cert_cache_put(struct cert_cache *cache, const struct cert_cache_key *key,
                    const struct cert_answer *answer, int64_t now);

/* Does a change of `changed`, which may be "*.example.com" for all names below that one, or NULL for every
 * name, concern this name? */
bool cert_change_concerns(const char *changed, struct str name);

/* Something has changed for `name`, for all below it when it is "*.example.com", or for every name (NULL):
 * what is known of it is forgotten, and so are all refusals. */
void cert_cache_forget(struct cert_cache *cache, const char *name);

/* What it holds now. */
struct cert_cache_size {
    size_t names;
    size_t bytes;
};
struct cert_cache_size cert_cache_size(const struct cert_cache *cache);

#endif
