/* SPDX-License-Identifier: Apache-2.0 */
/* How many looks go to the same place, so that a CA cannot be used to flood somebody: strangers choose where
 * it looks. Pure; `now` is monotonic, in nanoseconds.
 *
 * A place is an address (of IPv6: its /64, which is one subscriber's), or for dns-01 the last two labels of a
 * name, in whose name servers all below it end. What has begun counts for a second at least, so that looks
 * which are answered at once are as few. For one source there is half of the room: else it could keep others
 * from having a name at that place proven. */
#ifndef CARDEA_ACME_TARGETS_H
#define CARDEA_ACME_TARGETS_H

#include <stdbool.h>
#include <stdint.h>

struct acme_targets;
struct net_addr;

/* `max` looks at one place. Never NULL. */
struct acme_targets *acme_targets_new(unsigned max);

/* NULL is allowed. */
void acme_targets_free(struct acme_targets *t);

/* A look of an account from `source` is about to go there. False: as many are there as may be. Who is there
 * may go there again. `look` only tells one from the other. */
bool acme_targets_take(struct acme_targets *t, const struct net_addr *address, const char *source,
                       const void *look, int64_t now);
bool acme_targets_take_name(struct acme_targets *t, const char *name, const char *source, const void *look,
                            int64_t now);

/* It has ended, so it is nowhere. */
void acme_targets_give(struct acme_targets *t, const void *look);

#endif
