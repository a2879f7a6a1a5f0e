/* SPDX-License-Identifier: Apache-2.0 */
/* Two tables by one keyed hash, since clients choose the names. A refusal is a slot of fixed size: of its
 * name it has 64 bits of the hash, whose key nobody knows, so that two names of one slot are not taken for
 * each other. */
#include "cert/cache.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/hash.h"
#include "base/list.h"
#include "cert/cert.h"

#define CACHE_MAGIC 0xcac4e000u
#define REFUSALS 4096 /* a power of two */

struct entry {
    struct list used; /* in the order of last use */
    struct entry *next;
    uint64_t hash;
    int64_t until;
    struct cert_answer answer;
    size_t bytes;
    uint32_t route;
    size_t name_len;
    char name[];
};

struct refusal {
    uint64_t hash;
    int64_t until;
    struct cert_answer answer; /* of it `why` only */
};

struct cert_cache {
    uint32_t magic;
    struct hash_key key;
    struct entry **buckets;
    size_t buckets_len; /* a power of two */
    struct list used;   /* least recently first */
    struct cert_cache_size size, most;
    struct refusal *refusals; /* NULL while there is none */
};

struct cert_cache *cert_cache_new(size_t names, size_t bytes)
{
    struct cert_cache *cache = calloc(1, sizeof(*cache));
    CHECK(cache != NULL && names > 0);
    *cache = (struct cert_cache){
        .magic = CACHE_MAGIC, .key = hash_random_key(), .buckets_len = 16, .most = {names, bytes}};
    while (cache->buckets_len < names)
        cache->buckets_len *= 2;
    cache->buckets = calloc(cache->buckets_len, sizeof(struct entry *));
    CHECK(cache->buckets != NULL);
    list_init(&cache->used);
    return cache;
}

static void drop(struct cert_cache *cache, struct entry *e)
{
    struct entry **at = &cache->buckets[e->hash & (cache->buckets_len - 1)];
    while (*at != e)
        at = &(*at)->next;
    *at = e->next;
    list_remove(&e->used);
    cache->size.names--;
    cache->size.bytes -= e->bytes;
    cert_answer_done(&e->answer);
    free(e);
}

static void drop_all(struct cert_cache *cache)
{
    struct list *n;
    while ((n = list_pop(&cache->used)) != NULL)
        drop(cache, CONTAINER_OF(n, struct entry, used));
}

void cert_cache_free(struct cert_cache *cache)
{
    if (cache == NULL)
        return;
    CHECK_MAGIC(cache, CACHE_MAGIC);
    drop_all(cache);
    free(cache->buckets);
    free(cache->refusals);
    cache->magic = 0;
    free(cache);
}

static uint64_t hash_of(const struct cert_cache *cache, const struct cert_cache_key *key)
{
    uint64_t parts[2] = {hash_bytes(&cache->key, key->name.p, key->name.len), key->route};
    return hash_bytes(&cache->key, parts, sizeof(parts));
}

static struct entry *find(const struct cert_cache *cache, const struct cert_cache_key *key, uint64_t hash)
{
    struct entry *e = cache->buckets[hash & (cache->buckets_len - 1)];
    while (e != NULL && (e->hash != hash || e->route != key->route || e->name_len != key->name.len ||
                         memcmp(e->name, key->name.p, e->name_len) != 0))
        e = e->next;
    return e;
}

static struct refusal *refusal_of(const struct cert_cache *cache, uint64_t hash)
{
    return cache->refusals == NULL ? NULL : &cache->refusals[hash & (REFUSALS - 1)];
}

enum cert_cached cert_cache_find(struct cert_cache *cache, const struct cert_cache_key *key, int64_t now,
                                 const struct cert_answer **ret)
{
    CHECK_MAGIC(cache, CACHE_MAGIC);
    uint64_t hash = hash_of(cache, key);
    struct entry *e = find(cache, key, hash);
    if (e != NULL && now < e->until) {
        list_remove(&e->used);
        list_insert(&cache->used, &e->used);
        *ret = &e->answer;
        return CERT_CACHE_HIT;
    }
    const struct refusal *r = refusal_of(cache, hash);
    if (r == NULL || r->hash != hash || now >= r->until)
        return CERT_CACHE_MISS;
    *ret = &r->answer;
    return CERT_CACHE_REFUSED;
}

static void put_refusal(struct cert_cache *cache, uint64_t hash, const struct cert_answer *answer,
                        int64_t now)
{
    if (cache->refusals == NULL)
        cache->refusals = calloc(REFUSALS, sizeof(struct refusal));
    CHECK(cache->refusals != NULL);
    *refusal_of(cache, hash) = (struct refusal){hash, now + answer->good_for, {.why = answer->why}};
}

/* The newest stays whatever it takes: who has waited for it is about to look. */
static void make_room(struct cert_cache *cache)
{
    while (cache->size.names > cache->most.names ||
           (cache->size.bytes > cache->most.bytes && cache->size.names > 1))
        drop(cache, CONTAINER_OF(cache->used.next, struct entry, used));
}

void cert_cache_put(struct cert_cache *cache, const struct cert_cache_key *key,
                    const struct cert_answer *answer, int64_t now)
{
    CHECK_MAGIC(cache, CACHE_MAGIC);
    uint64_t hash = hash_of(cache, key);
    struct entry *e = find(cache, key, hash);
    if (e != NULL)
        drop(cache, e);
    if (answer->count == 0) {
        put_refusal(cache, hash, answer, now);
        return;
    }
    e = calloc(1, sizeof(*e) + key->name.len);
    CHECK(e != NULL);
    *e = (struct entry){.hash = hash,
                        .until = answer->good_for == 0 ? INT64_MAX : now + answer->good_for,
                        .answer = *answer,
                        .bytes = sizeof(*e) + key->name.len,
                        .route = key->route,
                        .name_len = key->name.len};
    memcpy(e->name, key->name.p, key->name.len);
    for (size_t i = 0; i < answer->count; i++)
        e->bytes += cert_bytes(answer->certs[i]);
    struct entry **bucket = &cache->buckets[hash & (cache->buckets_len - 1)];
    e->next = *bucket;
    *bucket = e;
    list_insert(&cache->used, &e->used);
    cache->size.names++;
    cache->size.bytes += e->bytes;
    make_room(cache);
}

bool cert_change_concerns(const char *changed, struct str name)
{
    if (changed == NULL || str_is(name, changed))
        return true;
    const char *dot = changed[0] == '*' ? memchr(name.p, '.', name.len) : NULL;
    return dot != NULL && str_is((struct str){dot, name.len - (size_t)(dot - name.p)}, changed + 1);
}

void cert_cache_forget(struct cert_cache *cache, const char *name)
{
    CHECK_MAGIC(cache, CACHE_MAGIC);
    free(cache->refusals);
    cache->refusals = NULL;
    for (struct list *n = cache->used.next, *next; n != &cache->used; n = next) {
        struct entry *e = CONTAINER_OF(n, struct entry, used);
        next = n->next;
        if (cert_change_concerns(name, (struct str){e->name, e->name_len}))
            drop(cache, e);
    }
}

struct cert_cache_size cert_cache_size(const struct cert_cache *cache)
{
    CHECK_MAGIC(cache, CACHE_MAGIC);
    return cache->size;
}
