/* SPDX-License-Identifier: Apache-2.0 */
/* What worked in which network: did QUIC get through to a door from here lately? A small file in the user's
 * cache. It holds hashes and times, no names and no addresses. It only saves time: whatever is wrong with it,
 * it counts as empty, and what cannot be written is forgotten. */
#ifndef CARDEA_TUNNEL_NETWORK_MEMORY_H
#define CARDEA_TUNNEL_NETWORK_MEMORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

#define NETWORKS_MAX 64
#define NETWORKS_FILE_MAX 4096 /* bytes */

struct network {
    uint64_t key;
    int64_t when;   /* seconds since 1970 */
    uint64_t fails; /* how often in a row QUIC did not get through; 0: it did */
};

struct network_list {
    struct network row[NETWORKS_MAX]; /* the one that was written last comes first */
    size_t count;
};

/* Read a file's text; false, and an empty list, when it is not one that networks_write() makes. Pure. */
bool networks_read(const void *text, size_t len, struct network_list *ret);

/* Append the text. Pure. */
bool networks_write(const struct network_list *list, struct buf *out);

/* Note at the time `when` whether QUIC got through; the oldest row goes where there are too many. False where
 * nothing has changed that is worth being written. Pure. */
bool networks_note(struct network_list *list, uint64_t key, bool worked, int64_t when);

enum network_word { NETWORK_UNKNOWN, NETWORK_WORKED, NETWORK_FAILED };

/* What is known at the time `now`; NETWORK_FAILED for 10 minutes after a failure, twice as long after each
 * further one, up to an hour: *ret_seconds of that are left. Pure. */
enum network_word networks_ask(const struct network_list *list, uint64_t key, int64_t now,
                               int64_t *ret_seconds);

/* The network as it is seen now, towards this door: the prefixes of the addresses that we would send from,
 * and the way out. No packet is sent. */
uint64_t network_key(const char *door);

/* The file's list, and noting something in it. */
void network_memory_load(struct network_list *ret);
void network_memory_note(uint64_t key, bool worked);

#endif
