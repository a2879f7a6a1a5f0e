/* SPDX-License-Identifier: Apache-2.0 */
/* Flows of datagrams, by whatever tells one from another: the source for a port (udp_port.h), the destination
 * for a SOCKS client (socks_relay.h). Each goes its own way, through a door or wherever its beginner leads
 * it, and ends when it has been silent for a while. */
#ifndef CARDEA_TUNNEL_FLOWS_H
#define CARDEA_TUNNEL_FLOWS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/clock.h"
#include "loop/loop.h"
#include "session/front.h"

#define FLOWS_WAITS ((size_t)256 * 1024)  /* what users take for `waits` where only they begin flows */
#define FLOWS_IDLE_NS (60 * NSEC_PER_SEC) /* what users take for `idle` */
#define FLOWS_UNPROVEN_NS (30 * NSEC_PER_SEC)

struct client_door;
struct flows;

/* The calls come only until flows_close(). */
struct flows_settings {
    struct loop *loop;
    struct client_door *door; /* flows go through it; or NULL, and `begin` leads them */
    int64_t idle;             /* nanoseconds of silence that end a flow */
    size_t max;               /* flows at a time */
    size_t waits;             /* bytes of a flow that are not taken yet: more is dropped */
    /* Anybody may begin flows, also under addresses that are not his. So a flow is unproven until a datagram
     * comes on it after one went back: it holds no more than `waits`, ends after FLOWS_UNPROVEN_NS of silence
     * at the latest, and gives its place to another one where all are taken. No more than `factor` times
     * what came is sent back on it (RFC 9000, 8.1 has 3); 0: no bound. */
    bool strangers;
    size_t factor;
    /* A new flow: its link (the callee's) reads what is sent on it and takes what comes back, as frames. */
    void (*begin)(void *owner, const void *key, size_t key_len, struct link *link);
    /* A datagram came back on the flow of this key. False: it was lost here. */
    bool (*back)(void *owner, const void *key, size_t key_len, const uint8_t *data, size_t len);
    /* A flow failed; `text` says why, and lives during the call. */
    void (*failed)(void *owner, const char *text);
    void *owner;
};

struct flows *flows_new(const struct flows_settings *settings);

/* Send a datagram on the flow of this key, which is begun where there is none: through the door towards
 * `target`, which is NULL without a door. What the door does not take in time is lost, as on a network.
 * False, and nothing is sent, when that would be one flow too many. */
bool flows_send(struct flows *fs, const void *key, size_t key_len, const struct front_target *target,
                const uint8_t *data, size_t len);

/* Other limits from now on, those of flows_settings. All flows that are there stay; a silence that has begun
 * is measured by the old one. */
void flows_refit(struct flows *fs, size_t max, int64_t idle, size_t factor);

/* End all flows. It is freed with the last of them, or with client_door_free(). NULL is allowed. */
void flows_close(struct flows *fs);

#endif
