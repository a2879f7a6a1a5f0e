/* SPDX-License-Identifier: Apache-2.0 */
/* Does the path still carry what it did? Path MTU discovery looks for longer packets only. When the route
 * changes, or a tunnel comes between, long ones may be swallowed without a word from then on (a black hole:
 * RFC 8899, 4.3; RFC 9000, 14.3), while a connection goes on to send them for ever. So packets are kept short
 * once long ones seem to vanish, and tried long again later. Pure: owns no connection and asks no clock. */
#ifndef CARDEA_QUIC_PATH_SIZE_H
#define CARDEA_QUIC_PATH_SIZE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PATH_SIZE_SHORT 1200 /* bytes that every path of QUIC carries (RFC 9000, 14) */
#define PATH_SIZE_LONG 1160  /* bytes of payload that only a longer packet has at once */

/* All zero: nothing is suspected. */
struct path_size {
    int64_t changed;      /* when packets were last made short, or long again */
    int64_t patience;     /* how long they stay short; 0: they are long */
    int64_t last;         /* the patience before this one */
    int64_t silent_since; /* bytes are in flight, and nothing is acknowledged; 0: no */
    int64_t looked;       /* when that was seen to be so, and how often: */
    unsigned looks;
    int64_t lost_since; /* long packets are lost, and none arrives; 0: no */
    uint64_t lost, lost_bytes;
    uint64_t sample; /* of the round-trip time: a new one comes with each acknowledgement */
    bool arrived;    /* a long packet, since the last look */
};

/* What a connection knows of itself. Times in nanoseconds; `lost` packets in all, of `lost_bytes` bytes. */
struct path_facts {
    int64_t now;
    int64_t timeout; /* for an acknowledgement (PTO) */
    uint64_t sample; /* as above: any number that changes with each acknowledgement */
    uint64_t in_flight;
    uint64_t lost, lost_bytes;
};

/* So many bytes at once have been acknowledged. */
void path_size_arrived(struct path_size *p, size_t len);

/* To be called before something is sent. The most bytes that the next packet may have; SIZE_MAX: as many as
 * path MTU discovery has found. */
size_t path_size_most(struct path_size *p, const struct path_facts *facts);

#endif
