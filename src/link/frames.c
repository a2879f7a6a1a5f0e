/* SPDX-License-Identifier: Apache-2.0 */
#include "link/frames.h"

#include <string.h>

#include "base/check.h"

bool frames_put(struct buf *waiting, const void *data, size_t len, size_t most)
{
    uint8_t head[FRAMES_HEAD] = {(uint8_t)(len >> 8), (uint8_t)len};
    if (len > FRAMES_DATAGRAM_MAX || waiting->len + sizeof(head) + len > most)
        return false;
    CHECK(buf_append(waiting, head, sizeof(head)) && buf_append(waiting, data, len));
    return true;
}

size_t frames_move(struct buf *waiting, void *out, size_t cap)
{
    size_t n = MIN(cap, waiting->len);
    if (n > 0)
        memcpy(out, waiting->data, n);
    if (n == waiting->len)
        buf_free(waiting);
    else
        buf_consume(waiting, n);
    return n;
}

/* The length of the first frame, head included; 0 while its head is not whole. */
static size_t frame_len(const uint8_t *p, size_t len)
{
    return len < FRAMES_HEAD ? 0 : FRAMES_HEAD + ((size_t)p[0] << 8 | p[1]);
}

/* Append no more than the frame in `partial` still lacks; returns how much was taken. */
static size_t complete(struct buf *partial, const uint8_t *p, size_t len)
{
    size_t want = frame_len(partial->data, partial->len);
    size_t lacks = want == 0 ? FRAMES_HEAD - partial->len : want - partial->len;
    size_t n = MIN(lacks, len);
    CHECK(buf_append(partial, p, n));
    return n;
}

void frames_feed(struct buf *partial, const void *data, size_t len,
                 void (*each)(void *arg, const uint8_t *data, size_t len), void *arg)
{
    const uint8_t *p = data;
    while (len > 0) {
        size_t whole = partial->len == 0 ? frame_len(p, len) : 0;
        if (whole > 0 && whole <= len) { /* nothing to put together: straight from where it lies */
            each(arg, p + FRAMES_HEAD, whole - FRAMES_HEAD);
            p += whole;
            len -= whole;
            continue;
        }
        size_t n = complete(partial, p, len);
        p += n;
        len -= n;
        if (partial->len == frame_len(partial->data, partial->len)) {
            each(arg, partial->data + FRAMES_HEAD, partial->len - FRAMES_HEAD);
            buf_free(partial);
        }
    }
}
