/* SPDX-License-Identifier: Apache-2.0 */
#include "base/hostname.h"

#include <arpa/inet.h>
#include <stdbool.h>

#include "base/check.h"
#include "base/hex.h"

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

/* Would a generous resolver take a name that ends in this label for an IPv4 address? A lone "0x" counts. */
static bool is_number(const char *label, size_t len)
{
    bool hex = len >= 2 && label[0] == '0' && (label[1] == 'x' || label[1] == 'X');
    for (size_t i = hex ? 2 : 0; i < len; i++)
        if (hex ? hex_digit(label[i]) < 0 : !is_digit(label[i]))
            return false;
    return true;
}

enum hostname_fault hostname_check(const char *p, size_t len)
{
    enum hostname_fault fault = HOSTNAME_OK;
    size_t start = 0;
    if (len == 0 || len > HOSTNAME_MAX)
        return len == 0 ? HOSTNAME_EMPTY : HOSTNAME_TOO_LONG;
    for (size_t i = 0; i <= len; i++) {
        if (i < len && p[i] != '.') {
            if (!is_letter(p[i]) && !is_digit(p[i]) && p[i] != '-' && p[i] != '_')
                fault = HOSTNAME_CHARACTER;
            continue;
        }
        if (i == start)
            return HOSTNAME_EMPTY_LABEL;
        if (i - start > HOSTNAME_LABEL_MAX)
            return HOSTNAME_LONG_LABEL;
        if (i < len)
            start = i + 1;
    }
    return fault == HOSTNAME_OK && is_number(p + start, len - start) ? HOSTNAME_NUMBER : fault;
}

const char *hostname_fault_text(enum hostname_fault fault)
{
    static const char *const texts[] = {
        [HOSTNAME_EMPTY] = "the name is empty",
        [HOSTNAME_TOO_LONG] = "the name is longer than 253 bytes",
        [HOSTNAME_EMPTY_LABEL] = "a label is empty",
        [HOSTNAME_LONG_LABEL] = "a label is longer than 63 bytes",
        [HOSTNAME_CHARACTER] = "a name has letters, digits, '-', '_' and '.'",
        [HOSTNAME_NUMBER] = "what ends in a number is an address, not a name",
    };
    CHECK(fault > HOSTNAME_OK && fault < ARRAY_LEN(texts));
    return texts[fault];
}

size_t hostname_address(const char *text, uint8_t ret_ip[16])
{
    if (inet_pton(AF_INET, text, ret_ip) == 1)
        return 4;
    return inet_pton(AF_INET6, text, ret_ip) == 1 ? 16 : 0;
}
