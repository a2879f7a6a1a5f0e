/* SPDX-License-Identifier: Apache-2.0 */
#include "base/base64.h"

#include <string.h>

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

bool base64_read(const char *text, uint8_t *ret, size_t len)
{
    uint32_t bits = 0;
    size_t have = 0, done = 0, chars = (len * 8 + 5) / 6;
    if (strlen(text) != (len + 2) / 3 * 4)
        return false;
    for (size_t i = 0; i < chars; i++) {
        const char *at = strchr(alphabet, text[i]);
        if (at == NULL)
            return false;
        bits = bits << 6 | (uint32_t)(at - alphabet);
        have += 6;
        if (have >= 8) {
            have -= 8;
            ret[done++] = (uint8_t)(bits >> have);
            bits &= (1u << have) - 1;
        }
    }
    return bits == 0 && strspn(text + chars, "=") == strlen(text) - chars;
}
