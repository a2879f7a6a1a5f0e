/* SPDX-License-Identifier: Apache-2.0 */
/* A chained hash table with a random key: a client chooses the first id that it writes to. */
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "quic/quic_internal.h"

#define SLOTS_MIN 64

void cids_init(struct cid_table *t)
{
    *t = (struct cid_table){.key = hash_random_key(), .slot_count = SLOTS_MIN};
    t->slots = calloc(t->slot_count, sizeof(struct cid_entry *));
    CHECK(t->slots != NULL);
}

void cids_free(struct cid_table *t)
{
    CHECK(t->count == 0);
    free(t->slots);
    *t = (struct cid_table){0};
}

static struct cid_entry **slot_of(const struct cid_table *t, const uint8_t *cid, size_t len)
{
    return &t->slots[hash_bytes(&t->key, cid, len) & (t->slot_count - 1)];
}

static struct cid_entry **find(const struct cid_table *t, const uint8_t *cid, size_t len)
{
    struct cid_entry **at = slot_of(t, cid, len);
    while (*at != NULL && ((*at)->cid.datalen != len || memcmp((*at)->cid.data, cid, len) != 0))
        at = &(*at)->next;
    return at;
}

static void grow(struct cid_table *t)
{
    struct cid_entry **old = t->slots;
    size_t old_count = t->slot_count;
    t->slot_count *= 2;
    t->slots = calloc(t->slot_count, sizeof(struct cid_entry *));
    CHECK(t->slots != NULL);
    for (size_t i = 0; i < old_count; i++)
        for (struct cid_entry *e = old[i], *next; e != NULL; e = next) {
            struct cid_entry **at = slot_of(t, e->cid.data, e->cid.datalen);
            next = e->next;
            e->next = *at;
            *at = e;
        }
    free(old);
}

void cids_put(struct cid_table *t, const ngtcp2_cid *cid, struct quic_conn *conn)
{
    if (t->count == t->slot_count)
        grow(t);
    struct cid_entry **at = find(t, cid->data, cid->datalen);
    if (*at != NULL)
        return; /* a client's first id that was an id of another connection: that one keeps it */
    *at = malloc(sizeof(**at));
    CHECK(*at != NULL);
    **at = (struct cid_entry){.conn = conn, .cid = *cid};
    t->count++;
}

void cids_remove(struct cid_table *t, const ngtcp2_cid *cid, const struct quic_conn *conn)
{
    struct cid_entry **at = find(t, cid->data, cid->datalen), *e = *at;
    if (e == NULL || e->conn != conn)
        return;
    *at = e->next;
    free(e);
    t->count--;
}

struct quic_conn *cids_get(const struct cid_table *t, const uint8_t *cid, size_t len)
{
    const struct cid_entry *e = *find(t, cid, len);
    return e == NULL ? NULL : e->conn;
}
