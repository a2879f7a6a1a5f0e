/* SPDX-License-Identifier: Apache-2.0 */
/* Puts a stream of bytes together out of pieces that come in any order, twice, overlapping, or not at all.
 * What came first stays where two pieces differ. Bounded in memory; pure. */
#ifndef CARDEA_CAPTURE_ASSEMBLY_H
#define CARDEA_CAPTURE_ASSEMBLY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct assembly_piece;

struct assembly {
    uint64_t next;            /* offset of the first byte that was not taken yet */
    size_t held;              /* bytes of memory that the pieces take */
    size_t *total;            /* the same of many; NULL: nobody counts */
    struct assembly_piece *v; /* room for `cap`: `n` by offset, none over another, from v[begin] on */
    size_t begin, n, cap;
};

/* Empty, with nothing before the offset `next` to come. `total` (borrowed, or NULL) goes up and
 * down with `held`. */
struct assembly assembly_start(uint64_t next, size_t *total);

/* Has nothing come that was not taken? */
static inline bool assembly_is_empty(const struct assembly *a)
{
    return a->n == 0;
}

/* Keep what of the piece is new. False where `held` would come to more than `most`; what had room stays. */
bool assembly_put(struct assembly *a, uint64_t offset, const uint8_t *data, size_t len, size_t most);

/* The bytes at `next`, up to the end of a piece; NULL: they have not come. *ret_begins: a piece began there
 * as it was put, not one of which the beginning was there already. Lives until assembly_drop(). */
const uint8_t *assembly_peek(const struct assembly *a, size_t *ret_len, bool *ret_begins);

/* Take what assembly_peek() has shown. */
void assembly_drop(struct assembly *a);

/* How far the bytes go from `next` on without a hole: the offset behind them. */
uint64_t assembly_reach(const struct assembly *a);

/* Go on behind bytes that will not come. False: nothing else has come either. */
bool assembly_skip_hole(struct assembly *a);

/* Forget all pieces. */
void assembly_clear(struct assembly *a);

#endif
