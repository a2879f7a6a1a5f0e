/* SPDX-License-Identifier: Apache-2.0 */
/* http1/reply.h: whole answers, however they are cut, and what is none. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/check.h"
#include "http1/reply.h"

#define MOST 16

struct answer {
    enum reply_status is;
    unsigned status;
    struct buf content;
    struct err err;
};

/* Ask with an exact heap copy, so that a sanitizer sees a read past the end. */
static struct answer ask(const char *text, size_t len, bool ended)
{
    struct answer a = {.status = 0};
    uint8_t *copy = malloc(len > 0 ? len : 1);
    assert_non_null(copy);
    if (len > 0)
        memcpy(copy, text, len);
    a.is = reply_read(copy, len, ended, MOST, &a.status, &a.content, &a.err);
    free(copy);
    return a;
}

#define OK "HTTP/1.1 200 OK\r\n"
#define CHUNKED OK "Transfer-Encoding: chunked\r\n\r\n"

static void whole_answers(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        unsigned status;
        const char *content;
        bool at_end; /* it is whole only once the connection has ended */
    } rows[] = {
        {OK "Content-Length: 5\r\n\r\nhello", 200, "hello", false},
        {OK "content-length:0\r\n\r\n", 200, "", false},
        {"HTTP/1.0 404 Not Found\r\nContent-Length: 2\r\nX: \xc3\xa4\r\n\r\nno", 404, "no", false},
        {"HTTP/1.1 204\r\n\r\n", 204, "", false},
        {"HTTP/1.1 503 \r\nContent-Length: 16\r\n\r\n0123456789abcdef", 503, "0123456789abcdef", false},
        {"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early\r\nLink: x\r\n\r\n" OK "Content-Length: 1\r\n\r\na",
         200, "a", false},
        {CHUNKED "3\r\nabc\r\n2;x=y\r\nde\r\n0\r\n", 200, "abcde", false},
        {OK "\r\nrest", 200, "rest", true},
        {OK "\r\n", 200, "", true},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        size_t len = strlen(rows[i].text);
        for (size_t n = 0; n <= len; n++) {
            struct answer a = ask(rows[i].text, n, false);
            if ((a.is == REPLY_READ) != (n == len && !rows[i].at_end) || a.is == REPLY_BAD)
                fail_msg("row %zu, %zu bytes: %d", i, n, (int)a.is);
            buf_free(&a.content);
        }
        struct answer a = ask(rows[i].text, len, true);
        assert_int_equal(a.is, REPLY_READ);
        assert_int_equal(a.status, rows[i].status);
        assert_int_equal(a.content.len, strlen(rows[i].content));
        assert_memory_equal(a.content.len > 0 ? (char *)a.content.data : "", rows[i].content, a.content.len);
        buf_free(&a.content);
    }
}

static void what_is_none(void **state)
{
    (void)state;
    static const struct {
        const char *text, *why;
    } rows[] = {
        {"SSH-2.0-x\r\n", "its first line"},
        {"HTTP/2 200 OK\r\n\r\n", "its first line"},
        {"HTTP/1.1 20 OK\r\n\r\n", "its first line"},
        {"HTTP/1.1 2000\r\n\r\n", "its first line"},
        {"HTTP/1.1 099 X\r\n\r\n", "its first line"},
        {"HTTP/1.1 200 OK\n\n", "ends in another way"},
        {OK "X: a\rb\r\n\r\n", "control characters"},
        {OK "no name\r\n\r\n", "no name"},
        {OK " folded: x\r\n\r\n", "no name"},
        {OK "Content-Length : 1\r\n\r\na", "no name"},
        {OK "Content-Length: 1\r\nContent-Length: 1\r\n\r\na", "length"},
        {OK "Content-Length: +1\r\n\r\na", "length"},
        {OK "Content-Length: 99999999999999999999999\r\n\r\na", "length"},
        {OK "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", "framed"},
        {OK "Transfer-Encoding: gzip, chunked\r\n\r\n", "framed"},
        {OK "Content-Length: 17\r\n\r\n0123456789abcdefg", "too long"},
        {OK "\r\n0123456789abcdefg", "too long"},
        {CHUNKED "11\r\n0123456789abcdefg\r\n0\r\n", "too long"},
        {CHUNKED "-1\r\n", "its chunks"},
        {CHUNKED "1\r\nab", "its chunks"},
        {"HTTP/1.1 101 Switching\r\nUpgrade: x\r\n\r\n", "another protocol"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct answer a = ask(rows[i].text, strlen(rows[i].text), false);
        if (a.is != REPLY_BAD || strstr(a.err.text, rows[i].why) == NULL)
            fail_msg("row %zu: %d, %s", i, (int)a.is, a.err.text);
        assert_int_equal(a.content.len, 0);
    }
    struct buf endless = {0};
    assert_true(buf_printf(&endless, OK "X: "));
    while (endless.len <= REPLY_HEAD_MAX)
        assert_true(buf_append(&endless, "x", 1));
    struct answer a = ask((const char *)endless.data, endless.len, false);
    assert_int_equal(a.is, REPLY_BAD);
    buf_free(&endless);
}

/* The end of the connection is no end of an answer that says how long it is. */
static void what_breaks_off(void **state)
{
    (void)state;
    static const char *const rows[] = {"HTTP/1.1 2", OK, OK "Content-Length: 5\r\n\r\nhell",
                                       CHUNKED "3\r\nabc\r\n"};
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct answer a = ask(rows[i], strlen(rows[i]), true);
        assert_int_equal(a.is, REPLY_BAD);
        assert_string_equal(a.err.text, "the answer broke off");
    }
    struct answer a = ask("", 0, true);
    assert_int_equal(a.is, REPLY_BAD);
    assert_string_equal(a.err.text, "the connection ended without an answer");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(whole_answers),
        cmocka_unit_test(what_is_none),
        cmocka_unit_test(what_breaks_off),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
