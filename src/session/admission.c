/* SPDX-License-Identifier: Apache-2.0 */
/* A source has one cell in each of two rows. Its count is the lower of the two: each cell counts the source
 * and whoever shares the cell, so neither can be too low, and the lower one is too high only by those who
 * share both. */
#include "session/admission.h"

#include <stdatomic.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/hash.h"

#define CELLS 65536
#define ROWS 2

struct admission {
    struct hash_key key;
    _Atomic size_t total;
    _Atomic size_t unproven; /* those among them */
    _Atomic size_t descriptors;
    _Atomic size_t programs;
    _Atomic uint32_t cell[ROWS][CELLS];
};

struct admission *admission_new(void)
{
    struct admission *a = calloc(1, sizeof(*a));
    CHECK(a != NULL);
    a->key = hash_random_key();
    return a;
}

void admission_free(struct admission *a)
{
    free(a);
}

/* A place among at most `limit`. */
static bool take_place(_Atomic size_t *count, size_t limit)
{
    if (atomic_fetch_add_explicit(count, 1, memory_order_relaxed) < limit)
        return true;
    atomic_fetch_sub_explicit(count, 1, memory_order_relaxed);
    return false;
}

static void give_place(_Atomic size_t *count)
{
    size_t before = atomic_fetch_sub_explicit(count, 1, memory_order_relaxed);
    CHECK(before > 0);
}

/* A source's cells, one in each row, from independent halves of one hash. */
static void cells_of(struct admission *a, const struct net_addr *peer, _Atomic uint32_t *ret[ROWS])
{
    size_t significant = peer->family == AF_INET6 ? 8 : 4;
    uint64_t h = hash_bytes(&a->key, peer->ip, significant);
    ret[0] = &a->cell[0][h % CELLS];
    ret[1] = &a->cell[1][(h >> 32) % CELLS];
}

static bool has_source(const struct net_addr *peer)
{
    return peer->family == AF_INET || peer->family == AF_INET6;
}

/* Of those who come at once the last to be counted in the second row sees all others in both, so that no two
 * take the last place, each in another row. */
static bool enter_source(struct admission *a, const struct net_addr *peer, size_t limit)
{
    _Atomic uint32_t *cell[ROWS];
    if (!has_source(peer))
        return true;
    cells_of(a, peer, cell);
    atomic_fetch_add_explicit(cell[0], 1, memory_order_relaxed);
    uint32_t others = atomic_fetch_add_explicit(cell[1], 1, memory_order_acq_rel);
    others = MIN(others, atomic_load_explicit(cell[0], memory_order_relaxed) - 1);
    if (others < limit)
        return true;
    for (int i = 0; i < ROWS; i++)
        atomic_fetch_sub_explicit(cell[i], 1, memory_order_relaxed);
    return false;
}

static void leave_source(struct admission *a, const struct net_addr *peer)
{
    _Atomic uint32_t *cell[ROWS];
    if (!has_source(peer))
        return;
    cells_of(a, peer, cell);
    for (int i = 0; i < ROWS; i++) {
        uint32_t before = atomic_fetch_sub_explicit(cell[i], 1, memory_order_relaxed);
        CHECK(before > 0);
    }
}

enum admission_verdict admission_enter(struct admission *a, const struct net_addr *peer, size_t limit,
                                       size_t limit_per_source)
{
    if (!take_place(&a->total, limit))
        return ADMIT_TOO_MANY;
    if (enter_source(a, peer, limit_per_source))
        return ADMIT_OK;
    give_place(&a->total);
    return ADMIT_TOO_MANY_OF_SOURCE;
}

bool admission_move(struct admission *a, const struct net_addr *from, const struct net_addr *to,
                    size_t limit_per_source)
{
    leave_source(a, from);
    return enter_source(a, to, limit_per_source);
}

void admission_leave(struct admission *a, const struct net_addr *peer)
{
    give_place(&a->total);
    leave_source(a, peer);
}

bool admission_enter_unproven(struct admission *a, size_t limit, size_t limit_unproven)
{
    if (!take_place(&a->unproven, limit_unproven))
        return false;
    if (take_place(&a->total, limit))
        return true;
    give_place(&a->unproven);
    return false;
}

void admission_leave_unproven(struct admission *a)
{
    give_place(&a->unproven);
    give_place(&a->total);
}

bool admission_prove(struct admission *a, const struct net_addr *peer, size_t limit_per_source)
{
    give_place(&a->unproven);
    return enter_source(a, peer, limit_per_source);
}

bool admission_enter_program(struct admission *a, size_t limit)
{
    return take_place(&a->programs, limit);
}

void admission_leave_program(struct admission *a)
{
    give_place(&a->programs);
}

size_t admission_total(const struct admission *a)
{
    return atomic_load_explicit(&a->total, memory_order_relaxed);
}

bool admission_reserve(struct admission *a, size_t descriptors, size_t limit)
{
    if (descriptors > limit)
        return false;
    size_t before = atomic_fetch_add_explicit(&a->descriptors, descriptors, memory_order_relaxed);
    if (before <= limit - descriptors)
        return true;
    admission_release(a, descriptors);
    return false;
}

void admission_release(struct admission *a, size_t descriptors)
{
    size_t before = atomic_fetch_sub_explicit(&a->descriptors, descriptors, memory_order_relaxed);
    CHECK(before >= descriptors);
}

size_t admission_reserved(const struct admission *a)
{
    return atomic_load_explicit(&a->descriptors, memory_order_relaxed);
}
