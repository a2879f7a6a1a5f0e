/* SPDX-License-Identifier: Apache-2.0 */
/* What is told of the door's certificates: plain data, whoever keeps them. */
#ifndef CARDEA_KEEPER_LISTING_H
#define CARDEA_KEEPER_LISTING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "keeper/life.h"

/* A certificate, served or ready. Texts are borrowed; times are seconds since 1970, 0: never, or not known.
 */
struct listing_slot {
    bool held;
    enum life_rank rank;
    const char *issuer; /* CN of who has signed it; NULL: not known */
    const char *ca;     /* URL of the CA's directory; NULL: it came in a file */
    const char *key;    /* "P-256"; NULL: not known */
    int64_t not_before, not_after;
    int64_t issued; /* to us */
    bool must_staple;
    int64_t staple_this, staple_next;
};

struct listing {
    const char *from;  /* "file", "acme", "on demand": static */
    const char *label; /* what the configuration calls it; NULL: only by its names */
    const char *const *names;
    size_t names_len;
    struct listing_slot served, backup;
    bool backup_wanted;
    enum life_swap swapped;
    int64_t swapped_at;
    int64_t next_try; /* of an order: LIFE_NEVER: none; one that has passed: now */
    enum life_failure failure;
    unsigned failures; /* orders in a row */
    int64_t failed;
    int64_t window_start, window_end; /* in which the CA wants the served one renewed */
    const char *explanation;          /* URL; NULL: the CA gives none */
};

/* `total`: how many there are; those with the least life left are in `v`. All is borrowed for the call. */
typedef void listing_done(void *arg, const struct listing *v, size_t len, size_t total);

/* Asks whoever keeps certificates for at most `most` listings; `done` is called once, in the asker's thread,
 * from within or later. */
typedef void listing_ask(void *arg, size_t most, listing_done *done, void *done_arg);

/* Fill in what a lineage's state says at `now`; texts, names and `from` are the caller's to add. */
void listing_of(const struct lineage *l, int64_t now, struct listing *ret);

/* "good", "unstapled", "revoked", "expired", "empty": static text. */
const char *listing_rank_word(enum life_rank rank);

#endif
