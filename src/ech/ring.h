/* SPDX-License-Identifier: Apache-2.0 */
/* The ECH keys of a door over time, in a folder that other doors of the same name may share. Time is cut into
 * slots of `rotate`; each has a key, which is offered while the slot lasts. It is made before that, so that
 * every door knows it before any client can; and it opens for `keep` after its slot, for clients that have
 * the old config from a cache. Then its file goes. Whichever door comes first makes a key; a file is there
 * whole or not at all.
 *
 * A key that DNS records or caches may hold (ech/journal.h) opens for as long as they do, whatever `keep`
 * says.
 *
 * One thread turns the ring; any number read. */
#ifndef CARDEA_ECH_RING_H
#define CARDEA_ECH_RING_H

#include "base/err.h"
#include "ech/keys.h"
#include "ech/records.h"

struct ech_ring;

struct ech_ring_settings {
    const char *folder;
    const char *public_name;
    uint8_t longest_name; /* as ech_key_make() has it */
    int64_t rotate, keep; /* seconds; keep <= ECH_KEEP_MAX * rotate */
};

/* Read the folder, which is made where it is not there, and make the key of now (seconds since 1970). NULL
 * with `err`. */
struct ech_ring *ech_ring_new(const struct ech_ring_settings *settings, int64_t now, struct err *err);
void ech_ring_free(struct ech_ring *ring);

/* Could the ring be made, as far as the caller is let in? Nothing is changed. -1 with `err`. */
int ech_ring_check(const struct ech_ring_settings *settings, int64_t now, struct err *err);

/* Is it for these? */
bool ech_ring_is(const struct ech_ring *ring, const struct ech_ring_settings *settings);

/* The keys as they are now; they stay for as long as the caller is within one event of his
 * loop. Any thread. */
const struct ech_keys *ech_ring_keys(const struct ech_ring *ring);

/* How often they have changed so far, beginning at 1: first this, then the keys, and they are no older. Any
 * thread. */
uint64_t ech_ring_turns(const struct ech_ring *ring);

/* What is told of a key: seconds since 1970. */
struct ech_ring_key {
    uint8_t id; /* config_id */
    bool offered;
    int64_t from, until; /* when it is offered */
    int64_t opens_until; /* INT64_MAX: as long as a record may hold it */
    int64_t published;   /* since when; 0: in no record that is known of */
    size_t records;      /* that may hold it now */
};

/* All keys, newest first; how many. In the thread that turns the ring. */
size_t ech_ring_list(const struct ech_ring *ring, int64_t now, struct ech_ring_key ret[ECH_KEYS_MAX]);

/* When the slot of the key that is offered begins; 0 where that key has had its time, and none could be made
 * in its place. In that thread, as what follows. */
int64_t ech_ring_newest(const struct ech_ring *ring);

/* The key of the slot that begins then. Borrowed until the ring turns; NULL: there is none. */
const struct ech_key *ech_ring_key(const struct ech_ring *ring, int64_t begin);

/* Read what is known of records, before the next turn does. -1 with `err`: it cannot be read. */
int ech_ring_hear(struct ech_ring *ring, struct err *err);

/* Whose ring it is, and what was known of records when they were read last. Borrowed from it. */
const struct ech_ring_settings *ech_ring_settings(const struct ech_ring *ring);
const struct ech_records *ech_ring_records(const struct ech_ring *ring);

/* Look at the folder, at most once in a second or so: *ret_old is NULL where nothing has changed, else the
 * keys as they were, to be let go when every thread has left whatever it was doing with them. -1 with `err`
 * (something in the folder cannot be read, or no key be made); what can be used is, all the same. */
int ech_ring_turn(struct ech_ring *ring, int64_t now, struct ech_keys **ret_old, struct err *err);

#endif
