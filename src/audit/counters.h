/* SPDX-License-Identifier: Apache-2.0 */
/* What a route has seen. Each worker counts in its own block, without locks; readers add the blocks up. */
#ifndef CARDEA_AUDIT_COUNTERS_H
#define CARDEA_AUDIT_COUNTERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "audit/reason.h"
#include "base/buf.h"

enum counter {
#define X(name, word, help) COUNTER_##name,
#include "tables/counters.def"
#undef X
    COUNTERS
};

#define COUNTER_VERSIONS 2 /* TLS 1.2, TLS 1.3 */
#define COUNTER_GROUPS 8   /* rows of tables/groups.def, and "other" */
#define COUNTER_BUCKETS 8  /* handshake durations */

/* One writer (the worker), any readers. */
struct counters {
    uint64_t n[COUNTERS];
    uint64_t reason[CLOSE_REASONS];
    uint64_t version[COUNTER_VERSIONS];
    uint64_t group[COUNTER_GROUPS];
    uint64_t handshake_bucket[COUNTER_BUCKETS + 1];
    uint64_t handshake_ns;
};

/* Add without a locked instruction: only the owning worker writes. */
static inline void counter_add(uint64_t *n, uint64_t by)
{
    __atomic_store_n(n, __atomic_load_n(n, __ATOMIC_RELAXED) + by, __ATOMIC_RELAXED);
}

/* A handshake that is complete. */
struct counted_handshake {
    uint16_t version, group; /* wire values */
    bool resumed, hello_retry;
    uint32_t bytes_in, bytes_out; /* see struct link_peer */
    int64_t duration;             /* nanoseconds */
};

void counters_handshake(struct counters *c, const struct counted_handshake *h);

/* All the blocks of one route. */
struct route_counters {
    const char *route;
    const struct counters *const *block;
    size_t blocks;
    uint64_t active; /* connections now */
    bool unrouted;   /* they have no route: they are counted when they end */
};

/* Append Prometheus text exposition format 0.0.4 for all routes. False when memory is out. */
bool counters_prometheus(struct buf *out, const struct route_counters *routes, size_t count);

/* Append a JSON object with the same figures for one route. False when memory is out. */
bool counters_json(struct buf *out, const struct route_counters *route);

#endif
