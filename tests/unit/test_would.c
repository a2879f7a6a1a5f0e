/* SPDX-License-Identifier: Apache-2.0 */
/* hello/would.h: questions as people write them, and what becomes of clients old and new. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "hello/would.h"
#include "hello_maker.h"

#define VERSIONS_1_3_ALONE "002b 0003 02 0304 "
#define VERSIONS_BOTH "002b 0005 04 0304 0303 "
#define VERSIONS_GREASE "002b 0007 06 1a1a 0304 0303 "
#define GROUPS_CLASSICAL "000a 0004 0002 001d "
#define GROUPS_PQ "000a 0006 0004 11ec 001d "
#define GROUPS_PQ_P256 "000a 0006 0004 001d 11eb "
#define GROUPS_KYBER_DRAFT "000a 0006 0004 6399 001d "
#define CIPHERS(list) "0303 R 00 " list " 01 00"

static void test_verdicts(void **state)
{
    (void)state;
    static const struct {
        const char *question, *fields, *extensions;
        enum would_verdict expected;
    } rows[] = {
        {"min=1.3", CIPHERS("0002 1301"), VERSIONS_BOTH, WOULD_WORK},
        {"min=1.3", CIPHERS("0002 1301"), VERSIONS_GREASE, WOULD_WORK},
        {"min_version=1.3", CIPHERS("0002 c02f"), NULL, WOULD_BREAK_VERSION},
        {"min=1.3", CIPHERS("0002 c02f"), "002b 0003 02 0303", WOULD_BREAK_VERSION},
        /* 0x0304 as its own version is not TLS 1.3. */
        {"min=1.3", "0304 R 00 0002 c02f 01 00", NULL, WOULD_BREAK_VERSION},
        {"min=1.2", "0304 R 00 0002 c02f 01 00", NULL, WOULD_WORK},
        {"min_version=1.2", CIPHERS("0002 c02f"), NULL, WOULD_WORK},
        {"min=1.2", CIPHERS("0002 1301"), VERSIONS_1_3_ALONE, WOULD_WORK},
        {"min=1.2", "0302 R 00 0002 c013 01 00", NULL, WOULD_BREAK_VERSION},
        {"min=1.2", CIPHERS("0002 c013"), "002b 0003 02 0302", WOULD_BREAK_VERSION},
        {"pq=require", CIPHERS("0002 1301"), VERSIONS_BOTH GROUPS_PQ, WOULD_WORK},
        {"pq=require", CIPHERS("0002 1301"), VERSIONS_BOTH GROUPS_PQ_P256, WOULD_WORK},
        {"pq=require", CIPHERS("0002 1301"), VERSIONS_BOTH GROUPS_CLASSICAL, WOULD_BREAK_GROUP},
        {"pq=require", CIPHERS("0002 1301"), VERSIONS_BOTH GROUPS_KYBER_DRAFT, WOULD_BREAK_GROUP},
        {"pq=require", CIPHERS("0002 1301"), VERSIONS_BOTH, WOULD_BREAK_GROUP},
        /* TLS 1.2 cannot use the group that it offers. */
        {"pq=require", CIPHERS("0002 c02f"), GROUPS_PQ, WOULD_BREAK_GROUP},
        {"ciphers=TLS_AES_256_GCM_SHA384", CIPHERS("0004 1301 1302"), VERSIONS_BOTH, WOULD_WORK},
        {"ciphers=TLS_AES_256_GCM_SHA384", CIPHERS("0002 1301"), VERSIONS_BOTH, WOULD_BREAK_CIPHER},
        /* It comes to TLS 1.3, where it has none that is left: that it could do with TLS 1.2 is of no use. */
        {"ciphers=TLS_AES_256_GCM_SHA384", CIPHERS("0004 1301 c02f"), VERSIONS_BOTH, WOULD_BREAK_CIPHER},
        /* Of TLS 1.2 none is named: all that the door knows stay. */
        {"ciphers=TLS_AES_256_GCM_SHA384", CIPHERS("0002 c02f"), NULL, WOULD_WORK},
        {"ciphers=TLS_AES_256_GCM_SHA384", CIPHERS("0004 1301 c013"), VERSIONS_BOTH, WOULD_BREAK_CIPHER},
        {"ciphers=TLS_AES_256_GCM_SHA384", CIPHERS("0004 1301 c02f"), VERSIONS_1_3_ALONE, WOULD_BREAK_CIPHER},
        {"ciphers=TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384", CIPHERS("0002 c02f"), NULL, WOULD_BREAK_CIPHER},
        {"ciphers=TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384", CIPHERS("0004 c02f c030"), NULL, WOULD_WORK},
        {"ciphers=TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384", CIPHERS("0004 1301 c02f"), VERSIONS_BOTH,
         WOULD_WORK},
        {"ciphers=TLS_AES_256_GCM_SHA384,TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384", CIPHERS("0004 1301 c02f"),
         VERSIONS_BOTH, WOULD_BREAK_CIPHER},
        /* A suite of TLS 1.3 without that version. */
        {"ciphers=TLS_AES_128_GCM_SHA256", CIPHERS("0002 1301"), NULL, WOULD_BREAK_CIPHER},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct buf message = make_message(rows[i].fields, rows[i].extensions);
        struct hello h;
        struct would w;
        struct err err;
        assert_int_equal(hello_parse(message.data, message.len, &h), HELLO_REASON_NONE);
        assert_int_equal(would_parse(rows[i].question, &w, &err), 0);
        struct would_offer offer = would_offer_of(&h);
        if (would_judge(&w, &offer) != rows[i].expected)
            fail_msg("row %zu: %s", i, would_text(&w, would_judge(&w, &offer)));
        buf_free(&message);
    }
}

static void test_ciphers_not_known(void **state)
{
    (void)state;
    struct would w;
    struct would_offer offer = {.tls12 = true, .tls13 = true};
    assert_int_equal(would_parse("ciphers=TLS_AES_128_GCM_SHA256", &w, NULL), 0);
    assert_int_equal(would_judge(&w, &offer), WOULD_UNKNOWN);
    assert_false(would_breaks(WOULD_UNKNOWN));
    assert_true(would_breaks(WOULD_BREAK_CIPHER));
}

static void test_texts(void **state)
{
    (void)state;
    struct would w;
    assert_int_equal(would_parse("min=1.2", &w, NULL), 0);
    assert_string_equal(would_text(&w, WOULD_BREAK_VERSION), "offers neither TLS 1.2 nor 1.3");
    assert_int_equal(would_parse("min=1.3", &w, NULL), 0);
    assert_string_equal(would_text(&w, WOULD_BREAK_VERSION), "offers no TLS 1.3");
    assert_string_equal(would_text(&w, WOULD_WORK), "gets through");
}

static void test_not_a_question(void **state)
{
    (void)state;
    static const struct {
        const char *text, *error;
    } rows[] = {
        {"", "found '', expected min_version=1.2, min_version=1.3, pq=require or ciphers=NAME:NAME"},
        {"min_version=1.33", "found 'min_version=1.33', expected min_version=1.2, min_version=1.3, "
                             "pq=require or ciphers=NAME:NAME"},
        {"min_version",
         "found 'min_version', expected min_version=1.2, min_version=1.3, pq=require or ciphers=NAME:NAME"},
        {"mi=1.3",
         "found 'mi=1.3', expected min_version=1.2, min_version=1.3, pq=require or ciphers=NAME:NAME"},
        {"min=1.1",
         "found 'min=1.1', expected min_version=1.2, min_version=1.3, pq=require or ciphers=NAME:NAME"},
        {"pq", "found 'pq', expected min_version=1.2, min_version=1.3, pq=require or ciphers=NAME:NAME"},
        {"ciphers=", "ciphers: found none, expected their IANA names, ':' between two"},
        {"ciphers=TLS_AES_128_GCM_SHA256,,",
         "ciphers: found '', expected a cipher suite by its IANA name, such as TLS_AES_128_GCM_SHA256"},
        {"ciphers=TLS_AES_128_GCM_SHA255",
         "ciphers: found 'TLS_AES_128_GCM_SHA255', expected a cipher suite by its IANA name, such as "
         "TLS_AES_128_GCM_SHA256; did you mean 'TLS_AES_128_GCM_SHA256'?"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct would w;
        struct err err;
        assert_int_equal(would_parse(rows[i].text, &w, &err), -1);
        assert_string_equal(err.text, rows[i].error);
    }
    /* One name too often. */
    struct buf many = {0};
    struct would w;
    assert_true(buf_printf(&many, "ciphers="));
    for (int i = 0; i <= WOULD_CIPHERS_MAX; i++)
        assert_true(buf_printf(&many, "TLS_AES_128_GCM_SHA256:"));
    assert_int_equal(would_parse(buf_text(&many), &w, NULL), -1);
    buf_free(&many);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_verdicts),
        cmocka_unit_test(test_ciphers_not_known),
        cmocka_unit_test(test_texts),
        cmocka_unit_test(test_not_a_question),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
