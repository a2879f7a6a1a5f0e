/* SPDX-License-Identifier: Apache-2.0 */
/* Time. Durations and instants are int64_t nanoseconds; loops keep a cached `now` so that hot code does not
 * ask. */
#ifndef CARDEA_BASE_CLOCK_H
#define CARDEA_BASE_CLOCK_H

#include <stddef.h>
#include <stdint.h>

#define NSEC_PER_SEC INT64_C(1000000000)
#define NSEC_PER_MSEC INT64_C(1000000)
#define NSEC_PER_USEC INT64_C(1000)

/* Monotonic time, for deadlines and durations. */
int64_t clock_monotonic(void);

/* Wall-clock time since 1970-01-01T00:00:00Z, for what people read. */
int64_t clock_wall(void);

#define CLOCK_TEXT_MAX 32

/* Write `wall` as RFC 3339 in UTC with milliseconds ("2026-11-23T00:40:00.123Z") and return the text. */
const char *clock_format(int64_t wall, char text[CLOCK_TEXT_MAX]);

#endif
