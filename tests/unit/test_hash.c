/* SPDX-License-Identifier: Apache-2.0 */
/* SipHash-1-3 against values of other implementations, at every way in which a text can end. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/check.h"
#include "base/hash.h"

/* Key and text are the bytes 0, 1, 2 and so on, as in the paper's own vectors for SipHash-2-4. */
static void test_vectors(void **state)
{
    (void)state;
    static const struct {
        size_t len;
        uint64_t hash;
    } cases[] = {
        {0, 0xabac0158050fc4dc},  {1, 0xc9f49bf37d57ca93},  {2, 0x82cb9b024dc7d44d},
        {7, 0xd3927d989bb11140},  {8, 0x369095118d299a8e},  {9, 0x25a48eb36c063de4},
        {15, 0xd320d86d2a519956}, {16, 0xcc4fdd1a7d908b66}, {17, 0x9cf2689063dbd80c},
        {63, 0x9d199062b7bbb3a8},
    };
    const struct hash_key key = {0x0706050403020100, 0x0f0e0d0c0b0a0908};
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        /* On the heap, so that a read outside the text is seen. */
        uint8_t *text = malloc(MAX(cases[i].len, (size_t)1));
        assert_non_null(text);
        for (size_t k = 0; k < cases[i].len; k++)
            text[k] = (uint8_t)k;
        assert_int_equal(hash_bytes(&key, text, cases[i].len), cases[i].hash);
        free(text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_vectors),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
