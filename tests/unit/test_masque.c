/* SPDX-License-Identifier: Apache-2.0 */
/* http/masque.h: paths that name a target over UDP. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/check.h"
#include "base/err.h"
#include "http/masque.h"
#include "session/front.h"

#define P MASQUE_UDP_PREFIX

/* On an exact heap copy, so that a sanitizer sees a read past the end. */
static int parse(const char *path, struct front_target *ret, struct err *err)
{
    size_t len = strlen(path);
    char *copy = malloc(len > 0 ? len : 1);
    assert_non_null(copy);
    memcpy(copy, path, len);
    int r = masque_udp_path((struct str){copy, len}, ret, err);
    free(copy);
    return r;
}

static void test_good(void **state)
{
    static const struct {
        const char *path, *host;
        uint16_t port;
    } rows[] = {
        {P "dns.inside/53/", "dns.inside", 53},
        {P "DNS.Inside./65535/", "dns.inside", 65535},
        {P "192.0.2.6/443/", "192.0.2.6", 443},
        {P "2001%3Adb8%3A%3A42/443/", "2001:db8::42", 443},
        {P "2001%3adb8%3a0%3A0%3a%3A42/443/", "2001:db8::42", 443},
        {P "%3A%3Affff%3A10.0.0.1/1/", "10.0.0.1", 1},
        {P "%61%2Eb/%35%33/", "a.b", 53},
        {P "a_b-c/1/", "a_b-c", 1},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct front_target got;
        struct err err = {""};
        if (parse(rows[i].path, &got, &err) != 0)
            fail_msg("%s: %s", rows[i].path, err.text);
        assert_string_equal(got.host, rows[i].host);
        assert_int_equal(got.port, rows[i].port);
        assert_true(got.udp);
    }
}

static void test_bad(void **state)
{
    static const struct {
        const char *path, *why;
    } rows[] = {
        {"", "no such path"},
        {"/", "no such path"},
        {"*", "no such path"},
        {"/.well-known/masque/udp", "no such path"},
        {"/.well-known/masque/UDP/a/1/", "no such path"},
        {"/.well-known/masque/tcp/a/1/", "no such path"},
        {"/.well-known/masque/../masque/udp/a/1/", "no such path"},
        {"https://door/.well-known/masque/udp/a/1/", "no such path"},
        {P, "nothing more"},
        {P "a", "nothing more"},
        {P "a/", "nothing more"},
        {P "a/1", "nothing more"},
        {P "a/1/x", "nothing more"},
        {P "a/1//", "nothing more"},
        {P "a/1/?x=1", "nothing more"},
        {P "a/1?/", "percent-encoded"},
        {P "a/1/#f", "nothing more"},
        {P "/1/", "no host"},
        {P "a//", "port"},
        {P "a/0/", "port"},
        {P "a/65536/", "port"},
        {P "a/01/", "port"},
        {P "a/+1/", "percent-encoded"},
        {P "a/1%00/", "port"},
        {P "a%00b/1/", "letters"},
        {P "a%2Fb/1/", "letters"},
        {P "a%20b/1/", "letters"},
        {P "a%25/1/", "letters"},
        {P "a%252e/1/", "letters"},
        {P "a~b/1/", "letters"},
        {P "a%/1/", "hexadecimal"},
        {P "a%4/1/", "hexadecimal"},
        {P "a%4g/1/", "hexadecimal"},
        {P "a%-1/1/", "hexadecimal"},
        {P "a/%3/", "hexadecimal"},
        {P "::1/1/", "percent-encoded"},
        {P "[::1]/1/", "percent-encoded"},
        {P "%5B%3A%3A1%5D/1/", "brackets"},
        {P "%5Ba/1/", "brackets"},
        {P "fe80%3A%3A1%25eth0/1/", "not an IPv6"},
        {P "a%3A1/1/", "not an IPv6"},
        {P "127.1/1/", "number"},
        {P "a..b/1/", "name"},
        {P "*/1/", "percent-encoded"},
        {P "192.0.2.0%2F24/1/", "letters"},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct front_target got = {.port = 7};
        struct err err = {""};
        if (parse(rows[i].path, &got, &err) == 0)
            fail_msg("%s was taken for %s:%u", rows[i].path, got.host, got.port);
        if (strstr(err.text, rows[i].why) == NULL)
            fail_msg("%s: %s", rows[i].path, err.text);
        assert_int_equal(got.port, 7);
    }
}

static void test_long(void **state)
{
    char path[MASQUE_PATH_MAX + 64];
    struct front_target got;
    struct err err;
    (void)state;
    for (size_t n = 1; n < MASQUE_PATH_MAX; n += 7) {
        int len = snprintf(path, sizeof(path), "%s%.*s/1/", P, (int)n, "");
        memset(path + len - 3, 'a', n);
        strcpy(path + (size_t)len - 3 + n, "/1/");
        assert_int_equal(parse(path, &got, &err), n <= 63 ? 0 : -1);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_good),
        cmocka_unit_test(test_bad),
        cmocka_unit_test(test_long),
    };
    return cmocka_run_group_tests_name("masque", tests, NULL, NULL);
}
