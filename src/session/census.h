/* SPDX-License-Identifier: Apache-2.0 */
/* A question to all workers about their sessions. */
#ifndef CARDEA_SESSION_CENSUS_H
#define CARDEA_SESSION_CENSUS_H

#include <stddef.h>

struct crew;
struct loop;

struct census_answer {
    const char *json; /* an array of sessions; borrowed for the call. NULL: memory is out */
    size_t len;
    size_t left_out; /* open connections that are not in it */
};

typedef void census_told(void *arg, const struct census_answer *answer);

/* Collect at most `limit` (rounded up to a multiple of the workers) open connections, an equal part of each
 * worker's, then call `done` on `loop`, later. Where there are too many, half of what is shown are
 * connections of QUIC, which come first, and half sessions, unless there are fewer of either. */
void census_take(struct crew *crew, struct loop *loop, size_t limit, census_told *done, void *arg);

#endif
