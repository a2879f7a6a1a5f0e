/* SPDX-License-Identifier: Apache-2.0 */
#include "quic/versions.h"

#include <openssl/rand.h>
#include <string.h>

#include "base/check.h"
#include "base/cursor.h"

#define LONG_HEADER 0x80
#define FIXED_BIT 0x40      /* RFC 9000, 17.2 */
#define RESERVED 0x1a2a3a4a /* as it is for what must not be spoken */
#define RESERVED_MASK 0x0f0f0f0fu
#define RESERVED_BITS 0x0a0a0a0au
#define VERSION_NEGOTIATION 0

void quic_versions_ask(struct quic_versions_question *ret)
{
    struct writer w = writer_of(ret->packet, sizeof(ret->packet));
    CHECK(RAND_bytes(ret->packet, sizeof(ret->packet)) == 1); /* nobody can read the rest */
    CHECK(RAND_bytes(ret->to, sizeof(ret->to)) == 1 && RAND_bytes(ret->from, sizeof(ret->from)) == 1);
    writer_uint(&w, 1, LONG_HEADER | FIXED_BIT);
    writer_uint(&w, 4, RESERVED);
    writer_uint(&w, 1, sizeof(ret->to));
    writer_bytes(&w, ret->to, sizeof(ret->to));
    writer_uint(&w, 1, sizeof(ret->from));
    writer_bytes(&w, ret->from, sizeof(ret->from));
    CHECK(!w.full);
}

static bool is(struct cursor id, const uint8_t *ours)
{
    return cursor_left(&id) == QUIC_ASK_ID_LEN && memcmp(id.p, ours, QUIC_ASK_ID_LEN) == 0;
}

bool quic_versions_read(const struct quic_versions_question *q, const uint8_t *data, size_t len,
                        struct quic_versions *ret)
{
    struct cursor c = cursor_of(data, len), to, from;
    uint64_t first, version;
    *ret = (struct quic_versions){.len = 0};
    if (!cursor_uint(&c, 1, &first) || (first & LONG_HEADER) == 0 || !cursor_uint(&c, 4, &version) ||
        version != VERSION_NEGOTIATION || !cursor_vector(&c, 1, &to) || !cursor_vector(&c, 1, &from))
        return false;
    if (!is(to, q->from) || !is(from, q->to) || cursor_left(&c) == 0 || cursor_left(&c) % 4 != 0)
        return false;
    while (ret->len < QUIC_VERSIONS_MAX && cursor_uint(&c, 4, &version))
        if ((version & RESERVED_MASK) != RESERVED_BITS)
            ret->version[ret->len++] = (uint32_t)version;
    return true;
}
