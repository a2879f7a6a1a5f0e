/* SPDX-License-Identifier: Apache-2.0 */
/* What a hello offers of what the tables name, in the words of the audit line. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "hello/offers.h"
#include "hello_maker.h"

static struct hello_offers offers_of(const char *fields, const char *extensions)
{
    struct buf message = make_message(fields, extensions);
    struct hello h;
    assert_int_equal(hello_parse(message.data, message.len, &h), HELLO_REASON_NONE);
    struct hello_offers o = hello_offers_of(&h);
    buf_free(&message);
    return o;
}

static void test_words(void **state)
{
    (void)state;
    static const struct {
        const char *ciphers, *extensions, *groups_text, *ciphers_text;
    } rows[] = {
        {"0002 1301", "000a 0004 0002 001d", "X25519", "1301"},
        /* in the order of the tables, GREASE and what they do not name left out */
        {"000a 1a1a 009c c02b 1302 1301", "000a 000c 000a 2a2a 0019 001d 11ec 0100",
         "X25519MLKEM768,X25519,P-521", "1301,1302,c02b"},
        {"0002 002f", "000a 0004 0002 0100", "none", "none"},
        {"0002 002f", NULL, "none", "none"},
        {"0012 1301 1302 1303 c02b c02f c02c c030 cca9 cca8",
         "000a 0010 000e 11ec 11eb 11ed 001d 0017 0018 0019",
         "X25519MLKEM768,SecP256r1MLKEM768,SecP384r1MLKEM1024,X25519,P-256,P-384,P-521",
         "1301,1302,1303,c02b,c02f,c02c,c030,cca9,cca8"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        char fields[128], text[HELLO_OFFERS_TEXT_MAX];
        snprintf(fields, sizeof(fields), "0303 R 00 %s 01 00", rows[i].ciphers);
        struct hello_offers o = offers_of(fields, rows[i].extensions);
        assert_string_equal(hello_offers_groups(&o, text), rows[i].groups_text);
        assert_string_equal(hello_offers_ciphers(&o, text), rows[i].ciphers_text);
        assert_int_equal(hello_offers_read_ciphers((struct str){text, strlen(text)}), o.ciphers);
        hello_offers_groups(&o, text);
        assert_int_equal(hello_offers_read_groups((struct str){text, strlen(text)}), o.groups);
    }
}

static void test_nothing_known(void **state)
{
    (void)state;
    char text[HELLO_OFFERS_TEXT_MAX];
    const struct hello_offers o = {0};
    assert_null(hello_offers_groups(&o, text));
    assert_null(hello_offers_ciphers(&o, text));
}

/* Words of another version, and what is none. */
static void test_reading(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        unsigned groups, ciphers;
    } rows[] = {
        {"", 0, 0},
        {",", 0, 0},
        {",,", 0, 0},
        {"none", 0, 0},
        {"X25519", 1u << 3, 0},
        {"X25519,X25519MLKEM1024,X25519MLKEM768", 1u << 3 | 1, 0},
        {"x25519", 0, 0},
        {"X2551", 0, 0},
        {"1301", 0, 1},
        {"C02B,13", 0, 1u << 3},
        {"1301,zzzz,1303,13020,c02", 0, 1 | 1u << 2},
        {"1301,", 0, 1},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct str text = {rows[i].text, strlen(rows[i].text)};
        assert_int_equal(hello_offers_read_groups(text), rows[i].groups);
        assert_int_equal(hello_offers_read_ciphers(text), rows[i].ciphers);
    }
    assert_int_equal(hello_offers_read_groups((struct str){NULL, 0}), 0);
}

static bool is_x25519(uint16_t group)
{
    return group == 0x001d;
}

static void test_lists(void **state)
{
    (void)state;
    uint8_t list[HELLO_OFFERS_LIST_MAX];
    assert_int_equal(hello_offers_cipher_list(0, list), 0);
    assert_int_equal(hello_offers_cipher_list(1u << 3 | 1, list), 4);
    assert_memory_equal(list, "\x13\x01\xc0\x2b", 4);
    assert_true(hello_offers_has_group(1u << 3, is_x25519));
    assert_false(hello_offers_has_group(1u << 2, is_x25519));
    assert_false(hello_offers_has_group(0, is_x25519));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_words),
        cmocka_unit_test(test_nothing_known),
        cmocka_unit_test(test_reading),
        cmocka_unit_test(test_lists),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
