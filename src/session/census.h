/* SPDX-License-Identifier: Apache-2.0 */
/* A question to all workers about their sessions. */
#ifndef CARDEA_SESSION_CENSUS_H
#define CARDEA_SESSION_CENSUS_H

#include <stddef.h>

struct crew;
struct loop;

/* A JSON array of sessions; the text is borrowed for the call. */
typedef void census_told(void *arg, const char *json, size_t len);

/* Collect at most `limit` sessions of all workers, QUIC connections that carry some before the others, an
 * equal part of each, then call `done` on `loop`, later.
 */
void census_take(struct crew *crew, struct loop *loop, size_t limit, census_told *done, void *arg);

#endif
