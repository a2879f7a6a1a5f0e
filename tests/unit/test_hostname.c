/* SPDX-License-Identifier: Apache-2.0 */
/* base/hostname.h, and that all who read names take it the same way. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/check.h"
#include "base/hostname.h"
#include "base/hostport.h"
#include "base/str.h"
#include "policy/host.h"

#define LABEL_63 "abcdefghijklmnopqrstuvwxyz0123456789-abcdefghijklmnopqrstuvwxyz"
#define NAME_253 \
    LABEL_63 "." LABEL_63 "." LABEL_63 ".abcdefghijklmnopqrstuvwxyz0123456789-abcdefghijklmnopqrstuvwx"

static const struct {
    const char *text;
    enum hostname_fault fault;
} rows[] = {
    {"localhost", HOSTNAME_OK},
    {"www.Example.COM", HOSTNAME_OK},
    {"_acme.-x-.a--b.example", HOSTNAME_OK},
    {"xn--bcher-kva.example", HOSTNAME_OK},
    {"1.2.3.4.example", HOSTNAME_OK},
    {"1.2.3.a4", HOSTNAME_OK},
    {"0x7f.example", HOSTNAME_OK},
    {"0xg", HOSTNAME_OK},
    {"x0", HOSTNAME_OK},
    {"-1", HOSTNAME_OK},
    {LABEL_63, HOSTNAME_OK},
    {NAME_253, HOSTNAME_OK},
    {"", HOSTNAME_EMPTY},
    {NAME_253 "a", HOSTNAME_TOO_LONG},
    {NAME_253 ".", HOSTNAME_TOO_LONG},
    {".", HOSTNAME_EMPTY_LABEL},
    {".a", HOSTNAME_EMPTY_LABEL},
    {"a.", HOSTNAME_EMPTY_LABEL},
    {"a..b", HOSTNAME_EMPTY_LABEL},
    {"1.", HOSTNAME_EMPTY_LABEL},
    {LABEL_63 "x", HOSTNAME_LONG_LABEL},
    {"a." LABEL_63 "x.b", HOSTNAME_LONG_LABEL},
    {"a b", HOSTNAME_CHARACTER},
    {" a", HOSTNAME_CHARACTER},
    {"a\n", HOSTNAME_CHARACTER},
    {"a/b", HOSTNAME_CHARACTER},
    {"a@b", HOSTNAME_CHARACTER},
    {"a%2eb", HOSTNAME_CHARACTER},
    {"*.example", HOSTNAME_CHARACTER},
    {"a:1", HOSTNAME_CHARACTER},
    {"::1", HOSTNAME_CHARACTER},
    {"[::1]", HOSTNAME_CHARACTER},
    {"a/1", HOSTNAME_CHARACTER},
    {"b\xc3\xbc"
     "cher.example",
     HOSTNAME_CHARACTER},
    {"127\xe3\x80\x82"
     "1",
     HOSTNAME_CHARACTER},
    {"127.0.0.1", HOSTNAME_NUMBER},
    {"127.1", HOSTNAME_NUMBER},
    {"2130706433", HOSTNAME_NUMBER},
    {"0", HOSTNAME_NUMBER},
    {"0177.0.0.1", HOSTNAME_NUMBER},
    {"1.2.3.4.5", HOSTNAME_NUMBER},
    {"256.0.0.1", HOSTNAME_NUMBER},
    {"example.1", HOSTNAME_NUMBER},
    {"0x7f000001", HOSTNAME_NUMBER},
    {"0X7F.0x0.0x0.0X1", HOSTNAME_NUMBER},
    {"a.0x", HOSTNAME_NUMBER},
};

/* Runs on an exact heap copy, so that a sanitizer sees a read past the end. */
static enum hostname_fault check(const char *text, size_t len)
{
    char *copy = malloc(len > 0 ? len : 1);
    assert_non_null(copy);
    memcpy(copy, text, len);
    enum hostname_fault fault = hostname_check(copy, len);
    free(copy);
    return fault;
}

static void test_names(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        enum hostname_fault fault = check(rows[i].text, strlen(rows[i].text));
        if (fault != rows[i].fault)
            fail_msg("\"%s\": fault %d", rows[i].text, fault);
        if (fault != HOSTNAME_OK)
            assert_true(strlen(hostname_fault_text(fault)) > 0);
    }
    assert_int_equal(check("a\0b", 3), HOSTNAME_CHARACTER);
    assert_int_equal(check("\0", 1), HOSTNAME_CHARACTER);
}

/* Each byte alone, between others, and last: what is taken is exactly letters, digits, '-' and '_'. */
static void test_every_byte(void **state)
{
    static const char good[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_";
    (void)state;
    for (int c = 0; c < 256; c++) {
        char text[3] = {'a', (char)c, 'b'};
        bool is_good = c != '\0' && strchr(good, c) != NULL;
        assert_int_equal(check(text, 3) == HOSTNAME_OK, is_good || c == '.');
        assert_int_equal(check(text, 2) == HOSTNAME_OK, is_good);
    }
}

static void test_addresses(void **state)
{
    static const struct {
        const char *text;
        size_t len;
    } addresses[] = {
        {"127.0.0.1", 4},
        {"0.0.0.0", 4},
        {"255.255.255.255", 4},
        {"::", 16},
        {"::1", 16},
        {"2001:DB8:0:0::1", 16},
        {"::ffff:1.2.3.4", 16},
        {"", 0},
        {"127.1", 0},
        {"2130706433", 0},
        {"0x7f.0.0.1", 0},
        {"01.2.3.4", 0},
        {"1.2.3.04", 0},
        {"1.2.3.256", 0},
        {"1.2.3.4.", 0},
        {"1.2.3.4 ", 0},
        {" 1.2.3.4", 0},
        {"1.2.3.4/8", 0},
        {"[::1]", 0},
        {"fe80::1%lo", 0},
        {"::ffff:127.1", 0},
        {"1:2:3:4:5:6:7:8:9", 0},
        {"::g", 0},
        {"localhost", 0},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(addresses); i++) {
        uint8_t ip[16];
        if (hostname_address(addresses[i].text, ip) != addresses[i].len)
            fail_msg("\"%s\"", addresses[i].text);
    }
}

/* A tunnel's request and its policy agree about every row, also about which are addresses. */
static void test_readers_agree(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct policy_host judged;
        struct err err;
        char text[300], host[HOST_MAX];
        uint16_t port;
        uint8_t ip[16];
        size_t len = strlen(rows[i].text);
        /* The root's dot, brackets and colons mean something around a name. */
        if (len > HOSTNAME_MAX || strpbrk(rows[i].text, "[:") != NULL ||
            (len > 0 && rows[i].text[len - 1] == '.'))
            continue;
        bool good = rows[i].fault == HOSTNAME_OK || hostname_address(rows[i].text, ip) > 0;
        str_copy(text, sizeof(text), rows[i].text, len);
        memcpy(text + len, ":22", 4);
        if ((str_host_port(text, strlen(text), host, &port, &err) == 0) != good ||
            (policy_host_parse(rows[i].text, len, &judged, &err) == 0) != good)
            fail_msg("\"%s\" is read in two ways", rows[i].text);
        if (good)
            assert_string_equal(host, judged.name);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_every_byte),
        cmocka_unit_test(test_addresses),
        cmocka_unit_test(test_readers_agree),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
