/* SPDX-License-Identifier: Apache-2.0 */
/* A byte buffer that grows on the heap up to a bound. */
#ifndef CARDEA_BASE_BUF_H
#define CARDEA_BASE_BUF_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct buf {
    uint8_t *data;
    size_t len;
    size_t cap;
    size_t max; /* never more than this many bytes; 0: no bound (text that we ourselves make) */
};

/* Free the bytes; the buffer is empty and can be used again. */
void buf_free(struct buf *b);

/* The same, for secrets: all that it has held and still has is overwritten first. */
void buf_wipe(struct buf *b);

/* Make room for `n` bytes after `len`. False when that would pass `max` or memory is out; nothing changes
 * then. */
bool buf_reserve(struct buf *b, size_t n);

/* Append bytes; false (and nothing appended) when they do not fit. */
bool buf_append(struct buf *b, const void *data, size_t n);

/* Append the low `n` bytes (1 to 8) of `v`, the highest first; false when they do not fit. */
bool buf_append_uint(struct buf *b, size_t n, uint64_t v);

/* Append formatted text without its NUL; false when it does not fit. */
bool buf_printf(struct buf *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
bool buf_vprintf(struct buf *b, const char *fmt, va_list ap) __attribute__((format(printf, 2, 0)));

/* Drop the first `n` bytes (n <= len). */
void buf_consume(struct buf *b, size_t n);

/* NUL-terminate (the NUL is not counted) and return the text; NULL when memory is out. */
char *buf_text(struct buf *b);

#endif
