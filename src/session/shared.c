/* SPDX-License-Identifier: Apache-2.0 */
/* What outlives a configuration: counters, ticket keys, backends. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>

#include "audit/counters.h"
#include "base/check.h"
#include "base/clock.h"
#include "ech/ring.h"
#include "quic/quic.h"
#include "session/backend_ech.h"
#include "session/front.h"
#include "session/shared.h"
#include "session/staging.h"
#include "session/standby.h"
#include "tls/tickets.h"

#define STATS_MAGIC 0x57a75000u

/* Processes that know nothing of each other, started in the same moment, may share an audit file: where each
 * begins is chance. The highest bit is left to count into. */
static uint64_t first_id(void)
{
    uint64_t id = 0;
    CHECK(getrandom(&id, sizeof(id), 0) == (ssize_t)sizeof(id));
    return id >> 1;
}

void snapshot_shared_init(struct snapshot_shared *shared, size_t workers,
                          const struct door_bindings *bindings)
{
    CHECK(bindings->services_len <= DOOR_SERVICES_MAX);
    *shared = (struct snapshot_shared){.workers = workers, .first_id = first_id(), .bindings = bindings};
    shared->staging = bindings->staging == NULL ? NULL : staging_ref(bindings->staging);
    shared->aside = set_aside_ref(bindings->aside);
    backend_registry_init(&shared->backends);
    list_init(&shared->stats);
    list_init(&shared->ticket_rings);
    list_init(&shared->ech_places);
    list_init(&shared->ech_sources);
    shared->quic_secrets = malloc(sizeof(*shared->quic_secrets));
    CHECK(shared->quic_secrets != NULL);
    quic_secrets_make(shared->quic_secrets);
}

static void stats_free(struct route_stats *stats)
{
    for (size_t i = 0; i < stats->blocks; i++)
        free(stats->block[i]);
    free(stats->block);
    free(stats->name);
    stats->magic = 0;
    free(stats);
}

void snapshot_shared_free(struct snapshot_shared *shared)
{
    struct list *node;
    while ((node = list_pop(&shared->stats)) != NULL)
        stats_free(CONTAINER_OF(node, struct route_stats, node));
    while ((node = list_pop(&shared->ticket_rings)) != NULL) {
        struct ticket_ring *ring = CONTAINER_OF(node, struct ticket_ring, node);
        tickets_free(ring->tickets);
        free(ring);
    }
    while ((node = list_pop(&shared->ech_places)) != NULL) {
        struct ech_place *place = CONTAINER_OF(node, struct ech_place, node);
        ech_ring_free(place->ring);
        free(place);
    }
    backend_ech_forget(shared);
    staging_unref(shared->staging);
    set_aside_unref(shared->aside);
    backend_registry_sweep(&shared->backends);
    explicit_bzero(shared->quic_secrets, sizeof(*shared->quic_secrets));
    free(shared->quic_secrets);
}

struct route_stats *shared_stats(struct snapshot_shared *shared, const char *name)
{
    for (struct list *n = shared->stats.next; n != &shared->stats; n = n->next) {
        struct route_stats *stats = CONTAINER_OF(n, struct route_stats, node);
        CHECK_MAGIC(stats, STATS_MAGIC);
        if (strcmp(stats->name, name) == 0)
            return stats;
    }
    struct route_stats *stats = calloc(1, sizeof(*stats));
    CHECK(stats != NULL);
    stats->magic = STATS_MAGIC;
    stats->name = strdup(name);
    stats->blocks = shared->workers;
    stats->block = calloc(shared->workers, sizeof(struct counters *));
    CHECK(stats->name != NULL && stats->block != NULL);
    for (size_t i = 0; i < shared->workers; i++) { /* a block's cache lines are its worker's alone */
        stats->block[i] = aligned_alloc(64, (sizeof(struct counters) + 63) / 64 * 64);
        CHECK(stats->block[i] != NULL);
        memset(stats->block[i], 0, sizeof(struct counters));
    }
    list_insert(&shared->stats, &stats->node);
    return stats;
}

struct tickets *shared_tickets(struct snapshot_shared *shared, int64_t lifetime)
{
    for (struct list *n = shared->ticket_rings.next; n != &shared->ticket_rings; n = n->next) {
        struct ticket_ring *ring = CONTAINER_OF(n, struct ticket_ring, node);
        if (tickets_lifetime(ring->tickets) == lifetime)
            return ring->tickets;
    }
    struct ticket_ring *ring = calloc(1, sizeof(*ring));
    CHECK(ring != NULL);
    ring->tickets = tickets_new(lifetime);
    ring->rotate_at = clock_monotonic() + lifetime / 2;
    list_insert(&shared->ticket_rings, &ring->node);
    return ring->tickets;
}

/* Begun ones count, so that no text of a configuration comes to more slots than were allowed. */
static int64_t whole_seconds(int64_t ns)
{
    return ns / NSEC_PER_SEC + (ns % NSEC_PER_SEC > 0);
}

int shared_ech(struct snapshot_shared *shared, const struct config *config, struct ech_ring **ret,
               struct err *err)
{
    const struct config_ech *c = config->ech;
    char folder[4096];
    *ret = NULL;
    snprintf(folder, sizeof(folder), "%s/ech", config_state_folder(config));
    struct ech_ring_settings settings = {.folder = c->keys.text != NULL ? c->keys.text : folder,
                                         .public_name = c->public_name.text,
                                         .longest_name = (uint8_t)c->longest_name,
                                         .rotate = whole_seconds(c->rotate),
                                         .keep = whole_seconds(c->keep)};
    if (shared->only_checks)
        return ech_ring_check(&settings, clock_wall() / NSEC_PER_SEC, err);
    for (struct list *n = shared->ech_places.next; n != &shared->ech_places; n = n->next) {
        struct ech_place *place = CONTAINER_OF(n, struct ech_place, node);
        if (!ech_ring_is(place->ring, &settings))
            continue;
        *ret = place->ring;
        return 0;
    }
    if (c->keys.text == NULL) /* what is wrong with it the ring will say */
        (void)mkdir(config_state_folder(config), 0700);
    *ret = ech_ring_new(&settings, clock_wall() / NSEC_PER_SEC, err);
    if (*ret == NULL)
        return -1;
    struct ech_place *place = calloc(1, sizeof(*place));
    CHECK(place != NULL);
    place->ring = *ret;
    list_insert(&shared->ech_places, &place->node);
    return 0;
}

const struct front *snapshot_front(const struct snapshot_shared *shared, struct str alpn)
{
    const struct door_bindings *b = shared->bindings;
    for (size_t i = 0; i < b->fronts_len; i++)
        if (str_is(alpn, b->fronts[i].alpn))
            return b->fronts[i].front;
    return NULL;
}

bool snapshot_carries(const struct snapshot_shared *shared, const struct route_runtime *route,
                      struct str alpn)
{
    const struct front *front = alpn.p == NULL ? NULL : snapshot_front(shared, alpn);
    return route->config->action == CONFIG_TUNNEL && front != NULL && front->over_quic;
}
