/* SPDX-License-Identifier: Apache-2.0 */
/* probe/page_likeness.h. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/check.h"
#include "probe/page_likeness.h"

#define SAID "one two three four five six seven eight nine ten eleven twelve "

static struct page_look look(unsigned status, const char *text)
{
    struct page_look l = {.status = status, .type = "text/html"};
    page_prints_make((struct str){text, strlen(text)}, true, &l.prints);
    return l;
}

static double likeness(const char *a, const char *b)
{
    struct page_look x = look(200, a), y = look(200, b);
    double d = page_prints_likeness(&x.prints, &y.prints);
    assert_true(d == page_prints_likeness(&y.prints, &x.prints));
    page_prints_free(&x.prints);
    page_prints_free(&y.prints);
    return d;
}

static void test_likeness(void **state)
{
    (void)state;
    assert_true(likeness("", "") == 1);
    assert_true(likeness("a", "") == 0);
    assert_true(likeness("a b", "b a") == 1); /* too short for the order to tell */
    assert_true(likeness("a b c", "c b a") == 0.6);
    assert_true(likeness("a b c d", "a b c d") == 1);
    assert_true(likeness("<p>a b</p>c<script>x</script>", "a b c") == 1);
    assert_true(likeness(SAID, SAID "thirteen") > 0.9);
    assert_true(likeness(SAID, "quite another text that has no word of it") == 0);
}

static void test_many_words(void **state)
{
    struct buf text = {0};
    struct page_prints p;
    (void)state;
    for (int i = 0; i < 2 * PAGE_WORDS_MAX; i++)
        assert_true(buf_printf(&text, "%d ", i));
    page_prints_make((struct str){(char *)text.data, text.len}, false, &p);
    assert_int_equal(p.n, 2 * PAGE_WORDS_MAX - 2);
    page_prints_free(&p);
    memset(text.data, '<', text.len); /* each is a word */
    page_prints_make((struct str){(char *)text.data, text.len}, true, &p);
    assert_int_equal(p.n, 2);
    page_prints_free(&p);
    buf_free(&text);
}

static void compare(const char *first, const char *again, const char *other, enum page_verdict expected)
{
    struct page_look a = look(200, first), b = look(200, again), c = look(200, other);
    struct page_compared told = page_compare(&a, &b, &c);
    if (told.verdict != expected)
        fail_msg("'%s', '%s', '%s': %d, expected %d", first, again, other, (int)told.verdict, (int)expected);
    assert_int_equal(told.what != NULL, expected == PAGE_DIFFERS);
    assert_true(told.likeness >= 0 && told.likeness <= 1);
    page_prints_free(&a.prints);
    page_prints_free(&b.prints);
    page_prints_free(&c.prints);
}

static void test_dynamic_pages(void **state)
{
    (void)state;
    compare(SAID, SAID, SAID, PAGE_SAME);
    compare(SAID "t1", SAID "t2", SAID "t3", PAGE_SAME);
    compare("hello t1", "hello t2", "hello t3", PAGE_SAME);
    compare(SAID "12:00", SAID "12:01", SAID "12:00", PAGE_SAME);
    compare("", "", "", PAGE_SAME);
    compare(SAID, SAID, "", PAGE_DIFFERS);
    compare(SAID "t1", SAID "t2", "welcome to the default page t3", PAGE_DIFFERS);
    compare("hello t1", "hello t2", "parked t3", PAGE_DIFFERS);
    compare("one two three", "four five six", "seven eight nine", PAGE_RESTLESS);
}

/* What differs but for the content. */
static void test_heads(void **state)
{
    struct page_look a = look(200, SAID), b = look(200, SAID), c = look(404, SAID);
    struct page_compared told = page_compare(&a, &b, &c);
    (void)state;
    assert_int_equal(told.verdict, PAGE_DIFFERS);
    assert_string_equal(told.what, "status");
    c.status = 200;
    snprintf(c.type, sizeof(c.type), "text/plain");
    assert_string_equal(page_compare(&a, &b, &c).what, "type");
    snprintf(c.location, sizeof(c.location), "/elsewhere");
    assert_string_equal(page_compare(&a, &b, &c).what, "redirect");
    assert_int_equal(page_compare(&a, &c, &b).verdict, PAGE_RESTLESS);
    a.status = b.status = 404;
    assert_int_equal(page_compare(&a, &b, &b).verdict, PAGE_EMPTY);
    a.to_tls = b.to_tls = true;
    assert_int_equal(page_compare(&a, &b, &c).verdict, PAGE_SAME);
    c.status = 502;
    assert_string_equal(page_compare(&a, &b, &c).what, "status");
    page_prints_free(&a.prints);
    page_prints_free(&b.prints);
    page_prints_free(&c.prints);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_likeness),
        cmocka_unit_test(test_many_words),
        cmocka_unit_test(test_dynamic_pages),
        cmocka_unit_test(test_heads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
