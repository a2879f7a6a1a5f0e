/* SPDX-License-Identifier: Apache-2.0 */
/* Hexadecimal digits. */
#ifndef CARDEA_BASE_HEX_H
#define CARDEA_BASE_HEX_H

/* What a digit stands for, in either case; -1: it is none. */
static inline int hex_digit(char c)
{
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
}

#endif
