/* SPDX-License-Identifier: Apache-2.0 */
/* Bounded reading and writing of bytes that somebody else chose. Every read is checked against the end; a
 * failed read leaves the cursor where it was. Integers are big-endian, as on the wire. */
#ifndef CARDEA_BASE_CURSOR_H
#define CARDEA_BASE_CURSOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct cursor {
    const uint8_t *p;
    const uint8_t *end;
};

/* The bytes are borrowed. `data` may be NULL when `len` is 0. */
static inline struct cursor cursor_of(const void *data, size_t len)
{
    const uint8_t *p = data;
    return (struct cursor){p, len > 0 ? p + len : p};
}

static inline size_t cursor_left(const struct cursor *c)
{
    return (size_t)(c->end - c->p);
}

/* Take `n` bytes in place; the pointer lives as long as the bytes the cursor reads. */
static inline bool cursor_bytes(struct cursor *c, size_t n, const uint8_t **ret_p)
{
    if (cursor_left(c) < n)
        return false;
    *ret_p = c->p;
    c->p += n;
    return true;
}

/* False, and nothing skipped, when fewer are left. */
static inline bool cursor_skip(struct cursor *c, size_t n)
{
    const uint8_t *ignored;
    return cursor_bytes(c, n, &ignored);
}

/* Read an unsigned integer of `n` bytes (1 to 8). */
static inline bool cursor_uint(struct cursor *c, size_t n, uint64_t *ret)
{
    const uint8_t *p;
    if (!cursor_bytes(c, n, &p))
        return false;
    uint64_t v = 0;
    for (size_t i = 0; i < n; i++)
        v = v << 8 | p[i];
    *ret = v;
    return true;
}

static inline bool cursor_u8(struct cursor *c, uint8_t *ret)
{
    uint64_t v;
    if (!cursor_uint(c, 1, &v))
        return false;
    *ret = (uint8_t)v;
    return true;
}

static inline bool cursor_u16(struct cursor *c, uint16_t *ret)
{
    uint64_t v;
    if (!cursor_uint(c, 2, &v))
        return false;
    *ret = (uint16_t)v;
    return true;
}

#define VARINT_MAX ((UINT64_C(1) << 62) - 1)

/* Read a variable-length integer (RFC 9000, 16): the two highest bits of its first byte say whether it takes
 * 1, 2, 4 or 8. */
static inline bool cursor_varint(struct cursor *c, uint64_t *ret)
{
    static const uint64_t longest[] = {0x3f, 0x3fff, 0x3fffffff, VARINT_MAX};
    if (cursor_left(c) == 0)
        return false;
    unsigned power = *c->p >> 6;
    if (!cursor_uint(c, (size_t)1 << power, ret))
        return false;
    *ret &= longest[power];
    return true;
}

/* Read a vector whose length prefix is `n` bytes wide (RFC 8446, 3.4) as a cursor of its own. */
static inline bool cursor_vector(struct cursor *c, size_t n, struct cursor *ret)
{
    struct cursor at = *c;
    uint64_t len;
    const uint8_t *p;
    if (!cursor_uint(&at, n, &len) || !cursor_bytes(&at, (size_t)len, &p))
        return false;
    *ret = cursor_of(p, (size_t)len);
    *c = at;
    return true;
}

/* Writing into a fixed space; `full` is set, once and for good, by the first write that does not fit. */
struct writer {
    uint8_t *p;
    uint8_t *end;
    bool full;
};

static inline struct writer writer_of(void *data, size_t cap)
{
    uint8_t *p = data;
    return (struct writer){p, p + cap, false};
}

static inline void writer_bytes(struct writer *w, const void *data, size_t n)
{
    if (w->full || (size_t)(w->end - w->p) < n) {
        w->full = true;
        return;
    }
    if (n > 0)
        memcpy(w->p, data, n);
    w->p += n;
}

/* Write the low `n` bytes (1 to 8) of `v`. */
static inline void writer_uint(struct writer *w, size_t n, uint64_t v)
{
    uint8_t be[8];
    for (size_t i = 0; i < n; i++)
        be[i] = (uint8_t)(v >> (8 * (n - 1 - i)));
    writer_bytes(w, be, n);
}

/* Write a variable-length integer (RFC 9000, 16) in as few bytes as it needs; one above VARINT_MAX does not
 * fit. */
static inline void writer_varint(struct writer *w, uint64_t v)
{
    unsigned power = v < 1u << 6 ? 0 : v < 1u << 14 ? 1 : v < 1u << 30 ? 2 : 3;
    size_t n = (size_t)1 << power;
    w->full = w->full || v > VARINT_MAX;
    writer_uint(w, n, v | (uint64_t)power << (8 * n - 2));
}

#endif
