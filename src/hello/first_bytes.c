/* SPDX-License-Identifier: Apache-2.0 */
#include "hello/first_bytes.h"

#include <string.h>

#include "base/check.h"

static const struct {
    enum first_bytes what;
    uint8_t len;
    const char *text;
} beginnings[] = {
#define X(what, text) {FIRST_BYTES_##what, sizeof(text) - 1, text},
#include "tables/first_bytes.def"
#undef X
};

enum first_bytes first_bytes_read(const uint8_t *data, size_t len)
{
    enum first_bytes answer = FIRST_BYTES_UNKNOWN;
    if (len == 0)
        return FIRST_BYTES_MORE;
    for (size_t i = 0; i < ARRAY_LEN(beginnings); i++) {
        size_t n = MIN(len, beginnings[i].len);
        if (memcmp(data, beginnings[i].text, n) != 0)
            continue;
        if (n == beginnings[i].len)
            return beginnings[i].what;
        answer = FIRST_BYTES_MORE;
    }
    return answer;
}
