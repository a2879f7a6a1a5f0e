/* SPDX-License-Identifier: Apache-2.0 */
/* Level 0 has a slot for each of the next 64 ticks, level 1 for each of the next 64 spans of 64 ticks, and so
 * on. When the tick counter enters a new span, that span's slot is emptied into the level below (cascade). A
 * slot is chosen by the bits of the absolute tick, not by distance: a timer exactly 64 spans ahead falls into
 * the slot of the present span, which has been emptied already and comes up again exactly then. */
#include "loop/wheel.h"

#include "base/check.h"

#define SLOT_BITS 6
#define SLOT_MASK (WHEEL_SLOTS - 1)

void timer_init(struct timer *t, void (*fire)(struct timer *))
{
    list_init(&t->node);
    t->tick = 0;
    t->fire = fire;
}

void wheel_init(struct wheel *w, int64_t now)
{
    w->tick = (uint64_t)(now / WHEEL_TICK_NS);
    for (int level = 0; level < WHEEL_LEVELS; level++) {
        w->occupied[level] = 0;
        for (int slot = 0; slot < WHEEL_SLOTS; slot++)
            list_init(&w->slot[level][slot]);
    }
    list_init(&w->due);
}

/* Put a timer where its distance from now belongs; the top level also takes what lies beyond its span. */
static void place(struct wheel *w, struct timer *t)
{
    if (t->tick <= w->tick) {
        list_insert(&w->due, &t->node);
        return;
    }
    uint64_t distance = t->tick - w->tick, at = t->tick;
    int level = 0;
    while (level < WHEEL_LEVELS - 1 && distance >> (SLOT_BITS * (level + 1)) != 0)
        level++;
    if (distance >> (SLOT_BITS * WHEEL_LEVELS) != 0)
        at = w->tick + (UINT64_C(1) << (SLOT_BITS * WHEEL_LEVELS)) - 1;
    unsigned slot = (unsigned)(at >> (SLOT_BITS * level)) & SLOT_MASK;
    list_insert(&w->slot[level][slot], &t->node);
    w->occupied[level] |= UINT64_C(1) << slot;
}

void wheel_set(struct wheel *w, struct timer *t, int64_t when)
{
    list_remove(&t->node);
    uint64_t tick = (uint64_t)((MAX(when, 0) + WHEEL_TICK_NS - 1) / WHEEL_TICK_NS);
    t->tick = MAX(tick, w->tick + 1);
    place(w, t);
}

void wheel_cancel(struct timer *t)
{
    list_remove(&t->node);
}

/* Take every timer out of a slot and place it anew: nearer levels, or due. */
static void cascade(struct wheel *w, int level)
{
    unsigned slot = (unsigned)(w->tick >> (SLOT_BITS * level)) & SLOT_MASK;
    if ((w->occupied[level] & UINT64_C(1) << slot) == 0)
        return;
    w->occupied[level] &= ~(UINT64_C(1) << slot);
    struct list moved;
    list_init(&moved);
    list_splice(&moved, &w->slot[level][slot]);
    struct list *node;
    while ((node = list_pop(&moved)) != NULL)
        place(w, CONTAINER_OF(node, struct timer, node));
}

void wheel_advance(struct wheel *w, int64_t now)
{
    uint64_t target = (uint64_t)(now / WHEEL_TICK_NS);
    while (w->tick < target) {
        if (w->occupied[0] == 0) /* nothing before the next cascade: skip to just before it */
            w->tick = MIN(target, w->tick | SLOT_MASK);
        if (w->tick == target)
            break;
        w->tick++;
        for (int level = WHEEL_LEVELS - 1; level > 0; level--)
            if ((w->tick & ((UINT64_C(1) << (SLOT_BITS * level)) - 1)) == 0)
                cascade(w, level);
        cascade(w, 0);
    }
}

struct timer *wheel_pop(struct wheel *w)
{
    struct list *node = list_pop(&w->due);
    return node == NULL ? NULL : CONTAINER_OF(node, struct timer, node);
}

/* Ticks from now until the first occupied slot of a level comes up; 0 when the level is empty. */
static uint64_t level_distance(struct wheel *w, int level)
{
    uint64_t base = w->tick >> (SLOT_BITS * level);
    for (unsigned i = 1; i <= WHEEL_SLOTS && w->occupied[level] != 0; i++) {
        unsigned slot = (unsigned)(base + i) & SLOT_MASK;
        if ((w->occupied[level] & UINT64_C(1) << slot) == 0)
            continue;
        if (!list_empty(&w->slot[level][slot]))
            return ((base + i) << (SLOT_BITS * level)) - w->tick;
        w->occupied[level] &= ~(UINT64_C(1) << slot); /* all of its timers were cancelled */
    }
    return 0;
}

int64_t wheel_next(struct wheel *w)
{
    if (!list_empty(&w->due))
        return 0;
    uint64_t best = 0;
    for (int level = 0; level < WHEEL_LEVELS; level++) {
        uint64_t distance = level_distance(w, level);
        if (distance != 0 && (best == 0 || distance < best))
            best = distance;
    }
    return best == 0 ? INT64_MAX : (int64_t)(w->tick + best) * WHEEL_TICK_NS;
}
