/* SPDX-License-Identifier: Apache-2.0 */
/* What an operator stages, and what becomes of it: kept in DIR/candidates, so that a restart keeps it. A
 * candidate is a certificate with its key, copied (mode 0600, or the URI of one in a token), or TLS settings.
 * It is promoted, and rolled back: what it had taken the place of is there again, and it is a candidate
 * again. Each change is one file that is replaced; certificates and keys are written before it. Belongs to
 * one thread, which may block. */
#ifndef CARDEA_KEEPER_CANDIDATES_H
#define CARDEA_KEEPER_CANDIDATES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"

struct candidates;
struct cert;
struct staging;

#define CANDIDATES_KEPT 8 /* that were replaced by promotions, for `rollback` */

/* Read what is kept below `dir`; nothing is made there. What cannot be read any more stays out, with a line
 * in `troubles`. NULL with `err` when the list itself is damaged. */
struct candidates *candidates_open(const char *dir, struct buf *troubles, struct err *err);

/* NULL is allowed. */
void candidates_close(struct candidates *c);

/* What there is now, without certificates that have expired at `now` (seconds since 1970): what they stand in
 * for is better. One reference for the caller. */
struct staging *candidates_now(struct candidates *c, int64_t now);

/* Seconds since 1970 at which the next certificate that was promoted, and has not expired at `now`, does;
 * then candidates_now() has another answer. INT64_MAX: none. */
int64_t candidates_next_end(const struct candidates *c, int64_t now);

/* What is to be done. `label` NULL: the only one that there is to be had. */
enum candidates_verb { CANDIDATES_STAGE, CANDIDATES_PROMOTE, CANDIDATES_ROLLBACK, CANDIDATES_DISABLE };

struct candidates_order {
    enum candidates_verb verb;
    const char *label;
    const char *file; /* stage: a chain in PEM, leaf first ... */
    const char *key;  /* ... and its key, or the URI of one */
    const char *tls;  /* stage: settings instead; see staging_read_tls() */
};

/* Prepare it: nothing is kept yet, and candidates_now() tells what there would be. Then candidates_keep() or
 * candidates_undo(). -1 with `err`. */
int candidates_order(struct candidates *c, const struct candidates_order *order, int64_t now,
                     struct err *err);

/* On the disk, whole. -1 with `err`: nothing was done. */
int candidates_keep(struct candidates *c, struct err *err);
void candidates_undo(struct candidates *c);

/* The label of what the last order was about; until the next one. */
const char *candidates_label(const struct candidates *c);

#endif
