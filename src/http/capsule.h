/* SPDX-License-Identifier: Apache-2.0 */
/* Capsules (RFC 9297, 3): what a stream of bytes is made of where it carries datagrams. Only DATAGRAM
 * capsules with context 0, a payload of UDP (RFC 9298, 4 and 5), mean something here. Pure: no sockets, no
 * clock. */
#ifndef CARDEA_HTTP_CAPSULE_H
#define CARDEA_HTTP_CAPSULE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

#define CAPSULE_UDP_MAX 65527 /* bytes of a payload of UDP */
#define CAPSULE_HEAD_MAX 24   /* type, length and context id, 8 bytes each at most (RFC 9000, 16) */

/* Reading, at any split. Zeroed, it stands at the beginning of a stream. */
struct capsule_reader {
    struct buf payload; /* of a datagram that is not whole yet; nothing is held otherwise */
    uint64_t left;      /* bytes of the present capsule that have not come */
    uint8_t head[CAPSULE_HEAD_MAX];
    uint8_t head_len;
    uint8_t stage;
};

/* Take bytes: `each` is called with every UDP payload that is whole now; it must not touch the reader.
 * Capsules of other types (RFC 9297, 3.3) and datagrams of other contexts (RFC 9298, 4) are skipped, however
 * long they are. Returns NULL, or static text when the stream has to be given up: a datagram without a
 * context id, or a payload that is longer than UDP has any. */
const char *capsule_feed(struct capsule_reader *r, const void *data, size_t len,
                         void (*each)(void *arg, const uint8_t *data, size_t len), void *arg);

/* May the stream end here? Not in the middle of a capsule (RFC 9297, 3.3). */
bool capsule_is_whole(const struct capsule_reader *r);

/* Free what the reader holds; it is zeroed. */
void capsule_reader_free(struct capsule_reader *r);

/* Append a payload as a capsule. One that is longer than UDP has any is left out. False when it does not fit;
 * nothing is appended then. */
bool capsule_put(struct buf *out, const void *payload, size_t len);

#endif
