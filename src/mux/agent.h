/* SPDX-License-Identifier: Apache-2.0 */
/* One offer, as all workers share it. Private to mux/. */
#ifndef CARDEA_MUX_AGENT_H
#define CARDEA_MUX_AGENT_H

#include <stdatomic.h>

#include "mux/agents.h"
#include "mux/rates.h"

enum grant_state { GRANT_FREE, GRANT_OUT, GRANT_TAKEN };

/* A granted id. Home writes it while it is free; whoever takes it from OUT to TAKEN may read it. */
struct grant {
    _Atomic uint32_t state;
    uint8_t secret[16];
    int64_t expires;
};

struct agent {
    uint32_t magic;
    _Atomic uint32_t refs;
    uint64_t id;
    unsigned home;
    struct agent_terms terms; /* `ops` and `owner` are home's */
    struct rate *rate;        /* of the name */
    _Atomic uint32_t visitors;
    _Atomic uint64_t visits;
    _Atomic uint64_t bytes_in, bytes_out;
    _Atomic bool ready;
    _Atomic bool stops; /* as it has said, also when it is withdrawn since */
    _Atomic bool unheard;
    _Atomic uint32_t down; /* how; 0: it is not */
    _Atomic int64_t avoid_until;
    _Atomic uint32_t failures;    /* in a row */
    bool withdrawn;               /* home's */
    enum agents_leave left;       /* how it went; set before anybody is told of it */
    struct grant *_Atomic grants; /* OFFER_IDS_MAX, from the first id on: over QUIC none is granted */
};

#define AGENT_MAGIC 0xa9e47000u

/* `rate` is taken over. */
struct agent *agent_make(const struct agent_terms *terms, uint64_t id, unsigned home, struct rate *rate);

/* The number of the grant and the id of its agent in an id's text; false when it is no such text. */
bool agent_read_id(const char *text, uint64_t *ret_agent, size_t *ret_slot, uint8_t ret_secret[16]);

/* Use up a grant. */
bool agent_take_grant(struct agent *a, size_t slot, const uint8_t secret[16], int64_t now);

#endif
