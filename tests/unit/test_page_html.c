/* SPDX-License-Identifier: Apache-2.0 */
/* probe/page_html.h. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/check.h"
#include "probe/page_html.h"

static void put(void *arg, struct str s)
{
    struct buf *out = arg;
    assert_true(buf_printf(out, "[%.*s]", (int)s.len, s.p));
}

/* Runs on an exact heap copy, so that a sanitizer sees a read past the end. */
static void read_as(const char *html, bool links, const char *expected)
{
    size_t len = strlen(html);
    char *copy = malloc(len > 0 ? len : 1);
    struct buf out = {0};
    assert_non_null(copy);
    memcpy(copy, html, len);
    (links ? page_links : page_text)((struct str){copy, len}, put, &out);
    assert_string_equal(buf_text(&out), expected);
    buf_free(&out);
    free(copy);
}

static void test_links(void **state)
{
    static const struct {
        const char *html, *links;
    } rows[] = {
        {"<a href=\"/a\">a</a><img src='b.png'/><A HREF=/c>", "[/a][b.png][/c]"},
        {"<a title=\">\" href = /a class=x>", "[/a]"},
        {"<a data-href=/no hreflang=no href=/a>", "[/a]"},
        {"<br/><img src=a/b/>", "[a/b/]"},
        {"<!-- <a href=/no> --><a href=/a>", "[/a]"},
        {"<script src=s.js>x = '<a href=/no>'</script><a href=/a>", "[s.js][/a]"},
        {"<STYLE>a { b: '<a href=/no>' }</STYLE ><a href=/a>", "[/a]"},
        {"<!doctype html><?xml href=/no?><a href=/a>", "[/a]"},
        {"<a href>", "[]"},
        /* broken, cut off, hostile */
        {"", ""},
        {"<", ""},
        {"<a", ""},
        {"</", ""},
        {"<a href", "[]"},
        {"<a href=", "[]"},
        {"<a href='", "[]"},
        {"<a href='/cut", "[/cut]"},
        {"<a href=\"/a'>\" href='b\">", "[/a'>][b\">]"},
        {"<a = href=/a>", "[/a]"},
        {"<a \"href=/a>", ""},
        {"<!--", ""},
        {"<!-->", ""},
        {"<script>", ""},
        {"<script><a href=/no>", ""},
        {"<script", ""},
        {"< a href=/no>", ""},
        {"<<a href=/a>", "[/a]"},
        {"<a href=/a<b href=/b>", "[/a<b][/b]"},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        read_as(rows[i].html, true, rows[i].links);
}

static void test_text(void **state)
{
    (void)state;
    read_as("a<b>c</b> d", false, "[a][c][ d]");
    read_as("1 < 2<p>x<script>no</script>y<!--no-->z", false, "[1 ][< 2][x][y][z]");
    read_as("<<<", false, "[<][<][<]");
    read_as("", false, "");
}

static void test_paths(void **state)
{
    static const struct {
        const char *base, *reference, *path; /* NULL: no link */
    } rows[] = {
        {"/", "/a", "/a"},
        {"/a/b?q=/x/", "c", "/a/c"},
        {"/a/b", "../c", "/c"},
        {"/a/b", "../../../c/./d/..", "/c/"},
        {"/a/b", ".", "/a/"},
        {"/a/b", "?x=../y", "/a/b?x=../y"},
        {"/a/b?old", "?new", "/a/b?new"},
        {"/a", "b#part", "/b"},
        {"/a", " \t/b\n", "/b"},
        {"/a", "/b?x=1&amp;y=2", "/b?x=1&y=2"},
        {"/a", "//", NULL},
        {"/a", "http://site.test", "/"},
        {"/a", "HTTPS://Site.Test:8443/b", "/b"},
        {"/a", "http://site.test?q", "/?q"},
        {"/a", "//site.test/b", "/b"},
        {"/a", "/b:c", "/b:c"},
        {"/a",
         "gr\xc3\xbc\xc3\x9f"
         "e?\xc3\xbc",
         "/gr%C3%BC%C3%9Fe?%C3%BC"},
        {"/a", "./b:c", "/b:c"},
        /* elsewhere, nowhere, hostile */
        {"/a", "", NULL},
        {"/a", "#part", NULL},
        {"/a", "mailto:a@site.test", NULL},
        {"/a", "javascript:alert(1)", NULL},
        {"/a", "b:c", NULL},
        {"/a", "http:/b", NULL},
        {"/a", "http://other.test/b", NULL},
        {"/a", "//site.test.evil.test/b", NULL},
        {"/a", "//site.test@evil.test/b", NULL},
        {"/a", "//user@site.test/b", NULL},
        {"/a", "//site.test:80x/b", NULL},
        {"/a", "/b\r\nHost: evil.test", NULL},
        {"/a", "/b c", NULL},
        {"/a", "/b\x7f", NULL},
        {"/a",
         "/\xc2\x9b"
         "31m\xff",
         "/%C2%9B31m%FF"},
        {"/a", "/.//other.test", "//other.test"},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        char path[PAGE_PATH_MAX];
        struct str reference = {rows[i].reference, strlen(rows[i].reference)};
        bool found = page_link_path("site.test", rows[i].base, reference, path);
        if (found != (rows[i].path != NULL) || (found && strcmp(path, rows[i].path) != 0))
            fail_msg("%s on %s: %s", rows[i].reference, rows[i].base, found ? path : "no link");
    }
}

static void test_addresses(void **state)
{
    char path[PAGE_PATH_MAX];
    (void)state;
    assert_true(page_link_path("::1", "/", (struct str){"http://[::1]:80/a", 17}, path));
    assert_string_equal(path, "/a");
    assert_false(page_link_path("::1", "/", (struct str){"http://[::1/a", 13}, path));
    assert_false(page_link_path("::1", "/", (struct str){"http://::1/a", 12}, path));
    assert_true(page_link_path("127.0.0.1", "/", (struct str){"//127.0.0.1/", 12}, path));
}

static void test_long_paths(void **state)
{
    char reference[PAGE_PATH_MAX + 1], path[PAGE_PATH_MAX];
    (void)state;
    memset(reference, 'a', sizeof(reference));
    reference[0] = '/';
    assert_true(page_link_path("h", "/", (struct str){reference, PAGE_PATH_MAX - 1}, path));
    assert_int_equal(strlen(path), PAGE_PATH_MAX - 1);
    assert_false(page_link_path("h", "/", (struct str){reference, PAGE_PATH_MAX}, path));
    assert_false(page_link_path("h", "/", (struct str){reference + 1, PAGE_PATH_MAX - 1}, path));
    memset(reference + 1, 0xff, sizeof(reference) - 1); /* each takes three */
    assert_true(page_link_path("h", "/", (struct str){reference, PAGE_PATH_MAX / 3}, path));
    assert_false(page_link_path("h", "/", (struct str){reference, PAGE_PATH_MAX / 3 + 2}, path));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_links),     cmocka_unit_test(test_text),       cmocka_unit_test(test_paths),
        cmocka_unit_test(test_addresses), cmocka_unit_test(test_long_paths),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
