/* SPDX-License-Identifier: Apache-2.0 */
/* hello/ja4.h: FoxIO's own examples, and captured hellos against tests/unit/ja4_reference.py. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/sha.h>
#include <cmocka.h>

#include "hello/ja4.h"
#include "hello_maker.h"

static void sha256(const void *data, size_t len, uint8_t ret_digest[32])
{
    SHA256(data, len, ret_digest);
}

static void assert_ja4(const struct buf *message, const char *expected)
{
    struct hello h;
    char text[JA4_TEXT_MAX];
    assert_int_equal(hello_parse(message->data, message->len, &h), HELLO_REASON_NONE);
    assert_true(ja4_compute(&h, JA4_TCP, sha256, text));
    assert_string_equal(text, expected);
}

static void assert_ja4_made(const char *fields, const char *extensions, const char *expected)
{
    struct buf message = make_message(fields, extensions);
    assert_ja4(&message, expected);
    buf_free(&message);
}

/* What ja4_reference.py prints for tests/fuzz/corpus/hello/. */
static void test_samples(void **state)
{
    (void)state;
    static const struct {
        const char *file, *ja4;
    } rows[] = {
        {"aws-lc-5.1-classical", "t13d0307c1_55b375c5d22e_ec5056191fd7"},
        {"aws-lc-5.1-grease", "t13d2012c1_a8347f2c98c8_b9c312da4a01"},
        {"aws-lc-5.1-pq", "t13d0307c1_55b375c5d22e_ec5056191fd7"},
        {"curl-7.88", "t13d3112h2_e8f1e7e78f70_b26ce05bbdd6"},
        {"curl-7.88-http1.1", "t13d3112h1_e8f1e7e78f70_b26ce05bbdd6"},
        {"java", "t13d371200_db35923f8641_7c76daad20ec"},
        {"node", "t13d5911h2_a33745022dd6_1f22a2ca17c4"},
        {"openssl-3.0", "t13d3111h2_e8f1e7e78f70_1f22a2ca17c4"},
        {"openssl-3.0-early-data", "t13d311200_e8f1e7e78f70_87f12a3f655c"},
        {"openssl-3.0-no-sni", "t13i310900_e8f1e7e78f70_1f22a2ca17c4"},
        {"openssl-3.0-resumed", "t13d311100_e8f1e7e78f70_dbd39dd1d406"},
        {"openssl-3.0-tls10", "t10d230600_44099cda8a52_195413a0cc0f"},
        {"openssl-3.0-tls12", "t12d280700_d943125447b4_e7e480e5a997"},
        {"openssl-3.0-tls12-ticket", "t12d280700_d943125447b4_e7e480e5a997"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct buf wire = load_sample(rows[i].file), message = {0};
        put(&message, wire.data + 5, wire.len - 5);
        assert_ja4(&message, rows[i].ja4);
        buf_free(&wire);
        buf_free(&message);
    }
}

/* The lists of the example in FoxIO's description (a Chrome of 2023), with GREASE added where Chrome has it.
 */
#define FOXIO_FIELDS \
    "0303 R 00 0020 4a4a 1301 1302 1303 c02b c02f c02c c030 cca9 cca8 c013 c014 009c 009d 002f 0035 01 00"
#define FOXIO_EXTENSIONS(signatures)                                                          \
    "baba 0000 001b 0000 0000 0006 0004 00 0001 61 0033 0002 0000 0010 000e 000c 02 6832 08 " \
    "687474702f312e31 "                                                                       \
    "4469 0000 0017 0000 002d 0000 " signatures                                               \
    " 0005 0000 0023 0000 0012 0000 002b 0007 06 1a1a 0304 0303 "                             \
    "ff01 0000 000b 0000 000a 0004 0002 001d 0015 0000 dada 0001 00"

static void test_foxio_example(void **state)
{
    (void)state;
    assert_ja4_made(FOXIO_FIELDS, FOXIO_EXTENSIONS("000d 0012 0010 0403 0804 0401 0503 0805 0501 0806 0601"),
                    "t13d1516h2_8daaf6152771_e5627efa2ab1");
    /* GREASE among the signature algorithms (sigalg-grease.pcapng). */
    assert_ja4_made(FOXIO_FIELDS,
                    FOXIO_EXTENSIONS("000d 0014 0012 3a3a 0403 0804 0401 0503 0805 0501 0806 0601"),
                    "t13d1516h2_8daaf6152771_e5627efa2ab1");
}

static void test_empty_parts(void **state)
{
    (void)state;
    assert_ja4_made("0303 R 00 0002 0a0a 01 00", NULL, "t12i000000_000000000000_000000000000");
    assert_ja4_made("0300 R 00 0002 0a0a 01 00", "1a1a 0000", "ts3i000000_000000000000_000000000000");
    assert_ja4_made("0303 R 00 0002 0a0a 01 00", "0000 0006 0004 00 0001 61",
                    "t12d000100_000000000000_000000000000");
    /* An address as the name still is the extension. */
    assert_ja4_made("0301 R 00 0002 0a0a 01 00", "0000 000c 000a 00 0007 312e322e332e34",
                    "t10d000100_000000000000_000000000000");
    assert_ja4_made("0303 R 00 0002 0a0a 01 00", "0010 0005 0003 02 6832 002b 0005 04 7f1c 0303",
                    "t00i0002h2_000000000000_b9a491fefe05");
}

/* The examples of the description for protocols that are not text. */
static void test_protocol_marks(void **state)
{
    (void)state;
    static const struct {
        const char *hex, *mark;
    } rows[] = {
        {"0010 0004 0002 01 ab", "ab"},
        {"0010 0005 0003 02 abcd", "ad"},
        {"0010 0005 0003 02 30ab", "3b"},
        {"0010 0007 0005 04 3031abcd", "3d"},
        {"0010 0007 0005 04 30abcd31", "01"},
        {"0010 0004 0002 01 68", "hh"},
        {"0010 000b 0009 08 687474702f312e31", "h1"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        char expected[JA4_TEXT_MAX];
        snprintf(expected, sizeof(expected), "t12i0001%s_000000000000_000000000000", rows[i].mark);
        assert_ja4_made("0303 R 00 0002 0a0a 01 00", rows[i].hex, expected);
    }
}

static void test_long_lists(void **state)
{
    (void)state;
    char hex[16 * JA4_LIST_MAX] = "0303 R 00 ";
    int at = (int)strlen(hex);
    at += snprintf(hex + at, sizeof(hex) - (size_t)at, "%04x", 2 * (JA4_LIST_MAX + 1));
    for (unsigned i = 0; i <= JA4_LIST_MAX; i++)
        at += snprintf(hex + at, sizeof(hex) - (size_t)at, "%04x", 0xc000 - i);
    snprintf(hex + at, sizeof(hex) - (size_t)at, "0100");
    struct buf message = make_message(hex, NULL);
    struct hello h;
    char text[JA4_TEXT_MAX];
    assert_int_equal(hello_parse(message.data, message.len, &h), HELLO_REASON_NONE);
    assert_false(ja4_compute(&h, JA4_TCP, sha256, text));
    assert_string_equal(text, "");
    /* One fewer is counted as 99. */
    h.cipher_suites.p += 2;
    assert_true(ja4_compute(&h, JA4_TCP, sha256, text));
    assert_memory_equal(text, "t12i990000_", 11);
    buf_free(&message);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_samples),     cmocka_unit_test(test_foxio_example),
        cmocka_unit_test(test_empty_parts), cmocka_unit_test(test_protocol_marks),
        cmocka_unit_test(test_long_lists),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
