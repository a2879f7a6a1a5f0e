/* SPDX-License-Identifier: Apache-2.0 */
/* net/hook.h: what becomes of a program is told, whatever it prints. */
#include "net/hook.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/check.h"
#include "base/clock.h"

struct told {
    struct loop *loop;
    struct list programs;
    bool done, gone;
    enum hook_end end;
    struct err why;
};

static void on_done(void *arg, enum hook_end end, const struct err *why)
{
    struct told *t = arg;
    t->done = true;
    t->end = end;
    if (why != NULL)
        t->why = *why;
}

static void on_gone(void *arg)
{
    struct told *t = arg;
    t->gone = true;
    loop_stop(t->loop);
}

/* Run a script of the shell until nothing is left of it. */
static struct told run(char *script, int64_t patience)
{
    static char shell[] = "/bin/sh", c[] = "-c";
    char *const command[] = {shell, c, script, NULL};
    static const char *const more[] = {"name", "word", NULL};
    struct told t = {.done = false};
    struct err err;
    list_init(&t.programs);
    t.loop = loop_new(&err);
    assert_non_null(t.loop);
    const struct hook_wish wish = {.loop = t.loop,
                                   .programs = &t.programs,
                                   .command = command,
                                   .more = more,
                                   .patience = patience,
                                   .done = on_done,
                                   .gone = on_gone,
                                   .arg = &t};
    assert_non_null(hook_start(&wish, &err));
    assert_int_equal(loop_run(t.loop, &err), 0);
    loop_free(t.loop);
    assert_true(t.done && t.gone && list_empty(&t.programs));
    return t;
}

static void what_becomes_of_it_is_told(void **state)
{
    static char good[] = "test \"$0 $1\" = 'name word'", bad[] = "echo one; printf 'two\\033[2J\\n'; exit 7",
                killed[] = "kill -9 $$";
    (void)state;
    assert_int_equal(run(good, 60 * NSEC_PER_SEC).end, HOOK_DONE);
    struct told t = run(bad, 60 * NSEC_PER_SEC);
    assert_int_equal(t.end, HOOK_REFUSED);
    assert_string_equal(t.why.text, "/bin/sh: the program exited with status 7: two?[2J");
    assert_int_equal(run(killed, 60 * NSEC_PER_SEC).end, HOOK_KILLED);
}

/* More than a socket holds, with what is told at its end. */
static void the_last_line_of_much_is_told(void **state)
{
    static char much[] = "head -c 3000000 /dev/zero | tr '\\0' 'x'; echo; echo last; exit 1";
    (void)state;
    struct told t = run(much, 60 * NSEC_PER_SEC);
    assert_int_equal(t.end, HOOK_REFUSED);
    assert_string_equal(t.why.text, "/bin/sh: the program exited with status 1: last");
}

/* It has no more time than others, and lets others have theirs; nor does what it has left behind. */
static void what_prints_without_end_is_ended(void **state)
{
    static char endless[] = "cat /dev/zero", leaves[] = "cat /dev/zero & sleep 0.2; exit 3";
    (void)state;
    assert_int_equal(run(endless, NSEC_PER_SEC / 2).end, HOOK_LATE);
    assert_int_equal(run(leaves, 60 * NSEC_PER_SEC).end, HOOK_REFUSED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_becomes_of_it_is_told),
        cmocka_unit_test(the_last_line_of_much_is_told),
        cmocka_unit_test(what_prints_without_end_is_ended),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
