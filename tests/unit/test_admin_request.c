/* SPDX-License-Identifier: Apache-2.0 */
/* admin/request.h: requests to the door's own pages. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "admin/request.h"
#include "base/check.h"

#define HOST "Host: localhost\r\n"

/* Read an exact heap copy, so that a sanitizer sees a read past the end. */
static enum request_status read_copy(const char *data, size_t len, struct request *ret, struct err *err)
{
    uint8_t *copy = malloc(len > 0 ? len : 1);
    assert_non_null(copy);
    if (len > 0)
        memcpy(copy, data, len);
    enum request_status s = request_read(copy, len, ret, err);
    free(copy);
    return s;
}

static void test_good(void **state)
{
    static const struct {
        const char *head, *method, *path, *query;
    } rows[] = {
        {"GET /status HTTP/1.1\r\n" HOST "\r\n", "GET", "/status", ""},
        {"GET /status HTTP/1.0\r\n\r\n", "GET", "/status", ""},
        {"HEAD / HTTP/1.1\r\n" HOST "\r\n", "HEAD", "/", ""},
        {"POST /reload HTTP/1.1\r\n" HOST "Content-Length: 0\r\n\r\n", "POST", "/reload", ""},
        {"GET /sessions?limit=5 HTTP/1.1\r\nhost:a\r\n\r\n", "GET", "/sessions", "limit=5"},
        {"GET /a?b?c HTTP/1.1\r\n" HOST "\r\n", "GET", "/a", "b?c"},
        {"GET /a? HTTP/1.1\r\n" HOST "\r\n", "GET", "/a", ""},
        {"GET /%2e%2e/status HTTP/1.1\r\n" HOST "\r\n", "GET", "/%2e%2e/status", ""},
        {"DELETE /../status HTTP/1.1\r\n" HOST "\r\n", "DELETE", "/../status", ""},
        {"GET / HTTP/1.1\r\n" HOST "X: caf\xc3\xa9\ttab\r\nEmpty:\r\n\r\nmore", "GET", "/", ""},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct request got;
        struct err err = {""};
        if (read_copy(rows[i].head, strlen(rows[i].head), &got, &err) != REQUEST_READ)
            fail_msg("%s: %s", rows[i].head, err.text);
        assert_string_equal(got.method, rows[i].method);
        assert_string_equal(got.path, rows[i].path);
        assert_string_equal(got.query, rows[i].query);
    }
}

static const struct bad {
    const char *head;
    unsigned status;
    const char *why;
} bad_rows[] = {
    {"\r\n\r\n", 400, "first line"},
    {"GET\r\n\r\n", 400, "first line"},
    {"GET /\r\n\r\n", 400, "first line"},
    {" GET / HTTP/1.1\r\n" HOST "\r\n", 400, "first line"},
    {"\r\nGET / HTTP/1.1\r\n" HOST "\r\n", 400, "first line"},
    {"GET\t/ HTTP/1.1\r\n" HOST "\r\n", 400, "first line"},
    {"G(T / HTTP/1.1\r\n" HOST "\r\n", 400, "first line"},
    {"GET  / HTTP/1.1\r\n" HOST "\r\n", 505, "not HTTP/1.1"},
    {"GET / HTTP/1.1 \r\n" HOST "\r\n", 505, "not HTTP/1.1"},
    {"GET / http/1.1\r\n" HOST "\r\n", 505, "not HTTP/1.1"},
    {"GET / HTTP/2.0\r\n" HOST "\r\n", 505, "not HTTP/1.1"},
    {"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505, "not HTTP/1.1"},
    {"VERYLONGMETHODNAME / HTTP/1.1\r\n" HOST "\r\n", 501, "no such method"},
    {"OPTIONS * HTTP/1.1\r\n" HOST "\r\n", 400, "not a path"},
    {"GET http://localhost/status HTTP/1.1\r\n" HOST "\r\n", 400, "not a path"},
    {"GET status HTTP/1.1\r\n" HOST "\r\n", 400, "not a path"},
    {"GET /a#b HTTP/1.1\r\n" HOST "\r\n", 400, "not a path"},
    {"GET /\xc3\xa9 HTTP/1.1\r\n" HOST "\r\n", 400, "not a path"},
    {"GET / HTTP/1.1\r\n\r\n", 400, "no Host"},
    {"GET / HTTP/1.1\r\n" HOST HOST "\r\n", 400, "more than one Host"},
    {"GET / HTTP/1.1\r\nHost: a b\r\n\r\n", 400, "no host"},
    {"GET / HTTP/1.1\r\n" HOST "X : 1\r\n\r\n", 400, "no header field"},
    {"GET / HTTP/1.1\r\n" HOST "X\r\n\r\n", 400, "no header field"},
    {"GET / HTTP/1.1\r\n" HOST ": 1\r\n\r\n", 400, "no header field"},
    {"GET / HTTP/1.1\r\n" HOST "X: 1\r\n folded: 2\r\n\r\n", 400, "folded"},
    {"GET / HTTP/1.1\r\n" HOST "X: 1\n\r\n\r\n", 400, "CR LF"},
    {"GET / HTTP/1.1\r\n" HOST "X: 1\rY: 2\r\n\r\n", 400, "CR LF"},
    {"GET / HTTP/1.1\nHost: a\n\r\n\r\n", 400, "CR LF"},
    {"GET / HTTP/1.1\r\n" HOST "X: \x7f\r\n\r\n", 400, "control character"},
    {"GET / HTTP/1.1\r\n" HOST "X: \x1b[2J\r\n\r\n", 400, "control character"},
    {"POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n", 413, "Transfer-Encoding"},
    {"POST / HTTP/1.1\r\n" HOST "Content-Length: 5\r\n\r\nhello", 413, "Content-Length but 0"},
    {"POST / HTTP/1.1\r\n" HOST "Content-Length: 00\r\n\r\n", 413, "Content-Length but 0"},
    {"POST / HTTP/1.1\r\n" HOST "Content-Length: +0\r\n\r\n", 413, "Content-Length but 0"},
    {"POST / HTTP/1.1\r\n" HOST "Content-Length: 0\r\ncontent-length: 0\r\n\r\n", 400,
     "more than one Content-Length"},
};

static void test_bad(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(bad_rows); i++) {
        struct request got;
        struct err err = {""};
        if (read_copy(bad_rows[i].head, strlen(bad_rows[i].head), &got, &err) != REQUEST_BAD)
            fail_msg("taken: %s", bad_rows[i].head);
        if (got.bad != bad_rows[i].status || strstr(err.text, bad_rows[i].why) == NULL)
            fail_msg("%s: %u %s", bad_rows[i].head, got.bad, err.text);
    }
}

static void test_nul(void **state)
{
    static const char in_path[] = "GET /sta\0tus HTTP/1.1\r\n" HOST "\r\n";
    static const char in_name[] = "GET / HTTP/1.1\r\nHo\0st: a\r\n\r\n";
    struct request got;
    struct err err;
    (void)state;
    assert_int_equal(read_copy(in_path, sizeof(in_path) - 1, &got, &err), REQUEST_BAD);
    assert_int_equal(read_copy(in_name, sizeof(in_name) - 1, &got, &err), REQUEST_BAD);
}

/* Every prefix of a head wants more; what follows it changes nothing. */
static void test_splits(void **state)
{
    static const char head[] = "GET /sessions?limit=5 HTTP/1.1\r\n" HOST "X: 1\r\n\r\n";
    struct request got;
    struct err err;
    (void)state;
    for (size_t n = 0; n < sizeof(head) - 1; n++)
        assert_int_equal(read_copy(head, n, &got, &err), REQUEST_MORE);
    assert_int_equal(read_copy(head, sizeof(head) - 1, &got, &err), REQUEST_READ);
}

/* A head of `fields` header fields and, with `size` not 0, of that many bytes. The caller frees it. */
static char *make_head(size_t fields, size_t size)
{
    char *text = malloc(REQUEST_HEAD_MAX * 2);
    assert_non_null(text);
    int n = sprintf(text, "GET / HTTP/1.1\r\n" HOST);
    for (size_t i = 1; i < fields; i++)
        n += sprintf(text + n, "X: 1\r\n");
    if (size > 0) {
        n += sprintf(text + n, "X: ");
        memset(text + n, 'x', size - (size_t)n - 4);
        n = (int)size - 4;
        n += sprintf(text + n, "\r\n");
    }
    sprintf(text + n, "\r\n");
    return text;
}

static void test_bounds(void **state)
{
    static const struct {
        size_t fields, size;
        enum request_status status;
        unsigned bad;
    } rows[] = {
        {REQUEST_FIELDS_MAX, 0, REQUEST_READ, 0},
        {REQUEST_FIELDS_MAX + 1, 0, REQUEST_BAD, 431},
        {1, REQUEST_HEAD_MAX, REQUEST_READ, 0},
        {1, REQUEST_HEAD_MAX + 1, REQUEST_BAD, 431},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct request got;
        struct err err;
        char *head = make_head(rows[i].fields, rows[i].size);
        assert_int_equal(read_copy(head, strlen(head), &got, &err), rows[i].status);
        assert_int_equal(got.bad, rows[i].bad);
        free(head);
    }
}

static void test_long_target(void **state)
{
    char head[4096];
    struct request got;
    struct err err;
    (void)state;
    snprintf(head, sizeof(head), "GET /%0300d HTTP/1.1\r\n" HOST "\r\n", 1);
    assert_int_equal(read_copy(head, strlen(head), &got, &err), REQUEST_BAD);
    assert_int_equal(got.bad, 414);
    snprintf(head, sizeof(head), "GET /?%02100d HTTP/1.1\r\n" HOST "\r\n", 1);
    assert_int_equal(read_copy(head, strlen(head), &got, &err), REQUEST_BAD);
    assert_int_equal(got.bad, 414);
}

static void test_number(void **state)
{
    static const struct {
        const char *query;
        bool good;
        uint64_t number;
    } rows[] = {
        {"", true, 7},
        {"limit=1", true, 1},
        {"limit=1000", true, 1000},
        {"limit=0", false, 0},
        {"limit=", false, 0},
        {"limit=1001", false, 0},
        {"limit=-1", false, 0},
        {"limit=1&x=2", false, 0},
        {"limit", false, 0},
        {"limits=1", false, 0},
        {"x=1", false, 0},
        {"limit=0x1", false, 0},
        {"limit=1 ", false, 0},
        {"limit=99999999999999999999999", false, 0},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct request r = {.bad = 0};
        struct err err = {""};
        uint64_t number;
        strcpy(r.query, rows[i].query);
        assert_int_equal(request_number(&r, "limit", 1000, 7, &number, &err), rows[i].good);
        if (rows[i].good)
            assert_int_equal(number, rows[i].number);
        else
            assert_non_null(strstr(err.text, "limit=N"));
    }
}

static void test_value(void **state)
{
    static const struct {
        const char *query;
        const char *value; /* NULL: there is none */
    } rows[] = {
        {"", NULL},
        {"key=", ""},
        {"key=a", "a"},
        {"other=b&key=a", "a"},
        {"key=a&key=b", "a"},
        {"keys=a", NULL},
        {"akey=a", NULL},
        {"key", NULL},
        {"key&key=a", "a"},
        {"&&key=a&", "a"},
        {"key=%2Fx%20y%3D%26%25", "/x y=&%"},
        {"key=%c3%BC", "\xc3\xbc"},
        {"key=a+b", "a+b"},
        {"key=%", NULL},
        {"key=%4", NULL},
        {"key=%4&x=1", NULL},
        {"key=%4g", NULL},
        {"key=%zz", NULL},
        {"key=a%00b", NULL},
        {"key=1234567890", "1234567890"},
        {"key=12345678901", NULL},
        {"key=1234567890%41", NULL},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct request r = {.bad = 0};
        char value[11] = "before";
        strcpy(r.query, rows[i].query);
        assert_int_equal(request_value(&r, "key", value, sizeof(value)), rows[i].value != NULL);
        assert_string_equal(value, rows[i].value == NULL ? "" : rows[i].value);
    }
}

static void test_id(void **state)
{
    static const struct {
        const char *query;
        uint64_t id; /* 0: refused */
    } rows[] = {
        {"id=aaaaaaaaaaaab", 1},
        {"id=p777777777777", UINT64_MAX},
        {"id=aaaaaaaaaaaaa", 0},
        {"id=q777777777777", 0},
        {"", 0},
        {"id=", 0},
        {"id=aaaaaaaaaaab", 0},
        {"id=aaaaaaaaaaaaab", 0},
        {"id=AAAAAAAAAAAAB", 0},
        {"id=aaaaaaaaaaaa1", 0},
        {"id=aaaaaaaaaaaab&x=1", 0},
        {"ids=aaaaaaaaaaaab", 0},
        {"aaaaaaaaaaaab", 0},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct request r = {.bad = 0};
        struct err err = {""};
        uint64_t id = 0;
        strcpy(r.query, rows[i].query);
        assert_int_equal(request_id(&r, &id, &err), rows[i].id != 0);
        assert_true(rows[i].id != 0 ? id == rows[i].id : strstr(err.text, "id=ID") != NULL);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_good),   cmocka_unit_test(test_bad),    cmocka_unit_test(test_nul),
        cmocka_unit_test(test_splits), cmocka_unit_test(test_bounds), cmocka_unit_test(test_long_target),
        cmocka_unit_test(test_number), cmocka_unit_test(test_value),  cmocka_unit_test(test_id),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
