/* SPDX-License-Identifier: Apache-2.0 */
#include "capture/assembly.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"

struct assembly_piece {
    struct assembly_piece *before;
    struct assembly_piece *after;
    uint64_t offset;
    size_t len;
    bool begins;
    uint8_t data[];
};

#define COST(len) (sizeof(struct assembly_piece) + 16 /* the allocator's */ + (len))

struct assembly assembly_start(uint64_t next, size_t *total)
{
    return (struct assembly){.next = next, .total = total};
}

static void account(struct assembly *a, size_t cost, bool more)
{
    a->held = more ? a->held + cost : a->held - cost;
    if (a->total != NULL)
        *a->total = more ? *a->total + cost : *a->total - cost;
}

/* A new piece behind `before`; NULL: as the first. */
static void insert(struct assembly *a, struct assembly_piece *before, struct assembly_piece *p)
{
    struct assembly_piece *after = before != NULL ? before->after : a->first;
    p->before = before;
    p->after = after;
    *(before != NULL ? &before->after : &a->first) = p;
    *(after != NULL ? &after->before : &a->last) = p;
    account(a, COST(p->len), true);
}

/* The new piece; NULL: there is no room. */
static struct assembly_piece *add(struct assembly *a, struct assembly_piece *before, uint64_t offset,
                                  const uint8_t *data, size_t len, bool begins, size_t most)
{
    if (COST(len) > most || a->held > most - COST(len))
        return NULL;
    struct assembly_piece *p = malloc(sizeof(*p) + len);
    if (p == NULL)
        return NULL;
    p->offset = offset;
    p->len = len;
    p->begins = begins;
    memcpy(p->data, data, len);
    insert(a, before, p);
    return p;
}

/* The last piece that begins at `offset` or before. */
static struct assembly_piece *find(const struct assembly *a, uint64_t offset)
{
    struct assembly_piece *p = a->last;
    while (p != NULL && p->offset > offset)
        p = p->before;
    return p;
}

/* Piece by piece, and none twice: who sends many tiny ones, and then others over them, gains nothing. */
bool assembly_put(struct assembly *a, uint64_t offset, const uint8_t *data, size_t len, size_t most)
{
    uint64_t start = offset, end = offset + len, at = MAX(offset, a->next);
    struct assembly_piece *before = find(a, at);
    CHECK(end >= offset);
    while (at < end) {
        struct assembly_piece *after = before != NULL ? before->after : a->first;
        if (before != NULL && before->offset + before->len > at) {
            at = before->offset + before->len;
        } else if (after != NULL && after->offset == at) {
            before = after;
        } else {
            uint64_t stop = after != NULL ? MIN(end, after->offset) : end;
            before = add(a, before, at, data + (at - start), (size_t)(stop - at), at == start, most);
            if (before == NULL)
                return false;
            at = stop;
        }
    }
    return true;
}

const uint8_t *assembly_peek(const struct assembly *a, size_t *ret_len, bool *ret_begins)
{
    const struct assembly_piece *p = a->first;
    if (p == NULL || p->offset != a->next)
        return NULL;
    *ret_len = p->len;
    *ret_begins = p->begins;
    return p->data;
}

void assembly_drop(struct assembly *a)
{
    struct assembly_piece *p = a->first;
    CHECK(p != NULL && p->offset >= a->next);
    a->next = p->offset + p->len;
    a->first = p->after;
    *(p->after != NULL ? &p->after->before : &a->last) = NULL;
    account(a, COST(p->len), false);
    free(p);
}

uint64_t assembly_reach(const struct assembly *a)
{
    uint64_t reach = a->next;
    for (const struct assembly_piece *p = a->first; p != NULL && p->offset == reach; p = p->after)
        reach += p->len;
    return reach;
}

bool assembly_skip_hole(struct assembly *a)
{
    if (a->first == NULL)
        return false;
    a->next = a->first->offset;
    return true;
}

void assembly_clear(struct assembly *a)
{
    while (a->first != NULL)
        assembly_drop(a);
}
