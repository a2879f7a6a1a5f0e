/* SPDX-License-Identifier: Apache-2.0 */
/* Which targets of a door are known to be no services that speak TLS with us (an offer end-to-end, of which
 * the door must not see a byte): what is meant for them may be sent before the door has answered. A small
 * table, in which a newer target takes the place of an older one. Pure: the time is given. */
#ifndef CARDEA_TUNNEL_PLAIN_TARGETS_H
#define CARDEA_TUNNEL_PLAIN_TARGETS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/clock.h"
#include "base/hash.h"

struct front_target;

#define PLAIN_TARGETS 256
#define PLAIN_NS (600 * NSEC_PER_SEC) /* that an answer is good for: a host may become an offer */

struct plain_targets {
    struct hash_key key;
    struct {
        uint64_t target; /* its hash */
        int64_t until;   /* 0: nothing is known */
    } v[PLAIN_TARGETS];
};

void plain_targets_init(struct plain_targets *p);

/* What the door has said of a target at the monotonic time `now`. */
void plain_targets_note(struct plain_targets *p, const struct front_target *target, bool plain, int64_t now);

/* Is it known? An address is always plain, since offers have names. */
bool plain_targets_know(const struct plain_targets *p, const struct front_target *target, int64_t now);

#endif
