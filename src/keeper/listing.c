/* SPDX-License-Identifier: Apache-2.0 */
#include "keeper/listing.h"

#include "base/check.h"

const char *listing_rank_word(enum life_rank rank)
{
    static const char *const words[] = {
        [LIFE_GOOD] = "good",       [LIFE_UNSTAPLED] = "unstapled", [LIFE_REVOKED] = "revoked",
        [LIFE_EXPIRED] = "expired", [LIFE_EMPTY] = "empty",
    };
    return words[rank];
}

static struct listing_slot slot_of(const struct life_slot *s, int64_t now)
{
    return (struct listing_slot){.held = s->held,
                                 .rank = life_rank(s, now),
                                 .not_before = s->not_before,
                                 .not_after = s->not_after,
                                 .issued = s->issued,
                                 .must_staple = s->must_staple,
                                 .staple_this = s->by_crl ? 0 : s->staple_this,
                                 .staple_next = s->by_crl ? 0 : s->staple_next};
}

void listing_of(const struct lineage *l, int64_t now, struct listing *ret)
{
    int serves = life_serves(l, now);
    const struct life_slot *served = &l->state.slot[serves != LIFE_NO_SLOT ? serves : l->state.active];
    const struct life_slot *other = &l->state.slot[served == &l->state.slot[0] ? 1 : 0];
    const struct life_slot *worse = served->failures >= other->failures ? served : other;
    *ret = (struct listing){.served = slot_of(served, now),
                            .backup = slot_of(other, now),
                            .backup_wanted = l->rule.backup != LIFE_NO_BACKUP,
                            .swapped = l->state.swapped,
                            .swapped_at = l->state.swapped_at,
                            .next_try = life_next_try(l),
                            .failure = worse->failure,
                            .failures = worse->failures,
                            .failed = worse->failed,
                            .window_start = served->ari_start,
                            .window_end = served->ari_end};
}
