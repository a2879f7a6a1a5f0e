/* SPDX-License-Identifier: Apache-2.0 */
/* Certificates of the configuration's files, and those that stand by for them: which of the two is served is
 * another part of a snapshot. Who decides that is keeper/swaps.h. */
#ifndef CARDEA_SESSION_STANDBY_H
#define CARDEA_SESSION_STANDBY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct cert;
struct cert_files;
struct err;

#define STANDBY_ID 32

enum standby_side { STANDBY_FIRST, STANDBY_BACKUP, STANDBY_SIDES };

/* An entry of `certificates`. Immutable once loaded. */
struct standby_pair {
    struct cert
        *side[STANDBY_SIDES];        /* a reference each. No first: it is looked up. No backup: it has none */
    bool must_staple[STANDBY_SIDES]; /* clients demand a staple (RFC 7633); where there is a backup */
    uint8_t id[STANDBY_ID];          /* SHA-256 of the first one's leaf; where there is a backup */
};

/* Load what is to stand by for pair->side[STANDBY_FIRST]. It has another key, for whoever got hold of that
 * of the first must not have both, and is for all names that the first is for. -1 with `err`. */
int standby_load(struct standby_pair *pair, const struct cert_files *backup, struct err *err);

/* The same, with references of its own. */
struct standby_pair standby_pair_ref(const struct standby_pair *pair);
void standby_pair_unref(struct standby_pair *pair);

/* Pairs whose first one is set aside, so that the backup is served. Immutable once it was given to a door;
 * shared by reference count. */
struct set_aside {
    uint32_t refs; /* atomic */
    size_t n;
    uint8_t ids[][STANDBY_ID];
};

/* Of these (copied); one reference. Never NULL. */
struct set_aside *set_aside_new(const uint8_t (*ids)[STANDBY_ID], size_t n);

/* In any thread; the last one frees. NULL is allowed. */
struct set_aside *set_aside_ref(struct set_aside *a);
void set_aside_unref(struct set_aside *a);

/* The same pairs, in the same order? NULL: of none. */
bool set_aside_is_same(const struct set_aside *a, const struct set_aside *b);

/* What is served of a pair; `a` may be NULL. */
enum standby_side standby_serves(const struct standby_pair *pair, const struct set_aside *a);

#endif
