/* SPDX-License-Identifier: Apache-2.0 */
/* The keeper: a thread for certificates that change while the door serves. It has a loop of its own and may
 * block for a moment, on files. Workers ask it for what they have not got (cert/source.h); what has changed
 * it tells to whoever made it, who tells the workers. */
#ifndef CARDEA_KEEPER_KEEPER_H
#define CARDEA_KEEPER_KEEPER_H

#include "base/err.h"
#include "keeper/listing.h"
#include "session/provider.h"

struct cert_staple;
struct keeper;
struct loop;

/* Who is told, in the thread of that loop. Texts live during the call. */
struct keeper_ear {
    struct loop *loop;
    void (*notice)(void *arg, const char *text);  /* something that somebody may want to read: one line */
    void (*changed)(void *arg, const char *name); /* see door_forget_certificates() */
    /* To be freed once each thread that serves has gone through its loop, see cert_set_staple(). */
    void (*retired)(void *arg, struct cert_staple *staple);
    void *arg;
};

struct challenges;

/* The thread begins with the first source that is made. In `challenges`, which outlives it, it puts what
 * proves to CAs that names are the door's. NULL with `err`. */
struct keeper *keeper_new(const struct keeper_ear *ear, struct challenges *challenges, struct err *err);

/* For door_new(). Lives as long as the keeper. */
struct cert_provider *keeper_provider(struct keeper *keeper);

/* What is served, for admin_set_listing(); `keeper` is a struct keeper. Thread of the ear,
 * as what follows. */
void keeper_list(void *keeper, const struct listing_query *query, listing_done *done, void *arg);

/* Serve the backups of what is named (obtainer.h), by NAME, by CA, or of all where both are NULL; texts are
 * copied. `done` is called once, from within or later: with `err` where nothing could be swapped, which is
 * empty where the door obtains nothing at all. */
typedef void keeper_swapped(void *arg, size_t swapped, size_t left, const struct err *err);
void keeper_swap(void *keeper, const char *name, const char *ca, keeper_swapped *done, void *arg);

struct demand_figures;

/* What is counted of names on demand. Lives as long as the keeper. */
const struct demand_figures *keeper_figures(const struct keeper *keeper);

/* Forget a name on demand, see demands_forget(); `revoke`: when its certificates have been revoked, which is
 * the one thing done where one of them could not be. `done` is called once, in the thread of the ear's loop:
 * how many lineages were forgotten (-1 with `err`) and how many certificates revoked. */
typedef void keeper_forgotten(void *arg, int count, int revoked, const struct err *err);
void keeper_forget(struct keeper *keeper, const char *name, bool revoke, keeper_forgotten *done, void *arg);

/* End the thread. What has been asked is answered, and what is asked from now on is answered by
 * keeper_free(), so nobody must ask any more. Once no worker runs, before door_free(). */
void keeper_stop(struct keeper *keeper);

/* After the door has gone, and a last loop_deliver() of the ear's loop. NULL is allowed. */
void keeper_free(struct keeper *keeper);

#endif
