/* SPDX-License-Identifier: Apache-2.0 */
/* Reading text eight bytes at a time. */
#ifndef CARDEA_BASE_WORD_H
#define CARDEA_BASE_WORD_H

#include <endian.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* The bytes from `at` (not beyond `len`) on, at most eight, the first one lowest; zeros past the end of the
 * text. Nothing outside the text is read. The last bytes are read along with those before them where there
 * are some: how many they are differs from text to text, and a loop over them would be mispredicted. */
static inline uint64_t word_at(const uint8_t *p, size_t len, size_t at)
{
    uint64_t w = 0;
    size_t left = len - at;
    if (left >= 8) {
        memcpy(&w, p + at, 8);
        return le64toh(w);
    }
    if (len >= 8) {
        memcpy(&w, p + len - 8, 8);
        return le64toh(w) >> 8 >> (8 * (7 - left));
    }
    for (size_t i = 0; i < left; i++)
        w |= (uint64_t)p[at + i] << (8 * i);
    return w;
}

#endif
