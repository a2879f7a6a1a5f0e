/* SPDX-License-Identifier: Apache-2.0 */
/* When the backup of a certificate that came in files takes over: when the one that is served is revoked or
 * has expired and the other is good, and when an operator says so. Such a swap is kept in DIR/swaps.json, so
 * that a restart keeps it, for as long as the first certificate is in its file: once another one is there,
 * that is served; one that was revoked counts as revoked until its CA is heard to say that it is not. While
 * a certificate lacks the staple that clients demand, the other is served without a swap, unless an operator
 * wants the backup. Belongs to one thread, which may block. */
#ifndef CARDEA_KEEPER_SWAPS_H
#define CARDEA_KEEPER_SWAPS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "keeper/life.h"
#include "session/standby.h"

struct buf;
struct swaps;

/* Read what is kept below `dir`; nothing is made there. Never NULL: a list that cannot be used, as
 * `ret_trouble` says (empty: nothing), counts as empty, and its file is renamed to swaps.json.bad. */
struct swaps *swaps_open(const char *dir, struct err *ret_trouble);

/* What backups a door was serving for when it last kept that below `dir`, which is only read: for whoever
 * asks beside it. What cannot be used is nothing. One reference; never NULL. */
struct set_aside *swaps_kept(const char *dir);

/* NULL is allowed. */
void swaps_close(struct swaps *s);

/* What backups are served for, as of the last judgement; before the first one, what is kept says. Borrowed
 * until the next call. */
struct set_aside *swaps_now(const struct swaps *s);

/* Told of a swap, or that it could not be kept: one line. */
typedef void swaps_notice(void *arg, const char *text);

/* Judge the `n` pairs of a configuration at `now` (seconds since 1970); pairs without a backup are passed
 * over. True: swaps_now() has another answer since. */
bool swaps_judge(struct swaps *s, const struct standby_pair *pairs, size_t n, int64_t now,
                 swaps_notice *notice, void *arg);

/* Which are to be swapped: those whose served one is for this host or has this very wildcard; or has been
 * issued by a CA of this common name; or (both NULL) all. */
struct swaps_order {
    const char *name, *ca;
};

struct swaps_result {
    size_t swapped, left; /* left: the other one is no good */
    struct err why;       /* ... of the last of these */
};

/* An operator wants the others served; swaps_judge() follows. */
void swaps_do(struct swaps *s, const struct standby_pair *pairs, size_t n, const struct swaps_order *order,
              int64_t now, struct swaps_result *ret);

/* What an order could mean of these pairs, as a phrase: the names, or with order->ca the CAs, of those that
 * are served and have a backup. False: none has one. */
bool swaps_choice(const struct swaps *s, const struct standby_pair *pairs, size_t n,
                  const struct swaps_order *order, struct buf *ret);

/* Tell of each whose backup is served by a swap that was kept: for a start. */
void swaps_tell_kept(const struct swaps *s, const struct standby_pair *pairs, size_t n, swaps_notice *notice,
                     void *arg);

/* Why the served one of a pair is what it is, and since when (seconds since 1970). */
struct swaps_state {
    enum life_swap why;
    int64_t at;
};
struct swaps_state swaps_state_of(const struct swaps *s, const struct standby_pair *pair);

#endif
