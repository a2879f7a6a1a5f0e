/* SPDX-License-Identifier: Apache-2.0 */
#include "hello/offers.h"

#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "base/hex.h"

static const struct {
    const char *name;
    uint16_t code;
} groups[] = {
#define X(name, code, hybrid, remark) {name, code},
#include "tables/groups.def"
#undef X
};

static const uint16_t ciphers[] = {
#define X(name, code) code,
#include "tables/ciphers.def"
#undef X
};

_Static_assert(ARRAY_LEN(groups) <= 8 && ARRAY_LEN(ciphers) <= 16, "a bit for each");

struct hello_offers hello_offers_of(const struct hello *h)
{
    struct hello_offers o = {.known = true};
    for (size_t i = 0; i < ARRAY_LEN(groups); i++)
        if (hello_has_u16(h->groups, groups[i].code))
            o.groups |= (uint8_t)(1u << i);
    for (size_t i = 0; i < ARRAY_LEN(ciphers); i++)
        if (hello_has_u16(h->cipher_suites, ciphers[i]))
            o.ciphers |= (uint16_t)(1u << i);
    return o;
}

static const char *none_of(const struct hello_offers *o, char text[HELLO_OFFERS_TEXT_MAX])
{
    snprintf(text, HELLO_OFFERS_TEXT_MAX, "none");
    return o->known ? text : NULL;
}

const char *hello_offers_groups(const struct hello_offers *o, char text[HELLO_OFFERS_TEXT_MAX])
{
    struct writer w = writer_of(text, HELLO_OFFERS_TEXT_MAX);
    if (o->groups == 0)
        return none_of(o, text);
    for (size_t i = 0; i < ARRAY_LEN(groups); i++) {
        if ((o->groups >> i & 1) == 0)
            continue;
        writer_bytes(&w, ",", w.p > (uint8_t *)text);
        writer_bytes(&w, groups[i].name, strlen(groups[i].name));
    }
    writer_bytes(&w, "", 1);
    CHECK(!w.full);
    return text;
}

const char *hello_offers_ciphers(const struct hello_offers *o, char text[HELLO_OFFERS_TEXT_MAX])
{
    static const char digits[] = "0123456789abcdef";
    struct writer w = writer_of(text, HELLO_OFFERS_TEXT_MAX);
    if (o->ciphers == 0)
        return none_of(o, text);
    for (size_t i = 0; i < ARRAY_LEN(ciphers); i++) {
        if ((o->ciphers >> i & 1) == 0)
            continue;
        writer_bytes(&w, ",", w.p > (uint8_t *)text);
        for (int shift = 12; shift >= 0; shift -= 4)
            writer_bytes(&w, &digits[ciphers[i] >> shift & 0xf], 1);
    }
    writer_bytes(&w, "", 1);
    CHECK(!w.full);
    return text;
}

uint8_t hello_offers_read_groups(struct str text)
{
    struct str word;
    uint8_t bits = 0;
    while (str_item(&text, &word))
        for (size_t i = 0; i < ARRAY_LEN(groups); i++)
            if (str_is(word, groups[i].name))
                bits |= (uint8_t)(1u << i);
    return bits;
}

/* Four digits. False: it is no code point. */
static bool read_code(struct str word, uint16_t *ret)
{
    unsigned code = 0;
    for (size_t i = 0; word.len == 4 && i < 4; i++) {
        int digit = hex_digit(word.p[i]);
        if (digit < 0)
            return false;
        code = code << 4 | (unsigned)digit;
    }
    *ret = (uint16_t)code;
    return word.len == 4;
}

uint16_t hello_offers_read_ciphers(struct str text)
{
    struct str word;
    uint16_t bits = 0, code;
    while (str_item(&text, &word)) {
        size_t i = read_code(word, &code) ? 0 : ARRAY_LEN(ciphers);
        while (i < ARRAY_LEN(ciphers) && ciphers[i] != code)
            i++;
        if (i < ARRAY_LEN(ciphers))
            bits |= (uint16_t)(1u << i);
    }
    return bits;
}

size_t hello_offers_cipher_list(uint16_t bits, uint8_t ret[HELLO_OFFERS_LIST_MAX])
{
    _Static_assert(2 * ARRAY_LEN(ciphers) <= HELLO_OFFERS_LIST_MAX, "all have room");
    size_t n = 0;
    for (size_t i = 0; i < ARRAY_LEN(ciphers); i++)
        if ((bits >> i & 1) != 0) {
            ret[n++] = (uint8_t)(ciphers[i] >> 8);
            ret[n++] = (uint8_t)ciphers[i];
        }
    return n;
}

bool hello_offers_has_group(uint8_t bits, bool (*holds)(uint16_t group))
{
    for (size_t i = 0; i < ARRAY_LEN(groups); i++)
        if ((bits >> i & 1) != 0 && holds(groups[i].code))
            return true;
    return false;
}
