/* SPDX-License-Identifier: Apache-2.0 */
/* Which slot is served, and when the backup takes over. */
#include "keeper/life_internal.h"

#define SWAP_PART 6 /* of a life: what is left of it when renewal still fails */

enum life_rank life_rank(const struct life_slot *s, int64_t now)
{
    if (!s->held)
        return LIFE_EMPTY;
    if (now >= s->not_after)
        return LIFE_EXPIRED;
    if (s->revoked != 0)
        return LIFE_REVOKED;
    return s->must_staple && (s->by_crl || s->staple_next <= now) ? LIFE_UNSTAPLED : LIFE_GOOD;
}

int life_serves(const struct lineage *l, int64_t now)
{
    int active = l->state.active;
    enum life_rank best = life_rank(&l->state.slot[active], now);
    enum life_rank other = life_rank(&l->state.slot[1 - active], now);
    if (best == LIFE_EMPTY && other == LIFE_EMPTY)
        return LIFE_NO_SLOT;
    return other < best ? 1 - active : active;
}

/* ---- taking over ---- */

/* From when on the slot's CA has failed it, as things stand; 0 where that counts from the ARI's end. */
static int64_t fails_from(const struct lineage *l, const struct life_slot *s)
{
    int64_t before = l->rule.swap_before > 0 ? l->rule.swap_before : life_life(s) / SWAP_PART;
    return s->failures > 0 ? s->not_after - before : LIFE_NEVER;
}

static int64_t ari_from(const struct life_slot *s)
{
    return s->ari_due != 0 ? s->ari_due : LIFE_NEVER;
}

static bool struggles(const struct lineage *l, const struct life_slot *s, int64_t now)
{
    return now >= fails_from(l, s) || now >= ari_from(s);
}

/* Why the other slot, which can be served, should be the active one. */
static enum life_swap reason(const struct lineage *l, int64_t now)
{
    const struct life_slot *active = &l->state.slot[l->state.active];
    const struct life_slot *other = &l->state.slot[1 - l->state.active];
    if (active->held && active->revoked != 0)
        return LIFE_SWAP_REVOKED;
    if (!life_is_usable(active, now))
        return LIFE_SWAP_EXPIRED;
    if (struggles(l, other, now))
        return LIFE_NOT_SWAPPED;
    if (now >= ari_from(active))
        return LIFE_SWAP_ARI;
    return now >= fails_from(l, active) && other->not_after > active->not_after ? LIFE_SWAP_FAILS
                                                                                : LIFE_NOT_SWAPPED;
}

static void swap(struct lineage *l, enum life_swap why, int64_t now)
{
    l->state.active = 1 - l->state.active;
    l->state.swapped = (uint8_t)why;
    l->state.swapped_at = now;
    l->turned = true;
}

static void judge(struct lineage *l, int64_t now)
{
    if (!life_is_usable(&l->state.slot[1 - l->state.active], now))
        return;
    enum life_swap why = reason(l, now);
    if (why != LIFE_NOT_SWAPPED) /* who has served nothing yet has not swapped */
        swap(l, l->state.slot[l->state.active].held ? why : LIFE_NOT_SWAPPED, now);
}

/* ---- in time ---- */

static int64_t after(int64_t at, int64_t now)
{
    return at > now ? at : LIFE_NEVER;
}

/* The next moment that changes how good a slot is. */
static int64_t next_change(const struct lineage *l, int64_t now)
{
    int64_t at = LIFE_NEVER;
    for (int i = 0; i < LIFE_SLOTS; i++) {
        const struct life_slot *s = &l->state.slot[i];
        if (!s->held)
            continue;
        at = MIN(at, after(s->not_after, now));
        at = MIN(at, MIN(after(fails_from(l, s), now), after(ari_from(s), now)));
        if (s->must_staple)
            at = MIN(at, after(s->staple_next, now));
    }
    return at;
}

static bool is_told(const struct lineage *l, int64_t now)
{
    return !l->turned && life_serves(l, now) == l->served;
}

void life_set_turn(struct life *p, struct lineage *l, int64_t now)
{
    judge(l, now);
    int64_t at = is_told(l, now) ? next_change(l, now) : INT64_MIN;
    if (at == LIFE_NEVER)
        heap_remove(&p->turn, &l->turn);
    else
        heap_set(&p->turn, &l->turn, at);
}

bool life_next_turn(struct life *p, int64_t now, struct life_job *ret)
{
    for (struct heap_node *first; (first = heap_first(&p->turn)) != NULL && first->key <= now;) {
        struct lineage *l = CONTAINER_OF(first, struct lineage, turn);
        uint8_t active = l->state.active;
        judge(l, now);
        if (active != l->state.active)
            life_set_order(p, l, now);
        bool told = is_told(l, now);
        l->served = (int8_t)life_serves(l, now);
        l->turned = false;
        life_set_turn(p, l, now);
        if (!told) {
            *ret = (struct life_job){LIFE_SERVE, l->served, 0, l};
            return true;
        }
    }
    return false;
}

/* ---- the operator ---- */

const char *life_rank_verb(enum life_rank rank)
{
    static const char *const verbs[] = {
        [LIFE_REVOKED] = "is revoked",
        [LIFE_EXPIRED] = "has expired",
        [LIFE_EMPTY] = "is not there yet",
    };
    CHECK(rank > LIFE_UNSTAPLED);
    return verbs[rank];
}

int life_swap(struct life *p, struct lineage *l, int64_t now, struct err *err)
{
    enum life_rank rank = life_rank(&l->state.slot[1 - l->state.active], now);
    if (rank > LIFE_UNSTAPLED)
        return err_set(err, "the other certificate %s; see 'cardea cert ls'", life_rank_verb(rank));
    swap(l, LIFE_SWAP_OPERATOR, now);
    life_set_turn(p, l, now);
    life_set_order(p, l, now);
    return 0;
}

size_t life_swap_all(struct life *p, int ca, int64_t now, size_t *ret_left)
{
    size_t swapped = 0;
    *ret_left = 0;
    for (struct list *at = p->lineages.next; at != &p->lineages; at = at->next) {
        struct lineage *l = CONTAINER_OF(at, struct lineage, node);
        const struct life_slot *active = &l->state.slot[l->state.active];
        if (ca >= 0 && (!active->held || active->ca != ca))
            continue;
        if (life_swap(p, l, now, NULL) == 0)
            swapped++;
        else
            ++*ret_left;
    }
    return swapped;
}
