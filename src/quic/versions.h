/* SPDX-License-Identifier: Apache-2.0 */
/* Which versions of QUIC a server speaks: a packet of one that there will never be, and the Version
 * Negotiation packet that answers it (RFC 9000, 6 and 17.2.1; RFC 8999, 6). Pure, but for random numbers. */
#ifndef CARDEA_QUIC_VERSIONS_H
#define CARDEA_QUIC_VERSIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define QUIC_VERSIONS_MAX 16
#define QUIC_ASK_LEN 1200 /* less is not answered (RFC 9000, 14.1) */
#define QUIC_ASK_ID_LEN 8

struct quic_versions_question {
    uint8_t packet[QUIC_ASK_LEN];                       /* to be sent */
    uint8_t to[QUIC_ASK_ID_LEN], from[QUIC_ASK_ID_LEN]; /* its connection ids */
};

/* What a server has told, in its order, less what it has made up (RFC 9000, 15: 0x?a?a?a?a). */
struct quic_versions {
    uint32_t version[QUIC_VERSIONS_MAX]; /* of more than this the first */
    size_t len;
};

/* Make one. */
void quic_versions_ask(struct quic_versions_question *ret);

/* Read a datagram. False where it does not answer this question. */
bool quic_versions_read(const struct quic_versions_question *q, const uint8_t *data, size_t len,
                        struct quic_versions *ret);

#endif
