/* SPDX-License-Identifier: Apache-2.0 */
/* Name servers that do not do what is asked, and what is told of them. */
#include "dns/updater.h"

#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "dns/rdata.h"

/* Flags of an answer to an UPDATE that is cut off (RFC 2136, 2.2; RFC 1035, 4.1.1). */
#define CUT_OFF 0xaa

static struct loop *loop;
static char said[256];
static bool was_silent;

/* One port, for datagrams and for connections. */
struct name_server {
    struct net_addr at;
    int udp, tcp;
};

static void on_done(void *arg, const struct err *why, bool silent)
{
    (void)arg;
    snprintf(said, sizeof(said), "%s", why != NULL ? why->text : "");
    was_silent = silent;
    loop_stop(loop);
}

static void open_server(struct name_server *ret)
{
    struct sockaddr_storage at;
    socklen_t len;
    assert_true(net_addr_parse("127.0.0.1", 0, &ret->at));
    ret->tcp = socket(AF_INET, SOCK_STREAM, 0);
    len = net_addr_to(&ret->at, &at);
    assert_return_code(bind(ret->tcp, (struct sockaddr *)&at, len), errno);
    assert_return_code(getsockname(ret->tcp, (struct sockaddr *)&at, &len), errno);
    ret->at = net_addr_from(&at);
    ret->udp = socket(AF_INET, SOCK_DGRAM, 0);
    assert_return_code(bind(ret->udp, (struct sockaddr *)&at, len), errno);
}

static void close_server(struct name_server *s)
{
    close(s->udp);
    close(s->tcp);
}

/* Of either way the first question; `bytes` begins with two for the length. */
static void *answer_cut_off(void *arg)
{
    const struct name_server *s = arg;
    uint8_t bytes[2 + DNS_UPDATE_MAX] = {0, 12};
    struct sockaddr_storage from;
    socklen_t len = sizeof(from);
    (void)!recvfrom(s->udp, bytes + 2, DNS_UPDATE_MAX, 0, (struct sockaddr *)&from, &len);
    bytes[4] = CUT_OFF;
    (void)!sendto(s->udp, bytes + 2, 12, 0, (struct sockaddr *)&from, len);
    int fd = accept(s->tcp, NULL, NULL);
    (void)!read(fd, bytes, sizeof(bytes));
    bytes[0] = 0;
    bytes[1] = 12;
    bytes[4] = CUT_OFF;
    (void)!write(fd, bytes, 14);
    return (void *)(intptr_t)fd;
}

static void ask(const struct name_server *s)
{
    static const struct dns_update u = {
        .zone = "example.com", .name = "example.com", .type = DNS_TYPE_HTTPS, .change = DNS_CLEAR};
    const struct dns_server server = {s->at, {"key.example.com", {"0123456789abcdef0123456789abcdef", 32}}};
    struct err err;
    snprintf(said, sizeof(said), "nothing");
    assert_non_null(dns_updater_start(loop, &server, &u, on_done, NULL, &err));
    assert_int_equal(loop_run(loop, &err), 0);
    loop_settle(loop);
}

/* Nothing is longer over TCP: it is not asked again for ever. */
static void test_cut_off_over_tcp_as_well(void **state)
{
    struct name_server s;
    pthread_t thread;
    void *fd;
    (void)state;
    open_server(&s);
    assert_return_code(listen(s.tcp, 4), errno);
    assert_int_equal(pthread_create(&thread, NULL, answer_cut_off, &s), 0);
    ask(&s);
    assert_int_equal(pthread_join(thread, &fd), 0);
    close((int)(intptr_t)fd);
    assert_non_null(strstr(said, "the answer is cut off, over TCP as well"));
    assert_false(was_silent);
    close_server(&s);
}

/* A datagram that is cut off, and nobody who takes connections. */
static void *answer_cut_off_once(void *arg)
{
    const struct name_server *s = arg;
    uint8_t bytes[DNS_UPDATE_MAX];
    struct sockaddr_storage from;
    socklen_t len = sizeof(from);
    (void)!recvfrom(s->udp, bytes, sizeof(bytes), 0, (struct sockaddr *)&from, &len);
    bytes[2] = CUT_OFF;
    (void)!sendto(s->udp, bytes, 12, 0, (struct sockaddr *)&from, len);
    return NULL;
}

static void test_nobody_there_is_told_apart(void **state)
{
    struct name_server s;
    pthread_t thread;
    (void)state;
    open_server(&s);
    assert_int_equal(pthread_create(&thread, NULL, answer_cut_off_once, &s), 0);
    ask(&s);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_non_null(strstr(said, "DNS UPDATE at 127.0.0.1:"));
    assert_true(was_silent);
    close_server(&s);
}

static int setup(void **state)
{
    struct err err;
    (void)state;
    loop = loop_new(&err);
    return loop == NULL ? -1 : 0;
}

static int teardown(void **state)
{
    (void)state;
    loop_free(loop);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cut_off_over_tcp_as_well),
        cmocka_unit_test(test_nobody_there_is_told_apart),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
