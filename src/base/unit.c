/* SPDX-License-Identifier: Apache-2.0 */
#include "base/unit.h"

#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/str.h"

const struct unit unit_durations[] = {
    {"ms", NSEC_PER_MSEC},      {"s", NSEC_PER_SEC},         {"m", 60 * NSEC_PER_SEC},
    {"h", 3600 * NSEC_PER_SEC}, {"d", 86400 * NSEC_PER_SEC}, {NULL, 0},
};
const struct unit unit_sizes[] = {
    {"", 1}, {"KiB", 1 << 10}, {"MiB", 1 << 20}, {"GiB", 1 << 30}, {NULL, 0},
};
const struct unit unit_plain[] = {{"", 1}, {NULL, 0}};

bool unit_parse(const char *text, const struct unit *units, int64_t *ret)
{
    char digits[20]; /* as many as INT64_MAX has, and the NUL */
    uint64_t n;
    size_t len = strspn(text, "0123456789");
    if (!str_copy(digits, sizeof(digits), text, len) || !str_u64(digits, INT64_MAX, &n))
        return false;
    for (const struct unit *u = units; u->name != NULL; u++) {
        bool fits = strcmp(u->name, text + len) == 0 || strcmp(text, "0") == 0;
        if (fits && !__builtin_mul_overflow((int64_t)n, u->worth, ret))
            return true;
    }
    return false;
}

const char *unit_format(int64_t number, const struct unit *units, char text[UNIT_TEXT_MAX])
{
    CHECK(number >= 0);
    const struct unit *best = units;
    for (const struct unit *u = units; u->name != NULL && number > 0; u++)
        if (number % u->worth == 0)
            best = u;
    snprintf(text, UNIT_TEXT_MAX, "%lld%s", (long long)(number / best->worth), number > 0 ? best->name : "");
    return text;
}
