/* SPDX-License-Identifier: Apache-2.0 */
/* A bandwidth that many share, on any thread: each byte takes its share of a second, and what has been moved
 * is paid for up to some time. A tenth of a second's worth may be moved at once. */
#ifndef CARDEA_BASE_PACE_H
#define CARDEA_BASE_PACE_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

struct pace {
    _Atomic uint64_t bandwidth; /* bytes a second; 0: no limit. May change at any time */
    _Atomic int64_t paid_until; /* monotonic */
};

/* How many bytes each of `sharers` may move now without overdrawing it, at least 1,024; SIZE_MAX where there
 * is no limit. When it is used up: for how many nanoseconds nothing may be moved, else 0. `now` is monotonic,
 * in nanoseconds, like below. */
int64_t pace_allow(const struct pace *p, int64_t now, unsigned sharers, size_t *ret_bytes);

/* That much has been moved. */
void pace_charge(struct pace *p, int64_t now, uint64_t bytes);

#endif
