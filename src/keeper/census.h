/* SPDX-License-Identifier: Apache-2.0 */
/* What is in a folder of certificates, whether anybody has asked for it or not: file by file in the order of
 * their names, or counted. A count goes on in small steps between what else the thread does, and is begun
 * anew when somebody wants to know and the last one is old: by a hundred times what it took, so that however
 * many files there are no more than a hundredth of the thread's time goes into it. Belongs to the keeper's
 * thread. */
#ifndef CARDEA_KEEPER_CENSUS_H
#define CARDEA_KEEPER_CENSUS_H

#include "keeper/listing.h"

struct census;
struct folder;
struct loop;
struct stapler;

/* `folder` is borrowed; *stapler, which may be NULL and may come later, knows what is revoked. Never NULL. */
struct census *census_new(struct loop *loop, struct folder *folder, struct stapler *const *stapler);

/* Who waits is told. NULL is allowed. */
void census_free(struct census *c);

/* The thread ends: who waits is told, and who asks from now on is at once. */
void census_stop(struct census *c);

/* The last count. When it is old, or there is none yet, the next one is begun. */
const struct listing_summary *census_last(struct census *c);

/* `done` is called once census_last() is fresh, from within or later; it may free nothing. */
void census_wait(struct census *c, void (*done)(void *arg), void *arg);

/* Add rows for files behind `after` ("": from the first one) whose name is like `match` ("": all), `most` at
 * most. The last file that was looked at is copied into ret_last[size]; it is empty when there are no more.
 */
void census_page(struct census *c, const char *after, const char *match, size_t most, struct listings *rows,
                 char *ret_last, size_t size);

/* The folder's path. */
const char *census_label(const struct census *c);

#endif
