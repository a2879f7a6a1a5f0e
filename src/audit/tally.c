/* SPDX-License-Identifier: Apache-2.0 */
#include "audit/tally.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/hash.h"

struct tally {
    struct hash_key hash;
    size_t most;
    size_t slots;           /* a power of two, over twice `most` */
    struct tally_row **row; /* `most` places; the first `facts.rows` are used */
    uint32_t *slot;         /* index in `row` plus 1; 0: free */
    struct tally_facts facts;
};

struct tally *tally_new(size_t most)
{
    CHECK(most >= 2 && most < UINT32_MAX / 4);
    struct tally *t = calloc(1, sizeof(*t));
    CHECK(t != NULL);
    *t = (struct tally){.hash = hash_random_key(), .most = most, .slots = 4};
    while (t->slots < 2 * most)
        t->slots *= 2;
    t->row = calloc(most, sizeof(struct tally_row *));
    t->slot = calloc(t->slots, sizeof(*t->slot));
    CHECK(t->row != NULL && t->slot != NULL);
    return t;
}

void tally_free(struct tally *t)
{
    if (t == NULL)
        return;
    for (size_t i = 0; i < t->facts.rows; i++)
        free(t->row[i]);
    free(t->row);
    free(t->slot);
    free(t);
}

/* The slot of this key, or the free one where it belongs. */
static uint32_t *slot_of(const struct tally *t, struct str key)
{
    size_t i = (size_t)hash_bytes(&t->hash, key.p, key.len) & (t->slots - 1);
    for (; t->slot[i] != 0; i = (i + 1) & (t->slots - 1)) {
        const struct tally_row *r = t->row[t->slot[i] - 1];
        if (r->len == key.len && memcmp(r->key, key.p, key.len) == 0)
            break;
    }
    return &t->slot[i];
}

static void index_all(struct tally *t)
{
    memset(t->slot, 0, t->slots * sizeof(*t->slot));
    for (size_t i = 0; i < t->facts.rows; i++)
        *slot_of(t, (struct str){t->row[i]->key, t->row[i]->len}) = (uint32_t)i + 1;
}

static int compare(const void *a, const void *b)
{
    const struct tally_row *ra = *(struct tally_row *const *)a, *rb = *(struct tally_row *const *)b;
    if (ra->count != rb->count)
        return ra->count > rb->count ? -1 : 1;
    int order = memcmp(ra->key, rb->key, MIN(ra->len, rb->len));
    return order != 0 ? order : ra->len < rb->len ? -1 : ra->len > rb->len;
}

static void sort(struct tally *t)
{
    qsort(t->row, t->facts.rows, sizeof(struct tally_row *), compare);
    index_all(t);
}

/* Whatever was dropped may have come as often as the greatest of them, and this each time that it was. */
static void make_room(struct tally *t)
{
    sort(t);
    size_t keep = t->most / 2;
    t->facts.short_by += t->row[keep]->count;
    for (size_t i = keep; i < t->facts.rows; i++) {
        t->facts.dropped++;
        t->facts.lost += t->row[i]->count;
        free(t->row[i]);
    }
    t->facts.rows = keep;
    index_all(t);
}

static struct tally_row *add_row(struct tally *t, struct str key)
{
    if (t->facts.rows == t->most)
        make_room(t);
    struct tally_row *r = calloc(1, sizeof(*r) + key.len);
    CHECK(r != NULL);
    r->len = key.len;
    memcpy(r->key, key.p, key.len);
    *slot_of(t, key) = (uint32_t)t->facts.rows + 1;
    t->row[t->facts.rows++] = r;
    return r;
}

void tally_add(struct tally *t, struct str key, struct str when)
{
    uint32_t at = *slot_of(t, key);
    struct tally_row *r = at != 0 ? t->row[at - 1] : add_row(t, key);
    char text[sizeof(r->last)];
    str_copy(text, sizeof(text), when.p, when.len);
    if (strcmp(text, r->last) > 0)
        memcpy(r->last, text, sizeof(text));
    r->count++;
    t->facts.total++;
}

struct tally_facts tally_facts(const struct tally *t)
{
    return t->facts;
}

struct tally_row *const *tally_sorted(struct tally *t)
{
    sort(t);
    return t->row;
}
