/* SPDX-License-Identifier: Apache-2.0 */
/* Hexadecimal digits. */
#ifndef CARDEA_BASE_HEX_H
#define CARDEA_BASE_HEX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What a digit stands for, in either case; -1: it is none. */
static inline int hex_digit(char c)
{
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
}

/* Two digits for each of `n` bytes, in lower case, and a NUL: ret[2 * n + 1]. */
static inline void hex_write(const uint8_t *p, size_t n, char *ret)
{
    for (size_t i = 0; i < n; i++) {
        ret[2 * i] = "0123456789abcdef"[p[i] >> 4];
        ret[2 * i + 1] = "0123456789abcdef"[p[i] & 15];
    }
    ret[2 * n] = '\0';
}

/* The other way round; false: the text is not two digits for each of `n` bytes. */
static inline bool hex_read(const char *text, uint8_t *ret, size_t n)
{
    for (size_t i = 0; i < n; i++, text += 2) {
        if (hex_digit(text[0]) < 0 || hex_digit(text[1]) < 0)
            return false;
        ret[i] = (uint8_t)(hex_digit(text[0]) << 4 | hex_digit(text[1]));
    }
    return *text == '\0';
}

#endif
