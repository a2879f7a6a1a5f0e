/* SPDX-License-Identifier: Apache-2.0 */
/* Keeps HTTPS records up to date with the key that is offered (RFC 9848): by DNS UPDATE, or by a program. A
 * record that cannot be changed is tried again, later each time; keys that it may hold are kept meanwhile
 * (ech/journal.h). Doors that share the keys take turns: who has the journal's lock pushes what is due, the
 * others find it done. What a door does twice does no harm.
 *
 * On one loop, in the thread that turns the ring. */
#ifndef CARDEA_ECH_PUBLISHER_H
#define CARDEA_ECH_PUBLISHER_H

#include "base/err.h"
#include "ech/plan.h"
#include "ech/ring.h"
#include "loop/loop.h"

struct ech_publisher;

/* Of what goes wrong with records, and that it goes well again. */
typedef void ech_publisher_told(void *arg, const char *text);

/* Nothing is published before it is turned. Never NULL. */
struct ech_publisher *ech_publisher_new(struct loop *loop, ech_publisher_told *told, void *arg);

/* What is under way is broken off: it may have been done, and counts so. NULL is allowed. */
void ech_publisher_free(struct ech_publisher *p);

/* From now on these, for that ring, which lives until this is called anew, or the publisher freed. `settings`
 * NULL: nothing is published. Where they are the ones in force nothing happens, and what has failed waits on.
 * Else what is under way is broken off: a program is told to end, and may finish; nothing new begins before
 * it has; and what was asked for by ech_publisher_hurry() is done with these. */
void ech_publisher_set(struct ech_publisher *p, struct ech_ring *ring,
                       const struct ech_publisher_settings *settings);

/* Push what is due. Called when the ring has turned; `now` is seconds since 1970. */
void ech_publisher_turn(struct ech_publisher *p, int64_t now);

/* Push all records at the next turn, due or not, without waiting for what has failed before. False where
 * nothing is published. */
bool ech_publisher_hurry(struct ech_publisher *p);

/* Take the record of a name that is not published any more out of the DNS; one that the journal does not know
 * is somebody else's, and is refused. `done` is called once, perhaps before this returns. */
void ech_publisher_withdraw(struct ech_publisher *p, const char *name,
                            void (*done)(void *arg, const struct err *why), void *arg);

/* ---- what is told ---- */

struct ech_publisher_figures {
    uint64_t pushed, failed; /* records since the start */
    uint64_t hurried;        /* how often all was pushed, as asked for */
    uint64_t hurried_next;   /* ... when what was asked for last is over */
};

/* Those of this moment. */
struct ech_publisher_figures ech_publisher_figures(const struct ech_publisher *p);

/* A name that is published. The texts are borrowed. */
struct ech_publisher_row {
    const char *name;
    const char *error; /* of the last time; "": it went well */
    bool current;      /* its record has the key that is offered, as far as is known, and there is one */
};

/* Is there a way to the DNS, for whichever names? */
bool ech_publisher_is_set(const struct ech_publisher *p);

/* How many there are, and the one of that index. */
size_t ech_publisher_count(const struct ech_publisher *p);
struct ech_publisher_row ech_publisher_row(const struct ech_publisher *p, size_t i);

/* Is a record of that name published from here? */
bool ech_publisher_has(const struct ech_publisher *p, const char *name);

#endif
