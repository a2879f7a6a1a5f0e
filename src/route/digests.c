/* SPDX-License-Identifier: Apache-2.0 */
#include "route/digests.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/check.h"

#define HUGE_PAGE ((size_t)2 << 20)
#define CACHE_LINE 64

_Static_assert(sizeof(struct digest_bucket) == CACHE_LINE, "a bucket is one cache line");

/* Zeroed memory that is read at random places: on huge pages where it is large, since of an access to far
 * memory half is finding the page. */
static void *random_access_alloc(size_t size)
{
    size_t unit = size < HUGE_PAGE ? CACHE_LINE : HUGE_PAGE;
    size_t whole = (size + unit - 1) / unit * unit;
    void *p = aligned_alloc(unit, whole);
    if (p == NULL)
        return NULL;
    if (unit == HUGE_PAGE)
        madvise(p, whole, MADV_HUGEPAGE); /* a wish: without it everything works, only slower */
    memset(p, 0, whole);
    return p;
}

/* The upper half chooses the bucket, so that the digest's order is the bucket's. */
static uint32_t bucket_of(const struct digests *d, uint64_t digest)
{
    return (uint32_t)(((digest >> 32) * d->bucket_count) >> 32);
}

/* The bit that says in a full bucket that this digest may stand in one after it. */
static uint32_t spill_of(uint64_t digest)
{
    return UINT32_C(1) << (digest & 31);
}

static int put(struct digests *d, uint64_t digest, uint32_t value, struct err *err)
{
    for (uint32_t b = bucket_of(d, digest);; b = b + 1 == d->bucket_count ? 0 : b + 1) {
        struct digest_bucket *bucket = &d->buckets[b];
        for (int i = 0; i < DIGESTS_PER_BUCKET; i++) {
            if (bucket->value[i] != 0 && bucket->digest[i] == digest)
                return err_set(
                    err,
                    "two server names have the same hash, by a chance of one in ten million: load again");
            if (bucket->value[i] != 0)
                continue;
            bucket->digest[i] = digest;
            bucket->value[i] = value;
            return 0;
        }
        bucket->spilled |= spill_of(digest);
    }
}

int digests_build(struct digests *d, const struct names *n, struct err *err)
{
    *d = (struct digests){.key = n->key, .count = n->count};
    if (n->count == 0)
        return 0;
    d->bucket_count = n->count / DIGESTS_PER_BUCKET * 5 / 4 + 1; /* four of five places taken */
    d->buckets = random_access_alloc(d->bucket_count * sizeof(*d->buckets));
    if (d->buckets == NULL)
        return err_set(err, "out of memory for %u server names", n->count);
    for (uint32_t i = 0; i < n->slot_count; i++) {
        const char *name;
        size_t len;
        if (n->slots[i].value == 0)
            continue;
        names_text(n, n->slots[i].offset, &name, &len);
        if (put(d, hash_bytes(&d->key, name, len), n->slots[i].value, err) != 0) {
            digests_free(d);
            return -1;
        }
    }
    return 0;
}

void digests_free(struct digests *d)
{
    free(d->buckets);
    *d = (struct digests){.key = d->key};
}

uint64_t digests_seek(const struct digests *d, const char *name, size_t len)
{
    CHECK(len >= 1 && len <= NAME_MAX_LEN);
    uint64_t digest = hash_bytes(&d->key, name, len);
    if (d->count != 0)
        __builtin_prefetch(&d->buckets[bucket_of(d, digest)]);
    return digest;
}

uint32_t digests_get(const struct digests *d, uint64_t digest)
{
    if (d->count == 0)
        return 0;
    for (uint32_t b = bucket_of(d, digest);; b = b + 1 == d->bucket_count ? 0 : b + 1) {
        const struct digest_bucket *bucket = &d->buckets[b];
        for (int i = 0; i < DIGESTS_PER_BUCKET; i++)
            if (bucket->digest[i] == digest && bucket->value[i] != 0)
                return bucket->value[i];
        if ((bucket->spilled & spill_of(digest)) == 0)
            return 0;
    }
}

size_t digests_bytes(const struct digests *d)
{
    return d->bucket_count * sizeof(*d->buckets);
}
