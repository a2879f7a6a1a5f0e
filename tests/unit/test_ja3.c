/* SPDX-License-Identifier: Apache-2.0 */
/* hello/ja3.h: captured hellos as Wireshark 4.0 has them (tshark -T fields -e tls.handshake.ja3), and odd
 * ones. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/md5.h>
#include <cmocka.h>

#include "hello/ja3.h"
#include "hello_maker.h"

static void md5(const void *data, size_t len, uint8_t ret_digest[16])
{
    MD5(data, len, ret_digest);
}

static void test_samples(void **state)
{
    (void)state;
    static const struct {
        const char *file, *ja3;
    } rows[] = {
        {"aws-lc-5.1-classical", "402a17d8edb21548dacd21fc4dab2d6b"},
        {"aws-lc-5.1-grease", "45b14deb12eb187913e0d8bfeffe8d2a"},
        {"aws-lc-5.1-pq", "0b3ecb299b75617c3210aa3966c5c21a"},
        {"curl-7.88", "0149f47eabf9a20d0893e2a44e5a6323"},
        {"java", "0a0d72200639a7a39887b9d81a247310"},
        {"node", "1a28e69016765d92e3b381168d68922c"},
        {"openssl-3.0", "5a1edc7f170af1014fc65c994878e63c"},
        {"openssl-3.0-early-data", "73a4e2cca8dc512d9d81c80851418f14"},
        {"openssl-3.0-no-sni", "c216e752cae6f8755fd27f561d031636"},
        {"openssl-3.0-resumed", "2fd756ca7f87535a1539ab4cbb4d63fd"},
        {"openssl-3.0-tls10", "4e9d43688ef48b6b1fbe71f290acfc8f"},
        {"openssl-3.0-tls12", "871a754af286dfb70c1b53c6887c62e0"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct buf wire = load_sample(rows[i].file);
        struct hello h;
        char text[JA3_TEXT_MAX];
        assert_int_equal(hello_parse(wire.data + 5, wire.len - 5, &h), HELLO_REASON_NONE);
        assert_true(ja3_compute(&h, md5, text));
        assert_string_equal(text, rows[i].ja3);
        buf_free(&wire);
    }
}

static void test_texts(void **state)
{
    (void)state;
    static const struct {
        const char *fields, *extensions, *text;
    } rows[] = {
        {"0301 R 00 0002 002f 01 00", NULL, "769,47,,,"},
        {"0303 R 00 0006 0a0a 1301 1302 01 00", "1a1a 0000 000a 0006 0004 2a2a 001d 000b 0002 01 00",
         "771,4865-4866,10-11,29,0"},
        /* Only GREASE. */
        {"0303 R 00 0002 0a0a 01 00", "1a1a 0000", "771,,,,"},
        /* Formats that are malformed are none. */
        {"0303 R 00 0002 1301 01 00", "000b 0002 05 00", "771,4865,11,,"},
        {"0303 R 00 0002 1301 01 00", "000b 0004 03 000102", "771,4865,11,,0-1-2"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct buf message = make_message(rows[i].fields, rows[i].extensions), text = {0};
        struct hello h;
        assert_int_equal(hello_parse(message.data, message.len, &h), HELLO_REASON_NONE);
        assert_true(ja3_text(&h, &text));
        assert_string_equal(buf_text(&text), rows[i].text);
        buf_free(&message);
        buf_free(&text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_samples), cmocka_unit_test(test_texts)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
