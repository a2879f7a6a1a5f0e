/* SPDX-License-Identifier: Apache-2.0 */
/* probe/alt_svc.h */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/check.h"
#include "probe/alt_svc.h"

#define HEAD(fields) "HTTP/1.1 200 OK\r\n" fields "\r\n\r\n"

static const struct {
    const char *head;
    bool told;
} rows[] = {
    {HEAD("Alt-Svc: h3=\":443\""), true},
    {HEAD("alt-svc:\th3=\":443\"; ma=86400; persist=1 , h3-29=\":443\""), true},
    {HEAD("Alt-Svc: h3-29=\":443\",h3=\":443\";ma=1"), true},
    {HEAD("Alt-Svc: h2=\":443\"\r\nServer: x\r\nAlt-Svc: h3=\":443\""), true},
    {HEAD("Alt-Svc: H3 = \":443\""), true},
    {HEAD("Alt-Svc: h3=\":8443\""), false},
    {HEAD("Alt-Svc: h3=\"other.test:443\""), false},
    {HEAD("Alt-Svc: h3-29=\":443\""), false},
    {HEAD("Alt-Svc: h2=\":443\""), false},
    {HEAD("Alt-Svc: clear"), false},
    {HEAD("Alt-Svc: h3=\":443\"\r\nAlt-Svc: clear"), false},
    {HEAD("Alt-Svc: h3"), false},
    {HEAD("Alt-Svc: h3="), false},
    {HEAD("Alt-Svc: h3=\""), false},
    {HEAD("Alt-Svc: h3=\"\""), false},
    {HEAD("Alt-Svc: h3=\":\""), false},
    {HEAD("Alt-Svc: h3=\":443"), false},
    {HEAD("Alt-Svc: h3=:443"), false},
    {HEAD("Alt-Svc: h3=\":000000000000443\""), false},
    {HEAD("Alt-Svc: h3=\":65979\""), false}, /* 443 in 16 bits */
    {HEAD("Alt-Svc: h3=\":-443\""), false},
    {HEAD("Alt-Svc: ;,;=,"), false},
    {HEAD("Alt-Svc:"), false},
    {HEAD("Alt-Svc"), false},
    {HEAD("X-Alt-Svc: h3=\":443\""), false},
    {HEAD("X: Alt-Svc: h3=\":443\""), false},
    {"HTTP/1.1 200 OK\r\nAlt-Svc: h3=\":443\"\r\n", false},
    {"HTTP/2 200\r\nAlt-Svc: h3=\":443\"\r\n\r\n", false},
    {"HTTP/1.1 200 OK\r\n\r\nAlt-Svc: h3=\":443\"\r\n\r\n", false},
    {"\r\n\r\n", false},
    {"", false},
};

static void test_rows(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        const uint8_t *head = (const uint8_t *)rows[i].head;
        size_t len = strlen(rows[i].head);
        if (alt_svc_tells_h3(head, len, 443) != rows[i].told)
            fail_msg("%s: expected %d", rows[i].head, rows[i].told);
        for (size_t n = 0; n < len; n++) /* before all of it is there it tells of nothing */
            assert_false(rows[i].told && alt_svc_tells_h3(head, n, 443));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_rows)};
    return cmocka_run_group_tests_name("alt_svc", tests, NULL, NULL);
}
