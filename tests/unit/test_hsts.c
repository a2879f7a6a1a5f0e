/* SPDX-License-Identifier: Apache-2.0 */
/* probe/hsts.h */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "probe/hsts.h"

#define HEAD(fields) "HTTP/1.1 200 OK\r\n" fields "\r\n\r\n"
#define FIELD "Strict-Transport-Security: "

static const struct {
    const char *head;
    struct hsts want;
} rows[] = {
    {HEAD(FIELD "max-age=31536000"), {200, true, 31536000, false}},
    {HEAD("Server: x\r\nstrict-transport-security:max-age=\"100\" ; INCLUDEsubdomains; preload"),
     {200, true, 100, true}},
    {HEAD(FIELD "includeSubDomains;max-age = 5;;"), {200, true, 5, true}},
    {HEAD(FIELD "max-age=99999999999999999999999999"), {200, true, INT64_C(999999999999999999), false}},
    {HEAD(FIELD "max-age=1\r\n" FIELD "max-age=2"), {200, true, 1, false}},
    {HEAD(FIELD "max-age"), {200, false, 0, false}},
    {HEAD(FIELD "max-age="), {200, false, 0, false}},
    {HEAD(FIELD "max-age=-1"), {200, false, 0, false}},
    {HEAD(FIELD "max-age=1y"), {200, false, 0, false}},
    {HEAD(FIELD), {200, false, 0, false}},
    {HEAD("X-" FIELD "max-age=5"), {200, false, 0, false}},
    {HEAD("X: Strict-Transport-Security: max-age=5"), {200, false, 0, false}},
    {"HTTP/1.0 301 Moved\r\nX: y\r\n\r\n" FIELD "max-age=5\r\n\r\n", {301, false, 0, false}},
    {"HTTP/1.1 200\r\n\r\n", {200, false, 0, false}},
    {"HTTP/1.1 200 OK\r\n" FIELD "max-age=5\r\n", {0, false, 0, false}},
    {"HTTP/2 200\r\n\r\n", {0, false, 0, false}},
    {"HTTP/1.1 2x0 OK\r\n\r\n", {0, false, 0, false}},
    {"\r\n\r\n", {0, false, 0, false}},
    {"", {0, false, 0, false}},
};

static void test_rows(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct hsts got;
        hsts_read((const uint8_t *)rows[i].head, strlen(rows[i].head), &got);
        if (got.status != rows[i].want.status || got.sent != rows[i].want.sent ||
            (got.sent && got.max_age < rows[i].want.max_age) || got.subdomains != rows[i].want.subdomains)
            fail_msg("%s: %u %d %lld", rows[i].head, got.status, got.sent, (long long)got.max_age);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_rows)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
