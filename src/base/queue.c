/* SPDX-License-Identifier: Apache-2.0 */
#include "base/queue.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"

#define BLOCK_MIN 1000  /* with its head and the allocator's it fits a kilobyte: short exchanges */
#define BLOCK_MAX 16350 /* likewise, 16 kB: bulk */

struct queue_block {
    struct queue_block *next;
    size_t cap;
    size_t len;
    uint8_t bytes[];
};

static struct queue_block *add_block(struct queue *q, size_t want)
{
    size_t cap = want <= BLOCK_MIN && q->len == 0 ? BLOCK_MIN : BLOCK_MAX;
    struct queue_block *b = malloc(sizeof(*b) + cap);
    CHECK(b != NULL);
    *b = (struct queue_block){.cap = cap};
    if (q->last != NULL)
        q->last->next = b;
    else
        q->first = b;
    q->last = b;
    if (q->mark == NULL) {
        q->mark = b;
        q->mark_off = 0;
    }
    return b;
}

void queue_put(struct queue *q, const void *data, size_t len)
{
    const uint8_t *p = data;
    while (len > 0) {
        struct queue_block *b = q->last;
        if (b == NULL || b->len == b->cap)
            b = add_block(q, len);
        size_t n = MIN(len, b->cap - b->len);
        memcpy(b->bytes + b->len, p, n);
        b->len += n;
        q->len += n;
        p += n;
        len -= n;
    }
}

void queue_drop(struct queue *q, size_t n)
{
    CHECK(n <= q->len);
    q->len -= n;
    q->marked -= MIN(n, q->marked);
    while (n > 0) {
        struct queue_block *b = q->first;
        size_t here = MIN(n, b->len - q->off);
        q->off += here;
        n -= here;
        if (q->off < b->len)
            break;
        q->first = b->next;
        q->off = 0;
        if (q->last == b)
            q->last = NULL;
        if (q->mark == b) {
            q->mark = b->next;
            q->mark_off = 0;
        }
        free(b);
    }
}

size_t queue_take(struct queue *q, void *out, size_t cap)
{
    size_t done = 0;
    while (done < cap && q->len > 0) {
        const struct queue_block *b = q->first;
        size_t n = MIN(cap - done, b->len - q->off);
        memcpy((uint8_t *)out + done, b->bytes + q->off, n);
        done += n;
        queue_drop(q, n);
    }
    return done;
}

size_t queue_unmarked(const struct queue *q, size_t most, struct queue_span *spans, size_t cap)
{
    size_t n = 0, off = q->mark_off;
    for (const struct queue_block *b = q->mark; b != NULL && n < cap && most > 0; b = b->next, off = 0) {
        size_t here = MIN(b->len - off, most);
        if (here > 0)
            spans[n++] = (struct queue_span){b->bytes + off, here};
        most -= here;
    }
    return n;
}

void queue_mark(struct queue *q, size_t n)
{
    CHECK(n <= q->len - q->marked);
    q->marked += n;
    while (n > 0) {
        size_t here = MIN(n, q->mark->len - q->mark_off);
        q->mark_off += here;
        n -= here;
        if (n > 0 || (q->mark_off == q->mark->cap && q->mark->next != NULL)) {
            q->mark = q->mark->next;
            q->mark_off = 0;
        }
    }
}

void queue_free(struct queue *q)
{
    for (struct queue_block *b = q->first, *next; b != NULL; b = next) {
        next = b->next;
        free(b);
    }
    *q = (struct queue){0};
}
