/* SPDX-License-Identifier: Apache-2.0 */
#include "config/store.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"

#define STORE_MAGIC 0x53746f72u
#define STORE_ALIGN _Alignof(max_align_t)
#define STORE_CHUNK ((size_t)16 * 1024)

struct chunk {
    struct chunk *next;
    _Alignas(max_align_t) unsigned char bytes[];
};

struct config_store {
    uint32_t magic;
    struct chunk *chunks; /* the newest first */
    size_t used;          /* of the newest */
    size_t cap;
};

struct config_store *store_new(void)
{
    struct config_store *s = calloc(1, sizeof(*s));
    if (s != NULL)
        s->magic = STORE_MAGIC;
    return s;
}

void store_free(struct config_store *s)
{
    if (s == NULL)
        return;
    CHECK_MAGIC(s, STORE_MAGIC);
    for (struct chunk *c = s->chunks, *next; c != NULL; c = next) {
        next = c->next;
        free(c);
    }
    s->magic = 0;
    free(s);
}

void *store_alloc(struct config_store *s, size_t n, size_t size)
{
    CHECK_MAGIC(s, STORE_MAGIC);
    if (n != 0 && size > (SIZE_MAX / 2) / n)
        return NULL;
    size_t want = (n * size + STORE_ALIGN - 1) / STORE_ALIGN * STORE_ALIGN;
    if (s->cap - s->used < want || s->chunks == NULL) {
        size_t cap = MAX(want, STORE_CHUNK);
        struct chunk *c = calloc(1, sizeof(*c) + cap);
        if (c == NULL)
            return NULL;
        c->next = s->chunks;
        s->chunks = c;
        s->used = 0;
        s->cap = cap;
    }
    void *p = s->chunks->bytes + s->used;
    s->used += want;
    CHECK(s->used <= s->cap);
    return p;
}

char *store_text(struct config_store *s, const char *p, size_t len)
{
    char *copy = store_alloc(s, len + 1, 1);
    if (copy != NULL && len > 0)
        memcpy(copy, p, len);
    return copy;
}
