/* SPDX-License-Identifier: Apache-2.0 */
/* loop/ear.h: what is told is heard in the other's thread; what could be told too often is told seldom. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/clock.h"
#include "loop/ear.h"
#include "loop/loop.h"

static void hear(void *arg, const char *text)
{
    assert_true(buf_printf(arg, "%s;", text));
}

static void test_seldom(void **state)
{
    struct buf heard = {0};
    int64_t told = 0;
    (void)state;
    struct loop *loop = loop_new(NULL);
    const struct ear ear = {loop, hear, &heard};
    ear_tell(&ear, "%d", 1);
    ear_tell(&ear, "%d", 1);
    ear_tell_seldom(&ear, &told, "%d", 2);
    ear_tell_seldom(&ear, &told, "%d", 3);
    told -= 59 * NSEC_PER_SEC;
    ear_tell_seldom(&ear, &told, "%d", 4);
    told -= 2 * NSEC_PER_SEC;
    ear_tell_seldom(&ear, &told, "%d", 5);
    ear_tell_seldom(&ear, &told, "%d", 6);
    assert_string_equal(buf_text(&heard), "");
    loop_deliver(loop);
    assert_string_equal(buf_text(&heard), "1;1;2;5;");
    buf_free(&heard);
    loop_free(loop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_seldom)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
