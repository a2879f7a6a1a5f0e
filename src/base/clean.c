/* SPDX-License-Identifier: Apache-2.0 */
#include "base/clean.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "base/check.h"
#include "base/utf8.h"

/* U+2028 to U+202E and U+2066 to U+2069: line breaks and changes of direction that no text for a terminal
 * needs. In UTF-8 they are e2 80 a8..ae and e2 81 a6..a9; `i` is at the last byte. */
static bool turns_text(const uint8_t *text, size_t i)
{
    if (i < 2 || text[i - 2] != 0xe2)
        return false;
    return (text[i - 1] == 0x80 && text[i] >= 0xa8 && text[i] <= 0xae) ||
           (text[i - 1] == 0x81 && text[i] >= 0xa6 && text[i] <= 0xa9);
}

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
        bool turns = turns_text((const uint8_t *)text, i);
        if (turns)
            ret[i - 2] = '?';
        if (c1 || turns)
            ret[i - 1] = '?';
        ret[i] = c < 0x20 || c == 0x7f || c1 || turns ? '?' : text[i];
    }
    CHECK(n < cap);
    ret[n] = '\0';
    utf8_mend(ret);
}
