/* SPDX-License-Identifier: Apache-2.0 */
/* How often something may be tried: a few times at once, then with waits that double, up to a longest.
 * Bounded memory, whoever tries and with whatever names: a set of few places is shared by those whose keys
 * meet there, and who has tried least gives way. So a flood of invented names does not wash away what is
 * known of a name that is under attack. Lost with the process, which is as good as kept:
 * doc/internals/login.md, "Tries". */
#ifndef CARDEA_LOGIN_TRIES_H
#define CARDEA_LOGIN_TRIES_H

#include <stdint.h>

#include "base/str.h"

struct tries;

struct tries_rule {
    unsigned free;   /* tries without a wait */
    int64_t first;   /* seconds of the first wait */
    int64_t longest; /* of any wait. Whoever has not tried for twice as long is forgotten */
    int64_t forgive; /* seconds without a try that make up for one; 0: none do */
};

/* Never NULL. */
struct tries *tries_new(const struct tries_rule *rule);
void tries_free(struct tries *l); /* NULL is allowed */

/* Seconds that `key` has still to wait at `now` (seconds since 1970); 0: it may try. */
int64_t tries_wait(const struct tries *l, struct str key, int64_t now);

/* It tries. */
void tries_count(struct tries *l, struct str key, int64_t now);

/* Its last try was a good one and does not count. */
void tries_refund(struct tries *l, struct str key);

/* All is forgotten of it. */
void tries_forget(struct tries *l, struct str key);

#endif
