/* SPDX-License-Identifier: Apache-2.0 */
/* Datagrams that wait, in the order in which they came; each has 0 to 65,535 bytes. Bounded: a new one drives
 * out the oldest, since what is sent in real time is worth least when it is late. The space is used round and
 * round, so nothing is allocated for a datagram. */
#ifndef CARDEA_QUIC_RING_H
#define CARDEA_QUIC_RING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define RING_PIECES 2

struct ring {
    uint8_t *data;
    size_t cap; /* a power of two, or 0 */
    size_t first;
    size_t len;   /* bytes that are used, two for each datagram's length among them */
    size_t count; /* datagrams */
};

struct ring_piece {
    uint8_t *p;
    size_t len;
};

/* Append the datagram that `head` and `data` are together. False when it alone needs more than `most` bytes;
 * else *ret_driven_out others had to go for it. */
bool ring_put(struct ring *r, const void *head, size_t head_len, const void *data, size_t len, size_t most,
              size_t *ret_driven_out);

/* The length of the oldest; there must be one. */
size_t ring_next(const struct ring *r);

/* Where the bytes of the oldest are, in one or two pieces; returns how many. */
size_t ring_pieces(const struct ring *r, struct ring_piece pieces[RING_PIECES]);

/* Copy the oldest to `out`, which has room for it, and drop it. */
void ring_take(struct ring *r, void *out);

/* Drop the oldest. */
void ring_drop(struct ring *r);

void ring_free(struct ring *r);

#endif
