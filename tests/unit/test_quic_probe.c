/* SPDX-License-Identifier: Apache-2.0 */
/* A look over QUIC ends once, whatever comes behind its end. What is found of servers is for the end to end
 * tests. */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "base/check.h"
#include "base/clock.h"
#include "cert/expect.h"
#include "loop/loop.h"
#include "net/resolver.h"
#include "pki.h"
#include "probe/quic_probe.h"
#include "sockets.h"
#include "tls/client.h"

#define TIMEOUT (100 * NSEC_PER_MSEC)
#define HEAD 12

struct look {
    struct loop *loop;
    struct resolver *resolver;
    struct tls_client *tls;
    struct quic_scratch *scratch;
    struct quic_secrets secrets;
    int server; /* of names: UDP */
    struct quic_probe *probe;
    unsigned ends;
    struct timer timer;
};

static int bind_udp(struct sockaddr_in *ret)
{
    socklen_t len = sizeof(*ret);
    int fd = socket(AF_INET, SOCK_DGRAM, 0);
    *ret = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    assert_return_code(bind(fd, (struct sockaddr *)ret, len), errno);
    assert_return_code(getsockname(fd, (struct sockaddr *)ret, &len), errno);
    return fd;
}

static void on_timer(struct timer *t)
{
    loop_stop(CONTAINER_OF(t, struct look, timer)->loop);
}

static void on_done(void *owner)
{
    struct look *l = owner;
    l->ends++;
    loop_stop(l->loop);
}

static void run_for(struct look *l, int64_t most)
{
    struct err err;
    loop_set_timer(l->loop, &l->timer, clock_monotonic() + most);
    assert_int_equal(loop_run(l->loop, &err), 0);
    wheel_cancel(&l->timer);
}

static void open_look(struct look *l, uint16_t port)
{
    static const struct expect anyone = {.anyone = true};
    struct sockaddr_in at;
    struct err err = {{0}};
    char text[32];
    *l = (struct look){.loop = loop_new(&err), .server = bind_udp(&at), .scratch = quic_scratch_new()};
    snprintf(text, sizeof(text), "127.0.0.1:%u", ntohs(at.sin_port));
    timer_init(&l->timer, on_timer);
    quic_secrets_make(&l->secrets);
    l->resolver = resolver_new_at(l->loop, text, &err);
    l->tls = tls_client_new(&(struct tls_client_params){.min_version = 0x0304,
                                                        .max_version = 0x0304,
                                                        .expect = &anyone,
                                                        .resumes = true,
                                                        .only_looks = true},
                            &err);
    assert_non_null(l->resolver);
    assert_non_null(l->tls);
    l->probe = quic_probe_start(&(struct quic_probe_params){.to = {.loop = l->loop,
                                                                   .resolver = l->resolver,
                                                                   .host = "a.example",
                                                                   .port = port,
                                                                   .name = "a.example"},
                                                            .tls = l->tls,
                                                            .secrets = &l->secrets,
                                                            .scratch = l->scratch,
                                                            .timeout = TIMEOUT,
                                                            .done = on_done,
                                                            .owner = l});
}

static void close_look(struct look *l)
{
    quic_probe_free(l->probe);
    resolver_free(l->resolver);
    tls_client_free(l->tls);
    quic_scratch_free(l->scratch);
    while (loop_settle(l->loop))
        ;
    loop_free(l->loop);
    close(l->server);
}

/* 127.0.0.1, and no address of IPv6, to all that has been asked. */
static void answer(struct look *l)
{
    static const uint8_t record[] = {0xc0, HEAD, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 127, 0, 0, 1};
    uint8_t bytes[512 + sizeof(record)];
    struct sockaddr_in from;
    socklen_t from_len = sizeof(from);
    ssize_t len;
    while ((len = recvfrom(l->server, bytes, 512, MSG_DONTWAIT, (struct sockaddr *)&from, &from_len)) >
           HEAD) {
        size_t end = HEAD + strlen((char *)bytes + HEAD) + 1 + 4; /* of the question */
        bool wants_v4 = bytes[end - 3] == 1;
        const uint8_t head[] = {0x81, 0x80, 0, 1, 0, wants_v4, 0, 0, 0, 0};
        assert_true(end <= (size_t)len);
        memcpy(bytes + 2, head, sizeof(head));
        memcpy(bytes + end, record, sizeof(record));
        end += wants_v4 ? sizeof(record) : 0;
        assert_int_equal(sendto(l->server, bytes, end, 0, (struct sockaddr *)&from, from_len), end);
    }
}

/* Its address would be one at which nobody answers. */
static void test_a_name_server_that_is_too_late(void **state)
{
    struct look l;
    struct sockaddr_in at;
    int silent = bind_udp(&at);
    (void)state;
    open_look(&l, ntohs(at.sin_port));
    run_for(&l, 60 * NSEC_PER_SEC);
    assert_int_equal(l.ends, 1);
    answer(&l);
    run_for(&l, 3 * TIMEOUT);
    uint8_t byte;
    assert_int_equal(recv(silent, &byte, 1, MSG_DONTWAIT), -1); /* it is not even asked */
    assert_int_equal(l.ends, 1);
    assert_int_equal(quic_probe_result(l.probe)->shake.outcome, PROBE_TIMED_OUT);
    close_look(&l);
    close(silent);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_name_server_that_is_too_late),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
