/* SPDX-License-Identifier: Apache-2.0 */
#include "base/buf.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"

#define BUF_FIRST 256

void buf_free(struct buf *b)
{
    free(b->data);
    b->data = NULL;
    b->len = b->cap = 0;
}

void buf_wipe(struct buf *b)
{
    if (b->data != NULL)
        explicit_bzero(b->data, b->cap);
    buf_free(b);
}

bool buf_reserve(struct buf *b, size_t n)
{
    CHECK(b->len <= b->cap);
    if (b->cap - b->len >= n)
        return true;
    if (n > SIZE_MAX / 4 || b->len > SIZE_MAX / 4)
        return false;
    size_t want = b->len + n;
    if (b->max != 0 && want > b->max)
        return false;
    size_t cap = MAX(b->cap * 2, MAX(want, (size_t)BUF_FIRST));
    if (b->max != 0)
        cap = MIN(cap, b->max);
    uint8_t *data = realloc(b->data, cap);
    if (data == NULL)
        return false;
    b->data = data;
    b->cap = cap;
    return true;
}

bool buf_append(struct buf *b, const void *data, size_t n)
{
    if (n == 0)
        return true;
    if (!buf_reserve(b, n))
        return false;
    memcpy(b->data + b->len, data, n);
    b->len += n;
    return true;
}

bool buf_append_uint(struct buf *b, size_t n, uint64_t v)
{
    uint8_t be[8];
    CHECK(n <= sizeof(be));
    for (size_t i = 0; i < n; i++)
        be[i] = (uint8_t)(v >> (8 * (n - 1 - i)));
    return buf_append(b, be, n);
}

bool buf_printf(struct buf *b, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    bool ok = buf_vprintf(b, fmt, ap);
    va_end(ap);
    return ok;
}

bool buf_vprintf(struct buf *b, const char *fmt, va_list ap)
{
    for (;;) {
        size_t room = b->cap - b->len;
        va_list again;
        va_copy(again, ap);
        int n = vsnprintf(room > 0 ? (char *)b->data + b->len : NULL, room, fmt, again);
        va_end(again);
        if (n < 0)
            return false;
        if ((size_t)n < room) {
            b->len += (size_t)n;
            return true;
        }
        if (!buf_reserve(b, (size_t)n + 1))
            return false;
    }
}

void buf_consume(struct buf *b, size_t n)
{
    CHECK(n <= b->len);
    b->len -= n;
    if (b->len > 0)
        memmove(b->data, b->data + n, b->len);
}

char *buf_text(struct buf *b)
{
    if (!buf_reserve(b, 1))
        return NULL;
    b->data[b->len] = '\0';
    return (char *)b->data;
}
