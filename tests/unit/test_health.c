/* SPDX-License-Identifier: Apache-2.0 */
/* Health checks of ports of this machine, with and without descriptors to make them with, and of names, with
 * a resolver whose answers the test chooses. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <unistd.h>

#include <netinet/in.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <cmocka.h>

#include "base/check.h"
#include "base/clock.h"
#include "net/socket.h"
#include "session/health.h"

#define INTERVAL_NS (5 * NSEC_PER_MSEC)

/* ---- the resolver ---- */

struct resolver {
    bool answers;
    enum resolve_status answer;
};

struct resolve_query {
    int unused;
};

struct resolve_query *resolver_lookup(struct resolver *r, const char *host, uint16_t port, resolve_done *done,
                                      void *arg)
{
    static struct resolve_query silence;
    struct net_addr addr;
    if (net_addr_parse(host, port, &addr))
        done(arg, RESOLVE_OK, &addr, 1);
    else if (r->answers)
        done(arg, r->answer, NULL, 0);
    else
        return &silence;
    return NULL;
}

void resolve_cancel(struct resolve_query *q)
{
    (void)q;
}

/* ---- the rest ---- */

/* One route with one backend. */
struct fixture {
    struct loop *loop;
    struct resolver resolver;
    struct health *health;
    struct backend_registry registry;
    struct backend *backend;
    struct config_health how;
    struct config_backend config_backend;
    struct config_route config_route;
    struct config config;
    struct route_runtime route;
    struct snapshot snap;
    struct timer over;
};

static void on_over(struct timer *t)
{
    loop_stop(CONTAINER_OF(t, struct fixture, over)->loop);
}

static void setup(struct fixture *f, const char *host, uint16_t port)
{
    struct err err;
    char key[64];
    snprintf(key, sizeof(key), "%s:%u", host, port);
    *f = (struct fixture){.loop = loop_new(&err)};
    assert_non_null(f->loop);
    f->health = health_new(f->loop, &f->resolver);
    backend_registry_init(&f->registry);
    f->backend = backend_get(&f->registry, key, host, port);
    f->how =
        (struct config_health){.interval = INTERVAL_NS, .timeout = 10 * NSEC_PER_SEC, .rise = 2, .fall = 2};
    f->config_backend.health = &f->how;
    f->config_route = (struct config_route){.action = CONFIG_PASS, .pass = &f->config_backend};
    f->config.routes.v = &f->config_route;
    f->config.routes.n = 1;
    f->route.upstream.v = &f->backend;
    f->route.upstream.n = 1;
    f->snap.config = &f->config;
    f->snap.routes = &f->route;
    timer_init(&f->over, on_over);
}

static void teardown(struct fixture *f)
{
    health_free(f->health);
    loop_free(f->loop);
    backend_unref(f->backend);
    backend_registry_sweep(&f->registry);
    assert_true(list_empty(&f->registry.backends));
}

/* Let so many checks come and go. */
static void pass_checks(struct fixture *f, int count)
{
    struct err err;
    loop_set_timer(f->loop, &f->over, clock_monotonic() + count * INTERVAL_NS);
    assert_int_equal(loop_run(f->loop, &err), 0);
}

/* Checks come and go until the backend is in that state, within a time that no machine needs. */
static void wait_for(struct fixture *f, bool down)
{
    for (int i = 0; i < 500 && atomic_load(&f->backend->down) != down; i++)
        pass_checks(f, 4);
    assert_true(atomic_load(&f->backend->down) == down);
}

/* From here on no descriptor can be had. The limit to restore. */
static struct rlimit take_descriptors(void)
{
    struct rlimit before;
    int next = dup(STDERR_FILENO);
    assert_true(next >= 0 && getrlimit(RLIMIT_NOFILE, &before) == 0);
    close(next);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &(struct rlimit){(rlim_t)next, before.rlim_max}), 0);
    return before;
}

static uint16_t free_port(int *ret_fd)
{
    struct sockaddr_in sa;
    socklen_t len = sizeof(sa);
    struct err err;
    *ret_fd = socket_listen_tcp("127.0.0.1", 0, false, &err);
    assert_true(*ret_fd >= 0 && getsockname(*ret_fd, (struct sockaddr *)&sa, &len) == 0);
    return ntohs(sa.sin_port);
}

static void a_backend_falls_and_rises(void **state)
{
    (void)state;
    struct fixture f;
    struct err err;
    int fd;
    uint16_t port = free_port(&fd);
    setup(&f, "127.0.0.1", port);
    health_install(f.health, &f.snap);
    pass_checks(&f, 10);
    assert_false(f.backend->down);
    close(fd);
    wait_for(&f, true);
    fd = socket_listen_tcp("127.0.0.1", port, false, &err);
    assert_true(fd >= 0);
    wait_for(&f, false);
    close(fd);
    teardown(&f);
}

/* Nobody listens, but without a socket nobody can tell: what was known stays. */
static void without_descriptors_nothing_changes(void **state)
{
    (void)state;
    struct fixture f;
    int fd;
    uint16_t port = free_port(&fd);
    close(fd);
    setup(&f, "127.0.0.1", port);
    health_install(f.health, &f.snap);
    struct rlimit before = take_descriptors();
    pass_checks(&f, 20);
    bool down = f.backend->down;
    setrlimit(RLIMIT_NOFILE, &before);
    assert_false(down);
    wait_for(&f, true);
    teardown(&f);
}

/* A name server that says no has answered; one that fails or keeps silent has said nothing. */
static void only_answers_about_names_count(void **state)
{
    (void)state;
    static const struct {
        struct resolver resolver;
        bool down;
    } cases[] = {
        {{.answers = true, .answer = RESOLVE_NO_SUCH_HOST}, true},
        {{.answers = true, .answer = RESOLVE_FAILED}, false},
        {{.answers = false}, false},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct fixture f;
        setup(&f, "backend.inside", 80);
        f.resolver = cases[i].resolver;
        f.how.timeout = INTERVAL_NS / 2;
        health_install(f.health, &f.snap);
        pass_checks(&f, 20);
        if (cases[i].down)
            wait_for(&f, true);
        assert_true(f.backend->down == cases[i].down);
        teardown(&f);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_backend_falls_and_rises),
        cmocka_unit_test(without_descriptors_nothing_changes),
        cmocka_unit_test(only_answers_about_names_count),
    };
    return cmocka_run_group_tests_name("health", tests, NULL, NULL);
}
