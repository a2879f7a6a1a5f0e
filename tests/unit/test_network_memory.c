/* SPDX-License-Identifier: Apache-2.0 */
/* What worked in which network: the file, and what follows from it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/check.h"
#include "tunnel/network_memory.h"

#define FIRST "cardea networks 1\n"

static void damaged_files_are_empty(void **state)
{
    (void)state;
    static const char *const rows[] = {
        "",
        "cardea networks 2\n",
        "cardea networks 1",
        FIRST "\n",
        FIRST "0123456789abcdef 1 0",
        FIRST "0123456789abcdef 1\n",
        FIRST "0123456789abcdef 1 0 0\n",
        FIRST "0123456789abcde 1 0\n",
        FIRST "0123456789abcdef0 1 0\n",
        FIRST "0123456789ABCDEF 1 0\n",
        FIRST "0123456789abcdef -1 0\n",
        FIRST "0123456789abcdef 9223372036854775807 0\n",
        FIRST "0123456789abcdef 99999999999999999999999999 0\n",
        FIRST "0123456789abcdef 1 1001\n",
        FIRST "0123456789abcdef 1 x\n",
        FIRST "0123456789abcdef 1 0\r\n",
        FIRST "0123456789abcdef 1 0\nx",
    };
    struct network_list list;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        assert_false(networks_read(rows[i], strlen(rows[i]), &list));
        assert_int_equal(list.count, 0);
    }
    assert_false(networks_read(FIRST "\0", strlen(FIRST) + 1, &list));
    char *large = calloc(1, NETWORKS_FILE_MAX + 1);
    memset(large, 'x', NETWORKS_FILE_MAX + 1);
    assert_false(networks_read(large, NETWORKS_FILE_MAX + 1, &list));
    free(large);
    assert_true(networks_read(FIRST, strlen(FIRST), &list));
}

static void a_full_list_reads_back(void **state)
{
    (void)state;
    struct network_list list = {.count = 0}, again;
    struct buf out = {0};
    for (uint64_t key = 1; key <= NETWORKS_MAX + 10; key++)
        assert_true(networks_note(&list, key << 40, key % 2 == 0, (int64_t)key + INT64_C(4000000000)));
    assert_int_equal(list.count, NETWORKS_MAX);
    assert_int_equal(list.row[0].key, (uint64_t)(NETWORKS_MAX + 10) << 40);
    assert_int_equal(list.row[NETWORKS_MAX - 1].key, (uint64_t)11 << 40); /* the oldest have gone */
    assert_true(networks_write(&list, &out));
    assert_in_range(out.len, 1, NETWORKS_FILE_MAX);
    assert_true(networks_read(out.data, out.len, &again));
    assert_int_equal(again.count, list.count);
    assert_memory_equal(again.row, list.row, sizeof(list.row));
    buf_free(&out);
}

static void failures_hold_for_longer_each_time(void **state)
{
    (void)state;
    static const int64_t held[] = {600, 1200, 2400, 3600, 3600};
    struct network_list list = {.count = 0};
    int64_t left, now = 1000000;
    assert_int_equal(networks_ask(&list, 7, now, &left), NETWORK_UNKNOWN);
    for (size_t i = 0; i < ARRAY_LEN(held); i++) {
        assert_true(networks_note(&list, 7, false, now));
        assert_int_equal(networks_ask(&list, 7, now, &left), NETWORK_FAILED);
        assert_int_equal(left, held[i]);
        assert_int_equal(networks_ask(&list, 7, now + held[i] - 1, &left), NETWORK_FAILED);
        assert_int_equal(networks_ask(&list, 7, now + held[i], &left), NETWORK_UNKNOWN);
        assert_int_equal(networks_ask(&list, 8, now, &left), NETWORK_UNKNOWN);
        assert_int_equal(networks_ask(&list, 7, now - 1, &left), NETWORK_UNKNOWN); /* a clock set back */
        now += held[i];
    }
    assert_int_equal(list.count, 1);
    assert_true(networks_note(&list, 7, true, now));
    assert_int_equal(networks_ask(&list, 7, now, &left), NETWORK_WORKED);
    assert_false(networks_note(&list, 7, true, now + 60)); /* no news */
    assert_true(networks_note(&list, 7, true, now + 4000));
    assert_true(networks_note(&list, 7, false, now + 4001));
    assert_int_equal(networks_ask(&list, 7, now + 4001, &left), NETWORK_FAILED);
    assert_int_equal(left, 600);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(damaged_files_are_empty),
        cmocka_unit_test(a_full_list_reads_back),
        cmocka_unit_test(failures_hold_for_longer_each_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
