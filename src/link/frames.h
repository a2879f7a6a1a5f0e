/* SPDX-License-Identifier: Apache-2.0 */
/* Datagrams on a byte stream: each after its length in two bytes, big-endian. An empty one is a length of 0.
 */
#ifndef CARDEA_LINK_FRAMES_H
#define CARDEA_LINK_FRAMES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

#define FRAMES_HEAD 2
#define FRAMES_DATAGRAM_MAX UINT16_MAX

/* Append a datagram with its head to what waits to be read; false, and it is dropped as a network would, when
 * more than `most` bytes would wait. */
bool frames_put(struct buf *waiting, const void *data, size_t len, size_t most);

/* Move at most `cap` bytes of what waits; returns how many. */
size_t frames_move(struct buf *waiting, void *out, size_t cap);

/* Take bytes of the stream: `each` is called with every datagram that is whole now; what is left waits in
 * `partial` for the rest. */
void frames_feed(struct buf *partial, const void *data, size_t len,
                 void (*each)(void *arg, const uint8_t *data, size_t len), void *arg);

#endif
