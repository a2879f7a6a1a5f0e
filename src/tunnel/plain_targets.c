/* SPDX-License-Identifier: Apache-2.0 */
#include "tunnel/plain_targets.h"

#include <string.h>

#include "base/hostname.h"
#include "session/front.h"

void plain_targets_init(struct plain_targets *p)
{
    memset(p, 0, sizeof(*p));
    p->key = hash_random_key();
}

static uint64_t hash_of(const struct plain_targets *p, const struct front_target *target)
{
    struct hash_key key = p->key;
    key.k0 ^= (uint64_t)target->port << 1 | target->offered;
    return hash_bytes(&key, target->host, strlen(target->host));
}

void plain_targets_note(struct plain_targets *p, const struct front_target *target, bool plain, int64_t now)
{
    uint64_t h = hash_of(p, target);
    size_t i = h % PLAIN_TARGETS;
    if (plain) {
        p->v[i].target = h;
        p->v[i].until = now + PLAIN_NS;
    } else if (p->v[i].target == h) {
        p->v[i].until = 0;
    }
}

bool plain_targets_know(const struct plain_targets *p, const struct front_target *target, int64_t now)
{
    uint8_t ignored[16];
    uint64_t h = hash_of(p, target);
    size_t i = h % PLAIN_TARGETS;
    if (!target->offered && hostname_address(target->host, ignored) != 0)
        return true;
    return p->v[i].target == h && now < p->v[i].until;
}
