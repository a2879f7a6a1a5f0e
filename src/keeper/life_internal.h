/* SPDX-License-Identifier: Apache-2.0 */
/* Between the files of life.h. */
#ifndef CARDEA_KEEPER_LIFE_INTERNAL_H
#define CARDEA_KEEPER_LIFE_INTERNAL_H

#include "base/check.h"
#include "keeper/life.h"

#define LIFE_MAGIC 0x11fe0001u
#define LINEAGE_MAGIC 0x11aea6e1u

struct life_ca {
    struct life_ca_state state;
    bool ari;
    unsigned running; /* orders */
};

struct life {
    uint32_t magic;
    struct life_settings settings;
    uint64_t random;
    int64_t now; /* the last that was told */
    struct life_ca *cas;
    size_t cas_len;
    struct list lineages;
    size_t count;
    unsigned orders, looks; /* under way */
    struct heap order;      /* by the time of the next order */
    struct heap ready;      /* orders that are due, by the end of what is served: who needs it most */
    struct heap look, turn;
};

/* A number from 0 to `most`. */
int64_t life_random(struct life *p, int64_t most);

/* A wait that doubles with each failure (>= 1), from `least` to `most`, and its upper half is chance. */
int64_t life_back_off(struct life *p, int64_t least, int64_t most, unsigned failures);

static inline int64_t life_life(const struct life_slot *s)
{
    return s->not_after - s->not_before;
}

/* Neither revoked nor out of its time. */
static inline bool life_is_usable(const struct life_slot *s, int64_t now)
{
    return life_rank(s, now) <= LIFE_UNSTAPLED;
}

/* ---- life_order.c ---- */

struct life_choice {
    int64_t at; /* LIFE_NEVER: none */
    int8_t slot;
    uint8_t ca; /* index into the rule's cas */
};

/* Which order comes next for a lineage, and when. */
struct life_choice life_choose(const struct life *p, const struct lineage *l, int64_t now);

/* Put the lineage to where its next order belongs; for all that may have changed it. */
void life_set_order(struct life *p, struct lineage *l, int64_t now);

/* The next order that may begin now. */
bool life_next_order(struct life *p, int64_t now, struct life_job *ret);

/* An order is not under way any more. */
void life_end_order(struct life *p, struct lineage *l);

/* ---- life_look.c ---- */

void life_set_look(struct life *p, struct lineage *l);
bool life_next_look(struct life *p, int64_t now, struct life_job *ret);

/* A certificate came into the slot: nothing is known of it yet. */
void life_look_anew(struct life *p, struct life_slot *s, int64_t now);

/* ---- life_turn.c ---- */

/* Let the backup take over where it must, and wait for the next moment at which that may be so. */
void life_set_turn(struct life *p, struct lineage *l, int64_t now);
bool life_next_turn(struct life *p, int64_t now, struct life_job *ret);

#endif
