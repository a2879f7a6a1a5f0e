/* SPDX-License-Identifier: Apache-2.0 */
#include "quic/ring.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"

#define HEAD 2
#define SPACE_MIN 2048  /* holds a datagram of any usual path */
#define SPACE_KEPT 4096 /* not given back when the last datagram has gone: the next one comes soon */

/* The bytes from `off` behind the first, in one or two pieces. */
static size_t pieces_at(const struct ring *r, size_t off, size_t len, struct ring_piece pieces[RING_PIECES])
{
    size_t at = (r->first + off) & (r->cap - 1), here = MIN(len, r->cap - at);
    pieces[0] = (struct ring_piece){r->data + at, here};
    pieces[1] = (struct ring_piece){r->data, len - here};
    return here < len ? 2 : 1;
}

static void copy_in(struct ring *r, const void *data, size_t len)
{
    struct ring_piece to[RING_PIECES];
    if (len == 0)
        return;
    size_t n = pieces_at(r, r->len, len, to);
    memcpy(to[0].p, data, to[0].len);
    if (n == 2)
        memcpy(to[1].p, (const uint8_t *)data + to[0].len, to[1].len);
    r->len += len;
}

static void copy_out(const struct ring *r, size_t off, void *out, size_t len)
{
    struct ring_piece from[RING_PIECES];
    if (len == 0)
        return;
    size_t n = pieces_at(r, off, len, from);
    memcpy(out, from[0].p, from[0].len);
    if (n == 2)
        memcpy((uint8_t *)out + from[0].len, from[1].p, from[1].len);
}

static void reserve(struct ring *r, size_t want)
{
    size_t cap = MAX(r->cap, (size_t)SPACE_MIN);
    while (cap < want)
        cap *= 2;
    if (cap == r->cap)
        return;
    uint8_t *data = malloc(cap);
    CHECK(data != NULL);
    if (r->len > 0)
        copy_out(r, 0, data, r->len);
    free(r->data);
    r->data = data;
    r->cap = cap;
    r->first = 0;
}

bool ring_put(struct ring *r, const void *head, size_t head_len, const void *data, size_t len, size_t most,
              size_t *ret_driven_out)
{
    size_t whole = head_len + len;
    *ret_driven_out = 0;
    if (whole > UINT16_MAX || HEAD + whole > most)
        return false;
    for (; r->len + HEAD + whole > most; ++*ret_driven_out)
        ring_drop(r);
    reserve(r, r->len + HEAD + whole);
    copy_in(r, (uint8_t[HEAD]){(uint8_t)(whole >> 8), (uint8_t)whole}, HEAD);
    copy_in(r, head, head_len);
    copy_in(r, data, len);
    r->count++;
    return true;
}

size_t ring_next(const struct ring *r)
{
    uint8_t head[HEAD];
    CHECK(r->count > 0);
    copy_out(r, 0, head, HEAD);
    return (size_t)head[0] << 8 | head[1];
}

size_t ring_pieces(const struct ring *r, struct ring_piece pieces[RING_PIECES])
{
    return pieces_at(r, HEAD, ring_next(r), pieces);
}

void ring_drop(struct ring *r)
{
    size_t whole = HEAD + ring_next(r);
    CHECK(whole <= r->len);
    r->first = (r->first + whole) & (r->cap - 1);
    r->len -= whole;
    r->count--;
    if (r->count == 0 && r->cap > SPACE_KEPT)
        ring_free(r);
}

void ring_take(struct ring *r, void *out)
{
    copy_out(r, HEAD, out, ring_next(r));
    ring_drop(r);
}

void ring_free(struct ring *r)
{
    free(r->data);
    *r = (struct ring){0};
}
