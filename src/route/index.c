/* SPDX-License-Identifier: Apache-2.0 */
#include "route/index.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"

/* A record: one byte of the hash, kind, length, value in four bytes, name. */
enum { AT_TAG, AT_KIND, AT_LEN, AT_VALUE, AT_NAME = AT_VALUE + 4 };

#define NAMES_PER_BUCKET 4 /* on average */

static uint32_t bucket_of(const struct name_index *x, uint32_t tag)
{
    return (uint32_t)(((uint64_t)tag * x->bucket_count) >> 32);
}

static uint32_t filter_of(uint32_t tag)
{
    return UINT32_C(1) << (tag & 31) | UINT32_C(1) << (tag >> 5 & 31);
}

/* Set each bucket's start to where it ends; writing the records from the last to the first then moves it to
 * its start. */
static bool measure(struct name_index *x, const struct names *n)
{
    size_t total = 0;
    for (uint32_t i = 0; i < n->slot_count; i++) {
        const struct name_slot *s = n->slots + i;
        if (s->value == 0)
            continue;
        const char *name;
        size_t len;
        names_text(n, s->offset, &name, &len);
        x->buckets[bucket_of(x, s->tag)].start += (uint32_t)(AT_NAME + len);
        total += AT_NAME + len;
    }
    if (total > UINT32_MAX)
        return false;
    for (uint32_t b = 1; b <= x->bucket_count; b++)
        x->buckets[b].start += x->buckets[b - 1].start;
    CHECK(x->buckets[x->bucket_count].start == total);
    x->records = malloc(MAX(total, (size_t)1));
    return x->records != NULL;
}

static void write_records(struct name_index *x, const struct names *n)
{
    for (uint32_t i = 0; i < n->slot_count; i++) {
        const struct name_slot *s = n->slots + i;
        if (s->value == 0)
            continue;
        const char *name;
        size_t len;
        enum name_kind kind = names_text(n, s->offset, &name, &len);
        struct name_bucket *b = x->buckets + bucket_of(x, s->tag);
        CHECK(b->start >= AT_NAME + len);
        b->start -= (uint32_t)(AT_NAME + len);
        b->filter |= filter_of(s->tag);
        uint8_t *at = x->records + b->start;
        at[AT_TAG] = (uint8_t)s->tag;
        at[AT_KIND] = (uint8_t)kind;
        at[AT_LEN] = (uint8_t)len;
        memcpy(at + AT_VALUE, &s->value, sizeof(s->value));
        memcpy(at + AT_NAME, name, len);
    }
    CHECK(x->buckets[0].start == 0);
}

bool index_build(struct name_index *x, const struct names *n)
{
    *x = (struct name_index){
        .key = n->key, .count = n->count, .bucket_count = n->count / NAMES_PER_BUCKET + 1};
    x->buckets = calloc((size_t)x->bucket_count + 1, sizeof(*x->buckets));
    if (x->buckets == NULL || !measure(x, n)) {
        index_free(x);
        return false;
    }
    write_records(x, n);
    return true;
}

void index_free(struct name_index *x)
{
    free(x->buckets);
    free(x->records);
    *x = (struct name_index){.key = x->key};
}

uint32_t index_get(const struct name_index *x, enum name_kind kind, const char *name, size_t len)
{
    CHECK(len >= 1 && len <= NAME_MAX_LEN);
    if (x->count == 0)
        return 0;
    uint32_t tag = name_tag(&x->key, kind, name, len), filter = filter_of(tag);
    const struct name_bucket *b = x->buckets + bucket_of(x, tag);
    if ((b->filter & filter) != filter)
        return 0;
    CHECK(b[0].start <= b[1].start && b[1].start <= x->buckets[x->bucket_count].start);
    const uint8_t *at = x->records + b[0].start, *end = x->records + b[1].start;
    for (; at < end; at += AT_NAME + at[AT_LEN]) {
        if (at[AT_TAG] != (uint8_t)tag || at[AT_LEN] != len || at[AT_KIND] != kind)
            continue;
        if (memcmp(at + AT_NAME, name, len) == 0) {
            uint32_t value;
            memcpy(&value, at + AT_VALUE, sizeof(value));
            return value;
        }
    }
    CHECK(at == end);
    return 0;
}

bool index_next(const struct name_index *x, size_t *offset, struct name_record *ret)
{
    if (x->count == 0 || *offset == x->buckets[x->bucket_count].start)
        return false;
    CHECK(*offset < x->buckets[x->bucket_count].start);
    const uint8_t *at = x->records + *offset;
    ret->kind = (enum name_kind)at[AT_KIND];
    ret->name = (const char *)at + AT_NAME;
    ret->len = at[AT_LEN];
    memcpy(&ret->value, at + AT_VALUE, sizeof(ret->value));
    *offset += AT_NAME + ret->len;
    return true;
}

size_t index_bytes(const struct name_index *x)
{
    return x->count == 0
               ? 0
               : ((size_t)x->bucket_count + 1) * sizeof(*x->buckets) + x->buckets[x->bucket_count].start;
}
