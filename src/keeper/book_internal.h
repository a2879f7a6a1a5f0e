/* SPDX-License-Identifier: Apache-2.0 */
/* Between the files of the book. */
#ifndef CARDEA_KEEPER_BOOK_INTERNAL_H
#define CARDEA_KEEPER_BOOK_INTERNAL_H

#include "keeper/book.h"
#include "state/state.h"

#define BOOK_MAGIC 0xb00cb00cu

struct book {
    uint32_t magic;
    struct state *state;
};

/* Fields of struct life_slot that are columns of the table `slot`, by the same name. The certificate's own
 * facts are in its row. */
#define BOOK_SLOT_FIELDS(X) \
    X(held)                 \
    X(must_staple)          \
    X(has_status)           \
    X(by_crl)               \
    X(failure)              \
    X(ca)                   \
    X(failures)             \
    X(ari_failures)         \
    X(status_failures)      \
    X(issued)               \
    X(failed)               \
    X(not_before)           \
    X(not_after)            \
    X(renew_at)             \
    X(ari_start)            \
    X(ari_end)              \
    X(ari_due)              \
    X(ari_at)               \
    X(revoked)              \
    X(staple_this)          \
    X(staple_next)          \
    X(status_at)

/* Within a transaction: the lineage's state. */
int book_write_state(struct book *b, const struct lineage *l, int64_t due, struct err *err);

/* Append to what has been reserved before, so that no copy of a key is left behind; what was appended. */
struct str book_keep(struct buf *b, struct str s);

#endif
