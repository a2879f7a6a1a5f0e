/* SPDX-License-Identifier: Apache-2.0 */
/* How a datagram says which stream it belongs to: Quarter Stream ID (RFC 9297, 2.1), then Context ID
 * (RFC 9298, 4), each a variable-length integer (RFC 9000, 16). Pure. */
#ifndef CARDEA_QUIC_DATAGRAM_HEAD_H
#define CARDEA_QUIC_DATAGRAM_HEAD_H

#include <stddef.h>
#include <stdint.h>

#define DATAGRAM_HEAD_MAX 16

struct datagram_head {
    int64_t stream;   /* the whole id: of a bidirectional stream that the client opened */
    uint64_t context; /* with DATAGRAM_HEAD_OK */
    size_t len;       /* of the head: what follows is the payload */
};

enum datagram_head_result {
    DATAGRAM_HEAD_OK,
    DATAGRAM_HEAD_NO_STREAM,  /* no Quarter Stream ID, or one that no stream can have */
    DATAGRAM_HEAD_NO_CONTEXT, /* of the head only `stream` could be read */
};

enum datagram_head_result datagram_head_read(const uint8_t *data, size_t len, struct datagram_head *ret);

/* Write the head with as few bytes as it needs; returns how many. `stream` is a bidirectional one that the
 * client opened; `context` is at most 2^62 - 1. */
size_t datagram_head_write(int64_t stream, uint64_t context, uint8_t out[DATAGRAM_HEAD_MAX]);

#endif
