/* SPDX-License-Identifier: Apache-2.0 */
/* Counts how often each of many keys comes, in bounded memory, whoever chooses the keys. */
#ifndef CARDEA_AUDIT_TALLY_H
#define CARDEA_AUDIT_TALLY_H

#include <stddef.h>
#include <stdint.h>

#include "base/str.h"

struct tally;

/* A key with what is known of it. */
struct tally_row {
    uint64_t count;
    char last[32]; /* the greatest `when` that it came with, as texts compare; NUL-terminated */
    size_t len;
    char key[];
};

/* With room for `most` (>= 2) keys. While there are no more, all is exact. Then the half that came least is
 * dropped each time: see tally_facts. Never NULL. */
struct tally *tally_new(size_t most);

/* NULL is fine. */
void tally_free(struct tally *t);

/* It came once more, at `when`. Both are copied; what `when` has over 31 bytes is cut. */
void tally_add(struct tally *t, struct str key, struct str when);

struct tally_facts {
    uint64_t total;    /* how often any key came */
    size_t rows;       /* keys that are there */
    uint64_t dropped;  /* keys that were dropped; one that came again later is counted each time */
    uint64_t lost;     /* how often those came */
    uint64_t short_by; /* no key came more often than its row says, or (without a row) than 0, plus this */
};

/* What came so far. */
struct tally_facts tally_facts(const struct tally *t);

/* The rows, the greatest count first (equal ones by key): `rows` of tally_facts(). Borrowed until the next
 * tally_add(). */
struct tally_row *const *tally_sorted(struct tally *t);

#endif
