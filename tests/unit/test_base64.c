/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/base64.h"
#include "base/check.h"

/* RFC 4648, 10. */
static void test_vectors(void **state)
{
    static const char *const rows[][2] = {{"", ""},
                                          {"f", "Zg=="},
                                          {"fo", "Zm8="},
                                          {"foo", "Zm9v"},
                                          {"foob", "Zm9vYg=="},
                                          {"fooba", "Zm9vYmE="},
                                          {"foobar", "Zm9vYmFy"}};
    uint8_t out[8];
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        size_t len = strlen(rows[i][0]);
        assert_true(base64_read(rows[i][1], out, len));
        assert_memory_equal(out, rows[i][0], len);
        assert_false(base64_read(rows[i][1], out, len + 1));
        assert_true(len == 0 || !base64_read(rows[i][1], out, len - 1));
    }
}

static void test_hostile(void **state)
{
    static const struct {
        const char *text;
        size_t len;
    } rows[] = {
        {"Zg", 1},  /* no padding */
        {"Zg=", 1}, /* too little of it */
        {"Zg===", 1},
        {"=Zg=", 1},
        {"Z===", 1},
        {"Zh==", 1}, /* bits that stand for nothing */
        {"Zm9=", 2},
        {"Zm-v", 3}, /* base64url */
        {"Zm v", 3},
        {"Zm\nv", 3},
        {"Zm9v\n", 3},
        {"\xc3\xa9"
         "9v",
         3},
        {"====", 3},
        {"Zm9v", 0},
    };
    uint8_t out[8];
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        if (base64_read(rows[i].text, out, rows[i].len))
            fail_msg("'%s' was taken", rows[i].text);
}

/* Written, one after the other, and within a bound. */
static void test_put(void **state)
{
    (void)state;
    static const char *const rows[][2] = {{"", ""},
                                          {"f", "Zg=="},
                                          {"fo", "Zm8="},
                                          {"foo", "Zm9v"},
                                          {"foob", "Zm9vYg=="},
                                          {"fooba", "Zm9vYmE="},
                                          {"foobar", "Zm9vYmFy"},
                                          {"\xff\xfe\xfb", "//77"}};
    struct buf all = {0}, small = {.max = 3};
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct buf out = {0};
        assert_true(base64_put(&out, rows[i][0], strlen(rows[i][0])));
        assert_string_equal(buf_text(&out), rows[i][1]);
        buf_free(&out);
        assert_true(base64_put(&all, rows[i][0], strlen(rows[i][0])));
    }
    assert_string_equal(buf_text(&all), "Zg==Zm8=Zm9vZm9vYg==Zm9vYmE=Zm9vYmFy//77");
    assert_false(base64_put(&small, "f", 1));
    assert_int_equal(small.len, 0);
    buf_free(&all);
}

static void test_url(void **state)
{
    static const struct {
        const char *bytes, *text;
    } good[] = {{"", ""},        {"f", "Zg"},        {"fo", "Zm8"},
                {"foo", "Zm9v"}, {"foob", "Zm9vYg"}, {"\xfb\xff\xfe", "-__-"}};
    static const char *const bad[] = {"Z",    "Zg==",  "Zg=",   "Zh",     "Zm9", "+__-",
                                      "-//-", "Zm9vY", "Zm 9v", "Zm9v\n", "=",   "\xc3\xa9"};
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(good); i++) {
        struct buf text = {0}, bytes = {0};
        size_t len = strlen(good[i].bytes);
        assert_true(base64url_put(&text, good[i].bytes, len));
        assert_string_equal(buf_text(&text), good[i].text);
        assert_true(base64url_read((struct str){good[i].text, strlen(good[i].text)}, &bytes));
        assert_int_equal(bytes.len, len);
        assert_memory_equal(bytes.data, good[i].bytes, len);
        buf_free(&text);
        buf_free(&bytes);
    }
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct buf bytes = {0};
        if (base64url_read((struct str){bad[i], strlen(bad[i])}, &bytes) || bytes.len != 0)
            fail_msg("'%s' was taken", bad[i]);
        buf_free(&bytes);
    }
}

/* As people paste it. */
static void test_lines(void **state)
{
    static const struct {
        const char *text, *bytes; /* NULL: none */
    } rows[] = {{"Zm9v\r\n YmE=\n", "fooba"},
                {"Z\nm\n9\tv", "foo"},
                {"", NULL},
                {" \n", NULL},
                {"Zm9vYg=", NULL},
                {"Zm9v====", NULL},
                {"Zm9vYh==", NULL},
                {"Zm9v-_==", NULL}};
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct buf b = {0};
        struct str text = {rows[i].text, strlen(rows[i].text)};
        assert_int_equal(base64_read_lines(text, &b), rows[i].bytes != NULL);
        if (rows[i].bytes != NULL)
            assert_string_equal(buf_text(&b), rows[i].bytes);
        else
            assert_int_equal(b.len, 0);
        buf_free(&b);
    }
    assert_false(base64_read_lines((struct str){"Zm9\0", 4}, &(struct buf){0}));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_vectors), cmocka_unit_test(test_hostile),
                                       cmocka_unit_test(test_url), cmocka_unit_test(test_lines),
                                       cmocka_unit_test(test_put)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
