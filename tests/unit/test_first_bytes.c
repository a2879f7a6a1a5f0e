/* SPDX-License-Identifier: Apache-2.0 */
/* hello/first_bytes.h: every prefix of every beginning, and what is none of them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/check.h"
#include "hello/first_bytes.h"

/* Ask with an exact heap copy, so that a sanitizer sees a read past the end. */
static enum first_bytes ask(const char *text, size_t len)
{
    uint8_t *copy = malloc(len > 0 ? len : 1);
    assert_non_null(copy);
    if (len > 0)
        memcpy(copy, text, len);
    enum first_bytes r = first_bytes_read(copy, len);
    free(copy);
    return r;
}

static void test_whole_messages(void **state)
{
    (void)state;
#define ROW(what, text)                            \
    {                                              \
        FIRST_BYTES_##what, text, sizeof(text) - 1 \
    }
    static const struct {
        enum first_bytes what;
        const char *text;
        size_t len;
    } rows[] = {
        ROW(TLS, "\x16\x03\x01\x02\x00\x01"),
        ROW(SSH, "SSH-2.0-OpenSSH_9.2\r\n"),
        ROW(HTTP, "GET / HTTP/1.1\r\n"),
        ROW(HTTP, "OPTIONS * HTTP/1.1\r\n"),
        ROW(HTTP, "CONNECT a:1 HTTP/1.1\r\n"),
        ROW(HTTP, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4"),
        ROW(POSTGRES_TLS, "\0\0\0\x08\x04\xd2\x16\x2f"),
        ROW(POSTGRES_GSS, "\0\0\0\x08\x04\xd2\x16\x30"),
        ROW(MORE, ""),
        ROW(MORE, "PR"),
        ROW(MORE, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r"),
        ROW(UNKNOWN, "PRI / HTTP/1.1\r\n"),
        ROW(UNKNOWN, "get / HTTP/1.1\r\n"),
        ROW(UNKNOWN, "GETS / HTTP/1.1\r\n"),
        ROW(UNKNOWN, "SSH_"),
        ROW(UNKNOWN, "ssh-"),
        ROW(UNKNOWN, "\x16\x02"),
        ROW(UNKNOWN, "\x15\x03"),
        ROW(UNKNOWN, "\0\0\0\x08\x04\xd2\x16\x31"),
        ROW(UNKNOWN, "\0\0\0\x54\0\x03\0\0user\0"), /* PostgreSQL without TLS */
        ROW(UNKNOWN, "EHLO a\r\n"),
        ROW(UNKNOWN, "\r\n\r\n\0\r\nQUIT\n"),
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        if (ask(rows[i].text, rows[i].len) != rows[i].what)
            fail_msg("row %zu (%s): %d", i, rows[i].text, ask(rows[i].text, rows[i].len));
}

static void test_every_row(void **state)
{
    (void)state;
#undef ROW
    static const struct {
        enum first_bytes what;
        const char *text;
        size_t len;
    } rows[] = {
#define X(what, text) {FIRST_BYTES_##what, text, sizeof(text) - 1},
#include "tables/first_bytes.def"
#undef X
    };
    size_t longest = 0;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        for (size_t len = 0; len < rows[i].len; len++)
            assert_int_equal(ask(rows[i].text, len), FIRST_BYTES_MORE);
        assert_int_equal(ask(rows[i].text, rows[i].len), rows[i].what);
        longest = MAX(longest, rows[i].len);
    }
    assert_int_equal(longest, FIRST_BYTES_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_whole_messages),
        cmocka_unit_test(test_every_row),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
