/* SPDX-License-Identifier: Apache-2.0 */
/* base/hostport.h and base/clean.h. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/check.h"
#include "base/clean.h"
#include "base/err.h"
#include "base/hostport.h"

#define LABEL_63 "abcdefghijklmnopqrstuvwxyz0123456789-abcdefghijklmnopqrstuvwxyz"
#define NAME_253 \
    LABEL_63 "." LABEL_63 "." LABEL_63 ".abcdefghijklmnopqrstuvwxyz0123456789-abcdefghijklmnopqrstuvwx"

/* Runs on an exact heap copy, so that a sanitizer sees a read past the end. */
static int parse(const char *text, size_t len, char host[HOST_MAX], uint16_t *port, struct err *err)
{
    char *copy = malloc(len > 0 ? len : 1);
    assert_non_null(copy);
    memcpy(copy, text, len);
    int r = str_host_port(copy, len, host, port, err);
    free(copy);
    return r;
}

static void test_good(void **state)
{
    static const struct {
        const char *text, *host;
        uint16_t port;
    } rows[] = {
        {"db.inside:5432", "db.inside", 5432},
        {"DB.Inside:1", "db.inside", 1},
        {"db.inside.:65535", "db.inside", 65535},
        {"localhost:22", "localhost", 22},
        {"_srv._tcp.a-b:80", "_srv._tcp.a-b", 80},
        {"10.0.0.1:443", "10.0.0.1", 443},
        {"10.0.0.1.:443", "10.0.0.1", 443},
        {"1.2.3.4.example:443", "1.2.3.4.example", 443},
        {"0xface.example:443", "0xface.example", 443},
        {"host0:443", "host0", 443},
        {"[::1]:443", "::1", 443},
        {"[2001:DB8:0:0::0001]:443", "2001:db8::1", 443},
        {"[::ffff:10.0.0.1]:22", "10.0.0.1", 22},
        {"[0:0:0:0:0:ffff:a00:1]:22", "10.0.0.1", 22},
        {LABEL_63 ":1", LABEL_63, 1},
        {NAME_253 ":1", NAME_253, 1},
        {NAME_253 ".:1", NAME_253, 1},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        char host[HOST_MAX];
        uint16_t port = 0;
        struct err err = {""};
        if (parse(rows[i].text, strlen(rows[i].text), host, &port, &err) < 0)
            fail_msg("%s: %s", rows[i].text, err.text);
        assert_string_equal(host, rows[i].host);
        assert_int_equal(port, rows[i].port);
    }
}

static void test_hints(void **state)
{
    static const struct {
        const char *text, *hint;
    } rows[] = {
        {"8080", "; did you mean 127.0.0.1:8080?"},
        {":8080", "; did you mean 127.0.0.1:8080?"},
        {"http://app.inside/x", "; did you mean app.inside:80?"},
        {"https://App.inside", "; did you mean app.inside:443?"},
        {"tcp://[::1]:22/", "; did you mean [::1]:22?"},
        {"ssh://app.inside", ""},
        {"http://", ""},
        {"https:///x", ""},
        {"", ""},
        {":", ""},
        {"0", ""},
        {"65536", ""},
        {"::1", ""},
        {"127.0.0.1", ""},
        {"app.inside", ""},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        char hint[HOST_HINT_MAX];
        assert_string_equal(str_host_port_hint(rows[i].text, hint), rows[i].hint);
    }
    char hint[HOST_HINT_MAX];
    assert_string_equal(str_host_port_hint("http://" NAME_253, hint), "; did you mean " NAME_253 ":80?");
    assert_string_equal(str_host_port_hint("http://" NAME_253 "x/", hint), "");
}

static void test_bad(void **state)
{
    static const char *const rows[] = {
        "",
        ":",
        ":22",
        "a",
        "a:",
        ".:22",
        "..:22",
        "a..b:22",
        ".a:22",
        "a:0",
        "a:022",
        "a:65536",
        "a:99999",
        "a:100000",
        "a:4294967297",
        "a:-1",
        "a:+1",
        "a: 1",
        "a:1 ",
        "a:0x16",
        "a:22:22",
        "a b:22",
        " a:22",
        "a/b:22",
        "user@a:22",
        "a%00b:22",
        "a%2eb:22",
        "a,b:22",
        "a*:22",
        "b\xc3\xbc"
        "cher.example:22",
        "::1:22",
        "2001:db8::1",
        "[::1]",
        "[::1]22",
        "[::1]:",
        "[::1",
        "[]:22",
        "[1.2.3.4]:22",
        "[db.inside]:22",
        "[fe80::1%eth0]:22",
        "[::1]]:22",
        "[::1%25lo]:22",
        "[1:2:3:4:5:6:7:8:9]:22",
        "[::g]:22",
        "127.1:22",
        "2130706433:22",
        "0x7f000001:22",
        "0x7f.1:22",
        "0177.0.0.1:22",
        "1.2.3.4.5:22",
        "1.2.3.256:22",
        "a.0x:22",
        "a.1:22",
        "01.2.3.4:22",
        "1.2.3:22",
        "http://a:22",
        LABEL_63 "x:22",
        "x" NAME_253 ":22",
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        char host[HOST_MAX] = "untouched";
        uint16_t port = 7;
        struct err err = {""};
        if (parse(rows[i], strlen(rows[i]), host, &port, &err) == 0)
            fail_msg("taken: %s", rows[i]);
        assert_string_equal(host, "untouched");
        assert_int_not_equal(strlen(err.text), 0);
    }
}

/* A NUL hides what follows it from whoever reads C strings. */
static void test_nul(void **state)
{
    static const struct {
        const char *p;
        size_t len;
    } rows[] = {{"a\0b:22", 6}, {"[::1\0]:22", 9}, {"a:22\0", 5},
                {"a:2\0", 4},   {"\0:22", 4},      {"1.2.3.4\0:22", 11}};
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        char host[HOST_MAX];
        uint16_t port;
        assert_int_equal(parse(rows[i].p, rows[i].len, host, &port, NULL), -1);
    }
}

/* Every byte in every place: never a crash, and what comes out reads back as itself. */
static void test_every_byte(void **state)
{
    static const char *const bases[] = {"a.b:22", "[::1]:22", "1.2.3.4:80"};
    (void)state;
    for (size_t b = 0; b < ARRAY_LEN(bases); b++) {
        size_t len = strlen(bases[b]);
        for (size_t i = 0; i < len * 256; i++) {
            char text[16], host[HOST_MAX], again[HOST_MAX];
            uint16_t port, port_again;
            memcpy(text, bases[b], len);
            text[i / 256] = (char)(i % 256);
            if (parse(text, len, host, &port, NULL) < 0)
                continue;
            struct buf put = {0};
            assert_true(str_host_port_put(&put, host, port));
            assert_int_equal(parse((char *)put.data, put.len, again, &port_again, NULL), 0);
            assert_string_equal(again, host);
            assert_int_equal(port_again, port);
            buf_free(&put);
        }
    }
}

static void test_put(void **state)
{
    (void)state;
    struct buf b = {0}, small = {.max = 4};
    assert_true(str_host_port_put(&b, "::1", 443) && str_host_port_put(&b, "a", 1));
    assert_string_equal(buf_text(&b), "[::1]:443a:1");
    assert_false(str_host_port_put(&small, "::1", 443));
    buf_free(&b);
    buf_free(&small);
}

static void test_clean(void **state)
{
    static const struct {
        const char *text, *clean;
        size_t cap;
    } rows[] = {
        {"", "", 1},
        {"abc", "", 1},
        {"abc", "abc", 4},
        {"abc", "ab", 3},
        {"\x1b[2J\r\n\x7f", "?[2J???", 16},
        {"a\xc2\x9b"
         "b",
         "a??b", 16},
        {"gr\xc3\xbc\xc3\x9f"
         "e",
         "gr\xc3\xbc\xc3\x9f"
         "e",
         16},
        {"gr\xc3\xbc\xc3\x9f"
         "e",
         "gr\xc3\xbc", 6},
        {"\xe2\x82\xac\xe2\x82\xac", "\xe2\x82\xac", 6},
        {"\x80\x80\x80", "", 2},
        /* What is no UTF-8: C1 as ISO 8859 has it, what begins no character, what goes on with none. */
        {"a\x9b"
         "31m\xff",
         "a?31m?", 16},
        {"\xc3(\xe2\x82 \xf0\x9f\x98\x80", "?(?? \xf0\x9f\x98\x80", 16},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        char out[16];
        str_clean(out, rows[i].cap, rows[i].text);
        assert_string_equal(out, rows[i].clean);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_good),       cmocka_unit_test(test_hints), cmocka_unit_test(test_bad),
        cmocka_unit_test(test_nul),        cmocka_unit_test(test_put),   cmocka_unit_test(test_clean),
        cmocka_unit_test(test_every_byte),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
