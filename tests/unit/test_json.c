/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/json.h"

static void test_is_appended(void **state)
{
    struct buf b = {0};
    json_t *o = json_pack("{s:[i,b], s:s}", "a", 1, 1, "b", "\u00e9\n");
    (void)state;
    assert_true(buf_append(&b, "x ", 2) && buf_json(&b, o));
    assert_string_equal(buf_text(&b), "x {\"a\":[1,true],\"b\":\"\u00e9\\n\"}");
    json_decref(o);
    buf_free(&b);
}

/* A buffer that is full, or no value at all: what was there stays as it was. */
static void test_all_or_nothing(void **state)
{
    struct buf b = {.max = 8};
    json_t *o = json_pack("{s:s}", "key", "a long value");
    (void)state;
    assert_true(buf_append(&b, "x", 1));
    assert_false(buf_json(&b, o));
    assert_false(buf_json(&b, NULL));
    assert_int_equal(b.len, 1);
    assert_true(buf_append(&b, "1234567", 7));
    json_decref(o);
    buf_free(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_is_appended),
                                       cmocka_unit_test(test_all_or_nothing)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
