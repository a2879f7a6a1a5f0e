/* SPDX-License-Identifier: Apache-2.0 */
/* http/capsule.h: the first byte says where the rest is cut; a cut changes nothing, and what was read reads
 * the same again when it is written. */
#include "base/check.h"
#include "base/hash.h"
#include "http/capsule.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

struct seen {
    struct hash_key key;
    struct buf again;
    size_t count;
    uint64_t digest;
};

static void note(void *arg, const uint8_t *data, size_t len)
{
    struct seen *s = arg;
    s->count++;
    s->digest = s->digest * 31 + hash_bytes(&s->key, data, len);
    CHECK(len <= CAPSULE_UDP_MAX && capsule_put(&s->again, data, len));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct capsule_reader whole = {0}, cut = {0}, again = {0};
    struct seen a = {0}, b = {0}, c = {0};
    if (len == 0)
        return 0;
    size_t at = data[0] % len;
    data++;
    len--;
    const char *bad = capsule_feed(&whole, data, len, note, &a);
    const char *cut_bad = capsule_feed(&cut, data, at, note, &b);
    if (cut_bad == NULL)
        cut_bad = capsule_feed(&cut, data + at, len - at, note, &b);
    CHECK(bad == cut_bad && a.count == b.count && a.digest == b.digest);
    CHECK(bad != NULL || capsule_is_whole(&whole) == capsule_is_whole(&cut));
    CHECK(capsule_feed(&again, a.again.data, a.again.len, note, &c) == NULL && capsule_is_whole(&again));
    CHECK(c.count == a.count && c.digest == a.digest);
    capsule_reader_free(&whole);
    capsule_reader_free(&cut);
    capsule_reader_free(&again);
    buf_free(&a.again);
    buf_free(&b.again);
    buf_free(&c.again);
    return 0;
}
