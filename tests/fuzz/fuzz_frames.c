/* SPDX-License-Identifier: Apache-2.0 */
/* link/frames.h: the first byte says where the rest is cut; a cut changes nothing about the datagrams. */
#include "base/check.h"
#include "base/hash.h"
#include "link/frames.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

struct seen {
    struct hash_key key;
    size_t count;
    uint64_t digest;
};

static void note(void *arg, const uint8_t *data, size_t len)
{
    struct seen *s = arg;
    s->count++;
    s->digest = s->digest * 31 + hash_bytes(&s->key, data, len);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct buf partial = {0}, again = {0};
    struct seen whole = {0}, cut = {0};
    if (len == 0)
        return 0;
    size_t at = data[0] % len;
    data++;
    len--;
    frames_feed(&partial, data, len, note, &whole);
    frames_feed(&again, data, at, note, &cut);
    frames_feed(&again, data + at, len - at, note, &cut);
    CHECK(whole.count == cut.count && whole.digest == cut.digest && partial.len == again.len);
    CHECK(partial.len < FRAMES_HEAD + FRAMES_DATAGRAM_MAX);
    buf_free(&partial);
    buf_free(&again);
    return 0;
}
