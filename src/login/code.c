/* SPDX-License-Identifier: Apache-2.0 */
#include "login/code.h"

#include <string.h>

#include <openssl/rand.h>
#include <openssl/sha.h>

#include "base/check.h"

static const char signs_of_codes[] = "23456789BCDFGHJKMNPQRSTVWXYZ";
#define SIGNS (sizeof(signs_of_codes) - 1)

/* Each sign as likely as another. */
static char random_sign(void)
{
    uint8_t byte;
    do
        CHECK(RAND_bytes(&byte, 1) == 1);
    while (byte >= 256 / SIGNS * SIGNS);
    return signs_of_codes[byte % SIGNS];
}

/* Append one, with what stands before it. */
static void put_sign(char *text, size_t i, char sign)
{
    size_t at = i + i / 4;
    if (i > 0 && i % 4 == 0)
        text[at - 1] = '-';
    text[at] = sign;
    text[at + 1] = '\0';
}

void code_make(size_t signs, char ret[CODE_TEXT_MAX])
{
    CHECK(signs > 0 && signs <= CODE_LONG);
    for (size_t i = 0; i < signs; i++)
        put_sign(ret, i, random_sign());
}

bool code_read(struct str typed, size_t signs, char ret[CODE_TEXT_MAX])
{
    size_t n = 0;
    for (size_t i = 0; i < typed.len; i++) {
        char c = typed.p[i];
        if (c >= 'a' && c <= 'z')
            c = (char)(c - 'a' + 'A');
        if (c == '-' || c == ' ')
            continue;
        if (n == signs || c == '\0' || strchr(signs_of_codes, c) == NULL)
            return false;
        put_sign(ret, n++, c);
    }
    return n == signs;
}

void code_digest(struct str secret, uint8_t ret[CODE_DIGEST])
{
    SHA256((const uint8_t *)secret.p, secret.len, ret);
}
