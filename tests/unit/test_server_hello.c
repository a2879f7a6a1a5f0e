/* SPDX-License-Identifier: Apache-2.0 */
/* hello/server_hello.h and hello/names.h: what servers say, what nobody should, and what numbers are called.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "hello/names.h"
#include "hello/server_hello.h"
#include "hello_maker.h"

/* Before the extensions of a server that chose TLS_AES_128_GCM_SHA256. */
#define FIELDS "0303 R 04 01020304 1301 00 "

static struct buf message_of(unsigned type, const char *body)
{
    struct buf b = {0}, content = {0};
    put_hex(&content, body);
    put_uint(&b, 1, type);
    put_uint(&b, 3, content.len);
    put(&b, content.data, content.len);
    buf_free(&content);
    return b;
}

static void test_hellos(void **state)
{
    (void)state;
    static const struct {
        const char *body;
        bool good;
        uint16_t version, group;
        bool resumes;
    } rows[] = {
        {FIELDS, true, 0x0303, 0, false},
        {FIELDS "0000", true, 0x0303, 0, false},
        {FIELDS "0006 002b 0002 0304", true, 0x0304, 0, false},
        {FIELDS "0016 002b 0002 0304 0033 0006 001d 0002 abcd 0029 0002 0000", true, 0x0304, 0x001d, true},
        {FIELDS "000c 002b 0002 0304 0033 0002 11ec", true, 0x0304, 0x11ec, false},
        /* Cut off, and more than there should be. */
        {"0303", false, 0, 0, false},
        {"0303 R 04 0102", false, 0, 0, false},
        {"0303 R 00 13", false, 0, 0, false},
        {FIELDS "00", false, 0, 0, false},
        {FIELDS "0006 002b 0002 03", false, 0, 0, false},
        {FIELDS "0006 002b 0002 0304 00", false, 0, 0, false},
        {FIELDS "0005 002b 0001 03", false, 0, 0, false},
        {FIELDS "0004 0033 0000", false, 0, 0, false},
        {FIELDS "0003 0033 00", false, 0, 0, false},
        {FIELDS "0009 0010 0005 0004 02 6832", false, 0, 0, false},
        {FIELDS "000a 0010 0006 0004 01 68 01 68", false, 0, 0, false},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct buf m = message_of(SERVER_HELLO, rows[i].body);
        struct server_hello s;
        bool good = server_hello_parse(m.data, m.len, &s);
        if (good != rows[i].good || (good && (s.version != rows[i].version || s.group != rows[i].group ||
                                              s.resumes != rows[i].resumes || s.cipher != 0x1301)))
            fail_msg("row %zu: %d, version %04x, group %04x", i, good, s.version, s.group);
        assert_false(server_hello_parse(m.data, m.len - 1, &s));
        m.data[0] = 1;
        assert_false(server_hello_parse(m.data, m.len, &s));
        buf_free(&m);
    }
}

static void test_groups(void **state)
{
    (void)state;
    static const struct {
        const char *body;
        bool good;
    } rows[] = {
        {"03 0018 02 aabb", true}, {"03 0018", true}, {"01 0018 02 aabb", false},
        {"03 00", false},          {"", false},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct buf m = message_of(SERVER_KEY_EXCHANGE, rows[i].body);
        uint16_t group = 0;
        assert_int_equal(server_hello_group(m.data, m.len, &group), rows[i].good);
        assert_int_equal(group, rows[i].good ? 0x0018 : 0);
        buf_free(&m);
    }
}

static void test_names(void **state)
{
    (void)state;
    char number[HELLO_NUMBER_MAX];
    static const struct {
        uint16_t code;
        const char *name;
    } door[] = {
#define X(name, code) {code, name},
#include "tables/ciphers.def"
#undef X
    };
    for (size_t i = 0; i < ARRAY_LEN(door); i++)
        assert_string_equal(hello_cipher_name(door[i].code, number), door[i].name);
    assert_string_equal(hello_cipher_name(0x00ff, number), "TLS_EMPTY_RENEGOTIATION_INFO_SCSV");
    assert_string_equal(hello_cipher_name(0xabcd, number), "0xabcd");
    assert_string_equal(hello_group_name(0x11ec, number), "X25519MLKEM768");
    assert_string_equal(hello_group_name(0x0100, number), "ffdhe2048");
    assert_string_equal(hello_signature_name(0x0804, number), "rsa_pss_rsae_sha256");
    assert_string_equal(hello_version_name(0x0304, number), "TLS 1.3");
    assert_string_equal(hello_version_name(0x7f1c, number), "0x7f1c");
    assert_string_equal(hello_alert_name(40, number), "handshake_failure");
    assert_string_equal(hello_alert_name(41, number), "41");
    assert_string_equal(hello_kdf_name(1, number), "HKDF-SHA256");
    assert_string_equal(hello_aead_name(3, number), "ChaCha20Poly1305");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_hellos),
        cmocka_unit_test(test_groups),
        cmocka_unit_test(test_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
