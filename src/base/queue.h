/* SPDX-License-Identifier: Apache-2.0 */
/* Bytes in blocks that never move: what a stream has received and nobody has read yet, and what it has sent
 * and nobody has acknowledged yet (whoever sends may keep pointers to those until then). Empty, it holds
 * nothing.
 */
#ifndef CARDEA_BASE_QUEUE_H
#define CARDEA_BASE_QUEUE_H

#include <stddef.h>
#include <stdint.h>

struct queue_block;

struct queue {
    struct queue_block *first;
    struct queue_block *last;
    size_t off; /* of the first byte in the first block */
    size_t len;
    struct queue_block *mark; /* the block of the byte at `marked`, or NULL: at the end of the last */
    size_t mark_off;
    size_t marked; /* bytes before the mark: sent, for a queue of a sender */
};

struct queue_span {
    const uint8_t *p;
    size_t len;
};

/* Append a copy. */
void queue_put(struct queue *q, const void *data, size_t len);

/* Copy out and drop at most `cap` bytes from the front; returns how many. */
size_t queue_take(struct queue *q, void *out, size_t cap);

/* Drop `n` bytes (n <= marked, or there is no mark in use) from the front. */
void queue_drop(struct queue *q, size_t n);

/* The first `most` bytes behind the mark, in at most `cap` pieces; returns how many. */
size_t queue_unmarked(const struct queue *q, size_t most, struct queue_span *spans, size_t cap);

/* Move the mark on by `n` bytes. */
void queue_mark(struct queue *q, size_t n);

void queue_free(struct queue *q);

#endif
