/* SPDX-License-Identifier: Apache-2.0 */
#include "capture/assembly.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"

struct assembly_piece {
    uint64_t offset;
    size_t len;
    uint8_t *data;
    bool begins;
};

#define CAP_MIN 4
#define COST(len) (2 * sizeof(struct assembly_piece) + 16 /* the allocator's */ + (len))

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

static struct assembly_piece *piece(const struct assembly *a, size_t i)
{
    return &a->v[a->begin + i];
}

static uint64_t end_of(const struct assembly_piece *p)
{
    return p->offset + p->len;
}

/* Room for one more behind the last: of what stands free before the first, or twice as much. */
static bool make_room(struct assembly *a)
{
    if (a->begin + a->n < a->cap)
        return true;
    if (a->begin > a->cap / 2) {
        memmove(a->v, piece(a, 0), a->n * sizeof(*a->v));
        a->begin = 0;
        return true;
    }
    size_t cap = MAX(2 * a->cap, (size_t)CAP_MIN);
    struct assembly_piece *v = reallocarray(a->v, cap, sizeof(*v));
    if (v == NULL)
        return false;
    a->v = v;
    a->cap = cap;
    return true;
}

/* A new piece before the one at `i`. False: there is no room. */
static bool insert(struct assembly *a, size_t i, struct assembly_piece p, const uint8_t *data, size_t most)
{
    if (COST(p.len) > most || a->held > most - COST(p.len) || !make_room(a))
        return false;
    p.data = malloc(p.len);
    if (p.data == NULL)
        return false;
    memcpy(p.data, data, p.len);
    memmove(piece(a, i) + 1, piece(a, i), (a->n - i) * sizeof(p));
    *piece(a, i) = p;
    a->n++;
    account(a, COST(p.len), true);
    return true;
}

/* How many pieces begin at `offset` or before. */
static size_t count_up_to(const struct assembly *a, uint64_t offset)
{
    size_t low = 0, high = a->n;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (piece(a, middle)->offset <= offset)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* Piece by piece, and none twice: who sends many tiny ones, and then others over them, gains nothing. */
bool assembly_put(struct assembly *a, uint64_t offset, const uint8_t *data, size_t len, size_t most)
{
    uint64_t start = offset, end = offset + len, at = MAX(offset, a->next);
    CHECK(end >= offset);
    for (size_t i = count_up_to(a, at); at < end;) {
        if (i > 0 && end_of(piece(a, i - 1)) > at) {
            at = end_of(piece(a, i - 1));
        } else if (i < a->n && piece(a, i)->offset == at) {
            i++;
        } else {
            uint64_t stop = i < a->n ? MIN(end, piece(a, i)->offset) : end;
            struct assembly_piece p = {.offset = at, .len = (size_t)(stop - at), .begins = at == start};
            if (!insert(a, i, p, data + (at - start), most))
                return false;
            at = stop;
            i++;
        }
    }
    return true;
}

const uint8_t *assembly_peek(const struct assembly *a, size_t *ret_len, bool *ret_begins)
{
    const struct assembly_piece *p = a->n > 0 ? piece(a, 0) : NULL;
    if (p == NULL || p->offset != a->next)
        return NULL;
    *ret_len = p->len;
    *ret_begins = p->begins;
    return p->data;
}

void assembly_drop(struct assembly *a)
{
    CHECK(a->n > 0 && piece(a, 0)->offset >= a->next);
    struct assembly_piece *p = piece(a, 0);
    a->next = end_of(p);
    account(a, COST(p->len), false);
    free(p->data);
    a->begin++;
    if (--a->n > 0)
        return;
    free(a->v);
    a->v = NULL;
    a->begin = a->cap = 0;
}

uint64_t assembly_reach(const struct assembly *a)
{
    uint64_t reach = a->next;
    for (size_t i = 0; i < a->n && piece(a, i)->offset == reach; i++)
        reach = end_of(piece(a, i));
    return reach;
}

bool assembly_skip_hole(struct assembly *a)
{
    if (a->n == 0)
        return false;
    a->next = piece(a, 0)->offset;
    return true;
}

void assembly_clear(struct assembly *a)
{
    while (a->n > 0)
        assembly_drop(a);
}
