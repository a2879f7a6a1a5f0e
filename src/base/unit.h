/* SPDX-License-Identifier: Apache-2.0 */
/* Numbers with a unit as people write them: durations ("250ms", "12h") and sizes ("64KiB"). */
#ifndef CARDEA_BASE_UNIT_H
#define CARDEA_BASE_UNIT_H

#include <stdbool.h>
#include <stdint.h>

struct unit {
    const char *name;
    int64_t worth;
};

/* Lists of units, from small to large, ended by a row without a name. None has a unit that would be ambiguous
 * (M, KB). */
extern const struct unit unit_durations[]; /* nanoseconds: ms, s, m, h, d */
extern const struct unit unit_sizes[];     /* bytes: none, KiB, MiB, GiB */
extern const struct unit unit_plain[];     /* none only */

/* Read digits and one of the units behind them, which fill the whole text; a lone 0 needs no unit. False when
 * it is something else, or more than an int64_t holds. */
bool unit_parse(const char *text, const struct unit *units, int64_t *ret);

#define UNIT_TEXT_MAX 32

/* Write it with the largest unit that leaves no remainder; unit_parse() reads it back. Negative numbers are
 * not for this. Returns `text`. */
const char *unit_format(int64_t number, const struct unit *units, char text[UNIT_TEXT_MAX]);

#endif
