/* SPDX-License-Identifier: Apache-2.0 */
#include "base/clean.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "base/check.h"

void str_clean(char *ret, size_t cap, const char *text)
{
    CHECK(cap >= 1);
    size_t n = strnlen(text, cap);
    if (n == cap)
        for (n--; n > 0 && ((uint8_t)text[n] & 0xc0) == 0x80;)
            n--;
    for (size_t i = 0; i < n; i++) {
        uint8_t c = (uint8_t)text[i];
        bool c1 = c >= 0x80 && c < 0xa0 && i > 0 && (uint8_t)text[i - 1] == 0xc2;
        if (c1)
            ret[i - 1] = '?';
        ret[i] = c < 0x20 || c == 0x7f || c1 ? '?' : text[i];
    }
    CHECK(n < cap);
    ret[n] = '\0';
}
