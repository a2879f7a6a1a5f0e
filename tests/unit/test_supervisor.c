/* SPDX-License-Identifier: Apache-2.0 */
/* What the service manager is told, against a socket of the test: in which words, and no sign of life while
 * the one who is asked does not answer. */
#include "net/supervisor.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/check.h"
#include "base/clock.h"
#include "loop/loop.h"

struct world {
    struct loop *loop;
    struct supervisor *s;
    struct supervised how;
    int manager; /* its socket */
    char name[96];
    char got[512]; /* the last datagram */
    const char *status;
    bool hangs;
    size_t asked;
    void (*answered)(void *arg); /* what hangs owes */
    void *answered_arg;
    struct timer late;
};

static void describe(void *arg, struct buf *text)
{
    const struct world *w = arg;
    buf_printf(text, "%s", w->status);
}

static void ask(void *arg, void (*answered)(void *answered_arg), void *answered_arg)
{
    struct world *w = arg;
    w->asked++;
    w->answered = answered;
    w->answered_arg = answered_arg;
    if (!w->hangs)
        answered(answered_arg);
}

/* `name` as in NOTIFY_SOCKET. */
static void listen_at(struct world *w, const char *name)
{
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    size_t len = strlen(name);
    memcpy(at.sun_path, name, len);
    if (*name == '@')
        at.sun_path[0] = '\0';
    snprintf(w->name, sizeof(w->name), "%s", name);
    w->manager = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    assert_true(w->manager >= 0);
    assert_int_equal(
        bind(w->manager, (struct sockaddr *)&at, (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len)),
        0);
}

static void begin(struct world *w, const char *name, const char *watchdog, const char *pid)
{
    struct err err;
    *w = (struct world){.manager = -1, .status = "serving"};
    w->loop = loop_new(&err);
    assert_non_null(w->loop);
    w->how = (struct supervised){describe, ask, w};
    listen_at(w, name);
    struct supervision with = {w->name, watchdog, pid};
    w->s = supervisor_new(w->loop, &with, &w->how, &err);
    assert_string_equal(err.text, "");
    assert_non_null(w->s);
}

static void end(struct world *w)
{
    supervisor_free(w->s);
    loop_free(w->loop);
    close(w->manager);
    if (w->name[0] == '/')
        unlink(w->name);
}

static void on_late(struct timer *t)
{
    loop_stop(CONTAINER_OF(t, struct world, late)->loop);
}

static void run_for(struct world *w, int64_t ms)
{
    struct err err;
    timer_init(&w->late, on_late);
    loop_set_timer(w->loop, &w->late, clock_monotonic() + ms * NSEC_PER_MSEC);
    assert_int_equal(loop_run(w->loop, &err), 0);
}

/* The next datagram; NULL: there is none. */
static const char *next(struct world *w)
{
    ssize_t n = recv(w->manager, w->got, sizeof(w->got) - 1, 0);
    if (n < 0)
        return NULL;
    w->got[n] = '\0';
    return w->got;
}

/* An abstract name that no other run has. */
static const char *abstract_name(char text[64])
{
    snprintf(text, 64, "@cardea-test-supervisor-%d", (int)getpid());
    return text;
}

static void life_is_told(void **state)
{
    struct world w;
    char name[64];
    uint64_t usec;
    (void)state;
    begin(&w, abstract_name(name), NULL, NULL);
    supervisor_ready(w.s);
    assert_string_equal(next(&w), "READY=1\nSTATUS=serving\n");
    supervisor_reloading(w.s);
    int64_t now = clock_monotonic();
    assert_int_equal(sscanf(next(&w), "RELOADING=1\nMONOTONIC_USEC=%ju\n", &usec), 1);
    assert_in_range(usec, (uint64_t)(now - 5 * NSEC_PER_SEC) / 1000, (uint64_t)now / 1000);
    w.status = "serving more";
    supervisor_ready(w.s);
    assert_string_equal(next(&w), "READY=1\nSTATUS=serving more\n");
    supervisor_reloading(w.s);
    assert_non_null(next(&w));
    supervisor_ready(w.s); /* what the manager knows is not said again */
    assert_string_equal(next(&w), "READY=1\n");
    supervisor_stopping(w.s, 30 * NSEC_PER_SEC);
    assert_string_equal(next(&w), "STOPPING=1\nEXTEND_TIMEOUT_USEC=40000000\n");
    assert_null(next(&w));
    assert_int_equal(w.asked, 0); /* nobody wants a sign of life */
    end(&w);
}

static void socket_may_be_a_path(void **state)
{
    struct world w;
    char directory[] = "/tmp/cardea-test-XXXXXX", path[64];
    (void)state;
    assert_non_null(mkdtemp(directory));
    snprintf(path, sizeof(path), "%s/notify", directory);
    begin(&w, path, NULL, NULL);
    supervisor_ready(w.s);
    assert_string_equal(next(&w), "READY=1\nSTATUS=serving\n");
    end(&w);
    assert_int_equal(rmdir(directory), 0);
}

static void sign_of_life_needs_an_answer(void **state)
{
    struct world w;
    char name[64];
    (void)state;
    begin(&w, abstract_name(name), "100000", NULL);
    supervisor_ready(w.s);
    assert_string_equal(next(&w), "READY=1\nSTATUS=serving\n");
    assert_string_equal(next(&w), "WATCHDOG=1\n"); /* the first one at once */
    w.status = "serving still";
    while (w.asked < 3)
        run_for(&w, 20);
    assert_string_equal(next(&w), "WATCHDOG=1\nSTATUS=serving still\n");
    while (next(&w) != NULL)
        continue;

    w.hangs = true;
    size_t before = w.asked;
    while (w.asked == before)
        run_for(&w, 20);
    run_for(&w, 300);
    assert_null(next(&w));
    assert_int_equal(w.asked, before + 1); /* and is not asked again */

    w.hangs = false;
    w.answered(w.answered_arg);
    assert_string_equal(next(&w), "WATCHDOG=1\n");
    while (w.asked == before + 1)
        run_for(&w, 20);
    assert_string_equal(next(&w), "WATCHDOG=1\n");
    end(&w);
}

static void watchdog_of_another_process(void **state)
{
    struct world w;
    char name[64], pid[16];
    (void)state;
    snprintf(pid, sizeof(pid), "%d", (int)getpid());
    begin(&w, abstract_name(name), "1000000", "1");
    supervisor_ready(w.s);
    assert_int_equal(w.asked, 0);
    end(&w);
    begin(&w, abstract_name(name), "1000000", pid);
    supervisor_ready(w.s);
    assert_int_equal(w.asked, 1);
    end(&w);
}

static void nobody_supervises(void **state)
{
    struct err err;
    struct supervision with = {NULL, "1000000", NULL};
    (void)state;
    struct supervisor *s = supervisor_new(NULL, &with, NULL, &err);
    assert_null(s);
    assert_string_equal(err.text, "");
    supervisor_ready(s);
    supervisor_reloading(s);
    supervisor_stopping(s, 0);
    supervisor_free(s);
}

static void wrong_environments(void **state)
{
    static const struct {
        const char *socket, *watchdog, *error;
    } rows[] = {
        {"notify", NULL,
         "found NOTIFY_SOCKET=notify, expected an absolute path or @NAME of at most 107 bytes"},
        {"vsock:2:1234", NULL, "found NOTIFY_SOCKET=vsock:2:1234, expected an absolute path"},
        {"/", NULL, "found NOTIFY_SOCKET=/, expected"},
        {"@", NULL, "found NOTIFY_SOCKET=@, expected"},
        {"/nowhere/at/all", NULL,
         "cannot reach the service manager at NOTIFY_SOCKET=/nowhere/at/all; it is told "
         "nothing: No such file or directory"},
        {"@cardea-test-nobody", NULL,
         "cannot reach the service manager at NOTIFY_SOCKET=@cardea-test-nobody"},
        {"@x", "soon", "found WATCHDOG_USEC=soon, expected a number of microseconds"},
        {"@x", "0", "found WATCHDOG_USEC=0, expected"},
        {"@x", "-1", "found WATCHDOG_USEC=-1, expected"},
        {"@x", "9223372036854775807", "found WATCHDOG_USEC=9223372036854775807, expected"},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct err err;
        struct supervision with = {rows[i].socket, rows[i].watchdog, NULL};
        assert_null(supervisor_new(NULL, &with, NULL, &err));
        assert_memory_equal(err.text, rows[i].error, strlen(rows[i].error));
    }
    char longest[256] = "/";
    memset(longest + 1, 'x', sizeof(longest) - 2);
    struct supervision with = {longest, NULL, NULL};
    struct err err;
    assert_null(supervisor_new(NULL, &with, NULL, &err));
    assert_non_null(strstr(err.text, "at most 107 bytes"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(life_is_told),
        cmocka_unit_test(socket_may_be_a_path),
        cmocka_unit_test(sign_of_life_needs_an_answer),
        cmocka_unit_test(watchdog_of_another_process),
        cmocka_unit_test(nobody_supervises),
        cmocka_unit_test(wrong_environments),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
