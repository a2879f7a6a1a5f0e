/* SPDX-License-Identifier: Apache-2.0 */
/* Programs are started as they should be, and whatever they do they are ended and reaped. */
#include "net/program.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/check.h"

static struct loop *loop;
static struct list programs;

struct run {
    struct program program;
    int fd;
    bool changed, gone;
};

static void on_changed(struct program *p)
{
    CONTAINER_OF(p, struct run, program)->changed = true;
    loop_stop(loop);
}

static void on_gone(struct program *p)
{
    CONTAINER_OF(p, struct run, program)->gone = true;
    loop_stop(loop);
}

/* A script of the shell; our end is made one that blocks, so that reading it waits. */
static void start(struct run *r, char *script)
{
    static char shell[] = "/bin/sh", run[] = "-c", path[] = "PATH=/usr/bin:/bin", word[] = "WORD=said";
    char *argv[] = {shell, run, script, NULL}, *envp[] = {path, word, NULL};
    *r = (struct run){.program = {.loop = loop, .changed = on_changed, .gone = on_gone, .among = &programs}};
    r->fd = program_start(&r->program, argv, envp);
    assert_true(r->fd >= 0);
    assert_true(fcntl(r->fd, F_GETFL) & O_NONBLOCK);
    fcntl(r->fd, F_SETFL, O_RDWR);
}

static const char *read_all(int fd)
{
    static char text[4096];
    size_t n = 0;
    for (ssize_t got; (got = read(fd, text + n, sizeof(text) - 1 - n)) > 0;)
        n += (size_t)got;
    text[n] = '\0';
    return text;
}

static void run_loop(void)
{
    struct err err;
    assert_int_equal(loop_run(loop, &err), 0);
}

static bool is_alive(int pid)
{
    return kill(pid, 0) == 0;
}

/* Exited, and its connection over. */
static void leave(struct run *r)
{
    close(r->fd);
    while (!r->changed)
        run_loop();
    program_leave(&r->program, true);
    assert_true(r->gone);
}

static void it_has_what_it_is_given(void **state)
{
    struct run r;
    char text[64];
    (void)state;
    int stray = dup(1); /* not close-on-exec */
    static char script[] = "echo $WORD $HOME; ls /proc/self/fd | wc -l; "
                           "sed -n 's/^Sig\\(Blk\\|Ign\\):.*\\(....\\)$/\\1 \\2/p' /proc/self/status; "
                           "test $(cut -d' ' -f6 /proc/$$/stat) = $$ && echo leads";
    signal(SIGPIPE, SIG_IGN);
    start(&r, script);
    assert_string_equal(read_all(r.fd), "said\n4\nBlk 0000\nIgn 0000\nleads\n");
    leave(&r);
    assert_false(program_failed(&r.program, text, sizeof(text)));
    close(stray);
}

static void how_it_exits_is_told(void **state)
{
    static char three[] = "exit 3", nine[] = "kill -9 $$";
    struct run r;
    char text[64];
    int number;
    (void)state;
    start(&r, three);
    leave(&r);
    assert_int_equal(program_status(&r.program, &number), PROGRAM_EXITED);
    assert_int_equal(number, 3);
    assert_true(program_failed(&r.program, text, sizeof(text)));
    assert_string_equal(text, "the program exited with status 3");
    start(&r, nine);
    leave(&r);
    assert_int_equal(program_status(&r.program, &number), PROGRAM_KILLED);
    assert_int_equal(number, 9);
    assert_true(program_failed(&r.program, text, sizeof(text)));
    assert_string_equal(text, "the program was killed by signal 9");
}

static void what_cannot_be_started_says_why(void **state)
{
    static char nowhere[] = "/nonexistent/program", folder[] = "/tmp", plain[] = "/etc/passwd";
    const struct {
        char *path;
        int code;
    } rows[] = {{nowhere, ENOENT}, {folder, EACCES}, {plain, EACCES}};
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct program p = {.loop = loop, .changed = on_changed, .gone = on_gone, .among = &programs};
        char *argv[] = {rows[i].path, NULL}, *envp[] = {NULL};
        assert_int_equal(program_start(&p, argv, envp), -1);
        assert_int_equal(errno, rows[i].code);
    }
}

/* SIGTERM is enough for most; stopped ones hear it too. */
static void who_is_left_is_ended(void **state)
{
    static char waits[] = "echo up; exec sleep 1000", stopped[] = "echo up; kill -STOP $$";
    char *scripts[] = {waits, stopped};
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(scripts); i++) {
        struct run r;
        char up[3];
        start(&r, scripts[i]);
        assert_int_equal(read(r.fd, up, sizeof(up)), 3);
        int pid = r.program.pid;
        close(r.fd);
        program_leave(&r.program, false);
        while (!r.gone)
            run_loop();
        assert_false(is_alive(pid));
    }
}

static void all_are_killed(void **state)
{
    static char deaf[] = "trap '' TERM; echo up; while :; do sleep 1000; done";
    struct run runs[5];
    char up[3];
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(runs); i++) {
        start(&runs[i], deaf);
        assert_int_equal(read(runs[i].fd, up, sizeof(up)), 3);
        close(runs[i].fd);
    }
    programs_kill(&programs);
    assert_true(list_empty(&programs));
    for (size_t i = 0; i < ARRAY_LEN(runs); i++)
        assert_true(runs[i].gone);
}

/* Whoever does not obey, and what is left behind in its group. */
static void who_does_not_obey_is_killed(void **state)
{
    static char deaf[] = "trap '' TERM; sleep 1000 & echo $!; while :; do sleep 1000; done";
    static char leaves[] = "sleep 1000 >/dev/null & echo $!";
    struct run r;
    char text[16] = "";
    (void)state;
    start(&r, deaf);
    assert_true(read(r.fd, text, sizeof(text) - 1) > 0);
    int pid = r.program.pid, child = (int)strtol(text, NULL, 10);
    close(r.fd);
    program_leave(&r.program, false);
    programs_kill(&programs);
    assert_true(r.gone);
    assert_false(is_alive(pid));
    struct pollfd nothing;
    for (int i = 0; is_alive(child) && i < 1000; i++) /* init reaps it */
        poll(&nothing, 0, 10);
    assert_false(is_alive(child));

    start(&r, leaves);
    memset(text, 0, sizeof(text));
    assert_true(read(r.fd, text, sizeof(text) - 1) > 0);
    child = (int)strtol(text, NULL, 10);
    assert_true(is_alive(child));
    leave(&r);
    for (int i = 0; is_alive(child) && i < 1000; i++)
        poll(&nothing, 0, 10);
    assert_false(is_alive(child));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_has_what_it_is_given),
        cmocka_unit_test(how_it_exits_is_told),
        cmocka_unit_test(what_cannot_be_started_says_why),
        cmocka_unit_test(who_is_left_is_ended),
        cmocka_unit_test(all_are_killed),
        cmocka_unit_test(who_does_not_obey_is_killed),
    };
    struct err err;
    list_init(&programs);
    loop = loop_new(&err);
    CHECK(loop != NULL);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    loop_free(loop);
    return failed;
}
