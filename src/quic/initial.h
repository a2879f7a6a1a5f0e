/* SPDX-License-Identifier: Apache-2.0 */
/* Opens the Initial packets of QUIC that others have exchanged: their keys follow from what is on the wire
 * (RFC 9001, 5.2; RFC 9369, 3.3), so whoever sees them can read the handshake's first messages. Pure: bytes
 * in, bytes out.
 *
 * A datagram may hold several packets: quic_packet_next() takes them off one by one. */
#ifndef CARDEA_QUIC_INITIAL_H
#define CARDEA_QUIC_INITIAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cursor.h"

#define QUIC_VERSION_1 0x00000001u
#define QUIC_VERSION_2 0x6b3343cfu

#define INITIAL_PLAIN_MAX 65536 /* bytes of a datagram, and so of what one packet holds */

enum quic_packet_type { QUIC_INITIAL, QUIC_ZERO_RTT, QUIC_HANDSHAKE, QUIC_RETRY };

/* A packet with a long header (RFC 9000, 17.2); the cursors point into the datagram. */
struct quic_packet {
    enum quic_packet_type type;
    uint32_t version;
    struct cursor dcid;
    struct cursor scid;
    struct cursor head; /* up to the packet number */
    struct cursor body; /* from the packet number on; of a Retry the rest */
};

/* Take the next packet off a datagram. False at the end, and where no packet with a long header of a version
 * above begins. */
bool quic_packet_next(struct cursor *datagram, struct quic_packet *ret);

/* What one side seals its Initial packets with. */
struct initial_keys {
    uint8_t key[16];
    uint8_t iv[12];
    uint8_t head[16]; /* header protection */
    uint64_t newest;  /* the highest packet number that was opened, plus 1; 0: none */
};

/* The keys for packets from the client, or from the server, of a connection whose client wrote first to
 * `dcid` (after a Retry: to the id that it gave). */
void initial_keys_derive(uint32_t version, struct cursor dcid, bool from_client, struct initial_keys *ret);

/* Open an Initial packet into `plain`, which has INITIAL_PLAIN_MAX bytes; *ret_frames points there. False
 * where it is not sealed with these keys. */
bool initial_open(struct initial_keys *keys, const struct quic_packet *packet, uint8_t *plain,
                  struct cursor *ret_frames);

enum initial_frame {
    INITIAL_CRYPTO, /* `offset` and `data` */
    INITIAL_CLOSE,  /* CONNECTION_CLOSE: `code` */
    INITIAL_END,    /* no further frame, or none that may stand here */
};

struct initial_content {
    uint64_t offset; /* in the stream of handshake messages */
    struct cursor data;
    uint64_t code; /* RFC 9000, 20.1; 0x100 and more: an alert of TLS (RFC 9001, 4.8) */
};

/* Take frames off up to the next that says something here (RFC 9000, 17.2.2). */
enum initial_frame initial_next_frame(struct cursor *frames, struct initial_content *ret);

#endif
