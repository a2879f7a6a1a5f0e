/* SPDX-License-Identifier: Apache-2.0 */
/* Counting in bounded memory: exact as long as there is room, and never further off than it says. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "audit/tally.h"
#include "base/check.h"

static void add(struct tally *t, const char *key, const char *when)
{
    tally_add(t, (struct str){key, strlen(key)}, (struct str){when, strlen(when)});
}

static void assert_row(const struct tally_row *row, const char *key, uint64_t count, const char *last)
{
    assert_int_equal(row->len, strlen(key));
    assert_memory_equal(row->key, key, row->len);
    assert_int_equal(row->count, count);
    assert_string_equal(row->last, last);
}

static void test_exact(void **state)
{
    (void)state;
    struct tally *t = tally_new(4);
    assert_int_equal(tally_facts(t).rows, 0);
    tally_sorted(t);
    add(t, "b", "2");
    add(t, "a", "1");
    add(t, "c", "1");
    add(t, "c", "3");
    add(t, "c", "2");
    add(t, "", "9");
    struct tally_row *const *rows = tally_sorted(t);
    assert_row(rows[0], "c", 3, "3");
    assert_row(rows[1], "", 1, "9");
    assert_row(rows[2], "a", 1, "1");
    assert_row(rows[3], "b", 1, "2");
    add(t, "a", "4"); /* found where it is now */
    assert_row(tally_sorted(t)[1], "a", 2, "4");
    struct tally_facts f = tally_facts(t);
    assert_true(f.total == 7 && f.rows == 4 && f.dropped == 0 && f.lost == 0 && f.short_by == 0);
    tally_free(t);
    tally_free(NULL);
}

static void test_when_is_cut(void **state)
{
    (void)state;
    struct tally *t = tally_new(2);
    add(t, "a", "0123456789012345678901234567890123456789");
    assert_row(tally_sorted(t)[0], "a", 1, "0123456789012345678901234567890");
    tally_free(t);
}

#define KEYS 1000

/* Keys that come more often than all that was dropped can have are there, and nothing is off by more than is
 * said. */
static void test_bounds(void **state)
{
    (void)state;
    static uint64_t truth[KEYS];
    uint64_t seed = 1, sum = 0;
    struct tally *t = tally_new(64);
    for (int i = 0; i < 100000; i++) {
        seed = seed * 6364136223846793005u + 1442695040888963407u;
        unsigned key = (unsigned)(seed >> 33) % KEYS;
        key = (seed >> 60) < 8 ? key % 10 : key; /* half of all are of ten keys */
        char text[16];
        snprintf(text, sizeof(text), "%u", key);
        truth[key]++;
        add(t, text, "1");
    }
    struct tally_facts f = tally_facts(t);
    struct tally_row *const *rows = tally_sorted(t);
    assert_true(f.rows <= 64 && f.dropped > 0 && f.total == 100000);
    for (size_t i = 0; i < f.rows; i++) {
        char text[16] = "";
        CHECK(str_copy(text, sizeof(text), rows[i]->key, rows[i]->len));
        uint64_t is = truth[strtoul(text, NULL, 10)];
        assert_true(rows[i]->count <= is && is - rows[i]->count <= f.short_by);
        assert_true(i == 0 || rows[i]->count <= rows[i - 1]->count);
        sum += rows[i]->count;
        if (i < 10)
            assert_true(strtoul(text, NULL, 10) < 10);
    }
    assert_int_equal(sum + f.lost, f.total);
    tally_free(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_exact),
        cmocka_unit_test(test_when_is_cut),
        cmocka_unit_test(test_bounds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
