/* SPDX-License-Identifier: Apache-2.0 */
/* The audit file when there is no room for a line. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cmocka.h>

#include "audit/sink.h"
#include "base/file.h"

#define LINE "{\"a\":\"line\"}\n"
#define LEN (sizeof(LINE) - 1)

static void append(struct sink *s, int count)
{
    for (int i = 0; i < count; i++)
        assert_true(buf_append(sink_lines(s), LINE, LEN));
    sink_flush(s);
}

/* What the kernel does with a full disk it also does at the limit of a file's size: it takes what fits. */
static void set_room(rlim_t bytes)
{
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &(struct rlimit){bytes, RLIM_INFINITY}), 0);
}

static void test_full_disk(void **state)
{
    (void)state;
    struct err err = {{0}};
    struct loop *loop = loop_new(&err);
    struct sink_file file;
    struct sink sink;
    struct buf text = {0};
    char path[] = "/tmp/cardea-sink-XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0 && close(fd) == 0);
    assert_non_null(loop);
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(sink_file_open(&file, path, &err), 0);
    sink_init(&sink, loop, &file);
    set_room(2 * LEN + 5);
    append(&sink, 4);
    assert_int_equal(sink_file_lost(&file), 2);
    append(&sink, 1); /* not even a newline fits */
    assert_int_equal(sink_file_lost(&file), 3);
    set_room(3 * LEN); /* a newline, and a part of the next line */
    append(&sink, 1);
    assert_int_equal(sink_file_lost(&file), 4);
    set_room(RLIM_INFINITY);
    append(&sink, 2);
    append(&sink, 1);
    assert_int_equal(sink_file_lost(&file), 4);
    assert_int_equal(file_read(path, 4096, &text, NULL, &err), 0);
    assert_string_equal(buf_text(&text), LINE LINE "{\"a\":\n{\"a\":\"l\n" LINE LINE LINE);
    buf_free(&text);
    sink_free(&sink);
    sink_file_close(&file);
    loop_free(loop);
    unlink(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_full_disk),
    };
    return cmocka_run_group_tests_name("sink", tests, NULL, NULL);
}
