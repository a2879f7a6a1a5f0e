/* SPDX-License-Identifier: Apache-2.0 */
/* Puts IP packets together that came in fragments. Bounded: the packet that was begun first makes room for
 * another. */
#ifndef CARDEA_CAPTURE_FRAGMENTS_H
#define CARDEA_CAPTURE_FRAGMENTS_H

#include "base/buf.h"
#include "capture/packet.h"

#define FRAGMENTS_PACKETS 64 /* that are incomplete at a time */

struct fragments;

/* Never NULL. `total` counts the bytes that are held, as in assembly.h, and lives until it is freed. */
struct fragments *fragments_new(size_t *total);
void fragments_free(struct fragments *f);

/* Take a PACKET_FRAGMENT. True when its packet is whole now: `p` is that packet; its payload lives until the
 * next call. */
bool fragments_put(struct fragments *f, struct packet *p);

#endif
