/* SPDX-License-Identifier: Apache-2.0 */
#include "probe/suites.h"

#include "base/check.h"

static const struct suite {
    uint16_t code;
    enum suite_class class;
    const char *name;
} suites[] = {
#define X(code, name, class) {code, SUITE_##class, name},
#include "tables/probe_suites.def"
#undef X
};

_Static_assert(ARRAY_LEN(suites) <= SUITES_MAX, "SUITES_MAX");

size_t suites_of(enum suite_class class, uint16_t ret[SUITES_MAX])
{
    size_t n = 0;
    for (size_t i = 0; i < ARRAY_LEN(suites); i++)
        if (suites[i].class == class)
            ret[n++] = suites[i].code;
    return n;
}

size_t suites_all(uint16_t ret[SUITES_MAX])
{
    for (size_t i = 0; i < ARRAY_LEN(suites); i++)
        ret[i] = suites[i].code;
    return ARRAY_LEN(suites);
}

const char *suite_name(uint16_t code)
{
    static const struct {
        uint16_t code;
        const char *name;
    } newer[] = {
#define X(name, code) {code, name},
#include "tables/ciphers.def"
#undef X
    };
    for (size_t i = 0; i < ARRAY_LEN(newer); i++)
        if (newer[i].code == code)
            return newer[i].name;
    for (size_t i = 0; i < ARRAY_LEN(suites); i++)
        if (suites[i].code == code)
            return suites[i].name;
    return NULL;
}

const char *suite_class_word(enum suite_class class)
{
    static const char *const words[SUITE_CLASSES] = {[SUITE_GOOD] = "good",
                                                     [SUITE_PRIME] = "dhe",
                                                     [SUITE_CBC] = "cbc",
                                                     [SUITE_STATIC] = "static",
                                                     [SUITE_SHORT_BLOCK] = "short_block",
                                                     [SUITE_BROKEN] = "broken"};
    return words[class];
}
