/* SPDX-License-Identifier: Apache-2.0 */
/* Names on demand: a question for a name that nobody has configured is answered from the book, or, where the
 * name is permitted (keeper/permit.h), once its certificate has been obtained. Of a name there is something
 * in memory only while somebody waits for it or something is to be done for it within the hour; a million
 * names are rows of the book. Belongs to the keeper's thread. */
#ifndef CARDEA_KEEPER_DEMAND_H
#define CARDEA_KEEPER_DEMAND_H

#include "keeper/acme_wish.h"
#include "keeper/listing.h"

struct cert_question;
struct config_acme;
struct demand;
struct demand_maker;
struct demands;
struct loop;
struct obtainer;

/* Counted since the start, by one thread, and read by any. */
#define DEMAND_COUNTS(X)                                                                   \
    X(PERMITTED, "permitted", "new names that were permitted")                             \
    X(REFUSED, "refused", "questions for names that are not permitted")                    \
    X(BUSY, "busy", "questions that were too many, of all or of one source")               \
    X(ASKED, "asked", "times that somebody was asked whether a name is permitted")         \
    X(ASK_FAILED, "ask_failed", "of these, how often there was no answer")                 \
    X(ORDERED, "ordered", "new names whose certificate was ordered")                       \
    X(FAILED, "failed", "questions that had no certificate, since its CA did not deliver") \
    X(LOADED, "loaded", "names that came from the book")                                   \
    X(STOPPED, "not_renewed", "names that were not renewed, since they are permitted no more")

enum demand_count {
#define X(name, word, help) DEMAND_##name,
    DEMAND_COUNTS(X)
#undef X
        DEMAND_COUNTS_LEN
};

struct demand_figures {
    uint64_t counts[DEMAND_COUNTS_LEN]; /* atomic, as what follows */
    uint64_t names;                     /* in memory */
    uint64_t waiting;                   /* questions */
};

/* All of them. `figures` is the caller's and outlives it. Never NULL. */
struct demands *demands_new(struct obtainer *o, struct loop *loop, struct demand_figures *figures);

/* The thread ends: all who wait are answered, and who asks from now on is too. */
void demands_stop(struct demands *all);

/* Every demand has been freed. NULL is allowed. */
void demands_free(struct demands *all);

/* An entry of the configuration, as it is read by the thread that may refuse it: NULL with `err`. */
struct demand_maker *demand_maker_new(const struct config_acme *from, struct err *err);
void demand_maker_free(struct demand_maker *m);

/* In force from now on; `m` is taken over. Never NULL. */
struct demand *demand_new(struct demands *all, struct demand_maker *m);

/* Nobody who has asked it waits any more. */
void demand_free(struct demand *d);

/* Take a question: it is answered, now or later, and true; or the name is none of this entry's: false. */
bool demand_ask(struct demand *d, struct cert_question *q);

/* How the names on demand are. They are counted when this is asked and the last count is old: by a hundred
 * times what it took. */
const struct listing_summary *demands_summary(struct demands *all);

/* Is anything obtained on demand? */
bool demands_any(const struct demands *all);

/* Revoke its certificates, see obtainer_revoke(). */
typedef void demands_revoked(void *arg, int count, const struct err *err);
void demands_revoke(struct demands *all, const char *name, demands_revoked *done, void *arg);

/* Forget all that is known of the name, in memory and in the book, with its keys; who waits for it is
 * refused. How many certificates there were; -1 with `err`. Workers have to be told. */
int demands_forget(struct demands *all, const char *name, struct err *err);

#endif
